"""uvicorn's HTTP protocol, with a short way in and out for what is complete when it gets there.

ASGI wants a message for every body and two for every response, the latter through a state machine that looks at every
header with two regular expressions. A body that has arrived together with its head is spared the one, an endpoint whose
answer is at hand (`endpoint.Answer`) the other: its head and body are joined and written once. A connection that is
kept alive has one timer for many requests, not a new one after each. And who is turned away at the door costs no task:
under overload most are. Nothing else changes: uvicorn parses, keeps connections alive, and ends them; whatever is out
of the ordinary (a slow client, HEAD, a response without a body) takes its usual way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.endpoint import WHOLE
from gateway.short_way import ShortWay

IN_USE = float("inf")


class Protocol(HttpToolsProtocol):
    """Adds `WHOLE` to every scope, asks the door before a new order begins, and has one timer a connection."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._idle_since = IN_USE
        self._doors: Mapping[tuple[str, str], Callable[[Any], bool]] = getattr(self.app, "doors", {})

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """It is this request's turn. The door is asked where the short way is open: what it counts, it answers. Of
        several that wait for their turns, none is answered inside another's answer."""
        scope: Any = cycle.scope
        scope[WHOLE] = ShortWay(cycle)
        if app is self.app and not self.pipeline and not self.flow.write_paused:
            turns_away = self._doors.get((scope["method"], scope["path"]))
            if turns_away is not None and turns_away(scope):
                return
        super()._start_asgi_task(cycle, app)

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
