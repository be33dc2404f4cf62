"""Server-sent events: what has happened and what happens, to one client, until one side ends it.

A stream first reads from the database up to where the shared tail is, then follows the tail; when its client is so slow
that the tail leaves it behind, it reads from the database again. Either way it is asked for the next chunk only once
the client has taken the one before, so a slow client holds one chunk and a bounded queue, nothing more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence

from actors.runtime.envelope import Overloaded, Unanswered
from actors.runtime.feeding import FeedRow, FeedState
from gateway.endpoint import Call, disconnected
from gateway.feed import audience_of
from gateway.feed_cursor import Place
from gateway.feed_tail import Listener, topic_of
from gateway.problems import Problem

EVENT_STREAM = b"text/event-stream"
HEARTBEAT = b": still here\nid: %b\n\n"
HEADERS = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))


class EventStream:
    """One client's stream. `order`: of this order only; empty for all that the principal may see."""

    def __init__(self, call: Call, state: FeedState, place: Place, order: str = "") -> None:
        self._call = call
        self._principal = call.principal
        self._feed = call.gateway.feed
        self._limits = call.gateway.limits
        self._state = state
        self._place = place
        self._order = order
        self._checked_at = time.monotonic()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The stream's bytes. It ends when the client goes, when its key is revoked and when the process stops."""
        yield b"retry: %d\n\n" % self._limits.stream_reconnect_ms
        topic = topic_of(audience_of(self._principal), self._order)
        gone = asyncio.ensure_future(disconnected(self._call))
        try:
            with self._feed.tail.listening(topic) as listener:
                gone.add_done_callback(lambda _: listener.end())
                async for chunk in self._listened(listener):
                    yield chunk
        finally:
            gone.cancel()

    async def _listened(self, listener: Listener) -> AsyncIterator[bytes]:
        while not listener.ended:
            if listener.behind:
                async for chunk in self._caught_up(listener):
                    yield chunk
            elif not await listener.wait(self._limits.stream_heartbeat_s):
                # Nothing has come, so whatever the tail has read was not for this reader: its place moves on.
                self._place = max(self._place, Place(self._feed.tail.position))
                yield HEARTBEAT % self._cursor(self._place)
            elif not listener.behind:
                for chunk in self._shown(listener.take()):
                    yield chunk
            if not await self._allowed():
                return

    async def _caught_up(self, listener: Listener) -> AsyncIterator[bytes]:
        """What there is up to where the tail is when it begins to queue rows for us."""
        upto = await self._feed.tail.joined(listener, self._limits.stream_heartbeat_s)
        if upto is None:
            yield HEARTBEAT % self._cursor(self._place)
            return
        while self._place.position < upto and not listener.ended:
            try:
                rows, reached = await self._read(upto)
            except Problem as problem:
                listener.fall_behind()
                if problem.code == "cursor_expired":
                    listener.end()  # the client connects again, and is told
                await asyncio.sleep(self._limits.feed_retry_s)
                return
            for chunk in self._shown(rows):
                yield chunk
            self._place = max(self._place, Place(reached))

    async def _read(self, upto: int) -> tuple[Sequence[FeedRow], int]:
        if not self._order:
            return await self._feed.rows(self._principal, self._place.position)
        rows = await self._feed.of_order(self._order, self._place.position)
        return rows, rows[-1].position if rows else upto

    def _shown(self, rows: Sequence[FeedRow]) -> Iterator[bytes]:
        """Frames of the rows that the reader has not had yet, some at a time."""
        frames: list[bytes] = []
        for row in rows:
            if row.position <= self._place.position:
                continue
            frames += self._feed.frames(self._principal, self._state, row, self._place)
            self._place = Place(row.position)
            if len(frames) >= self._limits.stream_chunk_events_max:
                yield b"".join(frames)
                frames = []
        if frames:
            yield b"".join(frames)

    def _cursor(self, place: Place) -> bytes:
        return self._feed.cursor(self._state, place).encode()

    async def _allowed(self) -> bool:
        """Is the key still good? Asked about as often as a heartbeat is sent."""
        now = time.monotonic()
        if now - self._checked_at < self._limits.stream_heartbeat_s:
            return True
        self._checked_at = now
        try:
            await self._call.gateway.keys.principal(self._call.headers.get(b"authorization", b""))
        except (Problem, Overloaded, Unanswered) as error:
            return not (isinstance(error, Problem) and error.code == "unauthenticated")
        return True
