"""What lists, reports and exports cost with a thousand orders, with a hundred thousand, and with a million.

A month of orders (`histories`) is handed to the projector as a journal would hand it over, as fast as it takes them:
the rows are those that it would have written, and so are the roll-ups. Then a gateway of its own, behind which there
are no actors, is asked over HTTP as clients ask it, one request after the other. SQLite first; then PostgreSQL, if it
is installed. A million orders take some 10 GB of disk, and half an hour: `dray bench read_side --orders 1000000`.
With `--database URL` it is that database alone, which has to be empty and is left full.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from actors.adapters.sqlalchemy_database import is_empty, size_bytes
from actors.runtime.reading import ReadModelUnavailable
from scripts.bench.histories import SHARDS, Histories
from scripts.bench.loading import CHUNK_ORDERS, Loader
from scripts.bench.measuring import show
from scripts.bench.postgresql import NotInstalled, postgresql
from scripts.bench.reading_gateway import Serving, gateway
from scripts.bench.reading_queries import OPS, Request, queries
from scripts.client import Unreachable
from scripts.load.latencies import Latencies

SIZES = (1_000, 100_000)
REQUESTS = 200
SECONDS_MAX = 20.0  # per kind of request
CHUNK_BYTES = 1 << 16
WAIT_S = 600


@dataclass(frozen=True)
class Loaded:
    """What loading took since the row before; CPU in microseconds per order."""

    database: str
    orders: int
    seconds: float
    projector_us: float
    roll_ups_us: float
    gigabytes: float


@dataclass(frozen=True)
class Row:
    """One kind of request at one size; latencies as the client has them. found: lines, on average."""

    database: str
    orders: int
    request: str
    requests: int
    found: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Export:
    """All orders as CSV. before_mb, peak_mb: the most memory that the gateway had ever had, before and after."""

    database: str
    orders: int
    rows: str
    lines: int
    megabytes: float
    seconds: float
    orders_per_second: float
    before_mb: float
    peak_mb: float


def run(orders: int = 100_000, database: str = "") -> list[Row]:
    """Measure, in the database at that URL if there is one; print tables and JSON lines. Raises AssertionError where
    the database is not empty, Unreachable where there is none."""
    if database:
        return _given(orders, database)
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as name:
        rows = _sqlite(Path(name) / "read.db", orders)
    try:
        with postgresql() as server:
            rows += measure("postgresql", server.url.format("postgres"), orders, server.size_bytes)
    except NotInstalled as error:
        print(error)
    return rows


def _given(orders: int, url: str) -> list[Row]:
    """An empty one only: to the projector, rows that it did not write are another journal's, and it would drop them."""
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///"))
        assert not path.exists(), f"{path} is there already: the benchmark fills an empty database"
        return _sqlite(path, orders)
    try:
        assert is_empty(url), "there are tables in this database: the benchmark fills an empty one"
    except ReadModelUnavailable as error:
        raise Unreachable(f"the database cannot be used: {error}") from error
    return measure("postgresql", url, orders, lambda: size_bytes(url))


def _sqlite(path: Path, orders: int) -> list[Row]:
    """In a file that is not there yet; its log counts as well."""
    files = partial(path.parent.glob, f"{path.name}*")
    return measure("sqlite", f"sqlite:///{path}", orders, lambda: sum(file.stat().st_size for file in files()))


def measure(database: str, url: str, orders: int, size_bytes: Callable[[], int]) -> list[Row]:
    """Fill the database step by step, and measure at each."""
    made = Histories(orders, time.time_ns() // 1_000_000)
    loader = Loader(url, SHARDS)
    rows: list[Row] = []
    exports: list[Export] = []
    loads: list[Loaded] = []
    loaded = 0
    for count in sorted({*(size for size in SIZES if size < orders), orders}):
        loads.append(asyncio.run(_load(loader, made, range(loaded, count), database, size_bytes)))
        loaded = count
        with gateway(url) as serving:
            for request, kind in queries(made, count).items():
                rows.append(_row(database, count, request, kind, serving))
            exports += [_export(database, count, rows_, serving) for rows_ in ("orders", "lines")]
    loader.close()
    show("read_side_loading", loads)
    show("read_side", rows)
    show("read_side_exports", exports)
    return rows


async def _load(
    loader: Loader, made: Histories, numbers: range, database: str, size_bytes: Callable[[], int]
) -> Loaded:
    began, projector_s = time.perf_counter(), 0.0
    for first in range(numbers.start, numbers.stop, CHUNK_ORDERS):
        some = list(made.some(range(first, min(numbers.stop, first + CHUNK_ORDERS))))
        projector_s += await loader.load(some)
    roll_ups_s = await loader.count()
    return Loaded(
        database=database,
        orders=numbers.stop,
        seconds=time.perf_counter() - began,
        projector_us=projector_s / len(numbers) * 1e6,
        roll_ups_us=roll_ups_s / len(numbers) * 1e6,
        gigabytes=size_bytes() / 1e9,
    )


def _row(
    database: str, count: int, request: str, kind: Callable[[random.Random], Request], serving: Serving
) -> Row:
    draw, latencies = random.Random(count), Latencies()
    connection = HTTPConnection("127.0.0.1", serving.port, timeout=WAIT_S)
    found = 0
    began = time.perf_counter()
    while latencies.count < REQUESTS and time.perf_counter() - began < SECONDS_MAX:
        path, key = kind(draw)
        asked = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        body = answer.read()
        latencies.record(time.perf_counter() - asked)
        assert answer.status == 200, body
        found += len(json.loads(body)["data"])
    connection.close()
    p50_ms, p99_ms = latencies.percentiles_ms((0.5, 0.99))
    return Row(database, count, request, latencies.count, found / latencies.count, p50_ms, p99_ms)


def _export(database: str, count: int, rows: str, serving: Serving) -> Export:
    connection = HTTPConnection("127.0.0.1", serving.port, timeout=WAIT_S)
    before, began = serving.peak_bytes(), time.perf_counter()
    headers = {"Authorization": f"Bearer {OPS}", "Accept": "text/csv"}
    connection.request("GET", f"/v1/orders?rows={rows}", headers=headers)
    answer = connection.getresponse()
    size = lines = 0
    while chunk := answer.read(CHUNK_BYTES):
        size += len(chunk)
        lines += chunk.count(b"\n")
    connection.close()
    seconds = time.perf_counter() - began
    return Export(
        database, count, rows, lines - 1, size / 1e6, seconds, count / seconds, before / 1e6,
        serving.peak_bytes() / 1e6,
    )  # fmt: skip


if __name__ == "__main__":
    run()
