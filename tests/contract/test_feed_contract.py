"""What every database promises of the public feed: each public event once, in order and numbered without gaps, however
often the projector dies, reads again or makes its rows anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from actors.adapters.sqlalchemy_feed import SqlFeed
from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_tables import connect, orders, shards
from actors.order import KIND as ORDER
from actors.runtime.codec import replay
from actors.runtime.feeding import Audience, FeedForgotten, FeedRow, seen
from actors.runtime.folding import folded, telling
from actors.runtime.limits import Limits
from actors.runtime.local_journal import MemoryStore
from actors.runtime.reading import Overtaken, ReadModelUnavailable
from models.decision import Address
from models.feed import Entry
from tests.contract.order_histories import START, Life, Writer, life
from tests.contract.read_sides import BUSY, FEW, Side, live, stumble

OPS = Audience()
SCANNED = 2


def rows(url: str, audience: Audience = OPS, limit: int = 3) -> list[FeedRow]:
    """The whole feed, page by page."""
    reader = SqlFeed(url, limits=Limits(feed_scanned_rows_max=SCANNED))
    found: list[FeedRow] = []
    place = reader.state().floor
    while place < reader.state().position:
        page = reader.after(place, audience, limit)
        assert len(page.rows) <= limit and place < page.reached <= place + SCANNED
        found += page.rows
        place = page.reached
    reader.close()
    return found


def entries_of(stored: Life) -> list[Entry]:
    """The public events of a whole life."""
    entries: list[Entry] = []
    folded(ORDER, ORDER.initial, stored.events, entries)
    return entries


def told(url: str, audience: Audience = OPS) -> dict[str, list[tuple[int, str]]]:
    """By order what the audience is told: (sequence, type). Proves that nobody's numbers have gaps."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row in rows(url, audience):
        found.setdefault(row.order, []).extend((one.sequence, one.type) for one in seen(row, audience))
    for events in found.values():
        assert [sequence for sequence, _ in events] == list(range(1, len(events) + 1))
    return found


def check(url: str, *lives: Life) -> None:
    """The feed has exactly what these orders have had to tell."""
    found = rows(url)
    assert [row.position for row in found] == list(range(1, len(found) + 1))
    by_order: dict[str, list[FeedRow]] = {}
    for row in found:
        by_order.setdefault(row.order, []).append(row)
    assert sorted(by_order) == sorted(one.id for one in lives)
    reader = SqlFeed(url)
    for one in lives:
        own = by_order[one.id]
        assert list(reader.of_order(one.id, 0, 100)) == own
        order, _ = replay(ORDER, None, one.events)
        expected = telling(order, (), entries_of(one))
        assert [entry for row in own for entry in orjson.loads(row.events)] == orjson.loads(expected.events)
        audiences = [OPS, Audience(retailer=order.retailer)]
        audiences += [Audience(supplier=consignment.supplier) for consignment in order.consignments]
        for audience, total in zip(audiences, expected.after, strict=True):
            mine = [event for row in own for event in seen(row, audience)]
            assert [event.sequence for event in mine] == list(range(1, total + 1))
    reader.close()


async def test_everybody_is_told_what_concerns_them_and_counts_it_without_gaps(side: Side) -> None:
    mine, other = life(1), life(5)
    for part in (2, 3, 99):
        for one in (mine, other):
            await side.writer.add((one, part))
        await side.rest()
    check(side.url, mine, other)
    assert {row.retailer for row in rows(side.url)} == {"acme", "bolt"}
    assert set(told(side.url, Audience(retailer="acme"))) == {mine.id}
    north = told(side.url, Audience(supplier="north"))
    assert set(north) == {mine.id, other.id}
    assert {type_.partition(".")[0] for _, type_ in north[mine.id]} == {"task"}
    assert told(side.url, Audience(supplier="no")) == {} == told(side.url, Audience(retailer="nobody"))


async def test_a_rebuild_tells_nothing_twice(side: Side) -> None:
    lives = [life(number) for number in range(4)]
    await live(side, *lives)
    await side.rest()
    before = rows(side.url)
    side.model.request_rebuild()
    side.kill()
    await side.rest()
    assert rows(side.url) == before


