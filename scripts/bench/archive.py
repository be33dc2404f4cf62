"""What it costs to archive an order: CPU of the host (its event loop, and the threads that write) and of Redis, and
what becomes of Redis's memory. A real host on an embedded Redis and SQLite; nothing else runs."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from actors.adapters.redis_journal import RedisJournal
from actors.adapters.sqlalchemy_archive import SqlArchive
from actors.kinds import KINDS
from actors.parking import park
from actors.runtime.host import HostCore
from actors.runtime.limits import LIMITS
from actors.runtime.ports import Append, Cell, Commit, Group, Stored
from models.decision import Address
from models.identity import order_id
from scripts import redis_server
from scripts.bench.measuring import show
from scripts.collector import spare_the_collector
from scripts.journal import QUIET_KINDS, STREAM_KINDS

SHARDS = 16
ORDER_EVENTS = (900, 200, 100, 100, 100, 100)
SAGA_EVENTS = (240, 240, 240, 240, 240, 240, 180, 40)
"""Bytes of the events of a confirmed order of two lines, and of its orchestrator."""


@dataclass(frozen=True)
class Row:
    """loop_us, threads_us, redis_us: CPU per order."""

    orders: int
    loop_us: float
    threads_us: float
    redis_us: float
    seconds: float
    redis_mb_before: float
    redis_mb_after: float
    archive_bytes: int


def run(orders: int = 10_000) -> list[Row]:
    """Measure; print a table and a JSON line."""
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as name:
        server = redis_server.start(Path(name))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                rows = [runner.run(_measure(server.url, Path(name), orders))]
        finally:
            server.stop()
    show("archive", rows)
    return rows


async def _measure(url: str, directory: Path, orders: int) -> Row:
    journal = RedisJournal(url, stream_kinds=STREAM_KINDS, quiet_kinds=QUIET_KINDS)
    await journal.open()
    await journal.claim(SHARDS)
    await _fill(journal, orders)
    path = directory / "archive.db"
    archive = SqlArchive(f"sqlite:///{path}")
    limits = replace(LIMITS, archive_poll_s=3600.0)  # sweeps are asked for here
    host = HostCore(
        KINDS, journal, {}, owner="host", shards=SHARDS, wall=lambda: _now() + 3_600_000, tell=lambda _envelope: None,
        park=park, archive=archive, limits=limits,
    )  # fmt: skip
    await host.start()
    for shard in range(SHARDS):
        await host.own(Cell(shard))
    spare_the_collector()
    before, began_s = await journal.health(), time.perf_counter()
    loop_s, whole_s = time.thread_time(), time.process_time()
    more = True
    while more:
        more = await host.archiver.sweep()
        await asyncio.sleep(0.01)  # its commits leave
    await _archived(host, orders)
    loop_s, whole_s = time.thread_time() - loop_s, time.process_time() - whole_s
    seconds, after = time.perf_counter() - began_s, await journal.health()
    await host.close()
    await archive.close()
    await journal.close()
    return Row(
        orders, loop_s / orders * 1e6, (whole_s - loop_s) / orders * 1e6, (after.cpu_s - before.cpu_s) / orders * 1e6,
        seconds, before.used_bytes / 1e6, after.used_bytes / 1e6, path.stat().st_size // orders,
    )  # fmt: skip


async def _archived(host: HostCore, orders: int) -> None:
    for _ in range(1_000):
        if host.status()["archive"]["archived"] == orders:
            return
        await host.archiver.sweep()
        await asyncio.sleep(0.01)
    raise AssertionError(host.status()["archive"])


async def _fill(journal: RedisJournal, orders: int) -> None:
    """Put orders at rest into the journal, as a host does."""
    for shard in range(SHARDS):
        cell = Cell(shard)
        epoch = (await journal.acquire(cell, "shop")).epoch
        groups = [Group(list(_order(shard, place))) for place in range(shard, orders, SHARDS)]
        for number, first in enumerate(range(0, len(groups), 200), start=1):
            (stored,) = await journal.commit([Commit(cell, epoch, "shop", number, groups[first : first + 200])])
            assert isinstance(stored, Stored)


def _order(shard: int, number: int) -> Iterator[Append]:
    now = _now()
    id_ = order_id(shard, now, number.to_bytes(10, "big"))
    for kind, sizes in (("order", ORDER_EVENTS), ("orchestrator", SAGA_EVENTS)):
        events = [b'%s.event/1 {"at":%d,"what":"%s"}' % (kind.encode(), now, b"x" * size) for size in sizes]
        is_order = kind == "order"
        yield Append(Address(kind, id_), 0, events, due_changed=not is_order, data_key="k" * 100 if is_order else "")


def _now() -> int:
    return time.time_ns() // 1_000_000
