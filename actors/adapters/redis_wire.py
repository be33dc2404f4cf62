"""Connections to Redis: the only module that imports `redis` and `hiredis`.

redis-py connects (TLS, password and database come from the URL), but hiredis packs each command in one go and all
answers of a pipeline are read together: redis-py's own asyncio pipeline costs several times as much. A connection is
used only after the server behind it has been checked (`verify`), so that a reconnect cannot reach a lesser one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha1
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool, DefaultParser
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, RedisError

from actors.runtime.ports import JournalMismatch, JournalUnavailable

Argument = str | bytes | int
Answer = Any
"""bytes, int, None, a list of answers, or a `Refusal`."""

VERSION_MIN = (6, 2)
SETTINGS = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
READ_BYTES = 256 * 1024


class Refusal(Exception):
    """Redis answered one command with an error; kept as a value among the other answers.

    `code` is its first word (`NOSCRIPT`, `OOM`, `LOADING`...).
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.split(" ", 1)[0]


def pack(*arguments: Argument) -> bytes:
    """One command as Redis reads it."""
    packed: bytes = hiredis.pack_command(arguments)  # type: ignore[arg-type] # its stub knows tuples of one only
    return packed


def verify(info: Mapping[str, str], settings: Mapping[str, str]) -> None:
    """Check that a server keeps what it acknowledges. Raises JournalMismatch with what to change."""
    version = info.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
        raise JournalMismatch(f"Redis {version} is too old: Dray needs 6.2 or newer")
    if info.get("role") != "master":
        raise JournalMismatch("this Redis is a replica: name its primary instead")
    wrong = {name: settings.get(name) for name, value in SETTINGS.items() if settings.get(name) != value}
    if wrong:
        found = ", ".join(f"{name} is {value or 'hidden'}" for name, value in wrong.items())
        commands = "; ".join(f"CONFIG SET {name} {SETTINGS[name]}" for name in wrong)
        raise JournalMismatch(
            f"this Redis may lose orders it has acknowledged ({found}). Run: {commands}; CONFIG REWRITE"
            " (or set them in redis.conf or with your provider), and let Dray's user run CONFIG GET"
        )


def parse_info(text: bytes) -> dict[str, str]:
    """INFO's `name:value` lines."""
    lines = text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


class _BatchParser(DefaultParser):  # type: ignore[misc, valid-type]
    """redis-py's parser, which can also read all answers of a pipeline at once, errors as values."""

    def on_connect(self, connection: Any) -> None:
        super().on_connect(connection)
        self._batch = hiredis.Reader(notEnoughData=_MORE, replyError=Refusal)
        self._source: asyncio.StreamReader = connection._reader  # noqa: SLF001 - as redis-py's parsers do

    async def read_many(self, count: int) -> list[Answer]:
        """The next `count` answers. Raises ConnectionError when the server hangs up."""
        answers: list[Answer] = []
        next_answer = self._batch.gets
        while len(answers) < count:
            answer = next_answer()
            if answer is _MORE:
                received = await self._source.read(READ_BYTES)
                if not received:
                    raise ConnectionError("the server closed the connection")
                self._batch.feed(received)
            else:
                answers.append(answer)
        return answers


_MORE = object()


class _Link:
    """A connection and its parser."""

    def __init__(self, connection: AbstractConnection, parser: _BatchParser) -> None:
        self._connection = connection
        self._parser = parser

    async def call(self, packed: Sequence[bytes], *, together: bool = False) -> list[Answer]:
        if together:
            await self._connection.send_packed_command([_MULTI, *packed, _EXEC], check_health=False)
            return _executed(await self._parser.read_many(len(packed) + 2))
        await self._connection.send_packed_command(packed, check_health=False)
        return await self._parser.read_many(len(packed))

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)


_LOGIN = "Redis wants another user or password: put them into its URL, as in redis://user:password@host:6379"
_MULTI, _EXEC = pack("MULTI"), pack("EXEC")


def _executed(answers: list[Answer]) -> list[Answer]:
    """The answers of a transaction's commands; if it was not executed, the reason for each."""
    executed = answers[-1]
    if isinstance(executed, list):
        return executed
    reasons = [answer for answer in answers if isinstance(answer, Refusal)]
    return reasons[:1] * (len(answers) - 2)


