"""The public feed, for endpoints: pages from a place on, followers of the tail, and how many may follow at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import orjson

from actors.runtime.feeding import Audience, FeedForgotten, FeedReader, FeedRow, FeedState, seen
from actors.runtime.reading import ReadModelUnavailable
from gateway.auth import Principal
from gateway.feed_cursor import Place, cursor_of, expired, place_of
from gateway.feed_tail import Tail
from gateway.limits import GatewayLimits
from gateway.problems import Problem
from models.feed import shown_event
from models.sealing import Sealer

T = TypeVar("T")
LATEST = "latest"


class Told(NamedTuple):
    """A public event as its reader is shown it, and the place after it."""

    event: dict[str, Any]
    place: Place


class Page(NamedTuple):
    """events: in order. place: where the next page begins. more: there may be further ones right now."""

    events: Sequence[Told]
    place: Place
    more: bool


def audience_of(principal: Principal) -> Audience:
    """Who reads when this principal does."""
    return Audience(
        retailer=principal.name if principal.role == "retailer" else "",
        supplier=principal.name if principal.role == "supplier" else "",
    )


def told(principal: Principal, row: FeedRow, place: Place) -> list[Told]:
    """What a reader at `place` has not had yet of its next row."""
    events = seen(row, audience_of(principal))
    last = len(events)
    taken = place.taken if row.position == place.position + 1 else 0
    return [
        Told(
            shown_event(row.order, row.suppliers, event, role=principal.role),
            Place(row.position) if number == last else Place(row.position - 1, number),
        )
        for number, event in enumerate(events[taken:], taken + 1)
    ]


class Feed:
    """One process's view of the feed. reader: None where there is no read side."""

    def __init__(self, reader: FeedReader | None, sealer: Sealer, limits: GatewayLimits) -> None:
        self._reader = reader
        self._sealer = sealer
        self._limits = limits
        self._following: Counter[str] = Counter()
        self._frames: dict[tuple[int, str, Audience], list[bytes]] = {}
        self._tail: Tail | None = None

    @property
    def reader(self) -> FeedReader:
        """Raises Problem where there is none."""
        if self._reader is None:
            raise Problem("unavailable", "This system runs without its read side.", retry_after_s=60)
        return self._reader

    @property
    def tail(self) -> Tail:
        if self._tail is None:
            self._tail = Tail(self.reader, self._limits)
        return self._tail

    def close(self) -> None:
        """End everybody who follows."""
        if self._reader is not None:
            self.tail.close()

    # --- places -------------------------------------------------------------------------------------------------------

    async def state(self) -> FeedState:
        return await self.ask(self.reader.state)

    def begin(self, state: FeedState, after: str) -> Place:
        """Where a reader begins that gives this cursor: `latest` is now, nothing the oldest event that is kept. Raises
        Problem."""
        if not after:
            return Place(state.floor)
        if after == LATEST:
            return Place(state.position)
        place = place_of(self._sealer, state.identity, after)
        if not state.floor <= place.position <= state.position:
            raise expired()
        return place

    def cursor(self, state: FeedState, place: Place) -> str:
        return cursor_of(self._sealer, state.identity, place)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def page(self, principal: Principal, place: Place, limit: int) -> Page:
        """The next events for this principal, at most `limit`; fewer, also none, where many of others' lie between.
        Raises Problem."""
        found: list[Told] = []
        rows_max = min(limit, self._limits.feed_rows_per_read_max)
        for _ in range(self._limits.feed_reads_per_request_max):
            page = await self.ask(self.reader.after, place.position, audience_of(principal), rows_max)
            for row in page.rows:
                found += told(principal, row, place)
                if len(found) >= limit:
                    del found[limit:]
                    return Page(found, found[-1].place, more=True)
            if page.reached > place.position:
                place = Place(page.reached)
            if place.position >= page.state.position:
                return Page(found, place, more=False)
        return Page(found, place, more=True)

    async def of_order(self, order: str, position: int) -> Sequence[FeedRow]:
        """Some of the order's rows after `position`; none if there are no more. Raises Problem."""
        return await self.ask(self.reader.of_order, order, position, self._limits.feed_rows_per_read_max)

    async def rows(self, principal: Principal, position: int) -> tuple[Sequence[FeedRow], int]:
        """Some rows after `position` that may concern the principal, and the position up to which that is all.
        Raises Problem."""
        rows_max = self._limits.feed_rows_per_read_max
        page = await self.ask(self.reader.after, position, audience_of(principal), rows_max)
        return page.rows, page.reached

    async def ask(self, question: Callable[..., T], *arguments: object) -> T:
        """The database's answer, without holding up anybody else. Raises Problem."""
        try:
            return await asyncio.to_thread(question, *arguments)
        except ReadModelUnavailable:
            raise Problem("unavailable", "The feed is not available at the moment.", retry_after_s=1) from None
        except FeedForgotten:
            raise expired() from None

    # --- streaming ----------------------------------------------------------------------------------------------------

    def frames(self, principal: Principal, state: FeedState, row: FeedRow, place: Place) -> list[bytes]:
        """What a stream at `place` sends of its next row: a frame for each event, with the cursor after it as its id.

        They are kept for a moment: streams of the same reader follow each other by the same rows."""
        key = (row.position, state.identity, audience_of(principal))
        whole = row.position != place.position + 1 or not place.taken
        found = self._frames.get(key) if whole else None
        if found is None:
            found = [
                b"id: %b\ndata: %b\n\n" % (self.cursor(state, one.place).encode(), orjson.dumps(one.event))
                for one in told(principal, row, place)
            ]
            if whole:
                if len(self._frames) >= self._limits.stream_rows_cached_max:
                    self._frames.clear()
                self._frames[key] = found
        return found

    # --- how many -----------------------------------------------------------------------------------------------------

    def take_slot(self, key_id: str) -> Callable[[], None]:
        """Count one more follower of this key, until the function returned is called. Raises Problem."""
        limits = self._limits
        if self._following[key_id] >= limits.streams_per_key_max:
            raise Problem("too_many_streams", f"A key may have {limits.streams_per_key_max}.", retry_after_s=5)
        if self._following.total() >= limits.streams_max:
            raise Problem("too_many_streams", "This gateway has as many as it may.", retry_after_s=5)
        self._following[key_id] += 1

        def release() -> None:
            self._following[key_id] -= 1
            if not self._following[key_id]:
                del self._following[key_id]

        return release

    @contextmanager
    def slot(self, key_id: str) -> Iterator[None]:
        """`take_slot` for as long as the context lasts."""
        release = self.take_slot(key_id)
        try:
            yield
        finally:
            release()

    @property
    def followers(self) -> int:
        """How many streams and waiting requests there are."""
        return self._following.total()
