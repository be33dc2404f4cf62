"""Writes the roll-ups for analytics: in the projector's transaction what can be counted at once (`RollUpWriter`), and
what is behind beside it (implements `analytics.RollUpModel`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection, Engine, Table, and_, bindparam, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from actors.adapters.sqlalchemy_rows import counts_of
from actors.adapters.sqlalchemy_statements import Prepared
from actors.adapters.sqlalchemy_tables import connect, counted, counting, orders, sales, shards, translated, waits
from actors.runtime.analytics import Changed, Counted, Counting, Progress, ShardState, Snapshot
from actors.runtime.reading import Batch, Overtaken
from models.analytics import Contribution, Tally
from models.decision import Millis

PARAMETERS_MAX = 500
NOWHERE = Progress(0, -1, "")


class RollUpWriter:
    """Adds to the roll-ups, inside somebody's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._insert = insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        names = [column.name for column in counted.c]
        gone = and_(counted.c.shard == bindparam("of_shard"), counted.c.order_id == bindparam("of_order"))
        self._take_out = Prepared(engine, delete(counted).where(gone), ("of_shard", "of_order"))
        self._begin = Prepared(engine, insert(counted).on_conflict_do_nothing(), names)
        self._put = self._upsert(engine, counted, added=())
        self._add_sales = self._upsert(engine, sales, added=("orders", "units", "revenue", "refunds"))
        self._add_waits = self._upsert(engine, waits, added=("consignments", "total_ms"))
        behind = select(orders.c.id).where(
            orders.c.shard == counting.c.shard,
            orders.c.sequence >= counting.c.sequence,
            tuple_(orders.c.sequence, orders.c.id) > tuple_(counting.c.sequence, counting.c.order_id),
        )
        self._follow = Prepared(
            engine,
            update(counting)
            .where(
                counting.c.shard == bindparam("of_shard"),
                counting.c.generation == bindparam("of_generation"),
                ~behind.exists(),
            )
            .values(sequence=bindparam("to_sequence"), order_id=bindparam("to_order")),
            ("to_sequence", "to_order", "of_shard", "of_generation"),
        )

    def _upsert(self, engine: Engine, table: Table, added: Sequence[str]) -> Prepared:
        """Insert rows; where there is one already, add to these columns, or replace what is no key."""
        insert = self._insert(table)
        values = {
            column.name: column + insert.excluded[column.name] if added else insert.excluded[column.name]
            for column in table.c
            if not column.primary_key
        }
        keys = [column.name for column in table.primary_key]
        upsert = insert.on_conflict_do_update(index_elements=keys, set_=values)
        return Prepared(engine, upsert, [column.name for column in table.c])

    def follow(self, connection: Connection, batches: Sequence[Batch], number: int) -> None:
        """Count what the batches do to the orders of each shard of which all is counted before this write (which has
        this number). Of other shards it is left to the counter. Before the orders' rows are written.

        Raises Overtaken if an order that begins is counted already: then the projector has to look at it again."""
        counts = counts_of([batch for batch in batches if self._keeps_up(connection, batch, number)])
        for stored in self.counted_as(connection, [(row.shard, row.id) for row in counts.went_on]):
            counts.tally.add(Contribution.from_plain(orjson.loads(stored)), -1)
        if self._begin.run(connection, counts.begun) != len(counts.begun):
            raise Overtaken("an order that begins is counted already")
        self.store(connection, counts.went_on, counts.tally)

    def _keeps_up(self, connection: Connection, batch: Batch, number: int) -> bool:
        """Whether all of the shard is counted; if so, it is up to this write now."""
        shard, before, after, changes, _ = batch
        if not changes or before.rebuilding or after.rebuilding or any(change.counts is None for change in changes):
            return False
        last = max([change.row.id for change in changes])
        return self._follow.run(connection, [(number, last, shard, before.generation)]) == 1

    def counted_as(self, connection: Connection, orders: Sequence[tuple[int, str]]) -> list[bytes]:
        """The contributions with which these orders are in the roll-ups, as far as they are."""
        found: list[bytes] = []
        key = tuple_(counted.c.shard, counted.c.order_id)
        for first in range(0, len(orders), PARAMETERS_MAX):
            some = key.in_(orders[first : first + PARAMETERS_MAX])
            rows = connection.execute(select(counted.c.contribution).where(some))
            found += [stored for stored in rows.scalars() if stored]
        return found

    def store(self, connection: Connection, now: Sequence[Counted], tally: Tally) -> None:
        """What orders are counted as from now on, and what that changes."""
        self._take_out.run(connection, [(one.shard, one.id) for one in now if not one.version])
        self._put.run(connection, [one for one in now if one.version])
        self._add_sales.run(connection, tally.sales_rows())
        self._add_waits.run(connection, tally.waits_rows())


