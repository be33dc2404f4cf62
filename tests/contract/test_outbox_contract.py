"""What every database promises to those who send: each row once for each subscriber, until somebody says that it is
done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.adapters.sqlalchemy_outbox import SqlOutbox
from actors.runtime.outgoing import MAIL, WEBHOOK, Delivery, Subscription
from tests.contract.order_histories import START, life
from tests.contract.read_sides import Killed, Side, live

ACME = Subscription("retailer:acme", WEBHOOK)
SOUTH = Subscription("supplier:south", MAIL)
LATER = START + 60_000


@pytest.fixture
def outbox(side: Side) -> Iterator[SqlOutbox]:
    made = SqlOutbox(side.url)
    yield made
    made.close()


def orders(deliveries: Any) -> list[str]:
    return [delivery.row.order for delivery in deliveries]


async def test_only_subscribers_are_told_and_only_of_what_they_see(side: Side, outbox: SqlOutbox) -> None:
    before, mine, bolts = life(1), life(2), life(5)
    await live(side, before)
    await side.rest()
    outbox.subscribe(ACME)
    outbox.subscribe(ACME)
    outbox.subscribe(SOUTH)
    await side.writer.add((mine, 1))  # no supplier knows of it yet
    await side.rest()
    assert orders(outbox.claim(WEBHOOK, START, LATER, 10)) == [mine.id]
    assert outbox.claim(MAIL, START, LATER, 10) == []
    await live(side, mine, bolts)
    await side.rest()
    told = outbox.claim(MAIL, START, LATER, 10)
    assert sorted(orders(told)) == sorted([mine.id, bolts.id])
    assert {delivery.subscription for delivery in told} == {SOUTH}
    assert orders(outbox.claim(WEBHOOK, START, LATER, 10)) == [mine.id]


async def test_rows_are_claimed_put_off_and_completed(side: Side, outbox: SqlOutbox) -> None:
    outbox.subscribe(ACME)
    await live(side, life(1), life(2), life(3))
    await side.rest()
    first = outbox.claim(WEBHOOK, START, LATER, 2)
    (second,) = outbox.claim(WEBHOOK, START, LATER, 2)
    assert len({delivery.row.position for delivery in (*first, second)}) == 3
    assert outbox.claim(WEBHOOK, LATER - 1, LATER, 9) == []
    outbox.complete(first[:1])
    assert outbox.put_off(first[1], LATER + 500)
    again = outbox.claim(WEBHOOK, LATER, LATER + 60_000, 9)  # its sender is dead
    assert again == [second._replace(claim=again[0].claim)]
    assert not outbox.put_off(second, LATER), "somebody else has it"
    outbox.complete([second])
    (last,) = outbox.claim(WEBHOOK, LATER + 500, LATER + 1000, 9)
    assert last == Delivery(ACME, first[1].row, 1, last.claim)
    outbox.complete([last])
    assert outbox.claim(WEBHOOK, LATER * 2, LATER * 3, 9) == []


async def test_rows_are_written_once_whatever_dies(side: Side, outbox: SqlOutbox) -> None:
    outbox.subscribe(ACME)
    await live(side, life(1))
    write = side.model.write

    def dying(batches: Any, at: int) -> None:
        write(batches, at)
        raise Killed

    side.model.write = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await side.projector.round()
    side.model.write = write  # type: ignore[method-assign]
    side.model.request_rebuild()
    side.kill()
    await side.rest()
    assert len(outbox.claim(WEBHOOK, START, LATER, 9)) == 1


async def test_who_leaves_is_told_nothing_more(side: Side, outbox: SqlOutbox) -> None:
    outbox.subscribe(ACME)
    await live(side, life(1))
    await side.rest()
    outbox.unsubscribe(ACME)
    await live(side, life(2))
    await side.rest()
    assert outbox.claim(WEBHOOK, START, LATER, 9) == []


async def test_rows_of_the_feed_that_are_too_old_are_not_sent_any_more(side: Side, outbox: SqlOutbox) -> None:
    outbox.subscribe(ACME)
    await live(side, life(1))
    await side.rest()
    side.model.trim_feed(START + 1, 100)
    assert outbox.claim(WEBHOOK, START, LATER, 9) == []
