"""What every database of the read side promises, with the projector that writes to it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_tables import connect, metadata, shards
from actors.order import KIND as ORDER
from actors.runtime.codec import decode_snapshot, replay
from actors.runtime.local_journal import MemoryStore
from actors.runtime.projector import Projector
from actors.runtime.reading import Batch, Overtaken, Position, ReadModelUnavailable
from models.decision import Address
from tests.contract.order_histories import SHARDS, START, Life, Writer, life
from tests.contract.read_sides import BUSY, FEW, Side, live, rows, stumble


async def fresh_rows(side: Side, url: str) -> dict[str, list[Any]]:
    """The rows of another database, made from this journal alone."""
    model = SqlReadModel(url)
    projector = Projector(ORDER, side.journal(), model, shards=SHARDS, wall=lambda: START)
    await projector.prepare()
    await projector.round()
    while await projector.rebuild_page():
        pass
    model.close()
    return rows(url)


def test_the_migrations_make_the_tables_that_the_code_uses(new_database: Callable[[], str]) -> None:
    model = SqlReadModel(url := new_database())
    model.prepare(2)
    model.prepare(2)
    engine = connect(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    assert set(model.positions()) == {0, 1}
    model.close()


def test_who_dies_while_it_makes_the_tables_leaves_none_behind(new_database: Callable[[], str]) -> None:
    died = 0
    while True:
        model = SqlReadModel(url := new_database())
        survived = _dies_at_statement(model, died + 1)
        successor = SqlReadModel(url)
        successor.prepare(2)
        assert set(successor.positions()) == {0, 1}
        successor.close()
        if survived:
            break
        died += 1
    assert died > 30, "as many statements as the migrations have"


def _dies_at_statement(model: SqlReadModel, number: int) -> bool:
    """Prepare it, as a process that is killed before its n-th statement; whether it had that many."""
    carried_out = 0

    def count(*_: Any) -> None:
        nonlocal carried_out
        carried_out += 1
        if carried_out == number:
            raise KeyboardInterrupt

    event.listen(model._engine, "before_cursor_execute", count)
    try:
        model.prepare(2)
    except KeyboardInterrupt:
        return False
    finally:
        model.close()
    return True


async def test_an_order_becomes_rows(side: Side) -> None:
    one = life(1)
    await live(side, one)
    await side.rest()
    found = side.rows()
    (row,) = found["orders"]
    expected, _ = replay(ORDER, None, one.events)
    (kept,) = side.model.kept([one.id, "ord_unknown"])
    assert kept.version == len(one.events) and kept.data_key == f"key of {one.id}"
    assert decode_snapshot(ORDER, kept.snapshot)[0] == expected
    assert row[:2] == (one.id, one.shard) and {"acme", "cancelled", "gbp"} <= set(row)
    found_terms = {term for term, _, _ in found["terms"]}
    assert {"product:product-n1", "supplier:north", "word:acme-lee", f"stripe:{expected.payment.charge}"} <= found_terms
    assert [(task[1], task[2], task[3]) for task in found["tasks"]] == [
        (1, "north", "withdrawn"), (2, "south", "withdrawn"),
    ]  # fmt: skip
    assert not side.backlog(), "what is in the rows is not kept in the stream"


async def test_reading_connections_cannot_write(side: Side) -> None:
    engine = connect(side.url, reading=True)
    with engine.connect() as connection, pytest.raises(Exception, match=r"readonly|read-only"):
        connection.execute(shards.delete())
    engine.dispose()


async def test_a_projector_that_was_overtaken_writes_nothing(side: Side) -> None:
    await live(side, life(0))
    await side.rest()
    before = side.rows()
    here = side.model.positions()[0]
    stale = here._replace(sequence=here.sequence - 1)
    with pytest.raises(Overtaken):
        side.model.write([Batch(0, stale, stale._replace(sequence=9), ())], START)
    assert side.rows() == before and side.model.positions()[0] == here


async def test_an_erased_order_stays_erased(side: Side) -> None:
    one = life(0)
    await side.writer.add((one, 3))
    await side.rest()
    await side.journal().erase_data_keys(0, [Address("order", one.id)])
    side.model.request_rebuild()
    side.kill()
    await side.rest()
    assert [kept.data_key for kept in side.model.kept([one.id])] == [""]
    await live(side, one)
    await side.rest()
    (kept,) = side.model.kept([one.id])
    assert kept.data_key == "" and kept.version == len(one.events)


async def test_a_rebuild_drops_what_the_journal_does_not_have(side: Side) -> None:
    await live(side, life(0), life(4))
    await side.rest()
    del side.store.shard(0).actors[Address("order", life(4).id)]
    side.model.request_rebuild()
    side.kill()
    await side.rest()
    assert [row[0] for row in side.rows()["orders"]] == [life(0).id]
    assert {task[0] for task in side.rows()["tasks"]} == {life(0).id}


async def test_entries_that_are_missing_are_made_good_from_the_journal(
    side: Side, new_database: Callable[[], str]
) -> None:
    one = life(1)
    await side.writer.add((one, 2))
    await side.rest()
    await side.writer.add((one, 2))
    await side.journal().stream_trim(one.shard, 10)
    await live(side, one)
    await side.rest()
    assert side.rows() == await fresh_rows(side, new_database())


async def test_an_order_that_cannot_be_read_keeps_no_other_out(side: Side) -> None:
    good, bad = life(0), life(4)
    poisoned = Life(bad.id, [*bad.events[:2], b"order.from_a_newer_dray/1 {}", *bad.events[2:]])
    await side.writer.add((poisoned, 2))
    await side.rest()
    await side.writer.add((poisoned, 2), (good, len(good.events)))
    await side.writer.add((poisoned, 9))
    await side.rest()
    assert {kept.id: kept.version for kept in side.model.kept([good.id, bad.id])} == {
        good.id: len(good.events), bad.id: 2,
    }  # fmt: skip
    side.model.request_rebuild()
    side.kill()
    await side.rest()
    assert [kept.id for kept in side.model.kept([good.id, bad.id])] == [good.id]


async def test_rows_of_another_journal_make_way(side: Side) -> None:
    """The journal was replaced by an empty one, or has lost what it had stored last."""
    await live(side, life(0), life(4), life(8))
    await side.rest()
    side.store = MemoryStore()
    side.writer = Writer(side.journal())
    one = life(12)
    await side.writer.add((one, 3))
    side.kill()
    await side.projector.prepare()
    await live(side, one)
    await side.rest()
    assert [row[0] for row in side.rows()["orders"]] == [one.id]
    assert {task[0] for task in side.rows()["tasks"]} == {one.id}


def test_without_its_tables_it_says_so(new_database: Callable[[], str]) -> None:
    model = SqlReadModel(new_database())
    with pytest.raises(ReadModelUnavailable):
        model.positions()
    model.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
async def test_killed_at_random_the_rows_equal_a_fresh_rebuild(new_database: Callable[[], str], seed: int) -> None:
    """Under arriving orders the projector dies before a write, after it, and before the trim; rebuilds begin at any
    time; and the streams may have been opened late."""
    dice = random.Random(seed)
    side = Side(new_database(), dice.choice([FEW, BUSY]))
    lives = [life(number) for number in range(dice.randrange(1, 10))]
    if dice.random() < 0.3:
        await live(side, lives.pop())  # before anybody followed
    await side.projector.prepare()
    while lives or dice.random() < 0.5:
        if lives:
            chosen = dice.choice(lives)
            same = [one for one in lives if one.shard == chosen.shard]
            some = dice.sample(same, dice.randrange(len(same)) + 1)
            await side.writer.add(*[(one, dice.randrange(4)) for one in some])
            lives = [one for one in lives if not side.writer.done(one)]
        if dice.random() < 0.1:
            side.model.request_rebuild()
        await stumble(side, dice)
    side.kill()
    await side.rest()
    assert side.rows() == await fresh_rows(side, new_database())
    positions = side.model.positions().values()
    assert not any(position.rebuilding for position in positions)
    side.close()


def test_a_position_is_what_the_table_holds() -> None:
    assert Position._fields == tuple(column.name for column in shards.c)[1:4]
