"""Connections to Redis: the only module that imports `redis` and `hiredis`.

redis-py connects (TLS, password and database come from the URL), but hiredis packs each command in one go, and a
protocol of our own reads all answers of a pipeline: redis-py's asyncio pipeline costs several times as much. A
connection is used only after the server behind it has been checked (`verify`), so that a reconnect cannot reach a
lesser one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from typing import Any, cast

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, RedisError

from actors.runtime.ports import JournalMismatch, JournalUnavailable

Argument = str | bytes | int
Answer = Any
"""bytes, int, None, a list of answers, or a `Refusal`."""

VERSION_MIN = (6, 2)
SETTINGS = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


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


_MORE = object()


class _Link(asyncio.Protocol):
    """A connection that carries one pipeline at a time. redis-py has made it and logged in; from then on its bytes come
    here, since its stream reader, its drain and its parser cost more than all else of a small commit.

    lost: it is of no use any more, and nothing of the next pipeline would be sent.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        # redis-py has no other names for its stream
        reader, writer = connection._reader, connection._writer  # noqa: SLF001
        assert reader is not None and writer is not None, "it is connected"
        self._connection = connection
        self._transport = cast(asyncio.Transport, writer.transport)
        self._reader = hiredis.Reader(notEnoughData=_MORE, replyError=Refusal)
        self._answers: list[Answer] = []
        self._wanted = 0
        self._waiting: asyncio.Future[None] | None = None
        self._transport.set_protocol(self)
        # What the stream has seen by now, nobody tells us: the server's end, or bytes that nobody has asked for.
        heard = reader._buffer or reader._eof or reader.exception()  # type: ignore[attr-defined]  # noqa: SLF001
        self.lost = bool(heard) or self._transport.is_closing()

    async def call(self, packed: Sequence[bytes], deadline: float, *, together: bool = False) -> list[Answer]:
        """Send a pipeline and read all its answers, errors as values; the deadline is in the event loop's time. Raises
        ConnectionError when the server hangs up or says what it was not asked for, TimeoutError, and HiredisError on
        what is no answer: the link is of no use then."""
        if together:
            return _executed(await self.call([_MULTI, *packed, _EXEC], deadline))
        if self.lost:
            raise ConnectionError(_CLOSED)
        if not packed:
            return []
        loop = asyncio.get_running_loop()
        answers: list[Answer] = []
        waiting: asyncio.Future[None] = loop.create_future()
        self._answers, self._wanted, self._waiting = answers, len(packed), waiting
        self._transport.write(packed[0] if len(packed) == 1 else b"".join(packed))
        timer = loop.call_at(deadline, self._fail, TimeoutError())
        try:
            await waiting
        finally:
            timer.cancel()
            self._answers, self._wanted, self._waiting = [], 0, None
        return answers

    def data_received(self, data: bytes) -> None:
        answers, wanted, reader = self._answers, self._wanted, self._reader
        reader.feed(data)
        try:
            while len(answers) < wanted:
                answer = reader.gets()
                if answer is _MORE:
                    return
                answers.append(answer)
        except hiredis.HiredisError as fault:
            self._fail(fault)
            return
        waiting = self._waiting
        if waiting is None or reader.has_data():  # else this would be taken for the next pipeline's first answer
            self.lost = True
            self._fail(ConnectionError("the server said what it was not asked for"))
            self._transport.abort()
        elif not waiting.done():
            waiting.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._fail(exc if isinstance(exc, OSError) else ConnectionError(str(exc or _CLOSED)))

    def _fail(self, fault: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(fault)

    async def close(self) -> None:
        """At once: what has not been sent is not sent later."""
        self._transport.abort()
        await self._connection.disconnect(nowait=True)


_CLOSED = "the server closed the connection"
_LOGIN = "Redis wants another user or password: put them into its URL, as in redis://user:password@host:6379"
_MULTI, _EXEC = pack("MULTI"), pack("EXEC")


def _is_forgotten(answer: Answer) -> bool:
    """Whether the server did not know the script that it was to run."""
    return type(answer) is Refusal and answer.code == "NOSCRIPT"


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
        self._closed = False

    async def call(self, packed: Sequence[bytes], *, together: bool = False) -> list[Answer]:
        """Send a pipeline and read all its answers; scripts the server has forgotten are loaded and sent again.

        together: as one transaction, which no other client's commands interrupt and no crash halves.
        Raises JournalUnavailable when the connection fails or `timeout_s` passes: whether the commands were carried
        out is then unknown. Raises JournalMismatch when a new connection meets a server that may not be used.
        """
        async with self._room:
            deadline = asyncio.get_running_loop().time() + self._timeout_s
            link = await self._idle_link()
            try:
                if link is None:
                    async with asyncio.timeout_at(deadline):
                        link = await self._open(deadline)
                answers = await link.call(packed, deadline, together=together)
                forgotten = [n for n, answer in enumerate(answers) if _is_forgotten(answer)]
                if forgotten:
                    again = [*self._load_scripts, *(packed[n] for n in forgotten)]
                    found = await link.call(again, deadline)
                    for n, answer in zip(forgotten, found[len(self._load_scripts) :], strict=True):
                        answers[n] = answer
            except BaseException as fault:
                if link is not None:  # answers may still be under way on it
                    await link.close()
                await self._drop_idle()
                _raise_unavailable(fault)
                raise
            if self._closed:
                await link.close()
            else:
                self._idle.append(link)
            return answers

    async def close(self) -> None:
        """Close the idle connections; those in use are closed when their call is over."""
        self._closed = True
        await self._drop_idle()

    async def _idle_link(self) -> _Link | None:
        while self._idle:
            link = self._idle.pop()
            if not link.lost:
                return link
            await link.close()
        return None

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for link in idle:
            await link.close()

    async def _open(self, deadline: float) -> _Link:
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException as fault:
            await connection.disconnect(nowait=True)
            if isinstance(fault, AuthenticationError) or isinstance(fault.__context__, AuthenticationError):
                raise JournalMismatch(f"{_LOGIN} ({fault})") from fault
            raise
        link = _Link(connection)
        try:
            settings = [pack("CONFIG", "GET", name) for name in SETTINGS]
            info, *found = await link.call([pack("INFO"), *settings, *self._load_scripts], deadline)
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


def _raise_unavailable(fault: BaseException) -> None:
    """Raises JournalUnavailable for what a connection may raise, nothing for the rest."""
    if isinstance(fault, TimeoutError):  # asyncio's own; redis-py's is a RedisError
        raise JournalUnavailable("Redis did not answer in time") from fault
    if isinstance(fault, RedisError | OSError | hiredis.HiredisError):
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
    pool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None, driver_info=None)
    pool.connection_kwargs.update(place)
    return pool


def script_id(script: str) -> str:
    """The name under which EVALSHA finds a script."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest()
