"""Small machines that exercise the runtime: an account with an auditor as its companion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import field
from typing import Any

from actors.runtime.archive import Archive
from actors.runtime.host import HostCore
from actors.runtime.kind import ActorKind, Kinds
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.local_journal import MemoryJournal, MemoryStore
from actors.runtime.local_transport import LocalTransport
from actors.runtime.parking import Poison
from actors.runtime.ports import Cell, Deliver, Placement
from actors.runtime.router import Router, is_dedicated
from models.catalogue import command, event
from models.decision import (
    NOTHING,
    Accepted,
    Address,
    Command,
    Decision,
    Due,
    Effect,
    Event,
    Rejected,
    Remind,
    Resume,
    Send,
    Tick,
)
from models.record import changed, dataclass

SHARDS = 4


@command("toy.open")
@dataclass(frozen=True)
class Open(Command):
    owner: str = ""


@command("toy.deposit")
@dataclass(frozen=True)
class Deposit(Command):
    amount: int = 0


@command("toy.pay")
@dataclass(frozen=True)
class Pay(Command):
    """Moves money to another account; `ring` asks the outside world to ring a bell as well."""

    amount: int = 0
    to: str = ""
    ring: bool = False


@command("toy.break")
@dataclass(frozen=True)
class Break(Command):
    """Makes the decider raise."""


@command("toy.rang")
@dataclass(frozen=True)
class Rang(Command):
    pass


@dataclass(frozen=True)
class Note(Command):
    """Joint: the auditor counts."""

    amount: int = 0


@event("toy.opened/1")
@dataclass(frozen=True)
class Opened(Event):
    owner: str


@event("toy.moved/1")
@dataclass(frozen=True)
class Moved(Event):
    amount: int


@event("toy.ringing/1")
@dataclass(frozen=True)
class Ringing(Event):
    on: bool


@event("toy.audited/1")
@dataclass(frozen=True)
class Audited(Event):
    amount: int


@dataclass(frozen=True)
class Account:
    owner: str = ""
    balance: int = 0
    ringing: int = 0  # since when, 0 while not


@dataclass(frozen=True)
class Auditor:
    seen: int = 0
    entries: tuple[int, ...] = field(default_factory=tuple)


RING_AGAIN_MS = 30_000


def decide(account: Account, asked: Command) -> Decision:
    match asked:
        case Open(at, owner):
            return _open(account, at, owner)
        case Break():
            raise RuntimeError("broken on purpose")
        case Rang(at):
            return Accepted((Ringing(at, False),)) if account.ringing else NOTHING
        case Tick() | Resume() | Remind():
            return Accepted(effects=(_ring(account.owner),)) if account.ringing else NOTHING
    if not account.owner:
        return Rejected("no_account")
    if isinstance(asked, Deposit):
        return Accepted((Moved(asked.at, asked.amount),), joint=(_note(account, asked.amount),))
    assert isinstance(asked, Pay)
    if asked.amount > account.balance:
        return Rejected("short", f"{account.balance} is all there is")
    events: tuple[Event, ...] = (Moved(asked.at, -asked.amount),)
    effects: tuple[Effect, ...] = ()
    if asked.ring:
        events += (Ringing(asked.at, True),)
        effects = (_ring(account.owner),)
    sends = (Send(Address("account", asked.to), Deposit(amount=asked.amount)),) if asked.to else ()
    return Accepted(events, joint=(_note(account, -asked.amount),), sends=sends, effects=effects)


def _open(account: Account, at: int, owner: str) -> Decision:
    if account.owner == owner:
        return NOTHING
    return Rejected("taken") if account.owner else Accepted((Opened(at, owner),))


def _ring(owner: str) -> Effect:
    return Effect("bell", owner, Address("account", owner))


def _note(account: Account, amount: int) -> Send:
    return Send(Address("auditor", account.owner), Note(amount=amount))


def evolve(account: Account, happened: Event) -> Account:
    match happened:
        case Opened(_, owner):
            return changed(account, owner=owner)
        case Moved(_, amount):
            return changed(account, balance=account.balance + amount)
        case Ringing(at, on):
            return changed(account, ringing=at if on else 0)
    return account


def decide_audit(_auditor: Auditor, asked: Note) -> Decision:
    if asked.amount == 666:
        return Rejected("evil")
    return Accepted((Audited(asked.at, asked.amount),))


def evolve_audit(auditor: Auditor, happened: Audited) -> Auditor:
    return changed(auditor, seen=auditor.seen + 1, entries=(*auditor.entries, happened.amount))


KINDS = {
    "account": ActorKind(
        name="account",
        initial=Account(),
        decide=decide,
        evolve=evolve,
        view=lambda account: {"owner": account.owner, "balance": account.balance} if account.owner else None,
        state_type=Account,
        due=lambda account: Due(account.ringing + RING_AGAIN_MS, True) if account.ringing else None,
        awaited=lambda account: account.balance >= 100,
        creates=frozenset({Open}),
        arrivals=frozenset({Open}),
        snapshot_after_events=8,
    ),
    "auditor": ActorKind(
        name="auditor",
        initial=Auditor(),
        decide=decide_audit,
        evolve=evolve_audit,
        view=lambda auditor: {"seen": auditor.seen, "sum": sum(auditor.entries)},
        state_type=Auditor,
        home="account",
        snapshot_after_events=0,
    ),
}


class Bell:
    """A runner that answers when the test says so, or at once."""

    def __init__(self, silent: bool = False) -> None:
        self.rung: list[str] = []
        self.silent = silent

    def start(self, effect: Effect, deliver: Deliver) -> None:
        self.rung.append(effect.request)
        if not self.silent:
            asyncio.get_running_loop().call_soon(deliver, effect.reply_to, Rang())

    async def close(self) -> None:
        pass


class Town:
    """Hosts, a journal and a router in one event loop. `place` says which host serves which shard."""

    def __init__(
        self, limits: Limits = LIMITS, dedicated: frozenset[str] = frozenset(), kinds: Kinds = KINDS,
        archive: Archive | None = None,
    ) -> None:  # fmt: skip
        self.limits = limits
        self.kinds = kinds
        self.archive = archive
        self.dedicated = dedicated
        self.now = 1_000_000
        self.store = MemoryStore()
        self.transport = LocalTransport()
        self.hosts: dict[str, HostCore] = {}
        self.bells: dict[str, Bell] = {}
        self.parked: list[Poison] = []
        self.where = [""] * SHARDS
        self.version = 0
        self.router = self._router("gateway")
        self._routers = [self.router]

    def _router(self, name: str) -> Router:
        homes = {kind.name: kind.home for kind in KINDS.values() if kind.home}
        return Router(
            self.transport, self, name=name, shards=SHARDS, wall=self.wall, homes=homes, limits=self.limits
        )

    async def another_router(self) -> Router:
        """A second gateway, which knows the placement of this moment."""
        router = self._router(f"gateway{len(self._routers)}")
        self._routers.append(router)
        await router.start()
        return router

    def wall(self) -> int:
        return self.now

    async def placement(self) -> Placement:
        return Placement(self.version, list(self.where), self.dedicated)

    async def host_of(self, cell: Cell) -> str:
        name = f"host:{cell.actor}"
        if name not in self.hosts:
            await self.start_host(name, [], silent=False)
            await self.hosts[name].own(cell)
        return name

    def journal(self) -> MemoryJournal:
        return MemoryJournal(
            self.store, now=self.wall, stream_kinds=frozenset(self.kinds), quiet_kinds=frozenset({"account"})
        )

    async def start_host(self, name: str, shards: list[int], silent: bool = False) -> HostCore:
        router = self._router(name)
        self._routers.append(router)
        self.bells[name] = Bell(silent)

        def park(poison: Poison) -> list[Send]:
            self.parked.append(poison)
            return []

        host = HostCore(
            self.kinds,
            self.journal(),
            {"bell": self.bells[name]},
            owner=f"{name}#{len(self._routers)}",
            shards=SHARDS,
            wall=self.wall,
            tell=router.tell,
            park=park,
            dedicated=lambda home: is_dedicated(self.dedicated, home),
            archive=self.archive,
            limits=self.limits,
        )
        await host.start()
        self.hosts[name] = host
        self.transport.add(name, host.deliver)
        for shard in shards:
            await self.give(shard, name)
        await router.start()
        return host

    async def give(self, shard: int, name: str) -> None:
        await self.hosts[name].own(Cell(shard))
        self.where[shard] = name
        self.version += 1

    async def kill(self, name: str) -> None:
        """As kill -9: nothing is handed over."""
        self.transport.remove(name)
        await self.hosts.pop(name).close()

    async def close(self) -> None:
        for name in list(self.hosts):
            await self.kill(name)
        for router in self._routers:
            await router.close()


def in_town(
    story: Callable[[Town], Coroutine[Any, Any, None]],
    *,
    hosts: dict[str, list[int]] | None = None,
    limits: Limits = LIMITS,
    dedicated: frozenset[str] = frozenset(),
    silent: bool = False,
    kinds: Kinds = KINDS,
    archive: Archive | None = None,
) -> None:
    """Run an asynchronous story in a town of its own."""

    async def run() -> None:
        town = Town(limits, dedicated, kinds, archive)
        for name, shards in (hosts or {"h0": list(range(SHARDS))}).items():
            await town.start_host(name, shards, silent)
        await town.router.start()
        try:
            await asyncio.wait_for(story(town), 20)
        finally:
            await town.close()

    asyncio.run(run())
