"""The short way in and out of uvicorn (see `protocol`), apart from it because this can be compiled."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import ref

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.endpoint import Header

BODILESS = (204, 304)
UNKNOWN = -1


class ShortWay:
    """One request's. It is in the scope that its cycle holds, so it only refers to the cycle: nobody would collect the
    ring that they were (`scripts.collector`)."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = ref(cycle)

    def received(self) -> int:
        """How many bytes the body has, if all of it has arrived and nobody has received any; else `UNKNOWN`."""
        cycle = self._cycle()
        if cycle is None or cycle.more_body or cycle.disconnected:
            return UNKNOWN
        if cycle.response_complete or cycle.waiting_for_100_continue:
            return UNKNOWN
        return len(cycle.body)

    def taken(self) -> bytes:
        """The body that has been `received`, as if the application had received its one message."""
        cycle = self._cycle()
        assert cycle is not None, "its body has been received"
        cycle.flow.resume_reading()
        cycle.message_event.clear()
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    def __call__(self, status: int, headers: Sequence[Header], body: bytes) -> bool:
        """Write a whole response; False if the usual way has to be taken. `headers` lack the content length. Raises
        ValueError on a header that would begin another line."""
        cycle = self._cycle()
        if cycle is None or cycle.disconnected:
            return True
        if cycle.response_started or cycle.flow.write_paused or status in BODILESS or cycle.scope["method"] == "HEAD":
            return False
        lines = [STATUS_LINE[status]]
        for name, value in cycle.default_headers:
            lines += (name, b": ", value, b"\r\n")
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        ends = len(lines) // 4 + 1 + (not cycle.keep_alive)
        if head.count(b"\n") != ends or head.count(b"\r") != ends:
            raise ValueError("a header's value has a line break in it")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        cycle.message_event.set()  # whoever waits in `receive` learns that there is nothing more to come
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True
