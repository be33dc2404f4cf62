"""What an order costs the journal: CPU of the host and of Redis, and flushes, with the commits of a busy system.

The load resembles two-line orders going from placed to confirmed: nine groups, fourteen appends and as many events
each, 256 in flight, SKUs chosen by Zipf's law; every pipeline carries what a host's shards have gathered meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from actors.adapters.redis_journal import RedisJournal
from actors.runtime.ports import Append, Cell, Commit, Group, Guard, Ownership, Stored
from models.decision import Address, Due
from models.identity import order_id, shard_of
from scripts import redis_server
from scripts.bench.measuring import Bar, show
from scripts.journal import STREAM_KINDS, WHOLE_KINDS

IN_FLIGHT = 256
GROUPS_PER_PIPELINE = 60
SKUS = 100
SNAPSHOT_EVENTS = 64
NOW = 1_790_000_000_000
PLACED = b'order.placed/1 {"at":%d,"sealed":"%s","lines":[["A","p1",1,999],["B","p2",2,499]],"retailer":"acme"}'
ADVANCED = b'saga.advanced/1 {"at":%d,"phase":"capturing","settled":["authorise:1"],"intended":[["capture:1",4200]]}'
STEP = b'order.step/1 {"at":%d,"payment_intent":"pi_3Pabcdefghijklmnop","amount":4200,"charge":"ch_3Pabcdefghij"}'
MOVED = b'sku.reserved/1 {"at":%d,"order":"ord_00101964e5a1b2c3d4e5f60718293a4b5c6d","quantity":2}'


@dataclass(frozen=True)
class Row:
    """One measurement; CPU is per order, everything the process spent included."""

    shards: int
    streamed: bool
    orders_per_second: float
    client_cpu_us: float
    redis_cpu_us: float
    pipelines: int
    commits_per_pipeline: float
    events: int
    aof_bytes_per_order: float


def run(orders: int = 4_000, shards: Sequence[int] = (16, 64)) -> list[Bar]:
    """Measure against an embedded Redis of its own; print a table and a JSON line."""
    rows = []
    for count in shards:
        for streamed in (False, True):
            with tempfile.TemporaryDirectory(prefix="dray-bench-") as directory:
                server = redis_server.start(Path(directory))
                try:
                    rows.append(asyncio.run(_measure(server.url, orders, count, streamed)))
                finally:
                    server.stop()
    return show("journal", rows)


async def _measure(url: str, orders: int, shards: int, streamed: bool) -> Row:
    journal = RedisJournal(url, stream_kinds=STREAM_KINDS, whole_kinds=WHOLE_KINDS)
    await journal.open()
    owned = [await journal.acquire(Cell(shard), "bench") for shard in range(shards)]
    if streamed:
        for shard in range(shards):
            await journal.stream_open(shard)
    pipelines = _pipelines(orders, owned)
    before, cpu, began = await journal.health(), _cpu_s(), time.perf_counter()
    for pipeline in pipelines:
        results = await journal.commit(pipeline)
        assert all(isinstance(result, Stored) and not result.refused for result in results), results
    took, spent, after = time.perf_counter() - began, _cpu_s() - cpu, await journal.health()
    await journal.close()
    commits = sum(len(pipeline) for pipeline in pipelines)
    appends = [append for pipeline in pipelines for commit in pipeline for g in commit.groups for append in g.appends]
    return Row(
        shards=shards,
        streamed=streamed,
        orders_per_second=round(orders / took, 1),
        client_cpu_us=round(spent / orders * 1e6, 1),
        redis_cpu_us=round((after.cpu_s - before.cpu_s) / orders * 1e6, 1),
        pipelines=len(pipelines),
        commits_per_pipeline=round(commits / len(pipelines), 1),
        events=sum(len(append.events) for append in appends),
        aof_bytes_per_order=round((after.aof_bytes - before.aof_bytes) / orders, 1),
    )


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _pipelines(orders: int, owned: Sequence[Ownership]) -> list[list[Commit]]:
    """All pipelines, made before the clock starts."""
    draw = random.Random(1)
    groups = _interleaved([_order_groups(number, len(owned), draw) for number in range(orders)], draw)
    numbers = [0] * len(owned)
    versions: dict[Address, int] = {}
    pipelines = []
    while chunk := list(islice(groups, GROUPS_PER_PIPELINE)):
        by_shard: dict[int, list[Group]] = {}
        for group in _merged(chunk, versions):
            by_shard.setdefault(shard_of(group.appends[0].address, len(owned)), []).append(group)
        pipeline = []
        for shard, members in by_shard.items():
            numbers[shard] += 1
            pipeline.append(Commit(Cell(shard), owned[shard].epoch, "bench", numbers[shard], members))
        pipelines.append(pipeline)
    return pipelines


def _interleaved(orders: list[Iterator[list[Append]]], draw: random.Random) -> Iterator[list[Append]]:
    """The next step of a random one of the orders in flight, until all have ended."""
    waiting = iter(orders)
    flying = list(islice(waiting, IN_FLIGHT))
    while flying:
        place = draw.randrange(len(flying))
        step = next(flying[place], None)
        if step is not None:
            yield step
            continue
        following = next(waiting, None)
        if following is None:
            flying.pop(place)
        else:
            flying[place] = following


def _order_groups(number: int, shards: int, draw: random.Random) -> Iterator[list[Append]]:
    """The turns of one order, each as appends without versions."""
    name = order_id(draw.randrange(shards), NOW + number, draw.randbytes(10))
    order, saga = Address("order", name), Address("orchestrator", name)
    skus = [Address("sku", f"SKU-{min(SKUS, int(draw.paretovariate(0.6)))}") for _ in range(2)]
    sealed = draw.randbytes(150).hex().encode()

    def step(event: bytes, due: Due | None, data_key: str = "") -> list[Append]:
        return [
            Append(order, 0, [event], data_key=data_key),
            Append(saga, 0, [ADVANCED % (NOW + number)], due=due, due_changed=True),
        ]

    yield step(PLACED % (NOW + number, sealed), Due(NOW + 30_000, True), draw.randbytes(40).hex())
    yield step(STEP % NOW, Due(NOW + 31_000, True))
    for sku in skus:
        yield [Append(sku, 0, [MOVED % NOW])]
    yield step(STEP % NOW, Due(NOW + 32_000, True))
    yield step(STEP % NOW, Due(NOW + 33_000, True))
    for sku in skus:
        yield [Append(sku, 0, [MOVED % NOW])]
    yield step(STEP % NOW, None)


def _merged(chunk: Sequence[list[Append]], versions: dict[Address, int]) -> Iterator[Group]:
    """One group per home, as a host makes them, with the versions the journal will see."""
    homes: dict[str, dict[Address, list[Append]]] = {}
    for appends in chunk:
        for append in appends:
            homes.setdefault(append.address.id, {}).setdefault(append.address, []).append(append)
    for members in homes.values():
        merged = []
        for address, appends in members.items():
            version = versions.get(address, 0)
            events = [event for append in appends for event in append.events]
            snapshot = None
            if version // SNAPSHOT_EVENTS != (version + len(events)) // SNAPSHOT_EVENTS:
                snapshot = b'{"rows":"%s"}' % (b"x" * 2_000)
            last = appends[-1]
            merged.append(Append(address, version, events, snapshot, last.due, last.due_changed, appends[0].data_key))
            versions[address] = version + len(events)
        first = merged[0]
        placing = first.address.kind == "order" and first.expected_version == 0
        yield Group(merged, Guard(first.address.id[-16:], first.address.id, 86_400_000) if placing else None)


if __name__ == "__main__":
    run()