class SqlRollUps:
    """Every method blocks, and raises ReadModelUnavailable."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        self._insert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        self._writer = RollUpWriter(self._engine)

    def states(self) -> Sequence[ShardState]:
        """Every shard that has rows, all as of one moment."""
        columns = select(
            shards.c.shard, shards.c.sequence, shards.c.generation, shards.c.rebuilding, shards.c.caught_up_at,
            counting.c.generation, counting.c.sequence, counting.c.order_id,
        ).outerjoin_from(shards, counting, counting.c.shard == shards.c.shard)  # fmt: skip
        with translated(), self._engine.connect() as connection:
            return [
                ShardState(*row[:5], NOWHERE if row[5] is None else Progress(*row[5:]))
                for row in connection.execute(columns.order_by(shards.c.shard))
            ]

    def changed(self, shard: int, after: Progress, limit: int) -> Sequence[Changed]:
        """Rows that were written after that, in the order of their places."""
        same = and_(counted.c.shard == orders.c.shard, counted.c.order_id == orders.c.id)
        place = tuple_(orders.c.sequence, orders.c.id)
        statement = (
            select(orders.c.sequence, orders.c.id, orders.c.version, counted.c.version)
            .outerjoin_from(orders, counted, same)
            .where(orders.c.shard == shard, place > tuple_(after.sequence, after.order_id))
            .order_by(orders.c.sequence, orders.c.id)
            .limit(limit)
        )
        with translated(), self._engine.connect() as connection:
            return [Changed(*row[:3], row[3] or 0) for row in connection.execute(statement)]

    def snapshots(self, ids: Sequence[str]) -> Sequence[Snapshot]:
        found: list[Snapshot] = []
        columns = select(orders.c.id, orders.c.version, orders.c.snapshot)
        with translated(), self._engine.connect() as connection:
            for first in range(0, len(ids), PARAMETERS_MAX):
                rows = connection.execute(columns.where(orders.c.id.in_(ids[first : first + PARAMETERS_MAX])))
                found += [Snapshot(*row) for row in rows]
        return found

    def gone(self, shard: int, limit: int) -> Sequence[str]:
        """Orders that are counted and have no row any more."""
        there = select(orders.c.id).where(orders.c.id == counted.c.order_id).exists()
        statement = select(counted.c.order_id).where(counted.c.shard == shard, ~there).limit(limit)
        with translated(), self._engine.connect() as connection:
            return list(connection.execute(statement).scalars())

    def counted_as(self, orders: Sequence[tuple[int, str]]) -> Sequence[bytes]:
        """The contributions with which these orders are in the roll-ups, as far as they are."""
        with translated(), self._engine.connect() as connection:
            return self._writer.counted_as(connection, orders)

    def store(self, step: Counting) -> None:
        """All of it in one transaction. Raises Overtaken, with nothing stored, if a shard is not at `before`."""
        with translated(), self._engine.begin() as connection:
            for shard, before, after in step.moves:
                self._move(connection, shard, before, after)
            self._writer.store(connection, step.counted, step.tally)

    def note(self, drained: Mapping[int, Millis]) -> None:
        """By shard, the time up to which everything that had happened is counted."""
        noted = update(counting).where(counting.c.shard == bindparam("of_shard")).values(as_of=bindparam("at"))
        with translated(), self._engine.begin() as connection:
            connection.execute(noted, [{"of_shard": shard, "at": at} for shard, at in drained.items()])

    def close(self) -> None:
        self._engine.dispose()

    def _move(self, connection: Connection, shard: int, before: Progress, after: Progress) -> None:
        if before == NOWHERE:
            first = {"shard": shard, **before._asdict(), "as_of": 0}
            connection.execute(self._insert(counting).on_conflict_do_nothing(), first)
        place = [counting.c[name] == value for name, value in before._asdict().items()]
        moved = connection.execute(update(counting).where(counting.c.shard == shard, *place).values(**after._asdict()))
        if moved.rowcount != 1:
            raise Overtaken(f"shard {shard} is not counted as far as it was left")
