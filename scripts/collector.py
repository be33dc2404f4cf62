"""How the processes that serve orders collect garbage: by samples.

Turns, folding and requests make many small immutable records and no cycle (none in 4,000 orders, in a gateway or a
host), which reference counts free. CPython's collector walks all that is young every so often to find that there is
nothing: with its defaults that was a fifth of a host's time, and still 6 % with as rare looks as pauses allow.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

YOUNG_OBJECTS_MAX = 100_000
"""So many more than when it was last seen to, and the young generation is seen to again. The pause when it is walked
grows with it: some 20 ms."""
GATEWAY_YOUNG_OBJECTS_MAX = 400_000
"""A gateway's objects are those of its requests under way, some 150 each: with 256 of them their number rises and falls
by as much as the usual bound again and again."""
NEVER = 1_000_000_000
POLL_S = 0.1
SAMPLED = 16
"""One young generation of so many is walked while none has garbage."""
FIRST_WALKED = 2
"""And so many in the beginning: what leaves a cycle with each request is known by then."""
QUIET_OBJECTS_MAX = 1_000  # more since the last look at the count, and the process is at work
QUIET_POLLS = 50
ASIDE_MAX = 256
"""After so many generations that were set aside a quiet moment is used to walk everything: 0.4 s at a million
objects."""


class Sampling:
    """Decides what is done with a young generation that is full: it is walked, or taken for clean and set aside (its
    objects are freed by their reference counts as before). The first ones are walked, then one in `SAMPLED`, and after
    one with garbage in it the next `SAMPLED` all are. So what fails often and leaves cycles (exceptions do) is
    collected at once; what was missed is found when everything is walked, in a quiet moment after many that were set
    aside."""

    def __init__(self, walk: Callable[[], int], set_aside: Callable[[], None], walk_all: Callable[[], None]) -> None:
        self._walk = walk
        self._set_aside = set_aside
        self._walk_all = walk_all
        self._clean = SAMPLED - FIRST_WALKED  # walked since one had garbage; as if so many had been, in the beginning
        self._aside = 0  # generations since the last one that was walked
        self._unseen = 0  # generations that were set aside since everything was walked

    def full(self) -> None:
        """See to a young generation."""
        self._aside += 1
        if self._clean < SAMPLED or self._aside >= SAMPLED:
            self._aside = 0
            found = self._walk()
            self._clean = 0 if found else self._clean + 1
        else:
            self._unseen += 1
            self._set_aside()

    def quiet(self) -> None:
        """There is nothing else to do."""
        if self._unseen >= ASIDE_MAX:
            self._unseen = 0
            self._walk_all()


def spare_the_collector(young_objects_max: int = YOUNG_OBJECTS_MAX) -> None:
    """Let the garbage collector sample the young generation of this process, from the running event loop: what cycles
    leave behind (tasks, futures) may be finished in its thread alone.

    young_objects_max: how many more objects than at the last time before it is seen to again.
    """
    _walk_all()
    gc.set_threshold(NEVER, NEVER, NEVER)  # nothing by itself: the count of young objects goes on
    _Watch(Sampling(lambda: gc.collect(0), gc.freeze, _walk_all), young_objects_max).poll()


def _walk_all() -> None:
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class _Watch:
    """Looks at the number of young objects again and again."""

    def __init__(self, sampling: Sampling, young_objects_max: int) -> None:
        self._sampling = sampling
        self._young_objects_max = young_objects_max
        self._loop = asyncio.get_running_loop()
        self._before = 0
        self._quiet_polls = 0

    def poll(self) -> None:
        self._loop.call_later(POLL_S, self.poll)
        young = gc.get_count()[0]
        if young > self._young_objects_max:
            self._sampling.full()
            young = 0
        self._quiet_polls = self._quiet_polls + 1 if abs(young - self._before) < QUIET_OBJECTS_MAX else 0
        self._before = young
        if self._quiet_polls >= QUIET_POLLS:
            self._quiet_polls = 0
            self._sampling.quiet()
