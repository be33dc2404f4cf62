"""One destination of a router: what its calls bring back, in whatever order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from actors.runtime.codec import decode_batch, encode_answers
from actors.runtime.envelope import Envelope, Read, Reply, Status
from actors.runtime.lane import Lane, Pending
from actors.runtime.limits import LIMITS
from actors.runtime.ports import HostUnavailable
from models.decision import Address
from models.sku.messages import ReceiveStock

FAR = 2**60


class HandOperated:
    """A transport whose calls a test answers itself."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[bytes]] = []
        self.batches: list[bytes] = []

    async def deliver(self, _host: str, batch: bytes) -> bytes:
        self.batches.append(batch)
        self.calls.append(asyncio.get_running_loop().create_future())
        return await self.calls[-1]


def asked(name: str, *, watch: bool) -> Pending:
    envelope = Envelope(Address("order", name), Read(), FAR, watch=watch)
    pending = Pending(envelope, asyncio.get_running_loop().create_future())
    pending.watch_until = FAR
    return pending


async def test_a_notice_that_overtakes_the_answer_to_its_own_call_is_kept() -> None:
    """A host may have something to tell before the call that asked to be told has been answered: that one waits for
    others in its batch, and the notice leaves with whatever call is answered first."""
    transport, came_back = HandOperated(), list[tuple[Pending, Reply | None]]()
    lane = Lane("host", transport, "router", LIMITS, lambda pending, reply: came_back.append((pending, reply)))
    watcher, other = asked("a", watch=True), asked("b", watch=False)
    lane.put(watcher)
    await asyncio.sleep(0.001)
    lane.put(other)
    await asyncio.sleep(0.001)
    first, second = transport.calls
    told = Reply(Status.OK, b'{"status":"confirmed"}', 6)
    second.set_result(encode_answers([Reply(Status.OK)], [(watcher.watch_id, told)]))
    await asyncio.sleep(0.001)
    assert [pending for pending, _ in came_back] == [other]
    first.set_result(encode_answers([None], []))
    await asyncio.sleep(0.001)
    assert [(pending, reply.body if reply else b"") for pending, reply in came_back][1:] == [(watcher, told.body)]
    assert len(transport.calls) == 2, "nobody is watched any more, so no call lingers"


async def test_a_notice_for_nobody_is_dropped() -> None:
    transport, came_back = HandOperated(), list[tuple[Pending, Reply | None]]()
    lane = Lane("host", transport, "router", LIMITS, lambda pending, reply: came_back.append((pending, reply)))
    other = asked("b", watch=False)
    lane.put(other)
    await asyncio.sleep(0.001)
    transport.calls[0].set_result(encode_answers([Reply(Status.OK)], [(77, Reply(Status.OK))]))
    await asyncio.sleep(0.001)
    assert [pending for pending, _ in came_back] == [other]


async def test_a_watch_that_comes_from_another_lane_takes_nobodys_place() -> None:
    """Each lane counts its own watches: the number that a watch had where its host has died may be somebody's here."""
    ours, theirs = HandOperated(), HandOperated()
    came_back = list[tuple[Pending, Reply | None]]()
    lane = Lane("host", ours, "router", LIMITS, lambda pending, reply: came_back.append((pending, reply)))
    other = Lane("other", theirs, "router", LIMITS, lambda _pending, _reply: None)
    stays, moves = asked("a", watch=True), asked("b", watch=True)
    lane.put(stays)
    other.put(moves)
    assert stays.watch_id == moves.watch_id
    await asyncio.sleep(0.001)
    ours.calls[0].set_result(encode_answers([None], []))
    theirs.calls[0].set_exception(HostUnavailable("it has died"))
    await asyncio.sleep(0.001)
    before = stays.watch_id
    lane.put(moves)
    assert (stays.watch_id, moves.watch_id) == (before, before + 1)
    await asyncio.sleep(0.001)
    ours.calls[-1].set_result(encode_answers([None], [(before, Reply(Status.OK, b"{}", 6))]))
    await asyncio.sleep(0.001)
    assert [pending for pending, _ in came_back] == [stays]


