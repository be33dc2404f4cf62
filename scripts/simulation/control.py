"""The control plane: the real `Director`, and the connections on which hosts report to it and hear its orders.

Stands for `actors.adapters.director_server`. A connection is ordered and reliable and closes with its process, as a
socket does. A host that is silent is given up once its lease in the journal has run out; its connection is closed, and
it reports again when it wakes up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from actors.runtime.director import Director, Disown, Order, Own, Retire, Spawn
from actors.runtime.ports import Cell, HostUnavailable, Placement
from models.decision import Millis
from scripts.simulation.trace import Trace
from scripts.simulation.virtual_loop import Process, VirtualLoop

CLOSED_S = 0.05  # until a closed connection is noticed
HEARTBEAT_S = 0.5
SILENCE_S = 1.2


class Reporter(Protocol):
    """A host, as the director's side sees it."""

    name: str
    owner: str
    cell: Cell | None
    process: Process

    def order(self, order: Own | Disown) -> None: ...

    def welcome(self, given_away: Sequence[Cell]) -> None: ...

    def link_down(self) -> None: ...

    def remind(self) -> None: ...

    def owned(self) -> Iterable[Cell]: ...


class Control:
    """Runs the director; implements `ports.Directory` for gateways and hosts.

    spawn, retire: start and end hosts.
    lease_of:      milliseconds that a host's lease still runs, by the journal.
    wire_s:        how long a word takes on a connection; always the same, so that words stay in order.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        trace: Trace,
        *,
        shards: int,
        dedicated: frozenset[str],
        wall: Callable[[], Millis],
        spawn: Callable[[Cell], None],
        retire: Callable[[str], None],
        lease_of: Callable[[str], Millis],
        wire_s: float,
    ) -> None:
        self._loop = loop
        self._trace = trace
        self._shards = shards
        self._dedicated = dedicated
        self._wall = wall
        self._spawn = spawn
        self._retire = retire
        self._lease_of = lease_of
        self._wire_s = wire_s
        self._director: Director | None = None
        self._process = Process(loop, "director")
        self._starts = 0
        self._hosts: dict[str, Reporter] = {}
        self._heard: dict[str, float] = {}
        self._owners: dict[str, str] = {}  # host -> the incarnation that has joined this director
        self._anew: set[str] = set()  # hosts whose connection begins anew

    # --- the director's own life --------------------------------------------------------------------------------------

    def start(self, expected: int) -> None:
        self._starts += 1
        self._process = Process(self._loop, f"director#{self._starts}")
        self._owners.clear()
        self._director = Director(
            self._shards, expected, version=self._wall(), now=self._loop.time(), dedicated=self._dedicated
        )
        self._process.spawn(self._tick_forever())

    def crash(self) -> None:
        self._process.kill()
        self._director = None
        for name in self._owners:
            self._tell(name, self._hosts[name].link_down)
        self._owners.clear()

    @property
    def up(self) -> bool:
        return self._director is not None

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            now = self._loop.time()
            for name, heard in list(self._heard.items()):
                if now - heard > SILENCE_S and name in self._owners and not self._lease_of(self._owners[name]):
                    self._trace.note("silent", name)
                    self._tell(name, self._hosts[name].link_down)
                    self._gone(name, self._owners.pop(name))
            if self._director is not None:
                self._carry_out(self._director.tick(now))

    # --- what hosts say -----------------------------------------------------------------------------------------------

    def heartbeat(self, host: Reporter) -> None:
        """Several times a second; the first one of an incarnation is how it joins."""
        self._loop.later(self._wire_s, self._heartbeat, host)

    def _heartbeat(self, host: Reporter) -> None:
        if self._director is None or host.process.dead or host.process.cut:
            return
        self._hosts[host.name] = host
        self._heard[host.name] = self._loop.time()
        if self._owners.get(host.name) != host.owner or host.name in self._anew:
            self._anew.discard(host.name)
            self._owners[host.name] = host.owner
            self._trace.note("joined", host.owner)
            owned = sorted(host.owned())
            orders = self._director.joined(host.name, host.owner, host.cell, owned, self._loop.time())
            gone = [o for o in orders if isinstance(o, Disown) and o.host == host.name]
            self._tell(host.name, host.welcome, [cell for order in gone for cell in order.cells])
            self._carry_out(orders)

    def report(self, host: Reporter, *, owned: Sequence[Cell] = (), disowned: Sequence[Cell] = ()) -> None:
        self._loop.later(self._wire_s, self._reported, host, owned, disowned)

    def _reported(self, host: Reporter, owned: Sequence[Cell], disowned: Sequence[Cell]) -> None:
        director = self._director
        if director is None or host.process.cut or self._owners.get(host.name) != host.owner:
            return
        if owned:
            self._carry_out(director.owned(host.name, host.owner, owned))
        if disowned:
            self._carry_out(director.disowned(host.name, host.owner, disowned, self._loop.time()))

    def reset(self, host: Reporter) -> None:
        """The connection was cut, and comes up again: both sides begin anew."""
        if host.name in self._hosts:
            self._anew.add(host.name)
            self._tell(host.name, host.link_down)

    def closed(self, host: Reporter) -> None:
        """The process has ended, and its connection with it."""
        self._loop.later(CLOSED_S, self._closed, host)

    def _closed(self, host: Reporter) -> None:
        if self._owners.get(host.name) == host.owner:
            self._gone(host.name, self._owners.pop(host.name))

    def _gone(self, name: str, owner: str) -> None:
        self._heard.pop(name, None)
        if self._director is not None:
            self._carry_out(self._director.left(name, owner, self._loop.time()))
            for other in self._owners:
                self._tell(other, self._hosts[other].remind)

    # --- what the director says ---------------------------------------------------------------------------------------

    def drain(self, name: str) -> None:
        if self._director is not None:
            self._carry_out(self._director.drain(name))

    def _carry_out(self, orders: Iterable[Order]) -> None:
        for order in orders:
            match order:
                case Own(name) | Disown(name):
                    self._trace.note("order", type(order).__name__, name, *(c.shard for c in order.cells))
                    self._tell(name, self._hosts[name].order, order)
                case Spawn(cell):
                    self._spawn(cell)
                case Retire(name):
                    self._retire(name)

    def _tell(self, name: str, hear: Callable[..., None], *words: object) -> None:
        """Over the connection of that host, which is ordered, and on which nothing arrives while it is cut."""
        if self._hosts[name].process.cut:
            return
        self._loop.call_at(self._loop.time() + self._wire_s, hear, *words, context=self._hosts[name].process.context)

    # --- ports.Directory ----------------------------------------------------------------------------------------------

    async def placement(self) -> Placement:
        """Raises HostUnavailable while the director is down."""
        await asyncio.sleep(2 * self._wire_s)
        if self._director is None:
            raise HostUnavailable("the director is down")
        return self._director.placement()

    async def host_of(self, cell: Cell) -> str:
        """Raises HostUnavailable until the dedicated host has come up."""
        await asyncio.sleep(2 * self._wire_s)
        if self._director is None:
            raise HostUnavailable("the director is down")
        self._carry_out(self._director.wanted(cell))
        name = self._director.host_of(cell)
        if not name:
            raise HostUnavailable(f"{cell.actor} has no host yet")
        return name