class Node:
    """One Redis server: a bounded pool of checked connections, each carrying one pipeline at a time."""

    def __init__(self, pool: ConnectionPool, scripts: Sequence[str], connections_max: int, timeout_s: float) -> None:
        self.clustered = False  # known once a connection has been made
        self._pool = pool
        self._load_scripts = [pack("SCRIPT", "LOAD", script) for script in scripts]
        self._idle: list[_Link] = []
        self._room = asyncio.Semaphore(connections_max)
        self._timeout_s = timeout_s

    async def call(self, packed: Sequence[bytes], *, together: bool = False) -> list[Answer]:
        """Send a pipeline and read all its answers; scripts the server has forgotten are loaded and sent again.

        together: as one transaction, which no other client's commands interrupt and no crash halves.
        Raises JournalUnavailable when the connection fails or `timeout_s` passes: whether the commands were carried
        out is then unknown. Raises JournalMismatch when a new connection meets a server that may not be used.
        """
        async with self._room:
            link = self._idle.pop() if self._idle else None
            try:
                with _faults():
                    async with asyncio.timeout(self._timeout_s):
                        if link is None:
                            link = await self._open()
                        answers = await link.call(packed, together=together)
                        if any(type(answer) is Refusal and answer.code == "NOSCRIPT" for answer in answers):
                            await self._again(link, packed, answers)
            except BaseException:
                if link is not None:  # answers may still be under way on it
                    await link.close()
                await self._drop_idle()
                raise
            self._idle.append(link)
            return answers

    async def close(self) -> None:
        """Close the idle connections; those in use close when their call fails or are collected."""
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for link in idle:
            await link.close()

    async def _again(self, link: _Link, packed: Sequence[bytes], answers: list[Answer]) -> None:
        lost = [i for i, answer in enumerate(answers) if type(answer) is Refusal and answer.code == "NOSCRIPT"]
        found = await link.call([*self._load_scripts, *(packed[i] for i in lost)])
        for i, answer in zip(lost, found[len(self._load_scripts) :], strict=True):
            answers[i] = answer

    async def _open(self) -> _Link:
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException as fault:
            await connection.disconnect(nowait=True)
            if isinstance(fault, AuthenticationError) or isinstance(fault.__context__, AuthenticationError):
                raise JournalMismatch(f"{_LOGIN} ({fault})") from fault
            raise
        parser = connection._parser  # noqa: SLF001 - redis-py makes it, from our class, and has no other name for it
        assert isinstance(parser, _BatchParser), "the pool is made with this parser"
        link = _Link(connection, parser)
        try:
            settings = [pack("CONFIG", "GET", name) for name in SETTINGS]
            info, *found = await link.call([pack("INFO"), *settings, *self._load_scripts])
            if isinstance(info, Refusal):
                if info.code in ("NOAUTH", "NOPERM"):
                    raise JournalMismatch(f"{_LOGIN} ({info})")
                raise JournalUnavailable(str(info))
            about = parse_info(info)
            if about.get("loading") == "1":
                raise JournalUnavailable("Redis is loading its data")
            pairs = (answer for answer in found[: len(SETTINGS)] if isinstance(answer, list) and len(answer) == 2)
            verify(about, {name.decode(): value.decode() for name, value in pairs})
            self.clustered = about.get("cluster_enabled") == "1"
        except BaseException:
            await link.close()
            raise
        return link


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except TimeoutError as fault:  # asyncio's own; redis-py's is a RedisError
        raise JournalUnavailable("Redis did not answer in time") from fault
    except (RedisError, OSError, hiredis.HiredisError) as fault:
        raise JournalUnavailable(f"{type(fault).__name__}: {fault}") from fault


class Wire:
    """The way to a Redis server or cluster: finds the node of a hash tag.

    url: `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database as redis-py reads them; any one
         node of a cluster.
    """

    def __init__(self, url: str, scripts: Sequence[str], *, connections_max: int = 16, timeout_s: float = 10.0) -> None:
        self._make: Callable[..., ConnectionPool] = lambda **place: _pool(url, place)
        self._scripts = scripts
        self._limits = (connections_max, timeout_s)
        self._seed = Node(self._make(), scripts, *self._limits)
        self._nodes: dict[tuple[str, int], Node] = {}
        self._slots: list[tuple[int, int, Node]] = []  # first, last, node

    @property
    def seed(self) -> Node:
        """The node that the URL names."""
        return self._seed

    async def open(self) -> None:
        """Connect and check the server, or every primary of the cluster. Raises as `Node.call` does."""
        await self._seed.call([pack("PING")])
        if self._seed.clustered:
            await self.refresh()
            for _, _, node in self._slots:
                await node.call([pack("PING")])

    async def refresh(self) -> None:
        """Learn anew which primary serves which slots, after a cluster answered MOVED or a node went away."""
        answer = await self._ask_any(pack("CLUSTER", "SLOTS"))
        slots = []
        for first, last, (host, port, *_), *_ in answer:
            place = (host.decode(), port)
            if place not in self._nodes:
                # A node that knows no address of its own is the one just asked.
                there = self._make(host=place[0], port=port) if place[0] else None
                self._nodes[place] = Node(there, self._scripts, *self._limits) if there else self._seed
            slots.append((first, last, self._nodes[place]))
        self._slots = slots

    async def _ask_any(self, command: bytes) -> Answer:
        """The answer of the first node that has one. Raises JournalUnavailable when none has."""
        causes = []
        for node in {self._seed: None, **dict.fromkeys(self._nodes.values())}:
            try:
                (answer,) = await node.call([command])
            except (JournalUnavailable, JournalMismatch) as fault:
                causes.append(str(fault))
                continue
            if not isinstance(answer, Refusal):
                return answer
            causes.append(str(answer))
        raise JournalUnavailable("; ".join(causes))

    def node(self, tag: str) -> Node:
        """The node that serves the keys with hash tag `{tag}`."""
        if not self._slots:
            return self._seed
        slot = key_slot(tag.encode())
        for first, last, node in self._slots:
            if first <= slot <= last:
                return node
        return self._seed

    def nodes(self) -> list[Node]:
        """Every node that serves keys."""
        return list(dict.fromkeys(node for _, _, node in self._slots)) or [self._seed]

    async def close(self) -> None:
        for node in {self._seed, *self._nodes.values()}:
            await node.close()


def _pool(url: str, place: Mapping[str, object]) -> ConnectionPool:
    """Holds the URL's settings only; no connection is ever taken from it. RESP2 without redis-py's own timeouts and
    retries: a call has one deadline, and it is the caller who sends again."""
    pool = ConnectionPool.from_url(url, parser_class=_BatchParser, protocol=2, socket_timeout=None, driver_info=None)
    pool.connection_kwargs.update(place)
    return pool


def script_id(script: str) -> str:
    """The name under which EVALSHA finds a script."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest()
