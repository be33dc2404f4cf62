"""uvicorn's HTTP protocol, with a short way out for responses that are complete when they leave.

ASGI wants two messages for every response, each through a state machine that looks at every header with two regular
expressions. An endpoint whose answer is at hand (`endpoint.Answer`) is spared that: its head and body are joined and
written once. Nothing else changes: uvicorn parses, keeps connections alive, and ends them; whatever is out of the
ordinary (a slow client, HEAD, a response without a body) takes its usual way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.endpoint import WHOLE, Header

BODILESS = (204, 304)


class Protocol(HttpToolsProtocol):
    """Adds `WHOLE` to every request's scope."""

    def on_headers_complete(self) -> None:
        """The request's cycle has begun, its application not yet."""
        super().on_headers_complete()
        self.scope[WHOLE] = partial(_write_whole, self.cycle)  # type: ignore[literal-required]  # a key of our own


def _write_whole(cycle: RequestResponseCycle, status: int, headers: Sequence[Header], body: bytes) -> bool:
    """Write a whole response; False if the usual way has to be taken. `headers` lack the content length. Raises
    ValueError on a header that would begin another line."""
    if cycle.disconnected:
        return True
    if cycle.response_started or cycle.flow.write_paused or status in BODILESS or cycle.scope["method"] == "HEAD":
        return False
    lines = [STATUS_LINE[status]]
    for header in (cycle.default_headers, headers):
        for name, value in header:
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
