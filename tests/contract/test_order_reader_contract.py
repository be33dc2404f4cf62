"""What every database promises to readers: the same pages that a plain look at all orders would give."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_reading import SqlOrders
from actors.order import KIND as ORDER
from actors.runtime.codec import replay
from actors.runtime.local_journal import MemoryStore
from actors.runtime.local_stream import MemoryStream
from actors.runtime.projector import Projector
from actors.runtime.reading import Found, OrderQuery, ReadModelUnavailable, TaskQuery
from models.order.state import Order, headline, refund_status
from models.order.tables import HEADLINES, TASK
from models.projection import new_terms, task_rows
from tests.contract.databases import NAMES, databases
from tests.contract.order_histories import SHARDS, START, Writer, life

COUNT = 40
FEW = 9
"""So few that the searches of these tests go either way."""


@dataclass
class Library:
    """A read model with orders in it, the reader, and what the orders are."""

    projector: Projector
    writer: Writer
    reader: SqlOrders
    model: SqlReadModel
    orders: list[Order]

    def close(self) -> None:
        self.reader.close()
        self.model.close()

    async def arrive(self, number: int) -> None:
        one = life(number)
        await self.writer.add((one, len(one.events)))
        await self.projector.round()
        self.orders.append(replay(ORDER, None, one.events)[0])

    def expected(self, query: OrderQuery) -> list[str]:
        """Every order that fits, newest first, by looking at them all."""
        fitting = [order for order in self.orders if fits(order, query)]
        return [order.id for order in sorted(fitting, key=lambda order: (order.created_at, order.id), reverse=True)]

    def walk(self, query: OrderQuery) -> list[str]:
        """All pages of the reader, one after the other."""
        met: list[str] = []
        while page := self.reader.find(query):
            met += [found.kept.id for found in page]
            query = replace(query, after=page[-1].place)
        return met


def fits(order: Order, query: OrderQuery) -> bool:
    status, place = headline(order), (order.created_at, order.id)
    partly = query.status == "refunded" and refund_status(order) == "partial"
    return (
        (not query.id or order.id == query.id)
        and (not query.retailer or order.retailer == query.retailer)
        and (not query.asked or query.asked in {task.supplier for task in task_rows(Order(), order)})
        and (not query.status or status == query.status or partly)
        and (query.after is None or place < query.after)
        and (query.created_from is None or order.created_at >= query.created_from)
        and (query.created_to is None or order.created_at < query.created_to)
        and (not query.emails or order.email_digest in query.emails)
        and (not query.any_of or any(all(some & new_terms(Order(), order) for some in way) for way in query.any_of))
    )


@pytest.fixture(scope="module", params=NAMES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    with databases(request.param, tmp_path_factory.mktemp("database")) as create:
        yield create


async def library(url: str, count: int) -> Library:
    store = MemoryStore()
    kinds = frozenset({"order"})
    model = SqlReadModel(url)
    projector = Projector(
        ORDER, MemoryStream(store, stream_kinds=kinds), model, shards=SHARDS, wall=lambda: START
    )
    await projector.prepare()
    await projector.round()
    while await projector.rebuild_page():
        pass
    writer = Writer(MemoryStream(store, stream_kinds=kinds))
    made = Library(projector, writer, SqlOrders(url, few_orders_max=FEW), model, [])
    for number in range(count):
        await made.arrive(number)
    return made


def pick(options: Sequence[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(["", *options])


SETS = st.frozensets(
    st.sampled_from([
        "product:product-n1", "product:product-s1", "product:product-n1@north", "supplier:south", "word:acme-ann",
        "word:bolt-ann", "word:bolt-lee", "nothing",
    ]), min_size=1, max_size=3,
)  # fmt: skip
QUERIES = st.builds(
    OrderQuery,
    limit=st.integers(1, 7),
    retailer=pick(["acme", "bolt", "nobody"]),
    asked=pick(["north", "south", "nobody"]),
    status=pick(HEADLINES),
    created_from=st.none() | st.integers(START, START + 15),
    created_to=st.none() | st.integers(START, START + 15),
    emails=st.frozensets(st.sampled_from(["mail-acme-0", "mail-acme-1", "mail-bolt-2"]), max_size=2),
    any_of=st.lists(st.lists(SETS, max_size=2).map(tuple), max_size=2).map(tuple),
)


@pytest.fixture(scope="module")
def stocked(database: Callable[[], str]) -> Iterator[Library]:
    made = asyncio.run(library(database(), COUNT))
    yield made
    made.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=QUERIES)
def test_pages_are_what_a_look_at_all_orders_gives(stocked: Library, query: OrderQuery) -> None:
    assert stocked.walk(query) == stocked.expected(query)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (OrderQuery(limit=5), "orders_by_time"),
        (OrderQuery(limit=5, retailer="acme"), "orders_by_retailer "),
        (OrderQuery(limit=5, retailer="acme", status="confirmed"), "orders_by_retailer_status"),
        (OrderQuery(limit=5, status="confirmed"), "orders_by_status"),
        (OrderQuery(limit=5, status="refunded"), "orders_refunded"),
        (OrderQuery(limit=5, retailer="acme", status="refunded"), "orders_refunded"),
        (OrderQuery(limit=5, retailer="acme", emails=frozenset({"mail-acme-0"})), "orders_by_email"),
        (OrderQuery(limit=5, asked="north"), "tasks_by_supplier"),
        (OrderQuery(limit=5, retailer="acme", any_of=((frozenset({"word:x"}),),)), "terms USING PRIMARY KEY (term=?"),
        (OrderQuery(limit=5, any_of=((frozenset({"x"}), frozenset({"y"})),)), "terms_1 USING PRIMARY KEY (term=?"),
        (
            OrderQuery(limit=5, asked="north", any_of=((frozenset({"x"}),),)),
            "tasks_by_supplier (supplier=? AND created_at=? AND order_id=?)",
        ),
        (TaskQuery(limit=5, supplier="north"), "tasks_by_supplier "),
        (TaskQuery(limit=5, supplier="north", status="offered"), "tasks_by_supplier_status"),
    ],
)
def test_searches_go_along_their_index(stocked: Library, query: OrderQuery | TaskQuery, index: str) -> None:
    """What a million orders show: a plan that reads them all takes half a minute."""
    engine = stocked.reader._engine
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by statistics; forty orders are best read one after the other")
    plans: list[str] = []

    def explain(_connection: object, cursor: sqlite3.Cursor, sql: str, parameters: Any, *_: object) -> None:
        rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
        plans.append("\n".join(f"{row[3]} " for row in rows))

    event.listen(engine, "before_cursor_execute", explain)
    _ = stocked.reader.find_tasks(query) if isinstance(query, TaskQuery) else stocked.reader.find(query)
    event.remove(engine, "before_cursor_execute", explain)
    assert any(index in plan for plan in plans), plans
    assert not any("TEMP B-TREE" in plan for plan in plans), plans


TASKS = st.builds(
    TaskQuery,
    limit=st.integers(1, 7),
    supplier=st.sampled_from(["north", "south", "nobody"]),
    status=pick(sorted(set(TASK.values()))),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=TASKS)
def test_tasks_are_what_a_look_at_all_orders_gives(stocked: Library, query: TaskQuery) -> None:
    expected = [
        (order.id, number, status)
        for order in sorted(stocked.orders, key=lambda order: (order.created_at, order.id), reverse=True)
        for number, supplier, status in task_rows(Order(), order)
        if supplier == query.supplier and query.status in ("", status)
    ]
    met: list[tuple[str, int, str]] = []
    while page := stocked.reader.find_tasks(query):
        assert len(page) <= query.limit
        met += [(found.kept.id, found.consignment, found.status) for found in page]
        query = replace(query, after=page[-1].place)
    assert met == expected


def test_of_many_ways_those_count_that_somebody_has(stocked: Library) -> None:
    nobody = [(frozenset({f"word:nobody-{n}"}), frozenset({"word:acme-ann"})) for n in range(1_200)]
    one = (frozenset({"word:acme-ann"}), frozenset({"word:acme-lee"}))
    query = OrderQuery(limit=5, any_of=(*nobody, one))
    assert stocked.walk(query) == stocked.expected(query) != []


def test_one_order_is_found_by_its_id(stocked: Library) -> None:
    wanted = stocked.orders[7].id
    assert stocked.walk(OrderQuery(limit=5, id=wanted)) == [wanted]
    assert stocked.walk(OrderQuery(limit=5, id=wanted, retailer="nobody")) == []


def test_retailers_are_those_who_placed_orders(stocked: Library) -> None:
    assert list(stocked.reader.retailers()) == ["acme", "bolt"]
    assert stocked.reader.caught_up_at() == START


def test_a_database_without_tables_is_unavailable(database: Callable[[], str]) -> None:
    reader = SqlOrders(database())
    with pytest.raises(ReadModelUnavailable):
        reader.find(OrderQuery(limit=1))
    reader.close()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=QUERIES, seed=st.integers(0, 2**32))
async def test_walking_skips_and_repeats_nothing_while_orders_arrive(
    database: Callable[[], str], query: OrderQuery, seed: int
) -> None:
    dice = random.Random(seed)
    made = await library(database(), 12)
    here = made.expected(query)
    met: list[str] = []
    number = 12
    page: Sequence[Found] | None = None
    while page is None or page:
        page = made.reader.find(query)
        met += [found.kept.id for found in page]
        query = replace(query, after=page[-1].place) if page else query
        for _ in range(dice.randrange(3)):
            await made.arrive(number)
            number += 1
    assert len(met) == len(set(met))
    assert [id_ for id_ in met if id_ in here] == here
    made.close()


