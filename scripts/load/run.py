"""Runs a load test: makes the catalogue, starts the client processes, gathers what they report, watches the system."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from scripts import client, run_state
from scripts.load import catalogue
from scripts.load.cpu import Meter, difference
from scripts.load.measured import Counts, Interval, Measured
from scripts.load.plan import Plan
from scripts.load.watch import Watch
from scripts.settings import Settings

INTERVAL_S = 1.0
START_LEAD_S = 1.0
"""Between telling the clients and the first order: time enough to start."""

LINE_BYTES_MAX = 16 * 1024 * 1024

Progress = Callable[[Interval, Counts], None]


class ClientFailed(Exception):
    """A client process has ended before its time; its own words are on standard error."""


class LoadTest:
    """One test against the running system of `settings`. progress: called after every interval."""

    def __init__(self, settings: Settings, plan: Plan, progress: Progress) -> None:
        self._settings, self._plan, self._progress = settings, plan, progress
        self._state = run_state.running(settings)
        self._clients: list[asyncio.subprocess.Process] = []
        self._fresh = Counts()
        self._in_flight: dict[int, int] = {}
        self._begun: asyncio.Future[float] | None = None
        self._enough = asyncio.Event()
        run = secrets.token_hex(4)
        self.measured = Measured(
            plan, run, self._state.payments, os.cpu_count() or 1, datetime.now(UTC).isoformat(timespec="seconds"),
            str(settings.data / "receipts" / run),
        )  # fmt: skip

    async def begun(self) -> float:
        """Wait for the first order; returns when it was due, by `time.monotonic`."""
        return await asyncio.shield(self._first_order())

    async def interrupted(self) -> None:
        """Wait until somebody ends the test early."""
        await self._enough.wait()

    def _first_order(self) -> asyncio.Future[float]:
        if self._begun is None:
            self._begun = asyncio.get_running_loop().create_future()
        return self._begun

    async def run(self) -> Measured:
        """Raises Refused, Unreachable, ClientFailed. SIGINT and SIGTERM end the test early, in good order."""
        drawn = await self._prepare()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        try:
            await self._measure(drawn)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            for process in self._clients:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return self.measured

    async def _prepare(self) -> catalogue.Catalogue:
        keys = client.Keys.of(self._settings)
        drawn = catalogue.drawn(self._plan, keys, self.measured.run)
        async with client.connected(client.locator(self._settings)) as api:
            await catalogue.make(api, drawn, self._plan, self._state)
        return drawn

    async def _measure(self, drawn: catalogue.Catalogue) -> None:
        begins = time.monotonic() + START_LEAD_S
        reading = [
            asyncio.ensure_future(self._follow(await self._start(n, drawn, begins), n))
            for n in range(self._plan.clients)
        ]
        meter = Meter(self._state, [os.getpid()])
        watch = Watch(self._settings, self._state)
        watch.start()
        await asyncio.sleep(begins - time.monotonic())
        self.measured.begun_at = begins
        self._first_order().set_result(begins)
        first = before = meter.sample()
        last = time.monotonic()
        everyone = asyncio.gather(*reading)
        while not everyone.done():
            await asyncio.wait([everyone], timeout=max(0.0, last + INTERVAL_S - time.monotonic()))
            now, after = time.monotonic(), meter.sample()
            counts, self._fresh = self._fresh, Counts()
            interval = Interval(
                now - begins, now - last, counts, sum(self._in_flight.values()), difference(before, after),
                dict(meter.resident_bytes), watch.queued, watch.pending, watch.redis_bytes,
            )  # fmt: skip
            self.measured.intervals.append(interval)
            self._progress(interval, self.measured.total)
            last, before = now, after
        await watch.close()
        self.measured.seconds = time.monotonic() - begins
        self.measured.cpu_s = difference(first, before)
        everyone.result()

    async def _start(self, number: int, drawn: catalogue.Catalogue, begins: float) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "scripts.load.client_process", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES_MAX, start_new_session=True,
        )  # fmt: skip
        told = {
            "plan": self._plan.to_json(), "number": number, "begins": begins, "catalogue": drawn.to_json(),
            "run": self.measured.run, "run_file": str(self._settings.run_file),
            "receipts": str(Path(self.measured.receipts) / f"{number}.jsonl"),
        }  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps(told).encode() + b"\n")
        self._clients.append(process)
        return process

    async def _follow(self, process: asyncio.subprocess.Process, number: int) -> None:
        assert process.stdout is not None
        said: dict[str, Any] = {"over": False}
        async for line in process.stdout:
            said = orjson.loads(line)
            self._fresh.add(said["tally"])
            self.measured.total.add(said["tally"])
            self.measured.diary.add(said["tally"])
            self._in_flight[number] = said["in_flight"]
        await process.wait()
        if not said["over"]:
            raise ClientFailed(f"client {number} has ended with {process.returncode}")

    def _interrupt(self) -> None:
        self.measured.interrupted = True
        self._enough.set()
        for process in self._clients:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
