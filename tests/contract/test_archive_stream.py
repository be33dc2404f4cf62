"""The projector reads journal and archive as one: a rebuild keeps the rows of orders that have left the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.adapters.sqlalchemy_archive import SqlArchive
from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.order import KIND as ORDER
from actors.runtime.archive import Archived, ArchiveUnavailable, Damaged
from actors.runtime.archive_stream import ArchiveStream
from actors.runtime.local_archive import MemoryArchive
from actors.runtime.ports import JournalUnavailable
from actors.runtime.projector import Projector
from models.decision import Address
from tests.contract.order_histories import SHARDS, START, Life, life
from tests.contract.read_sides import FEW, Side, live, rows


class ArchivedSide(Side):
    """A side whose projector reads an archive, too."""

    def __init__(self, url: str, archive: Any) -> None:
        self.archive = archive
        super().__init__(url)

    def start(self) -> Projector:
        stream = ArchiveStream(self.journal(), self.archive)
        return Projector(ORDER, stream, self.model, shards=SHARDS, wall=lambda: START, limits=FEW)

    async def move(self, *lives: Life) -> None:
        """As the archiver does, once the projector is past them."""
        for one in lives:
            at = Address("order", one.id)
            record = self.store.shard(one.shard).actors[at]
            await self.archive.put({one.shard: [Archived(at, {"order": tuple(record.events)}, record.data_key)]})
            del self.store.shard(one.shard).actors[at]

    async def rebuild(self) -> None:
        self.model.request_rebuild()
        self.kill()
        await self.rest()


@pytest.fixture(params=["memory", "sqlite"])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArchivedSide]:
    archive = MemoryArchive() if request.param == "memory" else SqlArchive(f"sqlite:///{tmp_path / 'archive.db'}")
    made = ArchivedSide(f"sqlite:///{tmp_path / 'read.db'}", archive)
    asyncio.run(made.projector.prepare())
    yield made
    made.close()


async def test_a_rebuild_makes_the_same_rows_of_archived_orders(side: ArchivedSide) -> None:
    lives = [life(number) for number in range(12)]
    await live(side, *lives)
    await side.rest()
    before = side.rows()
    await side.move(*lives[::2])
    await side.rest()
    assert side.rows() == before, "leaving the journal changes no row"
    await side.rebuild()
    assert side.rows() == before
    await side.move(*lives[1::2])
    await side.rebuild()
    assert side.rows() == before


async def test_an_empty_database_is_filled_from_the_archive(side: ArchivedSide, tmp_path: Path) -> None:
    lives = [life(number) for number in range(8)]
    await live(side, *lives)
    await side.rest()
    await side.move(*lives[:6])
    model = SqlReadModel(url := f"sqlite:///{tmp_path / 'another.db'}")
    stream = ArchiveStream(side.journal(), side.archive)
    projector = Projector(ORDER, stream, model, shards=SHARDS, wall=lambda: START, limits=FEW)
    await projector.prepare()
    await projector.round()
    while await projector.rebuild_page():
        pass
    assert rows(url) == side.rows()
    model.close()


async def test_the_journals_record_counts(side: ArchivedSide) -> None:
    one = life(3)
    await live(side, one)
    at = Address("order", one.id)
    await side.archive.put({one.shard: [Archived(at, {"order": tuple(one.events[:2])})]})
    stream = ArchiveStream(side.journal(), side.archive)
    (record,) = await stream.records(one.shard, [at])
    assert list(record.events) == list(one.events)
    assert (await stream.addresses_all([one.shard])) == {one.shard: [at]}


async def test_a_damaged_record_keeps_no_other_order_out(side: ArchivedSide, caplog: pytest.LogCaptureFixture) -> None:
    if not isinstance(side.archive, MemoryArchive):
        return
    lives = [life(number) for number in range(4)]
    await live(side, *lives)
    await side.rest()
    await side.move(*lives)
    (name, kept), = side.archive.rows[lives[1].shard].items()
    side.archive.rows[lives[1].shard][name] = kept._replace(body=kept.body + b"x")
    await side.rebuild()
    assert len(side.rows()["orders"]) == 3
    assert any(record.levelname == "CRITICAL" and lives[1].id in record.message for record in caplog.records)


async def test_an_archive_that_is_away_is_waited_for(side: ArchivedSide, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> Mapping[Address, Archived | Damaged]:
        raise ArchiveUnavailable("on purpose")

    stream = ArchiveStream(side.journal(), side.archive)
    for name, ask in _questions(stream):
        monkeypatch.setattr(type(side.archive), name, away)
        with pytest.raises(JournalUnavailable):
            await ask()


def _questions(stream: ArchiveStream) -> Sequence[tuple[str, Callable[[], Any]]]:
    return (
        ("get", lambda: stream.records(0, [Address("order", life(0).id)])),
        ("homes", lambda: stream.addresses_all([0])),
    )
