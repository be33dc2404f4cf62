"""The archive in SQL: implements `archive.Archive`. SQLite in a file of its own (`archive.db`), or PostgreSQL.

Nothing of it depends on the read model: a rebuild leaves it alone. What `put` has returned from survives a power cut.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    column,
    event,
    func,
    insert,
    inspect,
    select,
    table,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from actors.adapters.sqlalchemy_migrating import begin_alone, migrate
from actors.adapters.sqlalchemy_tables import connect, translated
from actors.runtime.archive import Archived, ArchiveUnavailable, Damaged, Stored, erased, opened, stored
from actors.runtime.ports import JournalMismatch, JournalUnavailable, Wall
from actors.runtime.reading import ReadModelUnavailable
from models.decision import Address

MIGRATIONS = Path(__file__).parent / "sqlalchemy_archive_migrations"
VERSION_TABLE = "archive_version"
"""In PostgreSQL the archive shares its database with the read model, whose migrations are others."""

PARAMETERS_MAX = 500
HEAD = "0002"
"""The newest migration; known here so that a host that finds it in place need not load Alembic."""

ROWS_PER_STATEMENT = 64
"""The driver gives the interpreter's lock away for every step of a statement, and waits up to 5 ms to get it back while
the event loop is busy: a row each would take a second for a batch."""

THREADS = 2
"""One waits for a transaction's fsync while the other looks records up."""

CACHE_KIB = 2_048
LOCK = 6_872_947
"""PostgreSQL's advisory lock under which the tables are made: all hosts start at once."""

T = TypeVar("T")

metadata = MetaData()