async def test_what_is_missing_is_told_once_it_is_found(side: Side) -> None:
    one = life(1)
    await side.writer.add((one, 2))
    await side.rest()
    await side.writer.add((one, 3))
    await side.journal().stream_trim(one.shard, 10)
    await live(side, one)
    await side.rest()
    check(side.url, one)


async def test_orders_read_whole_before_their_beginning_is_met_are_told_once(side: Side) -> None:
    """A rebuild is ahead of the stream: what it has told already comes again from there."""
    await side.rest()
    one = life(0)
    await side.writer.add((one, 4))
    side.model.request_rebuild()
    side.kill()
    side.projector._positions = dict(side.model.positions())
    while await side.projector.rebuild_page():
        pass
    assert side.backlog()
    side.kill()
    await live(side, one)
    await side.rest()
    check(side.url, one)


async def test_orders_that_come_back_are_told_on_from_where_they_were(side: Side) -> None:
    one = life(0)
    await side.writer.add((one, 4))
    await side.rest()
    kept = side.store.shard(0).actors.pop(Address("order", one.id))
    side.model.request_rebuild()
    side.kill()
    await side.rest()
    assert side.model.kept([one.id]) == []
    side.store.shard(0).actors[Address("order", one.id)] = kept
    await live(side, one)
    await side.rest()
    check(side.url, one)


async def test_a_database_from_before_the_feed_is_told_of_from_the_beginning(side: Side) -> None:
    first, second = life(0), life(4)
    await side.writer.add((first, 4))
    await side.writer.add((second, 4))
    engine = connect(side.url)
    await side.rest()
    with engine.begin() as connection:
        connection.execute(update(orders).values(fed="", fed_at=0))
        connection.exec_driver_sql("DELETE FROM feed")
        connection.exec_driver_sql("UPDATE feed_state SET position = 0")
        connection.execute(update(shards).values(rebuilding=True, generation=shards.c.generation + 1))
    engine.dispose()
    side.kill()
    await live(side, first)  # goes on before the rebuild has come to it
    await side.rest()
    await live(side, second)
    await side.rest()
    check(side.url, first, second)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
async def test_killed_at_random_nothing_is_missed_or_doubled(new_database: Callable[[], str], seed: int) -> None:
    dice = random.Random(seed)
    side = Side(new_database(), dice.choice([FEW, BUSY]))
    lives = [life(number) for number in range(dice.randrange(1, 8))]
    left = list(lives)
    if dice.random() < 0.3:
        await live(side, left.pop())  # before anybody followed
    await side.projector.prepare()
    while left:
        chosen = dice.choice(left).shard
        await side.writer.add(*[(one, dice.randrange(4)) for one in left if one.shard == chosen])
        left = [one for one in left if not side.writer.done(one)]
        if dice.random() < 0.2:
            side.model.request_rebuild()
        if dice.random() < 0.1:
            shard = dice.randrange(4)
            await side.journal().stream_trim(shard, side.store.shard(shard).sequence)
        await stumble(side, dice)
    side.kill()
    await side.rest()
    side.model.request_rebuild()
    side.kill()
    await side.rest()
    check(side.url, *lives)
    side.close()


async def test_when_busy_what_begins_waits_while_it_goes_on_for_two_rounds(new_database: Callable[[], str]) -> None:
    side = Side(new_database(), BUSY)
    await side.projector.prepare()
    while await side.projector.round() or await side.projector.rebuild_page():
        pass
    one, other, third = life(0), life(4), life(8)
    await side.writer.add((one, 2))
    await side.projector.round()
    await side.writer.add((one, 1), (other, 2))
    await side.projector.round()
    assert rows(side.url) == []
    assert side.backlog(), "what waits is not trimmed"
    await side.writer.add((one, 99))
    await side.projector.round()
    assert sorted(row.order for row in rows(side.url)) == sorted([one.id, other.id]), "the other has stopped"
    assert not side.backlog()
    await side.writer.add((third, 2))
    await side.projector.round()
    side.kill()
    await side.projector.round()
    assert len(rows(side.url)) == 2, "who begins anew knows nothing of its waiting"
    await side.projector.round()
    assert rows(side.url)[-1].order == third.id and not side.backlog()
    await live(side, other)
    await live(side, third)
    await side.projector.round()
    check(side.url, one, other, third)
    side.close()


