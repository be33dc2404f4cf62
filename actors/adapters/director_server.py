"""The director at work: listens for hosts and routers, keeps `runtime.director` informed, and carries its orders out.

A host's connection that closes is a dead host: its shards move at once. A host that is silent on an open connection is
dead once its lease in the journal has run out. Everything here can be lost: hosts and routers connect to the successor
and tell it what it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from actors.adapters.director_link import LINE_BYTES_MAX, Endpoint, Message, cells_of, encode, listed
from actors.runtime.director import Director, Disown, Order, Own, Retire, Spawn
from actors.runtime.ports import Cell, Journal, JournalUnavailable

log = logging.getLogger("dray.director")

TICK_S = 0.25
SILENCE_S = 2.0  # after which a host's lease is looked at
HOST_OF_TIMEOUT_S = 25.0
STATUS_TIMEOUT_S = 3.0
DRAIN_TIMEOUT_S = 60.0
DEDICATED_IDLE_S = 600.0
SPAWNS_AT_ONCE_MAX = 4
REPORT_WITHIN_S = 10.0
DEDICATED_HOSTS_MAX = 100  # 80 MB each
DEDICATED_SPARED_S = 2.0  # a host that had something to do so lately is not ended to make room for another


class Spawner(Protocol):
    """Starts and ends host processes."""

    async def spawn(self, cell: Cell) -> None:
        """A host of its own for `cell`, named after the cell's actor, unless there is one. Raises OSError."""
        ...

    async def retire(self, host: str) -> None:
        """End a host for good: it is not started again."""
        ...


@dataclass(eq=False)
class _Peer:
    """One open connection."""

    writer: asyncio.StreamWriter
    host: str = ""
    owner: str = ""
    dedicated: bool = False
    idle_s: float = 0.0
    seen_at: float = 0.0
    asked: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    def say(self, message: Message) -> None:
        if not self.writer.is_closing():
            self.writer.write(encode(message))