archive = Table(
    "archive",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("home", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    Column("data_key", Text, nullable=False),
    Column("archived_at", BigInteger, nullable=False),
)

identity = Table("archive_identity", metadata, Column("id", Text, primary_key=True))

Belongs = Callable[[str], Awaitable[str]]
"""Told an archive's id, gives back the id of the archive that the journal knows, which is this one if it knew none."""


class SqlArchive:
    """One process's way to the archive.

    wall:    tells when a record was written.
    belongs: asked once. An archive that is not the journal's (a file that was lost and made anew, a database of another
             system) is as good as away: its orders would be taken for strangers.
    """

    def __init__(self, url: str, wall: Wall = lambda: 0, belongs: Belongs | None = None) -> None:
        self._engine = connect(url)
        self._wall = wall
        self._belongs = belongs
        self._prepared = False
        if self._engine.dialect.name == "sqlite":  # the record that is asked for is hardly ever the one before

            @event.listens_for(self._engine, "connect")
            def _connected(connection: Any, _record: Any) -> None:
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="archive")
        dialect = self._engine.dialect
        upsert = (sqlite.insert if dialect.name == "sqlite" else postgresql.insert)(archive)
        later = {name: upsert.excluded[name] for name in ("version", "body", "checksum", "archived_at")}
        put = upsert.on_conflict_do_update(
            index_elements=["shard", "home"], set_=later, where=archive.c.version < upsert.excluded.version
        )
        # Compiled once: SQLAlchemy's own way with many rows costs several times what SQLite takes to carry it out.
        self._columns = [one.name for one in archive.c]
        compiled = put.compile(dialect=dialect, column_keys=self._columns)
        self._put = str(compiled)
        self._places: Sequence[str] | None = compiled.positiontup if dialect.positional else None
        self._row = f"({', '.join('?' * len(self._columns))})"

    async def put(self, records: Mapping[int, Sequence[Archived]]) -> None:
        await self._run(lambda connection: self._write(connection, records))

    async def get(self, shard: int, homes: Sequence[Address]) -> Mapping[Address, Archived | Damaged]:
        return await self._run(lambda connection: _found(connection, shard, homes))

    async def homes(self, shard: int, after: Address | None, limit: int) -> Sequence[Address]:
        names = (
            select(archive.c.home)
            .where(archive.c.shard == shard, archive.c.home > str(after or ""), archive.c.version > 0)
            .order_by(archive.c.home)
            .limit(limit)
        )
        return await self._run(lambda connection: [_address(row[0]) for row in connection.execute(names)])

    async def id(self) -> str:
        """By which journals tell it from others."""
        return await self._run(lambda connection: connection.execute(select(identity.c.id)).scalar_one())

    async def size(self) -> int:
        """How many records there are, erasures' places included."""
        count = select(func.count()).select_from(archive)
        return await self._run(lambda connection: connection.execute(count).scalar() or 0)

    async def erase_data_keys(self, shard: int, homes: Sequence[Address]) -> None:
        """In SQLite the old pages and the log are overwritten as well; PostgreSQL keeps dead rows until its VACUUM."""
        if homes:
            await self._run(lambda connection: self._erase(connection, shard, homes))
            if self._engine.dialect.name == "sqlite":
                await self._run(lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all())

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    # --- in a thread --------------------------------------------------------------------------------------------------

    async def _run(self, work: Callable[[Connection], T]) -> T:
        if not self._prepared:
            own = await self._in_thread(_prepare)
            if self._belongs is not None:
                await self._prove(own, self._belongs)
            self._prepared = True
        return await self._in_thread(work)

    async def _prove(self, own: str, belongs: Belongs) -> None:
        try:
            known = await belongs(own)
        except (JournalUnavailable, JournalMismatch) as error:
            raise ArchiveUnavailable(f"whose archive this is cannot be told: {error}") from error
        if known != own:
            raise ArchiveUnavailable(
                f"this archive ({own}) is not the one that orders have left this journal for ({known}): put that back"
            )

    async def _in_thread(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._in_transaction, work)

    def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        try:
            with translated(), self._engine.begin() as connection:
                return work(connection)
        except ReadModelUnavailable as error:
            raise ArchiveUnavailable(f"the archive: {error}") from error

    def _write(self, connection: Connection, records: Mapping[int, Sequence[Archived]]) -> None:
        now = self._wall()
        rows: list[dict[str, Any]] = [
            {"shard": shard, **stored(record)._asdict(), "archived_at": now}
            for shard, some in records.items()
            for record in some
        ]
        self._execute(connection, rows)

    def _erase(self, connection: Connection, shard: int, homes: Sequence[Address]) -> None:
        places = [{"shard": shard, **erased(home)._asdict(), "archived_at": self._wall()} for home in homes]
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
        self._execute(connection, places)
        destroy = update(archive).where(archive.c.shard == shard, archive.c.home == bindparam("of")).values(data_key="")
        connection.execute(destroy, [{"of": str(home)} for home in homes])

    def _execute(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        if self._places is None:
            connection.exec_driver_sql(self._put, list(rows))
            return
        values = itemgetter(*self._places)
        for first in range(0, len(rows), ROWS_PER_STATEMENT):
            some = rows[first : first + ROWS_PER_STATEMENT]
            statement = self._put.replace(self._row, ", ".join([self._row] * len(some)))
            connection.exec_driver_sql(statement, tuple(chain.from_iterable(map(values, some))))


def _found(connection: Connection, shard: int, homes: Sequence[Address]) -> dict[Address, Archived | Damaged]:
    found: dict[Address, Archived | Damaged] = {}
    columns = [archive.c[name] for name in Stored._fields]
    for first in range(0, len(homes), PARAMETERS_MAX):
        names = [str(home) for home in homes[first : first + PARAMETERS_MAX]]
        rows = connection.execute(
            select(*columns).where(archive.c.shard == shard, archive.c.home.in_(names), archive.c.version > 0)
        )
        for row in rows:
            kept = opened(Stored(*row))
            found[kept.home] = kept
    return found


def _address(name: str) -> Address:
    return Address(*name.split(":", 1))


def _prepare(connection: Connection) -> str:
    """The archive's id. Makes the tables, or brings them up to date, unless somebody else has."""
    begin_alone(connection, LOCK)
    if not inspect(connection).has_table(VERSION_TABLE) or _revision(connection) != HEAD:
        migrate(connection, MIGRATIONS)
    own = connection.execute(select(identity.c.id)).scalar()
    if own is None:
        own = secrets.token_hex(8)
        connection.execute(insert(identity).values(id=own))
    return own


def _revision(connection: Connection) -> str | None:
    return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