async def test_when_busy_what_is_paid_out_waits_for_nothing(new_database: Callable[[], str]) -> None:
    side = Side(new_database(), BUSY)
    await side.projector.prepare()
    while await side.projector.round() or await side.projector.rebuild_page():
        pass
    one = life(0)
    await side.writer.add((one, next(n for n, event in enumerate(one.events, 1) if b"order.transferred/1 " in event)))
    await side.projector.round()
    assert [row.order for row in rows(side.url)] == [one.id]
    side.close()


async def test_what_waits_counts_as_lag(new_database: Callable[[], str]) -> None:
    side = Side(new_database(), replace(BUSY, projector_report_ms=0))
    clock = count(START, 1_000)
    side.projector._wall = lambda: next(clock)
    one = life(0)
    await side.projector.prepare()
    while await side.projector.round() or await side.projector.rebuild_page():
        pass
    before = next(clock)
    told = []
    for events in (2, 1, 0):
        await side.writer.add((one, events))
        await side.projector.round()
        with side.model._engine.connect() as connection:
            told.append(connection.execute(select(func.min(shards.c.caught_up_at))).scalar_one())
    assert told[0] < before and told[1] == told[0], "the rows say nothing of what came after it began"
    assert told[2] > before and len(rows(side.url)) == 1
    side.close()


async def test_a_writer_that_was_replaced_writes_nothing_more(side: Side) -> None:
    await live(side, life(0))
    successor = SqlReadModel(side.url)
    successor.prepare(4)
    with pytest.raises(Overtaken):
        await side.projector.round()
    assert rows(side.url) == [] == side.rows()["orders"]
    side.model.prepare(4)
    side.kill()
    await side.rest()
    check(side.url, life(0))
    successor.close()


async def test_old_rows_go_and_who_would_have_missed_them_is_told_so(side: Side) -> None:
    lives = [life(number) for number in range(5)]
    clock = count(START, 1000)
    side.projector._wall = lambda: next(clock)
    for one in lives:
        await live(side, one)
        await side.projector.round()
    await side.rest()
    reader = SqlFeed(side.url)
    every = rows(side.url)
    side.model.trim_feed(every[0].at, 2)
    side.model.trim_feed(every[2].at, 3)
    assert reader.state().floor == 0, "nothing goes before all of a portion may"
    side.model.trim_feed(every[2].at, 2)
    assert reader.state() == reader.state()._replace(floor=2, position=len(every))
    assert reader.after(2, OPS, 100).rows == every[2:]
    with pytest.raises(FeedForgotten):
        reader.after(1, OPS, 100)
    assert reader.of_order(every[0].order, 0, 100) == []
    side.model.trim_feed(START + 10**9, 100)
    assert reader.state().floor == reader.state().position == len(every)
    assert reader.after(len(every), OPS, 100).rows == []
    new = life(7)
    await live(side, new)
    await side.rest()
    assert [row.order for row in reader.after(len(every), OPS, 100).rows] == [new.id]
    reader.close()


async def test_positions_outlive_a_journal_that_was_replaced(side: Side) -> None:
    await live(side, life(0), life(4))
    await side.rest()
    before = rows(side.url)
    side.store = MemoryStore()
    side.writer = Writer(side.journal())
    side.kill()
    await side.projector.prepare()
    await live(side, life(8))
    await side.rest()
    after = rows(side.url)
    assert after[: len(before)] == before
    assert {row.order for row in after[len(before) :]} == {life(8).id}


def test_a_database_without_tables_is_unavailable(new_database: Callable[[], str]) -> None:
    reader = SqlFeed(new_database())
    with pytest.raises(ReadModelUnavailable):
        reader.state()
    reader.close()
