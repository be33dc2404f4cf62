"""Views of actors, remembered for a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import orjson

from actors.runtime.envelope import Reply, Status
from gateway.problems import Problem
from gateway.services import Asks
from models.decision import Address


class Seen(NamedTuple):
    """A view as it was read at `at` (monotonic seconds); None means that there is no such actor."""

    view: dict[str, Any] | None
    at: float


class ViewCache:
    """Reads views in one batch and remembers them for `age_s_max`.

    What is remembered may accept a request, but never refuse one: before it refuses, the caller reads again with
    `since` set to when its request began.
    """

    def __init__(
        self, router: Asks, age_s_max: float, views_max: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._router = router
        self._age_s_max = age_s_max
        self._views_max = views_max
        self._seen: dict[Address, Seen] = {}
        self.clock = clock

    async def views(self, addresses: Iterable[Address], since: float = 0.0) -> dict[Address, dict[str, Any] | None]:
        """The views by address, none older than the bound, and none read before `since`."""
        oldest = max(since, self.clock() - self._age_s_max)
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
            now = self.clock()
            missing = list(dict.fromkeys(missing))
            for address, reply in zip(missing, await self._router.read_many(missing), strict=True):
                view = view_of(reply)
                self._remember(address, Seen(view, now))
                views[address] = view
        return views

    def __len__(self) -> int:
        return len(self._seen)

    def forget(self, address: Address) -> None:
        """This process has just changed the actor: read it anew."""
        self._seen.pop(address, None)

    def _remember(self, address: Address, seen: Seen) -> None:
        if len(self._seen) >= self._views_max:
            oldest = self.clock() - self._age_s_max
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
