"""What the sandbox costs: CPU, memory and log of an order's five calls, and how fast a log is read again.

The client is a bare socket in this process, so that the figures are the server's.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil

from scripts.bench.measuring import Bar, show
from scripts.sandbox.log import FILE_NAME

CALLS_PER_ORDER = 5
CONNECTIONS = 8
ACCOUNTS = ("acct_a", "acct_b", "acct_c")


@dataclass(frozen=True)
class Row:
    """One measurement. CPU and memory are the server's; a start is timed from the process to its `ready`."""

    what: str
    requests_per_s: float
    cpu_us: float
    memory_kb_per_order: float
    log_kb_per_order: float
    restart_s: float


def run(orders: int = 2_000) -> list[Bar]:
    """Measure; print a table and a JSON line."""
    rows = [_measure("in memory", orders, durable=False), _measure("with --data", orders, durable=True)]
    return show("sandbox", rows)


def _measure(what: str, orders: int, durable: bool) -> Row:
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as directory:
        arguments = ["--accounts", ",".join(ACCOUNTS), *(["--data", directory] if durable else [])]
        with _serving(arguments) as (port, process):
            asyncio.run(_load(port, CONNECTIONS, "warm"))
            memory, cpu, began = process.memory_info().rss, _cpu_s(process), time.perf_counter()
            asyncio.run(_load(port, orders, "ord"))
            took_s = time.perf_counter() - began
            cpu, memory = _cpu_s(process) - cpu, process.memory_info().rss - memory
        log = Path(directory) / FILE_NAME
        began = time.perf_counter()
        with _serving(arguments):
            restart_s = time.perf_counter() - began
        return Row(
            what,
            requests_per_s=orders * CALLS_PER_ORDER / took_s,
            cpu_us=cpu / (orders * CALLS_PER_ORDER) * 1e6,
            memory_kb_per_order=memory / orders / 1000,
            log_kb_per_order=log.stat().st_size / orders / 1000 if durable else 0.0,
            restart_s=restart_s,
        )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _serving(arguments: list[str]) -> Iterator[tuple[int, psutil.Process]]:
    command = [sys.executable, "-m", "scripts.sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            yield int(ready.rpartition(":")[2]), psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


async def _load(port: int, orders: int, name: str) -> None:
    share = orders // CONNECTIONS
    await asyncio.gather(*(_orders(port, f"{name}_{worker}", share) for worker in range(CONNECTIONS)))


async def _orders(port: int, name: str, orders: int) -> None:
    client = _Client(*await asyncio.open_connection("127.0.0.1", port))
    for number in range(orders):
        await _order(client, f"{name}_{number}")
    client.close()


async def _order(client: _Client, order: str) -> None:
    hold = {
        "amount": "2000", "currency": "gbp", "capture_method": "manual", "confirm": "true",
        "payment_method": "pm_card_visa", "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never", "transfer_group": order, "metadata[order]": order,
    }  # fmt: skip
    intent = await client.post("/v1/payment_intents", hold, f"{order}:authorise")
    taken = await client.post(f"/v1/payment_intents/{intent['id']}/capture", {}, f"{order}:capture")
    for account in ACCOUNTS:
        share = {
            "amount": "600", "currency": "gbp", "destination": account, "transfer_group": order,
            "source_transaction": taken["latest_charge"], "metadata[party]": account,
        }  # fmt: skip
        await client.post("/v1/transfers", share, f"{order}:transfer:{account}")


class _Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, path: str, params: dict[str, str], key: str) -> dict[str, str]:
        body = urlencode(params).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer sk_test_benchmark\r\n"
            f"Idempotency-Key: {key}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        content = await self._reader.readexactly(length)
        assert answer.startswith(b"HTTP/1.1 200"), content
        decoded: dict[str, str] = json.loads(content)
        return decoded

    def close(self) -> None:
        self._writer.close()


if __name__ == "__main__":
    run()
