"""What a host has to tell rides on the answers to its senders' calls: all of it, and never too much at once."""

from __future__ import annotations

import asyncio

from actors.runtime.envelope import Reply, Status
from actors.runtime.notices import Notices, Watch
from models.decision import Address

FAR = 2**60


def told(notices: Notices, count: int, size_bytes: int) -> None:
    for n in range(count):
        home = Address("order", str(n))
        notices.watch(home, Watch("gateway", n, "order", FAR))
        notices.resolve(home, Reply(Status.OK, b"x" * size_bytes))


def numbers(carried: list[tuple[int, Reply]]) -> list[int]:
    return [watch_id for watch_id, _ in carried]


def test_an_answer_carries_no_more_than_it_has_room_for_and_the_next_ones_the_rest() -> None:
    notices = Notices(100, answer_bytes_max=1_000)
    for _ in range(3):
        notices.call_begins("gateway")
    told(notices, 7, 300)
    assert numbers(notices.call_ends("gateway", answered_bytes=500)) == [0, 1]
    assert numbers(notices.call_ends("gateway", answered_bytes=2_000)) == []
    assert notices.left("gateway")
    assert numbers(notices.call_ends("gateway")) == [2, 3, 4, 5]
    assert notices.left("gateway")
    notices.call_begins("gateway")
    assert numbers(notices.call_ends("gateway")) == [6]
    assert not notices.left("gateway")


async def test_what_had_no_room_wakes_the_call_that_waits_for_notices_alone() -> None:
    notices = Notices(100, answer_bytes_max=1_000)
    notices.call_begins("gateway")
    lingering = asyncio.create_task(notices.linger("gateway", 60.0))
    await asyncio.sleep(0)
    told(notices, 6, 300)
    assert numbers(notices.call_ends("gateway")) == [0, 1, 2, 3]
    assert numbers(await lingering) == [4, 5]
    assert len(notices) == 0


async def test_a_notice_that_is_larger_than_any_answer_is_carried_all_the_same() -> None:
    notices = Notices(100, answer_bytes_max=1_000)
    told(notices, 2, 5_000)
    assert numbers(await notices.linger("gateway", 60.0)) == [0]
    assert numbers(await notices.linger("gateway", 60.0)) == [1]


def test_only_a_sender_that_comes_no_more_loses_what_it_was_to_be_told() -> None:
    notices = Notices(100, answer_bytes_max=1_000)
    told(notices, 9, 300)
    notices.expire(now=1)
    notices.call_begins("gateway")
    assert numbers(notices.call_ends("gateway")) == [0, 1, 2, 3]
    notices.expire(now=2)  # between two calls of a busy sender, as it was a second ago
    notices.call_begins("gateway")
    assert numbers(notices.call_ends("gateway")) == [4, 5, 6, 7]
    for now in (3, 4):
        notices.expire(now)
    notices.call_begins("gateway")
    assert numbers(notices.call_ends("gateway")) == []
