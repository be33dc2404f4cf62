"""Writes the read model's rows: implements `reading.ReadModel`. There is one writer, the projector."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, bindparam, case, delete, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from actors.adapters.sqlalchemy_feed import FeedWriter, numbers_of
from actors.adapters.sqlalchemy_migrating import begin_alone, migrate
from actors.adapters.sqlalchemy_rollups import RollUpWriter
from actors.adapters.sqlalchemy_rows import Values, order_rows, told_of
from actors.adapters.sqlalchemy_statements import Prepared
from actors.adapters.sqlalchemy_tables import connect, feed_departed, orders, shards, tasks, terms, translated
from actors.runtime.reading import Batch, Fed, Kept, Overtaken, Position
from models.decision import Millis
from models.projection import OrderRow

MIGRATIONS = Path(__file__).parent / "sqlalchemy_migrations"
PARAMETERS_MAX = 500
LOCK = 6_872_948
"""PostgreSQL's advisory lock under which the tables are made: a projector may begin before the last one is gone."""

COLUMNS = (*OrderRow._fields, "shard", "generation", "version", "data_key", "snapshot", "sequence", "fed", "fed_at")
FIXED = frozenset({"id", "shard", "retailer", "currency", "amount", "email_digest", "created_at", "data_key"})
"""Columns of an order that a later change leaves alone: above all the data key, which may have been erased since. An
index none of whose columns is written costs nothing."""
MOVE = ("sequence", "rebuilding", "at_shard", "before_sequence", "before_generation", "before_rebuilding")