class DirectorServer:
    """One director's connections.

    shards, hosts: what there is to share, and how many are expected to report; `standby` of them hold nothing.
    journal:       asked for the leases of hosts that have gone silent.
    """

    def __init__(
        self, shards: int, hosts: int, *, journal: Journal, spawner: Spawner, standby: int = 0,
        dedicated: Sequence[str] = (), dedicated_idle_s: float = DEDICATED_IDLE_S,
        dedicated_hosts_max: int = DEDICATED_HOSTS_MAX,
    ) -> None:  # fmt: skip
        self.director = Director(
            shards, hosts, version=time.time_ns() // 1_000_000, now=time.monotonic(), dedicated=dedicated,
            standby=standby,
        )
        self._journal = journal
        self._spawner = spawner
        self._dedicated_idle_s = dedicated_idle_s
        self._dedicated_hosts_max = dedicated_hosts_max
        self._hosts: dict[str, _Peer] = {}
        self._watchers: set[_Peer] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self._spawning = asyncio.Semaphore(SPAWNS_AT_ONCE_MAX)
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._closing = False
        self._told = -1  # the placement version that watchers have

    async def start(self, address: str, port: int = 0, token: str = "") -> Endpoint:
        """Listen; returns where."""
        token = token or secrets.token_urlsafe(24)
        self.endpoint = Endpoint(address, port, token)
        self._server = await asyncio.start_server(self._connected, address, port, limit=LINE_BYTES_MAX)
        self.endpoint = Endpoint(address, self._server.sockets[0].getsockname()[1], token)
        self._background(self._watch())
        return self.endpoint

    async def close(self) -> None:
        self._closing = True  # connections that close now are no deaths
        if self._server is not None:
            self._server.close()
        for task in [*self._connections, *self._tasks]:
            task.cancel()
        await asyncio.gather(*self._connections, *self._tasks, return_exceptions=True)

    # --- connections --------------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        peer = _Peer(writer, seen_at=time.monotonic())
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                hello = orjson.loads(await reader.readline() or b"null")
                if isinstance(hello, dict) and self.endpoint.admits(hello.get("token")):
                    self._welcome(peer, hello)
                    while line := await reader.readline():
                        self._hear(peer, orjson.loads(line))
            except ValueError as error:
                log.warning("a peer does not speak our language: %s", error)
            finally:
                self._gone(peer)
                writer.close()

    def _welcome(self, peer: _Peer, hello: Message) -> None:
        if hello["hello"] != "host":
            self._watchers.add(peer)
            peer.say({"placement": self._placement()})
            return
        peer.host, peer.owner = hello["name"], hello["owner"]
        cell = Cell(*hello["cell"]) if hello["cell"] else None
        peer.dedicated = cell is not None
        before = self._hosts.get(peer.host)
        self._hosts[peer.host] = peer
        if before is not None:
            before.writer.close()
        log.info("%s reports (%s, pid %s)", peer.host, peer.owner, hello.get("pid"))
        orders = self.director.joined(peer.host, peer.owner, cell, cells_of(hello["owned"]), time.monotonic())
        given_away = [cell for order in orders if isinstance(order, Disown) and order.host == peer.host
                      for cell in order.cells]  # fmt: skip
        peer.say({"welcome": listed(given_away)})
        self._carry_out(orders)

    def _hear(self, peer: _Peer, message: Message) -> None:
        peer.seen_at = time.monotonic()
        if peer.host:
            self._hear_host(peer, message)
        else:
            self._background(self._answer(peer, message))

    def _hear_host(self, peer: _Peer, message: Message) -> None:
        now = time.monotonic()
        match message:
            case {"beat": {"idle_s": idle_s}}:
                peer.idle_s = idle_s
                if peer.dedicated and idle_s > self._dedicated_idle_s:
                    self._carry_out(self.director.drain(peer.host))
            case {"owned": cells}:
                self._carry_out(self.director.owned(peer.host, peer.owner, cells_of(cells)))
            case {"disowned": cells}:
                self._carry_out(self.director.disowned(peer.host, peer.owner, cells_of(cells), now))
            case {"answer": number, "body": body}:
                asked = peer.asked.pop(number, None)
                if asked is not None and not asked.done():
                    asked.set_result(body)

    def _gone(self, peer: _Peer) -> None:
        self._watchers.discard(peer)
        for asked in peer.asked.values():
            asked.cancel()
        if peer.host and self._hosts.get(peer.host) is peer and not self._closing:
            log.warning("%s is gone (%s)", peer.host, peer.owner)
            del self._hosts[peer.host]
            self._carry_out(self.director.left(peer.host, peer.owner, time.monotonic()))

    # --- orders -------------------------------------------------------------------------------------------------------

    def _carry_out(self, orders: Sequence[Order]) -> None:
        for order in orders:
            match order:
                case Own(host, cells):
                    self._tell(host, {"own": listed(cells)})
                case Disown(host, cells):
                    self._tell(host, {"disown": listed(cells)})
                case Spawn(cell):
                    self._background(self._spawn(cell))
                case Retire(host):
                    self._tell(host, {"retire": True})
                    self._background(self._spawner.retire(host))
        self._changed.set()
        self._changed = asyncio.Event()
        placement = self.director.placement()
        if placement.version != self._told:
            self._told = placement.version
            message = encode({"placement": self._placement()})
            for watcher in self._watchers:
                if not watcher.writer.is_closing():
                    watcher.writer.write(message)

    def _tell(self, host: str, message: Message) -> None:
        peer = self._hosts.get(host)
        if peer is not None:
            peer.say(message)

    async def _spawn(self, cell: Cell) -> None:
        """Have a host started. If it cannot be, or does not report, the next who looks for the cell orders it again."""
        try:
            async with self._spawning:
                await self._spawner.spawn(cell)
        except Exception:  # whatever the vendor says
            log.exception("no host for %s", cell.actor)
        else:
            await asyncio.sleep(REPORT_WITHIN_S)
        self.director.not_spawned(cell)

    def _placement(self) -> Message:
        placement = self.director.placement()
        return {
            "version": placement.version,
            "hosts": placement.hosts,
            "dedicated": sorted(placement.dedicated),
            "owners": {name: host.owner for name, host in self.director.hosts.items()},
        }

    # --- the clock ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._carry_out(self.director.tick(time.monotonic()))
            silent = [p for p in self._hosts.values() if time.monotonic() - p.seen_at > SILENCE_S]
            await asyncio.gather(*(self._doubt(peer) for peer in silent))

    async def _doubt(self, peer: _Peer) -> None:
        """A host that is silent lives while its lease does. Without the journal nobody could take over anyway."""
        try:
            alive_ms = await self._journal.lease_of(peer.owner)
        except JournalUnavailable as error:
            log.warning("%s is silent, and its lease cannot be read: %s", peer.host, error)
            return
        if not alive_ms:
            log.warning("%s hangs: its lease has run out", peer.host)
            self._gone(peer)
            peer.writer.close()

    # --- requests of watchers -----------------------------------------------------------------------------------------

    async def _answer(self, peer: _Peer, message: Message) -> None:
        number = message.get("request")
        try:
            match message:
                case {"host_of": [shard, actor]}:
                    answer: Message = {"host": await self._host_of(Cell(int(shard), str(actor)))}
                case {"status": _}:
                    answer = {"status": await self._status()}
                case {"drain": host}:
                    answer = {"drained": await self._drain(str(host))}
                case _:
                    answer = {"error": "unknown request"}
        except TimeoutError:
            answer = {"error": "this takes too long"}
        peer.say({"answer": number, **answer})

    async def _host_of(self, cell: Cell) -> str:
        async with asyncio.timeout(HOST_OF_TIMEOUT_S):
            while not (host := self.director.host_of(cell)):
                if self._make_room(cell):
                    self._carry_out(self.director.wanted(cell))
                await self._next_change()
        return host

    def _make_room(self, cell: Cell) -> bool:
        """True if there may be one more dedicated host, or there is this one already; else the idlest of them ends,
        so that there will be."""
        dedicated = [peer for peer in self._hosts.values() if peer.dedicated]
        if cell.actor in self._hosts or len(dedicated) + self.director.ordered() < self._dedicated_hosts_max:
            return True
        idlest = max(dedicated, key=lambda peer: peer.idle_s, default=None)
        if idlest is not None and idlest.idle_s >= DEDICATED_SPARED_S:
            self._carry_out(self.director.drain(idlest.host))
        return False

    async def _next_change(self) -> None:
        """Until something has happened, or might have: hosts grow idle without a word."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await self._changed.wait()

    async def _drain(self, host: str) -> bool:
        self._carry_out(self.director.drain(host))
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while host in self.director.hosts:
                await self._next_change()
        return True

    async def _status(self) -> Message:
        """Every host's own status, and those that do not answer."""
        loop = asyncio.get_running_loop()
        asked: dict[str, asyncio.Future[Any]] = {}
        for name, peer in self._hosts.items():
            number = next(self._numbers)
            asked[name] = peer.asked[number] = loop.create_future()
            peer.say({"status": number})
        if asked:
            await asyncio.wait(asked.values(), timeout=STATUS_TIMEOUT_S)
        hosts = {
            name: future.result() if future.done() and not future.cancelled() else None
            for name, future in asked.items()
        }
        return {"placement": self._placement(), "expected": self.director.expected, "hosts": hosts}

    def _background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
