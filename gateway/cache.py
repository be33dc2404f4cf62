"""Views of actors, remembered for a second at most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from actors.runtime.envelope import Reply, Status
from gateway.problems import Problem
from gateway.services import Asks
from models.decision import Address


class Seen(NamedTuple):
    """A view as it was read at `at` (monotonic seconds), and the JSON it was read as; None means that there is no such
    actor."""

    view: dict[str, Any] | None
    at: float
    body: bytes = b""


class _Reading(NamedTuple):
    """A batch of reads under way, begun at `at`."""

    views: asyncio.Task[dict[Address, dict[str, Any] | None]]
    at: float


class ViewCache:
    """Reads views in one batch and remembers them for `age_s_max`. Requests that miss the same view share one read:
    a popular product's view ages for all of them in the same moment.

    What is remembered may accept a request, but never refuse one: before it refuses, the caller reads again with
    `since` set to when its request began. A view that is read again and has not changed is the same object as before,
    so that what was worked out from it can be known to hold.
    """

    def __init__(
        self, router: Asks, age_s_max: float, views_max: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._router = router
        self.age_s_max = age_s_max
        self._views_max = views_max
        self._seen: dict[Address, Seen] = {}
        self._reading: dict[Address, _Reading] = {}
        self.clock = clock
        self.forgotten = 0  # how often something was

    async def views(self, addresses: Iterable[Address], since: float = 0.0) -> dict[Address, dict[str, Any] | None]:
        """The views by address, none older than the bound, and none read before `since`."""
        oldest = max(since, self.oldest)
        views: dict[Address, dict[str, Any] | None] = {}
        missing: list[Address] = []
        seen = self._seen
        for address in addresses:
            known = seen.get(address)
            if known is None or known.at < oldest:
                missing.append(address)
            else:
                views[address] = known.view
        if missing:
            readings = self._readings(missing, oldest)
            for batch in dict.fromkeys([reading.views for reading in readings.values()]):
                # Shielded: the read outlives a request that is given up, since others may wait for it.
                await asyncio.shield(batch)
            for address, reading in readings.items():
                views[address] = reading.views.result()[address]
        return views

    def read_at(self, views: Mapping[Address, dict[str, Any] | None]) -> float:
        """When the oldest of these views, which this cache has given, was read; minus infinity if one of them is not
        remembered any more, or has been read anew."""
        at = self.clock()
        for address, view in views.items():
            seen = self._seen.get(address)
            if seen is None or seen.view is not view:
                return float("-inf")
            at = min(at, seen.at)
        return at

    @property
    def oldest(self) -> float:
        """What was read before this is not used any more."""
        return self.clock() - self.age_s_max

    @property
    def middle(self) -> float:
        """What was read before this has lived for half its time."""
        return self.clock() - self.age_s_max / 2

    def _readings(self, missing: Iterable[Address], oldest: float) -> dict[Address, _Reading]:
        """The reads that will bring `missing`: those under way that are recent enough, and one for all the others."""
        readings = {address: self._reading.get(address) for address in missing}
        alone = [address for address, reading in readings.items() if reading is None or reading.at < oldest]
        if alone:
            began = self.clock()
            reading = _Reading(asyncio.get_running_loop().create_task(self._read(alone, began)), began)
            self._reading.update(dict.fromkeys(alone, reading))
            readings.update(dict.fromkeys(alone, reading))
        return {address: reading for address, reading in readings.items() if reading is not None}

    async def _read(self, addresses: Sequence[Address], began: float) -> dict[Address, dict[str, Any] | None]:
        current: list[Address] = []
        try:
            replies = await self._router.read_many(addresses)
            seen = {
                address: Seen(self._view(address, reply), began, reply.body)
                for address, reply in zip(addresses, replies, strict=True)
            }
        finally:
            for address in addresses:
                reading = self._reading.get(address)
                if reading is not None and reading.views is asyncio.current_task():
                    del self._reading[address]
                    current.append(address)
        for address in current:  # not what was forgotten, or read anew, while we read
            self._remember(address, seen[address])
        return {address: one.view for address, one in seen.items()}

    def _view(self, address: Address, reply: Reply) -> dict[str, Any] | None:
        """The view that a read brought: the one that is remembered, if it has not changed. Raises Problem."""
        seen = self._seen.get(address)
        if seen is not None and seen.body == reply.body and reply.status is Status.OK:
            return seen.view
        return view_of(reply)

    def __len__(self) -> int:
        return len(self._seen)

    def forget(self, address: Address) -> None:
        """This process has just changed the actor: read it anew."""
        self.forgotten += 1
        self._seen.pop(address, None)
        self._reading.pop(address, None)

    def _remember(self, address: Address, seen: Seen) -> None:
        if len(self._seen) >= self._views_max:
            oldest = self.oldest
            self._seen = {key: value for key, value in self._seen.items() if value.at >= oldest}
            if len(self._seen) >= self._views_max:
                self._seen.clear()
        self._seen[address] = seen


def view_of(reply: Reply) -> dict[str, Any] | None:
    """The view that a read brought, None where there is no such actor. Raises Problem if the read failed."""
    if reply.status is Status.OK:
        view: dict[str, Any] | None = orjson.loads(reply.body)
        return view
    if reply.status is Status.ABSENT:
        return None
    raise Problem("unavailable", f"A read was answered {reply.status}.", retry_after_s=1)
