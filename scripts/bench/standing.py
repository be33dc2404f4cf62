"""How soon orders are accepted when there are many already: 20,000 live ones in Redis, and a million in the archive.

The live ones are placed by a load test. The archived ones are copies of some of them, under ids and times of their own,
written as the archive writes them; nobody's data key is among them. The system is then started, and makes the archived
orders' rows, which is a rebuild; once that is done it is stopped and started once more. `dray bench standing --orders
1000000` takes some 20 GB of disk, and half an hour, most of it for the rows.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actors.adapters.redis_journal import RedisJournal
from actors.adapters.sqlalchemy_archive import SqlArchive
from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.runtime.archive import Archived
from models.decision import Address, Millis
from models.identity import order_id
from scripts import run_state
from scripts.bench.activation import read_all, start_again
from scripts.bench.measuring import Bar, load, show, system
from scripts.settings import Settings
from scripts.spec import archive_of
from scripts.supervision import leftovers

LIVE_ORDERS = 20_000
IN_FLIGHT = 128
TEMPLATES = 100
CHUNK_ORDERS = 2_000
READS = 500
DAYS = 30
DAY_MS = 86_400_000
STOP_S = 60.0
READY_S = 20.0
POLL_S = 2.0
NEVER_S = "86400"  # nothing is archived while we look
AT = re.compile(rb'"at":(\d+)')


@dataclass(frozen=True)
class Row:
    """ready_s: from `up` until orders are accepted. then_s: what was waited for after that. read_ms: p50 and p99 of
    reading archived orders, one by one."""

    start: str
    archived: int
    live: int
    ready_s: float
    then_s: float
    read_p50_ms: float
    read_p99_ms: float
    archive_gb: float
    rows_gb: float


def run(orders: int = 50_000) -> list[Bar]:
    """Measure; print a table and a JSON line."""
    live = min(LIVE_ORDERS, orders)
    with system(archive_after=NEVER_S) as settings:
        load(settings, orders=live, in_flight=IN_FLIGHT)
        state = run_state.running(settings)
        templates = asyncio.run(_templates(state.redis, state.shards))
        _stop(settings)
        rows = [_row("before anything is archived", settings, [], live)]
        _stop(settings)
        began = time.perf_counter()
        archived = asyncio.run(_fill(settings, templates, orders, state.shards))
        print(f"{orders:,} orders archived in {time.perf_counter() - began:.0f} s", flush=True)
        SqlReadModel(state.database).request_rebuild()
        rows.append(_row("with all rows to be made", settings, archived, live))
        _stop(settings)
        rows.append(_row("again", settings, archived, live))
    return show("standing", rows, [Bar("seconds until ready", rows[-1].ready_s, READY_S, at_least=False)])


def _stop(settings: Settings) -> None:
    """As `dray down` does."""
    leftovers.stop_supervisor(run_state.running(settings), STOP_S)
    leftovers.stop_all(settings, run_state.read(settings))


def _row(start: str, settings: Settings, archived: Sequence[str], live: int) -> Row:
    ready_s = start_again(settings, archive_after=NEVER_S)
    began = time.perf_counter()
    model = SqlReadModel(run_state.running(settings).database)
    while any(position.rebuilding for position in model.positions().values()):
        time.sleep(POLL_S)
    model.close()
    then_s = time.perf_counter() - began
    _, latencies = read_all(settings, random.Random(1).sample(archived, min(READS, len(archived))))
    sizes = [sum(path.stat().st_size for path in settings.data.glob(f"{name}.db*")) for name in ("archive", "read")]
    return Row(
        start, len(archived), live, ready_s, then_s, latencies.percentile_ms(0.5), latencies.percentile_ms(0.99),
        sizes[0] / 1e9, sizes[1] / 1e9,
    )  # fmt: skip


# --- the archived orders ---------------------------------------------------------------------------------------------


async def _templates(redis: str, shards: int) -> list[Archived]:
    """Some orders that have been paid out, with their sagas."""
    journal = RedisJournal(redis)
    found: list[Archived] = []
    try:
        for shard in range(shards):
            for address in await journal.addresses(shard):
                if address.kind == "order" and len(found) < TEMPLATES:
                    saga = Address("orchestrator", address.id)
                    order, own = await journal.records(shard, [address, saga])
                    if any(event.startswith(b"order.transferred/") for event in order.events) and not own.snapshot:
                        found.append(Archived(address, {"order": order.events, saga.kind: own.events}))
    finally:
        await journal.close()
    assert found, "no order of the load test has been paid out"
    return found


async def _fill(settings: Settings, templates: Sequence[Archived], orders: int, shards: int) -> list[str]:
    """Archive so many copies; their ids."""
    archive = SqlArchive(archive_of(settings.database, settings.data))
    made: list[str] = []
    copies = copies_of(templates, orders, shards, time.time_ns() // 1_000_000)
    for first in range(0, orders, CHUNK_ORDERS):
        chunk: dict[int, list[Archived]] = {}
        for number in range(first, min(orders, first + CHUNK_ORDERS)):
            copy = next(copies)
            made.append(copy.home.id)
            chunk.setdefault(number % shards, []).append(copy)
        await archive.put(chunk)
    await archive.close()
    return made


def copies_of(templates: Sequence[Archived], orders: int, shards: int, until: Millis) -> Iterator[Archived]:
    """Orders that were placed evenly over a month, taking turns with the shards."""
    for number in range(orders):
        template = templates[number % len(templates)]
        at = until - DAYS * DAY_MS + DAYS * DAY_MS * number // orders
        id_ = order_id(number % shards, at, number.to_bytes(10, "big"))
        yield _copy(template, id_, at)


def _copy(template: Archived, id_: str, at: Millis) -> Archived:
    first = AT.search(template.members["order"][0])
    assert first is not None
    later_ms = at - int(first[1])
    old, new = template.home.id[4:].encode(), id_[4:].encode()

    def moved(event: bytes) -> bytes:
        return AT.sub(lambda found: b'"at":%d' % (int(found[1]) + later_ms), event.replace(old, new))

    members = {kind: tuple(map(moved, own)) for kind, own in template.members.items()}
    return Archived(Address("order", id_), members)


if __name__ == "__main__":
    run()
