"""What comes into a host: batches from routers, messages and outcomes from within; bounded, in two priorities."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from actors.runtime.codec import decode_batch, decode_item, encode_answers
from actors.runtime.envelope import Envelope, Reply, Status
from actors.runtime.notices import Watch
from actors.runtime.resident import NEVER, Work
from models.decision import Address, Command

if TYPE_CHECKING:
    from actors.runtime.host import HostCore

log = logging.getLogger("dray.intake")

_TAKEN = Reply(Status.OK)
_FULL = Reply(Status.BUSY)
_MOVED = Reply(Status.MOVED)


class Intake:
    """Accepts or refuses work and feeds it to turns, continuations before new orders."""

    def __init__(self, host: HostCore, turn: Callable[[Sequence[Work]], None]) -> None:
        self._host = host
        self._turn = turn
        self._arriving = frozenset[type[Command]]().union(*(kind.arrivals for kind in host.kinds.values()))
        self._arrivals: deque[Work] = deque()
        self._continuations: deque[Work] = deque()
        self._running = False
        self._closed = False

    async def deliver(self, data: bytes) -> bytes:
        """One batch in, its answers out. No item waits for I/O other than the journal's."""
        host = self._host
        batch = decode_batch(data)
        if batch.linger:
            notices = await host.notices.linger(batch.sender, host.limits.linger_s)
            return encode_answers([], notices, more=host.notices.left(batch.sender))
        host.notices.call_begins(batch.sender)
        answered_bytes = host.limits.answer_bytes_max
        try:
            replies = await self._take(batch.sender, batch.items)
            answered_bytes = sum([len(reply.body) for reply in replies if reply is not None])
        finally:
            notices = host.notices.call_ends(batch.sender, answered_bytes)
        return encode_answers(replies, notices, more=host.notices.left(batch.sender))

    async def _take(self, sender: str, items: list[list[Any]]) -> list[Reply | None]:
        """Queue every item and wait until each has its reply (None: it will come as a notice)."""
        replies: list[Reply | None] = [None] * len(items)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        remaining = len(items)

        def sink_for(index: int) -> Callable[[Reply | None], None]:
            def sink(reply: Reply | None) -> None:
                nonlocal remaining
                replies[index] = reply
                remaining -= 1
                if not remaining and not done.done():
                    done.set_result(None)

            return sink

        for index, item in enumerate(items):
            self._take_one(sender, item, sink_for(index))
        if remaining:
            await done
        return replies

    def _take_one(self, sender: str, item: list[Any], sink: Callable[[Reply | None], None]) -> None:
        try:
            envelope, watch_id = decode_item(item)
        except (KeyError, ValueError, TypeError) as error:
            log.error("an item that this version cannot read: %s", error)
            sink(Reply(Status.FAILED, b'{"code":"unreadable"}'))
            return
        if envelope.to.kind not in self._host.kinds:
            sink(Reply(Status.FAILED, b'{"code":"unknown_kind"}'))
            return
        if watch_id:
            sink = self._watching(envelope, sender, watch_id, sink)
        if envelope.asks:
            self.accept(self._host.work(envelope, sink))
        else:
            sink(self.accept(self._host.work(envelope)) or _TAKEN)

    def _watching(
        self, envelope: Envelope, sender: str, watch_id: int, sink: Callable[[Reply | None], None]
    ) -> Callable[[Reply | None], None]:
        """The reply to a watched command waits until its actor has got there; a refusal is told at once."""
        host = self._host
        home = host.home_of(envelope.to)

        def watched(reply: Reply | None) -> None:
            if reply is None or reply.status is not Status.OK or host.notices.full():
                sink(reply)
                return
            owned = host.owned(home)
            resident = owned.residents.get(home) if owned else None
            if resident is not None and resident.part is None:
                member = resident.members[envelope.to.kind]
                if member.kind.awaited(member.state):
                    sink(host.view(resident, envelope.to.kind))
                    return
            host.notices.watch(home, Watch(sender, watch_id, envelope.to.kind, envelope.expires_at))
            sink(None)

        return watched

    # --- the queue ----------------------------------------------------------------------------------------------------

    def accept(self, work: Work) -> Reply | None:
        """Queue one work, or refuse it: returns the refusal, which an asker has then been told."""
        owned = work.owned
        if owned is None or owned.closing:
            work.answer(_MOVED)
            return _MOVED
        queue = self._arrivals if type(work.envelope.command) in self._arriving else self._continuations
        if self._full(queue):
            work.answer(_FULL)
            return _FULL
        queue.append(work)
        self._schedule()
        return None

    def enqueue(self, to: Address, command: Command) -> None:
        """A command from within: an effect's outcome, a timer. Never refused and never too late: its number is bounded
        by its source, and nobody would send it again soon."""
        self.again(self._host.work(Envelope(to, command, NEVER, asks=False)))

    def again(self, work: Work) -> None:
        """Turn a work again, after its actor has been loaded or a refused group has been dropped."""
        self._continuations.append(work)
        self._schedule()

    def _full(self, queue: deque[Work]) -> bool:
        host = self._host
        if len(self._arrivals) + len(self._continuations) >= host.limits.host_queue_messages_max:
            return True
        if queue is self._continuations:
            return False
        in_flight = host.pending_residents + len(self._arrivals)
        return bool(host.refusing) or in_flight >= host.limits.arrivals_in_flight_max

    def _schedule(self) -> None:
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """Turn a slice of what is queued, each actor's share of it at once."""
        self._running = False
        if self._closed:
            return
        shares: dict[Address, list[Work]] = {}
        for work in self._slice():
            share = shares.get(work.home)
            if share is None:
                shares[work.home] = [work]
            else:
                share.append(work)
        for works in shares.values():
            try:
                self._turn(works)
            except Exception:  # a bug of the runtime's own: it costs these works, not those queued behind them
                log.exception("%d works for %s could not be turned", len(works), works[0].home)
                for work in works:
                    work.answer(Reply(Status.FAILED, b'{"code":"broken"}'))
        if self._continuations or self._arrivals:
            self._schedule()

    def _slice(self) -> Iterator[Work]:
        """Continuations first, so that what was begun is finished first."""
        left = self._host.limits.works_per_slice_max
        for queue in (self._continuations, self._arrivals):
            taken = min(left, len(queue))
            left -= taken
            for _ in range(taken):
                yield queue.popleft()

    def close(self) -> None:
        self._closed = True

    def status(self) -> dict[str, Any]:
        return {"queue": {"arrivals": len(self._arrivals), "continuations": len(self._continuations)}}
