"""A lane: everything one router sends to one host. At most two calls under way, the second only when it carries as much
as the first; the rest piles up into batches."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine

from actors.runtime.codec import Answers, decode_answers, encode_batch, encode_item
from actors.runtime.envelope import Envelope, Read, Reply, Status
from actors.runtime.limits import Limits
from actors.runtime.ports import HostUnavailable, Transport
from models.decision import Millis

log = logging.getLogger("dray.lane")


class Pending:
    """A command on its way: kept until it is answered, so that it can be sent again."""

    __slots__ = ("attempts", "envelope", "future", "item", "on_taken", "taken", "watch_id", "watch_until")

    def __init__(
        self, envelope: Envelope, future: asyncio.Future[Reply] | None, on_taken: Callable[[], None] | None = None
    ) -> None:
        self.envelope = envelope
        self.future = future
        self.on_taken = on_taken
        self.item = b""
        self.attempts = 0
        self.taken = False  # watched: the command itself has been answered, the notice is still to come
        self.watch_id = 0
        self.watch_until: Millis = 0

    def answer(self, reply: Reply) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_result(reply)


CameBack = Callable[[Pending, Reply | None], None]


class Lane:
    """One destination of one router."""

    def __init__(
        self, host: str, transport: Transport, sender: str, limits: Limits, came_back: CameBack
    ) -> None:
        self.host = host
        self.tasks: set[asyncio.Task[None]] = set()
        self._transport = transport
        self._sender = sender
        self._limits = limits
        self._came_back = came_back
        self._queue: deque[Pending] = deque()
        self._calls = 0
        self._under_way = 0  # commands in these calls
        self._pumping = False
        self._lingering = False
        self._watch_ids = 0
        self._watched: dict[int, Pending] = {}
        self._asked: set[int] = set()  # watches whose own call has not been answered yet
        self._early: dict[int, Reply] = {}  # their notices, which another call's answer has brought before
        self._waiting: dict[Pending, Millis] = {}  # asked and not answered, in order of asking

    def queued(self) -> int:
        return len(self._queue)

    def put(self, pending: Pending) -> None:
        """Queue one command; a full queue refuses it as BUSY."""
        if len(self._queue) >= self._limits.router_queue_messages_max:
            self._came_back(pending, Reply(Status.BUSY))
            return
        if pending.envelope.watch:
            self._unwatch(pending)
            self._watch_ids += 1
            pending.watch_id = self._watch_ids
            pending.item = b""
        if not pending.item:
            pending.item = encode_item(pending.envelope, pending.watch_id)
        if pending.future is not None:
            self._waiting[pending] = pending.watch_until if pending.taken else pending.envelope.expires_at
        if type(pending.envelope.command) is Read:
            self._queue.appendleft(pending)  # little to carry, and many commands may wait for what it brings
        else:
            self._queue.append(pending)
        self._pump_soon()

    def _pump_soon(self) -> None:
        """Once everything has had its turn that the event loop has at hand: what that brings goes along."""
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self._queue and self._worth_a_call():
            self._calls += 1
            self._begin(self._call(self._next_batch()))
        if self._watched and not self._lingering and not self._calls:
            self._come_for_notices()

    def _worth_a_call(self) -> bool:
        """One call at once; another beside it when it carries as much as is under way. A call costs each side a tenth
        of a millisecond, however little is in it: without this, what had come in by the time that one of two calls
        ended went out in ones and twos."""
        if not self._calls:
            return True
        return self._calls < self._limits.router_calls_in_flight_max and len(self._queue) >= self._under_way

    def _begin(self, call: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(call)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _next_batch(self) -> list[Pending]:
        batch: list[Pending] = []
        size_bytes = 0
        while self._queue and len(batch) < self._limits.router_batch_messages_max:
            size_bytes += len(self._queue[0].item)
            if batch and size_bytes > self._limits.router_batch_bytes_max:
                break
            batch.append(self._queue.popleft())
        self._under_way += len(batch)
        return batch

    async def _call(self, batch: list[Pending]) -> None:
        watches = {pending.watch_id for pending in batch if pending.envelope.watch}
        self._asked |= watches
        try:
            data = await self._transport.deliver(
                self.host, encode_batch(self._sender, False, [pending.item for pending in batch])
            )
        except HostUnavailable as error:
            log.info("%s cannot be reached: %s", self.host, error)
            for watch_id in watches:
                self._early.pop(watch_id, None)
            self._lost(batch)
            return
        finally:
            self._calls -= 1
            self._under_way -= len(batch)
            self._asked -= watches
        answers = decode_answers(data)
        for pending, reply in zip(batch, answers.replies, strict=True):
            early = self._early.pop(pending.watch_id, None) if watches else None
            if reply is None and early is None:
                self._watch(pending)
            else:
                self._settle(pending, early if reply is None else reply)
        self._noticed(answers)
        self._pump_soon()

    def _watch(self, pending: Pending) -> None:
        """The command has done its work, durably; from now on its asker only waits for the actor to get somewhere."""
        pending.taken = True
        if pending.on_taken is not None:
            pending.on_taken()
        self._watched[pending.watch_id] = pending
        if pending in self._waiting:
            self._waiting[pending] = pending.watch_until

    def _unwatch(self, pending: Pending) -> None:
        """The number that it has may be of another lane, and somebody else's here."""
        if self._watched.get(pending.watch_id) is pending:
            del self._watched[pending.watch_id]

    def _come_for_notices(self) -> None:
        self._lingering = True
        self._begin(self._linger())

    async def _linger(self) -> None:
        """Hold a call open on which the host can send notices while there is no other traffic, or those for which the
        other calls' answers have no room."""
        try:
            data = await self._transport.deliver(self.host, encode_batch(self._sender, True, []))
        except HostUnavailable:
            self._lost([])
            return
        finally:
            self._lingering = False
        self._noticed(decode_answers(data))
        self._pump_soon()

    def _noticed(self, answers: Answers) -> None:
        for watch_id, reply in answers.notices:
            pending = self._watched.pop(watch_id, None)
            if pending is not None:
                self._settle(pending, reply)
            elif watch_id in self._asked:
                self._early[watch_id] = reply
        if answers.more and not self._lingering:
            self._come_for_notices()

    def _settle(self, pending: Pending, reply: Reply | None) -> None:
        self._waiting.pop(pending, None)
        self._came_back(pending, reply)

    def _lost(self, batch: list[Pending]) -> None:
        """The host is gone: what it was sent, what waited for its turn, and what it was watching, is asked for again
        elsewhere."""
        queued, self._queue = list(self._queue), deque()
        watched, self._watched = list(self._watched.values()), {}
        for pending in [*batch, *queued, *watched]:
            self._settle(pending, None)

    def sweep(self, now: Millis) -> None:
        """Answer EXPIRED to what has waited too long; a watch whose time is over gets an empty OK, so that its asker
        reads the actor as it is."""
        for pending, until in list(self._waiting.items()):
            if until > now:
                continue
            del self._waiting[pending]
            self._unwatch(pending)
            pending.answer(Reply(Status.OK if pending.taken else Status.EXPIRED))
