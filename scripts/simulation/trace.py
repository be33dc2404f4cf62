"""The trace of a run: what happened, when, in which order. Two runs of one seed have the same digest."""

from __future__ import annotations

import asyncio
from hashlib import blake2b


class Trace:
    """Digests every line; keeps them all only if somebody wants to read them."""

    def __init__(self, keep: bool = False) -> None:
        self.lines: list[str] = []
        self.events = 0
        self._keep = keep
        self._digest = blake2b(digest_size=8)

    def note(self, kind: str, *details: object) -> None:
        """One thing that happened. `details` must print the same in every process: no sets, no ids of objects."""
        now_s = asyncio.get_running_loop().time()
        line = f"{now_s:.6f} {kind} {' '.join(map(str, details))}"
        self.events += 1
        self._digest.update(line.encode() + b"\n")
        if self._keep:
            self.lines.append(line)

    def digest(self) -> str:
        return self._digest.hexdigest()