class SqlReadModel:
    """The writing side. Every method blocks, and raises ReadModelUnavailable."""

    def __init__(self, url: str) -> None:
        self._engine = engine = connect(url)
        self._insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        self._feed = FeedWriter(engine, secrets.token_hex(8))
        self._rollups = RollUpWriter(engine)
        upsert = self._insert(orders)
        columns: dict[str, ColumnElement[Any]] = {name: upsert.excluded[name] for name in COLUMNS}
        told = upsert.excluded.fed_at > literal_column("0")  # else the feed got nothing, and what it has had stands
        columns["fed"] = case((told, upsert.excluded.fed), else_=orders.c.fed)
        columns["fed_at"] = case((told, upsert.excluded.fed_at), else_=orders.c.fed_at)
        later = {name: value for name, value in columns.items() if name not in FIXED}
        newer = orders.c.version <= upsert.excluded.version
        add_task = self._insert(tasks)
        status = {"status": add_task.excluded.status}
        put_task = add_task.on_conflict_do_update(index_elements=["order_id", "consignment"], set_=status)
        change = upsert.on_conflict_do_update(index_elements=["id"], set_=later, where=newer)
        replace = upsert.on_conflict_do_update(index_elements=["id"], set_=columns, where=newer)
        self._change = Prepared(engine, change, COLUMNS)
        self._replace = Prepared(engine, replace, COLUMNS)
        self._put_task = Prepared(engine, put_task, ("order_id", "consignment", "supplier", "status", "created_at"))
        self._add_term = Prepared(
            engine, self._insert(terms).on_conflict_do_nothing(), ("term", "created_at", "order_id")
        )
        self._advance = Prepared(engine, _moving(), MOVE)

    def prepare(self, count: int) -> None:
        """Bring the tables up to date, give each shard a position (at the beginning, to be rebuilt), and from now on
        refuse what any other writer writes."""
        rows = [
            {"shard": n, "sequence": 0, "generation": 1, "rebuilding": True, "caught_up_at": 0} for n in range(count)
        ]
        with translated(), self._engine.begin() as connection:
            begin_alone(connection, LOCK)
            migrate(connection, MIGRATIONS)
            connection.execute(self._insert(shards).on_conflict_do_nothing(), rows)
            self._feed.begin(connection)

    def positions(self) -> Mapping[int, Position]:
        with translated(), self._engine.connect() as connection:
            found = connection.execute(
                select(shards.c.shard, shards.c.sequence, shards.c.generation, shards.c.rebuilding)
            )
            return {shard: Position(*position) for shard, *position in found}

    def kept(self, ids: Sequence[str]) -> Sequence[Kept]:
        """Those of these orders that are there."""
        found: list[Kept] = []
        with translated(), self._engine.connect() as connection:
            for first in range(0, len(ids), PARAMETERS_MAX):
                some = ids[first : first + PARAMETERS_MAX]
                rows = connection.execute(
                    select(orders.c.id, orders.c.version, orders.c.snapshot, orders.c.data_key).where(
                        orders.c.id.in_(some)
                    )
                )
                found += [Kept(*row) for row in rows]
        return found

    def fed(self, ids: Sequence[str]) -> Mapping[str, Fed]:
        """What the feed has had of these orders, whether or not their rows are there."""
        found: dict[str, Fed] = {}
        departed = feed_departed.c
        with translated(), self._engine.connect() as connection:
            for first in range(0, len(ids), PARAMETERS_MAX):
                some = ids[first : first + PARAMETERS_MAX]
                for statement in (
                    select(departed.order_id, departed.version, departed.fed).where(departed.order_id.in_(some)),
                    select(orders.c.id, orders.c.version, orders.c.fed).where(orders.c.id.in_(some)),
                ):
                    rows = connection.execute(statement)
                    found.update((id_, Fed(version, numbers_of(fed))) for id_, version, fed in rows)
        return found

    def write(self, batches: Sequence[Batch], at: Millis) -> None:
        """All of it in one durable transaction. Raises Overtaken, with nothing written."""
        count = sum(change.telling is not None for batch in batches for change in batch.orders)
        with translated(), self._engine.begin() as connection:
            last, number = self._feed.taken(connection, count)
            if self._advance.run(connection, [_move(batch) for batch in batches]) != len(batches):
                raise Overtaken("a shard is not where this projector left it")
            self._feed.add(connection, told_of(batches, last), at)
            self._rollups.follow(connection, batches, number)
            rows = order_rows(batches, last, number)
            self._change.run(connection, rows.changed)
            self._replace.run(connection, rows.replaced)
            self._put_task.run(connection, rows.tasks)
            self._add_term.run(connection, rows.terms)
            for batch in batches:
                if batch.before.rebuilding and not batch.after.rebuilding:
                    self._drop_earlier(connection, batch.shard, batch.after.generation)

    def trim_feed(self, before: Millis, limit: int) -> None:
        """Delete up to `limit` of the feed's oldest rows if all of them were written before this time."""
        with translated(), self._engine.begin() as connection:
            self._feed.trim(connection, before, limit)

    def caught_up(self, numbers: Sequence[int], at: Millis) -> None:
        """Note that everything which had happened in these shards by `at` is in the rows."""
        if numbers:
            with translated(), self._engine.begin() as connection:
                connection.execute(update(shards).where(shards.c.shard.in_(numbers)).values(caught_up_at=at))

    def request_rebuild(self) -> None:
        """Mark every shard as to be rebuilt."""
        with translated(), self._engine.begin() as connection:
            connection.execute(update(shards).values(rebuilding=True, generation=shards.c.generation + 1))

    def restart(self, shard: int, sequence: int) -> None:
        """Put a shard at `sequence`, whatever it was at, to be rebuilt."""
        values = {"sequence": sequence, "rebuilding": True, "generation": shards.c.generation + 1}
        with translated(), self._engine.begin() as connection:
            connection.execute(update(shards).where(shards.c.shard == shard).values(values))

    def close(self) -> None:
        self._engine.dispose()

    # --- inside ---

    def _drop_earlier(self, connection: Connection, shard: int, generation: int) -> None:
        """Delete what a rebuild did not find in the journal. Terms of an order that is gone lead nowhere and may stay.
        What the feed has had of it is remembered: should it come back, it is not told twice."""
        earlier = (orders.c.shard == shard) & (orders.c.generation < generation)
        gone = select(orders.c.id).where(earlier)
        columns = ["order_id", "version", "fed", "fed_at"]
        leaving = self._insert(feed_departed).from_select(
            columns,
            select(orders.c.id, orders.c.version, orders.c.fed, orders.c.fed_at).where(earlier, orders.c.fed != ""),
        )
        latest = {name: leaving.excluded[name] for name in columns[1:]}
        connection.execute(leaving.on_conflict_do_update(index_elements=["order_id"], set_=latest))
        connection.execute(delete(tasks).where(tasks.c.order_id.in_(gone)))
        connection.execute(delete(orders).where(earlier))


def _moving() -> Update:
    at = shards.c
    return (
        update(shards)
        .where(
            at.shard == bindparam("at_shard"),
            at.sequence == bindparam("before_sequence"),
            at.generation == bindparam("before_generation"),
            at.rebuilding == bindparam("before_rebuilding"),
        )
        .values(sequence=bindparam("sequence"), rebuilding=bindparam("rebuilding"))
    )


def _move(batch: Batch) -> Values:
    return (batch.after.sequence, batch.after.rebuilding, batch.shard, *batch.before)
