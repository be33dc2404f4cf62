"""What every archive promises: in memory, in SQLite, in PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import update

from actors.adapters.sqlalchemy_archive import HEAD, MIGRATIONS, VERSION_TABLE, SqlArchive, archive, metadata
from actors.adapters.sqlalchemy_tables import connect
from actors.runtime.archive import Archive, Archived, ArchiveUnavailable, Damaged, all_homes
from actors.runtime.local_archive import MemoryArchive
from actors.runtime.ports import JournalUnavailable, Record
from models.decision import Address
from tests.contract.databases import NAMES, databases

FIRST, SECOND, THIRD = (Address("order", f"ord_{digit * 35}") for digit in "123")


class Backend:
    """An archive that a test can damage. `again` is another process's way to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.memory = MemoryArchive()
        self.opened: list[SqlArchive] = []
        self.archive = self.again()

    def again(self) -> Archive:
        if not self.url:
            return self.memory
        self.opened.append(SqlArchive(self.url, lambda: 7))
        return self.opened[-1]

    def damage(self, of: Address, **columns: Any) -> None:
        if not self.url:
            rows = self.memory.rows[17]
            rows[str(of)] = rows[str(of)]._replace(**columns)
            return
        engine = connect(self.url)
        with engine.begin() as connection:
            connection.execute(update(archive).where(archive.c.home == str(of)).values(**columns))
        engine.dispose()


@contextmanager
def _memory() -> Iterator[Callable[[], str]]:
    yield lambda: ""


@pytest.fixture(scope="module", params=["memory", *NAMES])
def new_archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    maker = _memory() if request.param == "memory" else databases(request.param, tmp_path_factory.mktemp("archive"))
    with maker as create:
        yield create


@pytest.fixture
async def backend(new_archive: Callable[[], str]) -> AsyncIterator[Backend]:
    made = Backend(new_archive())
    yield made
    for one in made.opened:
        await one.close()


def archived(home: Address, *events: bytes, saga: tuple[bytes, ...] = (b's/1 {"at":1}',), key: str = "") -> Archived:
    return Archived(home, {"order": events, "orchestrator": saga}, key)


A, B, C = b'a/1 {"at":1,"text":"x \xc3\xa9"}', b'b/1 {"at":2}', b"c/1 {}"


async def test_a_record_comes_back_as_it_was(backend: Backend) -> None:
    record = archived(FIRST, A, B, key="K")
    await backend.archive.put({17: [record, archived(SECOND, A, saga=())]})
    found = await backend.again().get(17, [FIRST, SECOND, THIRD])
    assert found == {FIRST: record, SECOND: archived(SECOND, A, saga=())}
    kept = found[FIRST]
    assert isinstance(kept, Archived)
    assert kept.version == 3
    assert kept.record("order") == Record(2, None, (A, B), "K")
    assert kept.record("orchestrator") == Record(1, None, record.members["orchestrator"])
    assert kept.record("sku") == Record(0, None, ())


async def test_many_records_are_put_at_once(backend: Backend) -> None:
    homes = [Address("order", f"ord_{number:035x}") for number in range(150)]
    await backend.archive.put({17: [archived(home, A) for home in homes]})
    await backend.archive.put({17: [archived(home, A, B) for home in homes[:70]], 3: [archived(FIRST, A)]})
    found = await backend.archive.get(17, homes)
    assert [found[home] for home in homes] == [archived(home, A, B) for home in homes[:70]] + [
        archived(home, A) for home in homes[70:]
    ]
    assert await all_homes(backend.archive, 17) == homes


async def test_shards_are_apart(backend: Backend) -> None:
    await backend.archive.put({17: [archived(FIRST, A)], 3: [archived(SECOND, B)]})
    assert await backend.archive.get(3, [FIRST, SECOND]) == {SECOND: archived(SECOND, B)}
    assert await backend.archive.get(4, [FIRST, SECOND]) == {}
    assert await backend.archive.get(3, []) == {}
    await backend.archive.put({})


async def test_a_later_record_replaces_an_older_one_and_never_the_reverse(backend: Backend) -> None:
    older, later = archived(FIRST, A, key="K"), archived(FIRST, A, B, key="K")
    await backend.archive.put({17: [older]})
    await backend.archive.put({17: [later]})
    await backend.archive.put({17: [older]})
    await backend.archive.put({17: [archived(FIRST, A, C, key="another of the same version")]})
    assert await backend.archive.get(17, [FIRST]) == {FIRST: later}


async def test_everybody_is_found_page_by_page(backend: Backend) -> None:
    await backend.archive.put({17: [archived(home, A) for home in (THIRD, FIRST, SECOND)]})
    assert await backend.archive.homes(17, None, 2) == [FIRST, SECOND]
    assert await backend.archive.homes(17, SECOND, 2) == [THIRD]
    assert await all_homes(backend.archive, 17, page=2) == [FIRST, SECOND, THIRD]
    assert await all_homes(backend.archive, 16) == []


