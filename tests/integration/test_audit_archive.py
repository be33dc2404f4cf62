"""The audit reads journal and archive: archived orders are judged as all others are, and a damaged record is named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from actors.adapters.redis_reader import RedisReader
from actors.adapters.sqlalchemy_archive import SqlArchive, archive
from actors.adapters.sqlalchemy_tables import connect
from actors.runtime.archive import Archived
from models.decision import Address
from scripts.audit import archived
from scripts.audit.findings import Findings
from scripts.audit.run import Case, audit
from tests.integration.audited_world import RUN, World, copied, make
from tests.integration.planted_faults import illegal_transition, lost_order


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    data = tmp_path_factory.mktemp("world")
    return data, make(data)


@pytest.fixture
def world(original: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[World]:
    data, orders = original
    with copied(data, tmp_path / "copy", orders) as found:
        yield found


def url(world: World) -> str:
    return f"sqlite:///{world.data / 'archive.db'}"


def audited(world: World) -> Findings:
    case = Case(world.url, world.data, (world.data / "receipts" / RUN,), running=False, archive=url(world))
    return asyncio.run(audit(case))


def write(world: World, *names: str) -> None:
    """Put orders into the archive, and leave them in the journal."""

    async def written() -> None:
        reader, kept = RedisReader(world.url), SqlArchive(url(world))
        for name in names:
            id_ = world.orders[name]
            shard = int(id_[4:7], 16)
            order, saga = await reader.events(shard, [Address(kind, id_) for kind in archived.MEMBERS])
            await kept.put({shard: [Archived(Address("order", id_), {"order": order, "orchestrator": saga}, "K")]})
        await reader.close()
        await kept.close()

    asyncio.run(written())


def move(world: World, *names: str) -> None:
    write(world, *names)
    for name in names:
        world.redis.delete(*(world.events(kind, world.orders[name]) for kind in archived.MEMBERS))


def damage(world: World, name: str, **columns: Any) -> None:
    engine = connect(url(world))
    with engine.begin() as connection:
        connection.execute(update(archive).where(archive.c.home == f"order:{world.orders[name]}").values(**columns))
    engine.dispose()


def failed(findings: Findings) -> dict[str, list[str]]:
    return {name: [one.offender for one in found] for name, found in findings.named.items() if found}


ENDED = ("confirmed", "declined", "short", "cancelled", "refunded", "pin-0", "pin-1")


def test_archived_orders_are_judged_like_all_others(world: World) -> None:
    move(world, *ENDED)
    findings = audited(world)
    assert findings.passed, findings.lines()
    assert findings.checked["A1"] == findings.checked["A2"] == findings.checked["A5"] == len(world.orders)
    assert not world.audit().passed, "without the archive they are missed"


def test_an_order_that_is_in_both_is_judged_by_the_journal(world: World) -> None:
    write(world, *ENDED)
    assert audited(world).passed
    assert failed(audited(world)) == {}
    order = illegal_transition(world)  # the journal goes on from what is archived
    assert failed(audited(world)) == {"A2": [order]}


def test_what_is_wrong_with_an_archived_order_is_found(world: World) -> None:
    order = illegal_transition(world)
    move(world, "confirmed")
    assert failed(audited(world)) == {"A2": [order]}


def test_an_order_that_is_in_neither_is_lost(world: World) -> None:
    move(world, "declined")
    lost = lost_order(world)
    assert failed(audited(world)) == {"A1": [lost]}


def test_another_archive_in_the_place_of_the_journals_is_found(world: World) -> None:
    move(world, "pin-0")
    path = world.data / "archive.db"
    world.redis.hset("{dray}:system", "archive", asyncio.run(_id(world)))
    assert audited(world).passed
    path.unlink()
    assert "archive" in failed(audited(world))["A1"]
    write(world, "pin-1")
    assert "archive" in failed(audited(world))["A1"]


async def _id(world: World) -> str:
    kept = SqlArchive(url(world))
    try:
        return await kept.id()
    finally:
        await kept.close()


@pytest.mark.parametrize("in_the_journal", [False, True])
def test_a_damaged_record_is_named(world: World, in_the_journal: bool) -> None:
    (write if in_the_journal else move)(world, "refunded", "pin-0")
    damage(world, "refunded", checksum=bytes(32))
    findings = audited(world)
    assert failed(findings) == {"A9": [world.orders["refunded"]]}, findings.lines()
    assert "damaged" in findings.named["A9"][0].text


def test_a_journal_that_does_not_go_on_from_the_archive_is_found(world: World) -> None:
    write(world, "confirmed")
    world.rewrite("order", world.orders["confirmed"], _another_word)
    assert failed(audited(world)) == {"A9": [world.orders["confirmed"]]}


def _another_word(name: str, fields: Any) -> Any:
    return fields | {"sealed": "other"} if name == "order.placed/1" else fields
