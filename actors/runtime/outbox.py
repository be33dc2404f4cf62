"""What leaves a host once it may: messages to other actors, effects on the outside world."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from actors.runtime.envelope import Envelope
from actors.runtime.ports import Runners
from models.decision import Address, Command, Effect, Send

if TYPE_CHECKING:
    from actors.runtime.host import HostCore

Tell = Callable[[Envelope], None]
"""Sends one message at least once until it expires; never raises, never waits."""


class Outbox:
    """Delivers within the host by a plain call and elsewhere through the router; starts effects under a valid lease.

    An effect that may not leave yet is held; one that is lost with the process is not lost: its intent is in the
    journal, and a new owner or the due index brings it up again.
    """

    def __init__(self, host: HostCore, runners: Runners, tell: Tell) -> None:
        self._host = host
        self._runners = runners
        self._tell = tell
        self._effects_max = host.limits.effects_in_flight_max
        self._ttl_ms = int(host.limits.message_ttl_s * 1000)
        self.effects_in_flight = 0
        self._effects_started = 0
        self._held: deque[Effect] = deque()  # no more than intents are pending

    def release(self, sends: Sequence[Send], effects: Sequence[Effect]) -> None:
        """Let out what rests on facts that are durable, from a cell that is known to be ours this moment."""
        if sends:
            host = self._host
            expires_at = host.wall() + self._ttl_ms
            for send in sends:
                envelope = Envelope(send.to, send.command, expires_at, asks=False)
                if host.accept(host.work(envelope)) is not None:
                    self._tell(envelope)
        if not effects:
            return
        room = self._effects_max - self.effects_in_flight
        if len(effects) <= room and not self._held and self._host.lease.valid():
            for effect in effects:
                self._start(effect)
        else:
            self._held.extend(effects)
            self.start_held()

    def start_held(self) -> None:
        """Start what may leave: called when effects come up, when one comes back, and with every poll of the due
        index, since a lease may be lost and found again."""
        host = self._host
        if not self._held or not host.lease.valid():
            return
        while self._held and self.effects_in_flight < self._effects_max:
            effect = self._held.popleft()
            if host.owned(host.home_of(effect.reply_to)) is None:
                continue  # its cell has moved; the new owner asks again
            self._start(effect)

    def _start(self, effect: Effect) -> None:
        self.effects_in_flight += 1
        self._effects_started += 1
        self._runners[effect.port].start(effect, self._came_back)

    def _came_back(self, to: Address, outcome: Command) -> None:
        self.effects_in_flight -= 1
        self._host.enqueue(to, outcome)
        if self._held:
            self.start_held()

    async def close(self) -> None:
        for runner in self._runners.values():
            await runner.close()

    def status(self) -> dict[str, Any]:
        return {
            "effects_in_flight": self.effects_in_flight,
            "effects_held": len(self._held),
            "effects_started": self._effects_started,
        }