@pytest.mark.parametrize(
    "change",
    [{"body": b"order 1\n" + B + b"\norchestrator 0"}, {"version": 3}, {"checksum": bytes(32)}, {"body": b""}],
    ids=["body", "version", "checksum", "emptied"],
)
async def test_a_damaged_record_is_named_and_never_served(backend: Backend, change: dict[str, Any]) -> None:
    await backend.archive.put({17: [archived(FIRST, A), archived(SECOND, B)]})
    backend.damage(FIRST, **change)
    found = await backend.archive.get(17, [FIRST, SECOND])
    assert isinstance(found[FIRST], Damaged) and found[FIRST].home == FIRST
    assert found[SECOND] == archived(SECOND, B)
    assert await backend.archive.homes(17, None, 9) == [FIRST, SECOND]


async def test_a_record_under_another_name_is_damaged(backend: Backend) -> None:
    await backend.archive.put({17: [archived(FIRST, A)]})
    if backend.url:
        backend.damage(FIRST, home=str(SECOND))
    else:
        _rename(backend.memory)
    found = await backend.archive.get(17, [SECOND])
    assert isinstance(found[SECOND], Damaged)


def _rename(memory: MemoryArchive) -> None:
    rows = memory.rows[17]
    rows[str(SECOND)] = rows.pop(str(FIRST))._replace(home=str(SECOND))


async def test_a_destroyed_data_key_never_comes_back(backend: Backend) -> None:
    await backend.archive.put({17: [archived(FIRST, A, key="K"), archived(SECOND, A, key="L")]})
    await backend.archive.erase_data_keys(17, [FIRST, THIRD])
    await backend.archive.erase_data_keys(17, [])
    await backend.archive.put({17: [archived(FIRST, A, B, key="K"), archived(THIRD, A, key="M")]})
    found = await backend.archive.get(17, [FIRST, SECOND, THIRD])
    assert found == {FIRST: archived(FIRST, A, B), SECOND: archived(SECOND, A, key="L"), THIRD: archived(THIRD, A)}


async def test_the_place_of_an_erasure_is_no_record(backend: Backend) -> None:
    await backend.archive.erase_data_keys(17, [FIRST])
    assert await backend.archive.get(17, [FIRST]) == {}
    assert await backend.archive.homes(17, None, 9) == []


async def test_many_processes_begin_at_once(backend: Backend) -> None:
    others = [backend.again() for _ in range(4)]
    await asyncio.gather(*(one.put({17: [archived(FIRST, A)]}) for one in others))
    assert await backend.archive.get(17, [FIRST]) == {FIRST: archived(FIRST, A)}


# --- in SQL ----------------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_table_that_the_code_uses(backend: Backend) -> None:
    if not backend.url:
        return
    await backend.archive.homes(17, None, 1)
    engine = connect(backend.url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()
    assert max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).startswith(HEAD)


async def test_an_archive_that_is_away_says_so(tmp_path: Path) -> None:
    nowhere = SqlArchive(f"sqlite:///{tmp_path / 'missing' / 'archive.db'}")
    with pytest.raises(ArchiveUnavailable):
        await nowhere.get(17, [FIRST])
    (tmp_path / "missing").mkdir()
    assert await nowhere.get(17, [FIRST]) == {}
    await nowhere.close()


async def test_an_archive_that_is_not_the_journals_is_as_good_as_away(new_archive: Callable[[], str]) -> None:
    if not (url := new_archive()):
        return
    known: list[str] = []

    async def belongs(own: str) -> str:
        known.append(own)
        return known[0]

    first = SqlArchive(url, belongs=belongs)
    await first.put({17: [archived(FIRST, A)]})
    again = SqlArchive(url, belongs=belongs)
    assert await again.get(17, [FIRST]) == {FIRST: archived(FIRST, A)}
    assert len(known) == 2 and known[0] == known[1], "each asks once"
    empty = SqlArchive(new_archive(), belongs=belongs)
    for _ in range(2):
        with pytest.raises(ArchiveUnavailable, match="put that back"):
            await empty.get(17, [FIRST])
    for one in (first, again, empty):
        await one.close()


async def test_a_journal_that_cannot_be_asked_is_asked_again(tmp_path: Path) -> None:
    answers: list[Exception | None] = [JournalUnavailable("on purpose"), None]

    async def belongs(own: str) -> str:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return own

    kept = SqlArchive(f"sqlite:///{tmp_path / 'archive.db'}", belongs=belongs)
    with pytest.raises(ArchiveUnavailable):
        await kept.get(17, [FIRST])
    assert await kept.get(17, [FIRST]) == {}
    await kept.close()


async def test_an_erased_key_has_left_the_file(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    kept = SqlArchive(f"sqlite:///{path}")
    await kept.put({17: [archived(FIRST, A, key="wrapped-key-of-ann")]})
    await kept.erase_data_keys(17, [FIRST])
    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"wrapped-key-of-ann" not in everything and A in everything
    await kept.close()


async def test_what_is_put_is_flushed_to_the_disk(tmp_path: Path) -> None:
    kept = SqlArchive(f"sqlite:///{tmp_path / 'archive.db'}")
    await kept.put({17: [archived(FIRST, A)]})
    with kept._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    await kept.close()
    assert sqlite3.connect(tmp_path / "archive.db").execute("SELECT count(*) FROM archive").fetchone() == (1,)
