"""What every database promises of the roll-ups: to the penny what a plain look at all orders gives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from actors.adapters.sqlalchemy_analytics import SqlAnalytics
from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_rollups import SqlRollUps
from actors.adapters.sqlalchemy_tables import connect, counted, sales, waits
from actors.order import KIND as ORDER
from actors.runtime import folding
from actors.runtime.analytics import Period
from actors.runtime.codec import replay
from actors.runtime.limits import LIMITS
from actors.runtime.local_journal import MemoryStore
from actors.runtime.local_stream import MemoryStream
from actors.runtime.projector import Projector
from actors.runtime.reading import Overtaken
from actors.runtime.rollups import RollUps
from models.analytics import DAY_MS, DIMENSIONS
from models.order.state import Order
from tests.contract.databases import NAMES, databases
from tests.contract.order_histories import SHARDS, Life, Writer
from tests.contract.plain_reports import expected, expected_waits
from tests.contract.random_orders import START, random_life

FEW = replace(LIMITS, rollups_orders_max=3, rebuild_page_orders_max=2)
FIRST_DAY = START // DAY_MS
SEEDS = st.integers(0, 2**32)

unhurried = settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=NAMES)
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with databases(request.param, tmp_path_factory.mktemp("database")) as create:
        yield create


class Books:
    """A journal, its read model, the roll-ups, and what is in them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = MemoryStore()
        self.journal = MemoryStream(self.store, stream_kinds=frozenset({"order"}))
        self.writer = Writer(self.journal)
        self.model = SqlReadModel(url)
        self.rollups_model = SqlRollUps(url)
        self.reader = SqlAnalytics(url)
        self.now = START
        self.start()

    def start(self) -> None:
        """A projector and a counter that know nothing but what is stored."""
        clock = self.clock
        self.projector = Projector(ORDER, self.journal, self.model, shards=SHARDS, wall=clock, limits=FEW)
        self.rollups = RollUps(
            ORDER, self.rollups_model, wall=clock, limits=FEW, at_hand=self.projector.at_hand
        )  # fmt: skip

    def clock(self) -> int:
        return self.now

    async def follow(self) -> None:
        while await self.projector.round() or await self.projector.rebuild_page():
            pass
        for shard in range(SHARDS):
            assert not self.store.shard(shard).stream

    def count(self) -> None:
        while self.rollups.step():
            pass

    @property
    def orders(self) -> list[Order]:
        """All orders of the journal, as they are now."""
        found = []
        for shard in range(SHARDS):
            for address, actor in self.store.shard(shard).actors.items():
                if address.kind == "order":
                    found.append(replay(ORDER, actor.snapshot, actor.events)[0])
        return found

    def close(self) -> None:
        self.model.close()
        self.rollups_model.close()
        self.reader.close()


@pytest.fixture
async def books(new_database: Callable[[], str]) -> Any:
    made = await opened(new_database())
    yield made
    made.close()


async def opened(url: str) -> Books:
    made = Books(url)
    await made.projector.prepare()
    await made.follow()
    return made


# --- the plain look at all orders ------------------------------------------------------------------------------------


def agrees(books: Books, orders: Sequence[Order]) -> None:
    """Every report says what the orders say."""
    for retailer in ("", "acme", "bolt", "nobody"):
        for since, until in ((0, FIRST_DAY + 99), (FIRST_DAY + 1, FIRST_DAY + 3), (FIRST_DAY, FIRST_DAY)):
            period = Period(since, until, retailer)
            for dimension in DIMENSIONS:
                found = books.reader.sales(period, dimension)
                assert len(found) == len(set(found))
                assert set(map(tuple, found)) == expected(orders, period, dimension), (period, dimension)
            by_day = set(map(tuple, books.reader.sales_by_day(period)))
            assert by_day == expected(orders, period, "total", by_day=True)
            waited = {one[:3]: one[3:] for one in books.reader.waits(period)}
            assert waited == expected_waits(orders, period)


# --- tests -----------------------------------------------------------------------------------------------------------


@unhurried
@given(seed=SEEDS)
def test_reports_are_right_to_the_penny_whatever_happens_in_whatever_order(
    new_database: Callable[[], str], seed: int
) -> None:
    asyncio.run(_live(new_database(), seed))


async def _live(url: str, seed: int) -> None:
    dice = random.Random(seed)
    books = await opened(url)
    lives = [random_life(number, seed) for number in range(12)]
    while going := [life for life in lives if not books.writer.done(life)]:
        await books.writer.add((one := dice.choice(going), dice.randint(1, len(one.events))))
        if dice.random() < 0.3:
            await books.follow()
        if dice.random() < 0.3:
            books.rollups.step()
        if dice.random() < 0.1:
            books.start()
        if dice.random() < 0.1:
            books.model.request_rebuild()
            books.start()
        if dice.random() < 0.1:
            await books.follow()
            books.count()
            agrees(books, books.orders)
    books.start()
    await books.follow()
    books.count()
    agrees(books, books.orders)
    books.close()


