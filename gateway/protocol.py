"""uvicorn's HTTP protocol, with a short way in and out for what is complete when it gets there.

ASGI wants a message for every body and two for every response, the latter through a state machine that looks at every
header with two regular expressions. A body that has arrived together with its head is spared the one, an endpoint whose
answer is at hand (`endpoint.Answer`) the other: its head and body are joined and written once. And a connection that is
kept alive has one timer for many requests, not a new one after each. Nothing else changes: uvicorn parses, keeps
connections alive, and ends them; whatever is out of the ordinary (a slow client, HEAD, a response without a body) takes
its usual way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.endpoint import WHOLE, Header

BODILESS = (204, 304)
UNKNOWN = -1
IN_USE = float("inf")


class Protocol(HttpToolsProtocol):
    """Adds `WHOLE` to every request's scope, and waits for the next request with one timer."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._idle_since = IN_USE

    def on_headers_complete(self) -> None:
        """The request's cycle has begun, its application not yet."""
        super().on_headers_complete()
        self.scope[WHOLE] = ShortWay(self.cycle)  # type: ignore[literal-required]  # a key of our own

    def on_response_complete(self) -> None:
        """uvicorn's own, but for the timer: one that runs already goes on, and looks again when it is over."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        if self.timeout_keep_alive_task is None:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def _unset_keepalive_if_required(self) -> None:
        """uvicorn says that the connection is in use."""
        self._idle_since = IN_USE

    def timeout_keep_alive_handler(self) -> None:
        """The connection may have been in use meanwhile, or is so now."""
        self.timeout_keep_alive_task = None
        idle_s = self.loop.time() - self._idle_since
        if idle_s >= self.timeout_keep_alive:
            super().timeout_keep_alive_handler()
        elif idle_s >= 0:
            left_s = self.timeout_keep_alive - idle_s
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None


class ShortWay:
    """One request's."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def received(self) -> int:
        """How many bytes the body has, if all of it has arrived and nobody has received any; else `UNKNOWN`."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.response_complete or cycle.waiting_for_100_continue:
            return UNKNOWN
        return len(cycle.body)

    def taken(self) -> bytes:
        """The body that has been `received`, as if the application had received its one message."""
        cycle = self._cycle
        cycle.flow.resume_reading()
        cycle.message_event.clear()
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    def __call__(self, status: int, headers: Sequence[Header], body: bytes) -> bool:
        """Write a whole response; False if the usual way has to be taken. `headers` lack the content length. Raises
        ValueError on a header that would begin another line."""
        cycle = self._cycle
        if cycle.disconnected:
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
