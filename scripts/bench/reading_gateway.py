"""A gateway process that has a read side and, but for the keyring, no actors: what lists cost is all that it costs."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import psutil
import uvloop

from actors.adapters.sqlalchemy_analytics import SqlAnalytics
from actors.adapters.sqlalchemy_reading import SqlOrders
from actors.runtime.envelope import Reply, Status
from gateway.app import create
from gateway.auth import hash_of
from gateway.server import listen, serve
from gateway.services import Services
from models.decision import Address, Command
from scripts.bench.histories import RETAILERS, SHARDS, SUPPLIERS, sealer

KEYS = [("ops", "olga"), *[("retailer", name) for name in RETAILERS], *[("supplier", name) for name in SUPPLIERS]]


class Serving(NamedTuple):
    """Keys are `<role>:<name>`."""

    port: int
    process: psutil.Process

    def peak_bytes(self) -> int:
        """The most memory that it has ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


class Nobody:
    """The keyring; no order has anything to say."""

    def __init__(self) -> None:
        keys = [
            {"id": f"key_{n}", "role": role, "name": name, "hash": hash_of(f"{role}:{name}"), "revoked_at": None}
            for n, (role, name) in enumerate(KEYS)
        ]
        self._keyring = Reply(Status.OK, orjson.dumps({"keys": keys}))

    async def ask(self, to: Address, command: Command, **_more: Any) -> Reply:
        raise AssertionError(f"{to} was told {command}")

    async def read(self, to: Address) -> Reply:
        return self._keyring if to.kind == "keyring" else Reply(Status.ABSENT)

    def asking(self, to: Address, command: Command, **_more: Any) -> asyncio.Future[Reply]:
        return asyncio.ensure_future(self.ask(to, command))

    async def read_many(self, addresses: Iterable[Address]) -> Sequence[Reply]:
        return [await self.read(address) for address in addresses]


@contextmanager
def gateway(url: str) -> Iterator[Serving]:
    """Serve the read model at `url`. Raises EOFError if it cannot."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, url), daemon=True)
    process.start()
    theirs.close()  # so that one that cannot start is noticed
    try:
        yield Serving(ours.recv(), psutil.Process(process.pid))
    finally:
        process.terminate()
        process.join()


def _serve(port: Connection, url: str) -> None:
    async def main() -> None:
        services = Services(
            Nobody(), SHARDS, sealer(), lambda: time.time_ns() // 1_000_000, orders=SqlOrders(url),
            analytics=SqlAnalytics(url),
        )  # fmt: skip
        listener = listen("127.0.0.1", 0)
        await serve(listener, create(services), lambda: port.send(listener.getsockname()[1]))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
