"""The newest rows of the feed, read once for everybody in this process who waits for them.

While anybody listens, one task asks the database a few times a second whether there is more, reads what there is, and
hands each row to whom it may concern. A listener that does not keep up loses its queue, never a row: it reads what it
has missed from the database (`Listener.behind`), as one does that has just come. So memory is bounded by
`stream_queue_rows_max` references per listener, however slow its client.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from actors.runtime.feeding import Audience, FeedForgotten, FeedReader, FeedRow
from actors.runtime.reading import ReadModelUnavailable
from gateway.limits import GatewayLimits

log = logging.getLogger("dray.gateway")

EVERYONE = Audience()
Topic = tuple[str, str]
"""What a listener listens for: `(retailer, acme)`, `(supplier, north)`, `(order, ord_...)`, or everything."""
EVERYTHING: Topic = ("", "")


def topic_of(audience: Audience, order: str = "") -> Topic:
    """Where the rows come by that may concern this audience, of one order or of all."""
    if order:
        return ("order", order)
    if audience.supplier:
        return ("supplier", audience.supplier)
    return ("retailer", audience.retailer) if audience.retailer else EVERYTHING


class Listener:
    """One that waits. `behind`: rows have passed that are not in its queue. `ended`: there will be no more."""

    def __init__(self, rows_max: int) -> None:
        self.behind = True
        self.ended = False
        self._rows: deque[FeedRow] = deque()
        self._rows_max = rows_max
        self._woken = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Until there is something to do: rows, or it is behind, or has ended. False if there is nothing even now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        return self._woken.is_set()

    def take(self) -> Sequence[FeedRow]:
        """The rows that have come since."""
        rows = list(self._rows)
        self._rows.clear()
        if not self.ended:
            self._woken.clear()
        return rows

    def begin(self) -> None:
        """Rows are queued from now on."""
        self.behind = False
        self.take()

    def push(self, row: FeedRow) -> None:
        if self.behind:
            return
        if len(self._rows) >= self._rows_max:
            self.fall_behind()
            return
        self._rows.append(row)
        self._woken.set()

    def fall_behind(self) -> None:
        self.behind = True
        self._rows.clear()
        self._woken.set()

    def end(self) -> None:
        """Its client has gone, or we are shutting down."""
        self.ended = True
        self._woken.set()


class Tail:
    """Follows the feed while there are listeners."""

    def __init__(self, reader: FeedReader, limits: GatewayLimits) -> None:
        self._reader = reader
        self._limits = limits
        self._listeners: dict[Topic, set[Listener]] = {}
        self._following: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._identity = ""
        self._closed = False
        self.position = 0

    @contextmanager
    def listening(self, topic: Topic) -> Iterator[Listener]:
        """A listener, for as long as the context lasts. It hears nothing before `joined`."""
        listener = Listener(self._limits.stream_queue_rows_max)
        self._listeners.setdefault(topic, set()).add(listener)
        if self._closed:
            listener.end()
        elif self._following is None or self._following.done():
            self._ready.clear()
            self._following = asyncio.get_running_loop().create_task(self._follow())
        try:
            yield listener
        finally:
            others = self._listeners[topic]
            others.discard(listener)
            if not others:
                del self._listeners[topic]

    async def joined(self, listener: Listener, seconds: float) -> int | None:
        """Let the listener hear of every row after the position that is returned. Up to it, it has to read itself.
        None if that could not be had in time: the database is away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        if not self._ready.is_set():
            return None
        listener.begin()
        return self.position

    def close(self) -> None:
        """End all listeners, now and for ever."""
        self._closed = True
        self._end_all()
        self._ready.set()  # for those who wait to join

    async def _follow(self) -> None:
        """Ends when nobody has listened for a moment; whoever comes next begins at the newest row."""
        idle_s = 0.0
        while idle_s < self._limits.feed_linger_s and not self._closed:
            pause_s = self._limits.feed_poll_s
            try:
                await self._advance()
            except ReadModelUnavailable as error:
                log.warning("the feed waits: %s", error)
                pause_s = self._limits.feed_retry_s
            except FeedForgotten:
                self._restart()
            except Exception:
                log.exception("the feed stumbled; its listeners read on from the database")
                self._restart()
                pause_s = self._limits.feed_retry_s
            await asyncio.sleep(pause_s)
            idle_s = 0.0 if self._listeners else idle_s + pause_s
        if not self._closed:
            self._restart()

    async def _advance(self) -> None:
        state = await asyncio.to_thread(self._reader.state)
        another = self._identity not in ("", state.identity) or state.position < self.position
        if another:
            self._end_all()  # the database is another one, or was put back: their places mean nothing in it
        self._identity = state.identity
        if another or not self._ready.is_set():
            self.position = state.position
            self._ready.set()
            return
        while self.position < state.position:
            page = await asyncio.to_thread(
                self._reader.after, self.position, EVERYONE, self._limits.feed_rows_per_read_max
            )
            for row in page.rows:
                self._hand_out(row)
            self.position = page.reached

    def _hand_out(self, row: FeedRow) -> None:
        suppliers = [("supplier", name) for name in row.suppliers]
        for topic in (EVERYTHING, ("retailer", row.retailer), *suppliers, ("order", row.order)):
            for listener in self._listeners.get(topic, ()):
                listener.push(row)

    def _restart(self) -> None:
        """Begin again at the newest row; what came meanwhile, listeners read themselves."""
        self._ready.clear()
        for listener in self._everybody():
            listener.fall_behind()

    def _end_all(self) -> None:
        for listener in self._everybody():
            listener.end()

    def _everybody(self) -> list[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]
