"""A connection to the director, over TCP: lines of JSON, and a connection that closes when the process at its end dies,
which is the fastest sign of death there is.

Hosts keep one to be told what to own; whoever routes keeps one to be told where things are.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson

from actors.runtime.ports import Cell, HostUnavailable

log = logging.getLogger("dray.link")

LINE_BYTES_MAX = 8 * 1024 * 1024
RESOLVE_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 1.0
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 1.0

Message = dict[str, Any]


class Endpoint(NamedTuple):
    """Where the director listens, and the word that lets one in."""

    address: str
    port: int
    token: str

    def admits(self, token: object) -> bool:
        return isinstance(token, str) and hmac.compare_digest(token.encode(), self.token.encode())


Resolve = Callable[[], Awaitable[Endpoint]]
"""Finds the director as it is now. Raises HostUnavailable while there is none."""


def encode(message: Message) -> bytes:
    return orjson.dumps(message) + b"\n"


def cells_of(listed: list[list[Any]]) -> list[Cell]:
    return [Cell(int(shard), str(actor)) for shard, actor in listed]


def listed(cells: Any) -> list[list[Any]]:
    return [[cell.shard, cell.actor] for cell in sorted(cells)]


class DirectorLink:
    """The client's end: connects, says hello, hears messages, and connects again when the connection is lost.

    resolve:  where the director is.
    hello:    the first message, made anew for every connection.
    hear:     gets every message from the director.
    down:     called when a connection has been lost; absent: called when no director can be reached at all.
    """

    def __init__(
        self,
        resolve: Resolve,
        hello: Callable[[], Message],
        hear: Callable[[Message], None],
        *,
        down: Callable[[], None] = lambda: None,
        absent: Callable[[], None] = lambda: None,
    ) -> None:
        self._resolve = resolve
        self._hello = hello
        self._hear = hear
        self._down = down
        self._absent = absent
        self._endpoint: Endpoint | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def up(self) -> bool:
        return self._writer is not None

    def send(self, message: Message) -> bool:
        """Say something to the director; False if it cannot be reached now."""
        if self._writer is None:
            return False
        self._writer.write(encode(message))
        return True

    async def _run(self) -> None:
        retry_s = RETRY_FIRST_S
        while True:
            try:
                reader, writer = await self._connect()
            except (OSError, TimeoutError, HostUnavailable) as error:
                log.info("no director yet: %s", error)
                self._absent()
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, RETRY_MAX_S)
                continue
            try:
                retry_s = RETRY_FIRST_S
                await self._listen(reader)
            except (OSError, ValueError) as error:
                log.info("the link to the director broke: %s", error)
            finally:
                self._writer = None
                writer.close()
            self._down()
            await asyncio.sleep(0)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To where the director was, if it was anywhere; else to where it is now, which may take a while to learn."""
        if self._endpoint is not None:
            try:
                return await self._open(self._endpoint)
            except (OSError, TimeoutError):
                self._endpoint = None
                self._absent()
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            endpoint = await self._resolve()
        opened = await self._open(endpoint)
        self._endpoint = endpoint
        return opened

    async def _open(self, endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(endpoint.address, endpoint.port, limit=LINE_BYTES_MAX)
        writer.write(encode({**self._hello(), "token": endpoint.token}))
        self._writer = writer
        return reader, writer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self._hear(orjson.loads(line))
