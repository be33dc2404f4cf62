"""A real Redis for a test, and the small commits that tests send to it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from actors.adapters.redis_journal import RedisJournal
from actors.runtime.ports import Append, Cell, Commit, CommitResult, Failed, Group, Guard, Ownership
from models.decision import Address, Due
from scripts import redis_server
from scripts.redis_server import RunningRedis

SHARD = Cell(3)
ORDER = Address("order", "ord_1")
HOUR_MS = 3_600_000
TRIES = 10


class Box:
    """A data directory and the server on it, which tests kill and start again."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.server: RunningRedis = redis_server.start(directory, options=options)

    @property
    def url(self) -> str:
        return self.server.url

    def kill(self) -> None:
        """End the server as a power cut would: no chance to tidy up."""
        assert self.server.process is not None
        if self.server.alive():
            os.kill(self.server.pid, signal.SIGKILL)
        self.server.process.wait()

    def restart(self, *options: str) -> None:
        self.kill()
        self.server = redis_server.start(self.directory, options=options)

    def talk(self, *words: str) -> bytes:
        """One command over a connection of its own; the beginning of the answer."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(self.server.socket_path)
            parts = [word.encode() for word in words]
            line.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            return line.recv(65536)

    def log(self) -> Path:
        """The log that the server appends to, whichever way its version keeps it."""
        parts = sorted((self.server.directory / "appendonlydir").glob("*.incr.aof"))
        return parts[-1] if parts else self.server.directory / "appendonly.aof"


@asynccontextmanager
async def opened(url: str, stream_kinds: frozenset[str] = frozenset()) -> AsyncIterator[RedisJournal]:
    journal = RedisJournal(url, stream_kinds=stream_kinds)
    try:
        await journal.open()
        yield journal
    finally:
        await journal.close()


def step(owner: Ownership, number: int, version: int, *, size: int = 10, guard: str = "") -> Commit:
    """Commit `number` of an owner: one event for the order, a due entry, perhaps a guard."""
    event = b'order.step/1 {"at":%d,"x":"%s"}' % (number, b"x" * size)
    append = Append(ORDER, version, [event], due=Due(number, pending=True), due_changed=True)
    group = Group([append], Guard(guard, f"value of {guard}", HOUR_MS) if guard else None)
    return Commit(owner.cell, owner.epoch, owner.owner, number, [group])


async def send(journal: RedisJournal, commits: Sequence[Commit]) -> Sequence[CommitResult]:
    """Send commits again and again, as a host does, until none has failed."""
    results: Sequence[CommitResult] = []
    for _ in range(TRIES):
        results = await journal.commit(commits)
        if not any(isinstance(result, Failed) for result in results):
            return results
    raise AssertionError(results)


async def version_of(journal: RedisJournal, address: Address = ORDER, cell: Cell = SHARD) -> int:
    (record,) = await journal.load(cell, [address])
    return record.version
