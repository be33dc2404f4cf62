"""The wall clock of the simulated world, which may jump, and of which every process has its own wrong idea."""

from __future__ import annotations

from actors.runtime.ports import Wall
from models.decision import Millis
from scripts.simulation.virtual_loop import START_S, VirtualLoop

EPOCH_MS: Millis = 1_790_000_000_000
"""The wall clock's time when a run begins: a Monday in September 2026."""


class WallClock:
    """`jump` moves everybody's clock forward, as a time server does after a long silence."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._jumped_ms = 0

    def now(self) -> Millis:
        return self.steady() + self._jumped_ms

    def steady(self) -> Millis:
        """The clock of the disk's machine, which does not jump: if it did, leases would end before their owners think
        so, and a host that is cut off at that moment would answer reads from old memory for the rest of its lease."""
        return EPOCH_MS + int((self._loop.time() - START_S) * 1000)

    def jump(self, seconds: float) -> None:
        self._jumped_ms += int(seconds * 1000)

    def off_by(self, skew_ms: int) -> Wall:
        """The clock of a process that is `skew_ms` ahead of the others."""
        return lambda: self.now() + skew_ms