async def test_what_comes_at_once_leaves_at_once_and_a_second_call_carries_as_much_as_the_first() -> None:
    transport, came_back = HandOperated(), list[tuple[Pending, Reply | None]]()
    lane = Lane("host", transport, "router", LIMITS, lambda pending, reply: came_back.append((pending, reply)))

    async def put(*names: str) -> int:
        """How many calls there are after these have been put."""
        for name in names:
            lane.put(asked(name, watch=False))
        await asyncio.sleep(0.001)
        return len(transport.calls)

    async def answer(call: int, commands: int) -> int:
        transport.calls[call].set_result(encode_answers([Reply(Status.OK)] * commands, []))
        await asyncio.sleep(0.001)
        return len(transport.calls)

    assert await put("a", "b", "c") == 1
    assert await put("d", "e") == 1, "two are not worth a call beside one of three"
    assert await put("f") == 2
    assert await put("g", "h", "i", "j", "k", "l", "m") == 2, "never three calls"
    assert await answer(0, 3) == 3, "seven are worth a call beside one of three"
    assert await answer(1, 3) == 3
    assert await put("n") == 3
    assert await answer(2, 7) == 4, "nothing waits beside an idle host"
    assert await answer(3, 1) == 4
    assert len(came_back) == 14 and lane.queued() == 0


async def test_a_host_that_has_more_to_tell_than_its_answer_has_room_for_is_called_at_once() -> None:
    """Under load calls are always under way, and none of them would linger: who waits would be told as slowly as those
    answers have room for."""
    transport, came_back = HandOperated(), list[tuple[Pending, Reply | None]]()
    lane = Lane("host", transport, "router", LIMITS, lambda pending, reply: came_back.append((pending, reply)))
    watchers = [asked(name, watch=True) for name in "ab"]
    for watcher in watchers:
        lane.put(watcher)
    await asyncio.sleep(0.001)
    lane.put(asked("c", watch=False))
    lane.put(asked("d", watch=False))
    await asyncio.sleep(0.001)
    first, second = transport.calls
    told = [(watcher.watch_id, Reply(Status.OK, b"{}", 6)) for watcher in watchers]
    first.set_result(encode_answers([None, None], told[:1], more=True))
    await asyncio.sleep(0.001)
    assert not second.done(), "a call is under way"
    assert len(transport.calls) == 3
    transport.calls[2].set_result(encode_answers([], told[1:]))
    await asyncio.sleep(0.001)
    assert [pending for pending, _ in came_back] == watchers
    assert len(transport.calls) == 3, "nobody is watched any more"


async def test_it_is_told_once_that_a_watched_command_has_been_taken_and_not_before() -> None:
    transport, taken = HandOperated(), list[str]()
    lane = Lane("host", transport, "router", LIMITS, lambda _pending, _reply: None)
    watcher = asked("a", watch=True)
    watcher.on_taken = lambda: taken.append("a")
    lane.put(watcher)
    await asyncio.sleep(0.001)
    assert taken == []
    transport.calls[0].set_result(encode_answers([None], []))
    await asyncio.sleep(0.001)
    assert taken == ["a"]
    for task in lane.tasks:
        task.cancel()


async def test_a_read_overtakes_commands_that_wait_for_a_call() -> None:
    """Under load thousands of new orders wait, and some of those still to come need the catalogue that is read here."""
    limits = replace(LIMITS, router_batch_messages_max=2, router_calls_in_flight_max=1)
    transport = HandOperated()
    lane = Lane("host", transport, "router", limits, lambda _pending, _reply: None)
    for name in ("a", "b", "c"):
        lane.put(Pending(Envelope(Address("sku", name), ReceiveStock(sku=name, quantity=1), FAR), None))
    lane.put(asked("read", watch=False))
    await asyncio.sleep(0.001)
    transport.calls[0].set_result(encode_answers([Reply(Status.OK)] * 2, []))
    await asyncio.sleep(0.001)
    sent = [[item[1] for item in decode_batch(batch).items] for batch in transport.batches]
    assert sent == [["read", "a"], ["b", "c"]]
