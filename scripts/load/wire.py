"""A small HTTP/1.1 client for the load generator, by hand.

Why not a library: the client shares the machine with what it measures. A request through aiohttp costs about as much
CPU as the gateway spends on it, this one a tenth: requests are prebuilt bytes, one connection carries one request at a
time over keep-alive, of an answer only the status, a few headers and the body are looked at. It understands what Dray's
gateway sends (Content-Length, no chunks) and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast
from urllib.parse import urlsplit

ANSWER_TIMEOUT_S = 40.0
SWEEP_S = 1.0
CONNECT_TIMEOUT_S = 5.0


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes


class NoAnswer(Exception):
    """The connection was refused, broke, or stayed silent: whether the request had an effect is unknown."""


class Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._buffer = b""
        self.asked_at = 0.0
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future fails with NoAnswer."""
        assert self._waiting is None and self._transport is not None
        self._waiting = waiting = asyncio.get_running_loop().create_future()
        self.asked_at = time.monotonic()
        self._transport.write(request)
        return waiting

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = buffer[:end]
        length = header(head, b"content-length")
        size = end + 4 + (int(length) if length else 0)
        if len(buffer) < size:
            return
        waiting, self._waiting, self._buffer = self._waiting, None, b""
        if waiting is None or len(buffer) > size:
            self.abort()  # somebody speaks another protocol than we do
        if header(head, b"connection") == b"close":
            self.abort()
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(int(buffer[9:12]), head, buffer[end + 4 : size]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(NoAnswer(f"the connection broke: {exc}" if exc else "the connection was closed"))

    def abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def silent_since(self) -> float | None:
        """When it was asked what it has not answered yet."""
        return self.asked_at if self._waiting is not None else None


def header(head: bytes, name: bytes) -> bytes:
    """A header's value; the gateway writes names in lower case. Empty if there is none."""
    at = head.find(b"\r\n" + name + b": ")
    if at < 0:
        return b""
    start = at + len(name) + 4
    stop = head.find(b"\r\n", start)
    return head[start : stop if stop >= 0 else None]


class Pool:
    """As many connections as there are requests under way, at most `connections_max`; more requests wait.

    locate: the system's URL, asked again after every failure to connect: a system that was killed may come back
            elsewhere.
    """

    def __init__(self, locate: Callable[[], str], connections_max: int) -> None:
        self._locate = locate
        self._free: list[Connection] = []
        self._all: set[Connection] = set()
        self._slots = connections_max
        self._queue: deque[asyncio.Future[None]] = deque()
        self._find()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def ask(self, request: bytes) -> Answer:
        """Raises NoAnswer."""
        if self._slots == 0:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            await turn
        else:
            self._slots -= 1
        try:
            connection = await self._connection()
            answer = await connection.ask(request)
            if not connection.closed:
                self._free.append(connection)
            return answer
        finally:
            self._next()

    async def close(self) -> None:
        self._sweeper.cancel()
        for connection in self._all:
            connection.abort()

    def _next(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._slots += 1

    async def _connection(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.closed:
                return connection
            self._all.discard(connection)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
        except (OSError, TimeoutError) as error:
            self._find()
            raise NoAnswer(f"no connection: {error}") from error
        self._all.add(connection)
        return connection

    def _find(self) -> None:
        parts = urlsplit(self._locate())
        assert parts.hostname
        self._host, self._port = parts.hostname, parts.port or 80

    async def _sweep(self) -> None:
        """One timer for all requests instead of one each."""
        while True:
            await asyncio.sleep(SWEEP_S)
            before = time.monotonic() - ANSWER_TIMEOUT_S
            for connection in list(self._all):
                if connection.closed:
                    self._all.discard(connection)
                elif (asked_at := connection.silent_since()) is not None and asked_at < before:
                    connection.abort()
