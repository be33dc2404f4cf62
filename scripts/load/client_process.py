"""One client process of a load test.

Told what to do by a line of JSON on its input, it reports on its output twice a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop

from scripts.load.catalogue import Catalogue
from scripts.load.orders import Commands, Orders
from scripts.load.plan import Plan
from scripts.load.receipts import ReceiptBook
from scripts.load.shopper import Shopper, Tally
from scripts.load.wire import Pool

REPORT_S = 0.5
CONNECTIONS_MAX = 8_000
GROW_S = 0.05
UNWATCHED_S = 0.05
"""So long a pause is not watched for the test's end: that costs as much as an order."""


class Client:
    """A client's share of the test: every `clients`-th order is its own."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._plan = Plan.from_json(told["plan"])
        self._number: int = told["number"]
        self._clients = self._plan.clients
        self._begins: float = told["begins"]
        run_file = Path(told["run_file"])
        catalogue = Catalogue.from_json(told["catalogue"])
        self._pool = Pool(lambda: str(json.loads(run_file.read_text())["url"]), CONNECTIONS_MAX)
        host = urlsplit(json.loads(run_file.read_text())["url"]).netloc
        self._orders = Orders(self._plan, catalogue, host, told["run"], self._plan.seed * 1_000 + self._number)
        self._book = ReceiptBook(Path(told["receipts"]), told["run"])
        self._shopper = Shopper(
            self._pool, Commands(catalogue, host), self._book, told["run"], diary=self._plan.diary
        )
        self._numbers: Iterator[int] = itertools.count(self._number, self._clients)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._sold_out = False
        """The last order of the plan has been handed out."""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        reporting = loop.create_task(self._report())
        await self._until(self._begins)
        await (self._open() if self._plan.open_loop else self._closed())
        reporting.cancel()
        self._book.close()
        self._say(over=True)
        await self._pool.close()

    # --- closed loop: so many orders under way, each followed by the next ---

    async def _closed(self) -> None:
        share = self._plan.in_flight / self._clients
        workers: set[asyncio.Task[None]] = set()
        while not self._over():
            done = self._elapsed() / self._plan.duration_s if self._plan.duration_s else 0.0
            self._wanted = max(1, round(share * self._plan.factor(min(done, 1.0))))
            while len(workers) < self._wanted and not self._over():
                worker = asyncio.get_running_loop().create_task(self._buy_on(len(workers)))
                workers.add(worker)
                worker.add_done_callback(self._check)
            await asyncio.wait(workers, timeout=GROW_S, return_when=asyncio.FIRST_COMPLETED)
            workers = {worker for worker in workers if not worker.done()}
        if workers:
            await asyncio.wait(workers)

    async def _buy_on(self, place: int) -> None:
        while place < self._wanted and (number := self._next()) is not None:
            pause_s = await self._buy(number, time.monotonic())
            if pause_s:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause_s)

    # --- open loop: orders come when they come, whatever the system does ---

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        mine = itertools.islice(self._plan.schedule(), self._number, None, self._clients)
        for at in mine:
            intended = self._begins + at
            await self._until(intended)
            if self._stopping.is_set():
                break
            task = loop.create_task(self._arrive(intended))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(self._check)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _arrive(self, intended: float) -> None:
        number = self._next()
        if number is not None:
            await self._buy(number, intended)

    # --- both ---

    def _check(self, task: asyncio.Task[None]) -> None:
        """A bug of ours ends the client: it must not look like a slow server."""
        if not task.cancelled() and (bug := task.exception()) is not None:
            traceback.print_exception(bug)
            os._exit(1)

    async def _buy(self, number: int, intended: float) -> float:
        sample = self._plan.sample
        sampled = bool(sample) and number // self._clients % sample == 0
        return await self._shopper.buy(self._orders.make(number), intended, sampled=sampled)

    def _next(self) -> int | None:
        if self._over():
            return None
        number = next(self._numbers)
        self._sold_out = bool(self._plan.orders) and number >= self._plan.orders
        return None if self._sold_out else number

    def _over(self) -> bool:
        ends = self._plan.duration_s
        timed = bool(ends) and not self._plan.open_loop  # the schedule of an open loop ends by itself
        return self._stopping.is_set() or self._sold_out or (timed and self._elapsed() >= ends)

    def _elapsed(self) -> float:
        return time.monotonic() - self._begins

    async def _until(self, at: float) -> None:
        left = at - time.monotonic()
        if 0 < left <= UNWATCHED_S:
            await asyncio.sleep(left)
        elif left > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), left)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            self._book.flush()
            self._say(over=False)

    def _say(self, *, over: bool) -> None:
        shopper = self._shopper
        tally, shopper.tally = shopper.tally, Tally()
        said = {"over": over, "in_flight": shopper.in_flight, "tally": tally.to_json()}
        try:
            sys.stdout.buffer.write(orjson.dumps(said, option=orjson.OPT_NON_STR_KEYS) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self._book.flush()
            os._exit(1)  # nobody is left to report to


async def main() -> None:
    await Client(json.loads(sys.stdin.readline())).run()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