async def test_orders_that_a_rebuild_does_not_find_do_not_count_any_more(books: Books) -> None:
    lives = [random_life(number, 3) for number in range(9)]
    for life in lives:
        await books.writer.add((life, len(life.events)))
    await books.follow()
    books.count()
    lost = [address for shard in range(SHARDS) for address in books.store.shard(shard).actors][::2]
    for address in lost:
        del books.store.shard(int(address.id[4:7], 16)).actors[address]
    books.model.request_rebuild()
    books.start()
    await books.follow()
    agrees(books, [*books.orders, *[replay(ORDER, None, life.events)[0] for life in lives if gone(life, lost)]])
    books.count()
    agrees(books, books.orders)


def gone(life: Life, lost: Sequence[Any]) -> bool:
    return any(address.id == life.id for address in lost)


async def test_it_is_told_up_to_when_everything_is_counted(books: Books) -> None:
    assert books.reader.as_of() == 0
    books.count()
    assert books.reader.as_of() == START
    life = random_life(1, 1)
    await books.writer.add((life, len(life.events)))
    books.now += 5_000
    await books.follow()
    assert books.reader.as_of() == START
    books.count()
    assert books.reader.as_of() == START + 5_000


async def test_once_all_is_counted_the_projector_counts_what_it_writes(books: Books) -> None:
    books.count()
    lives = [random_life(number, 7) for number in range(8)]
    for part in (2, 3, 99):
        for life in lives:
            await books.writer.add((life, part))
        await books.follow()
        agrees(books, books.orders)
    assert not books.rollups.step(), "nothing is left to the counter"
    books.start()
    late = random_life(9, 7)
    await books.writer.add((late, len(late.events)))
    await books.follow()
    agrees(books, books.orders)


async def test_what_the_projector_cannot_count_is_left_to_the_counter_with_all_that_follows(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.count()

    def failing(_order: Order) -> None:
        raise ValueError

    lives = [random_life(number, 8) for number in range(8)]
    monkeypatch.setattr(folding, "contribution", failing)
    for life in lives[:4]:
        await books.writer.add((life, len(life.events)))
    await books.follow()
    monkeypatch.undo()
    for life in lives[4:]:
        await books.writer.add((life, len(life.events)))
    await books.follow()
    assert books.reader.sales(Period(0, FIRST_DAY + 99), "total") == []
    books.count()
    agrees(books, books.orders)
    last = random_life(8, 8)
    await books.writer.add((last, len(last.events)))
    await books.follow()
    agrees(books, books.orders)


async def test_a_second_counter_is_refused_and_counts_nothing_twice(books: Books) -> None:
    for number in range(6):
        life = random_life(number, 5)
        await books.writer.add((life, len(life.events)))
    await books.follow()
    stale = books.rollups_model.states()
    books.rollups.step()

    class Late(SqlRollUps):
        def states(self) -> Any:
            return stale

    late = Late(books.url)
    with pytest.raises(Overtaken):
        RollUps(ORDER, late, wall=books.clock, limits=FEW).step()
    late.close()
    books.count()
    agrees(books, books.orders)


async def test_only_what_has_moved_on_or_is_paid_out_is_not_at_hand_and_is_read_again(books: Books) -> None:
    lives = [random_life(number, 4) for number in range(6)]
    for life in lives:
        await books.writer.add((life, len(life.events)))
    await books.follow()
    read: list[str] = []
    moved_on = lives[0].id
    paid_out = [life.id for life in lives[1:] if life.events[-1].startswith(b"order.transferred/")]
    assert 0 < len(paid_out) < 5, "some of either"

    class Watched(SqlRollUps):
        def snapshots(self, ids: Sequence[str]) -> Any:
            read.extend(ids)
            return super().snapshots(ids)

    def at_hand(order: str, version: int) -> Order | None:
        return books.projector.at_hand(order, version + 1 if order == moved_on else version)

    model = Watched(books.url)
    rollups = RollUps(ORDER, model, wall=books.clock, limits=FEW, at_hand=at_hand)
    while rollups.step():
        pass
    model.close()
    assert sorted(read) == sorted([moved_on, *paid_out])
    agrees(books, books.orders)


async def test_an_order_that_cannot_be_read_keeps_no_other_out(books: Books) -> None:
    for number in range(8):
        life = random_life(number, 9)
        await books.writer.add((life, len(life.events)))
    await books.follow()
    broken = random_life(2, 9).id

    class Broken(SqlRollUps):
        def snapshots(self, ids: Sequence[str]) -> Any:
            return [row._replace(snapshot=b"{}") if row.id == broken else row for row in super().snapshots(ids)]

    model = Broken(books.url)
    rollups = RollUps(ORDER, model, wall=books.clock, limits=FEW)
    while rollups.step():
        pass
    model.close()
    agrees(books, [order for order in books.orders if order.id != broken])


@unhurried
@given(seed=SEEDS)
def test_counting_everything_out_again_leaves_nothing(new_database: Callable[[], str], seed: int) -> None:
    async def story() -> None:
        books = await opened(new_database())
        for number in range(5):
            life = random_life(number, seed)
            await books.writer.add((life, len(life.events)))
        await books.follow()
        books.count()
        for shard in range(SHARDS):
            books.store.shard(shard).actors.clear()
        books.model.request_rebuild()
        books.start()
        await books.follow()
        books.count()
        engine = connect(books.url)
        with engine.connect() as connection:
            assert connection.execute(select(counted)).all() == []
            assert not any(any(row[5:]) for row in connection.execute(select(sales)))
            assert not any(any(row[5:]) for row in connection.execute(select(waits)))
        engine.dispose()
        books.close()

    asyncio.run(story())
