"""The director and its links over real TCP, with hosts in this process on the journal in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from actors.adapters import director_link, director_server
from actors.adapters.director_link import Endpoint
from actors.adapters.director_server import DirectorServer
from actors.adapters.host_link import HostLink
from actors.adapters.placement_link import PlacementLink
from actors.runtime.host import HostCore
from actors.runtime.limits import LIMITS
from actors.runtime.local_journal import MemoryJournal, MemoryStore
from actors.runtime.ports import Cell, Placement
from actors.runtime.router import is_dedicated
from tests.runtime.toys import KINDS, SHARDS, Bell

LIMITS_QUICK = replace(LIMITS, lease_renew_s=0.05, lease_lost_s=0.3)
HOT = Cell(1, "account:hot")


class World:
    """A director that may be replaced, and hosts that may be killed or hang."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(director_server, "SILENCE_S", 0.3)
        monkeypatch.setattr(director_server, "TICK_S", 0.02)
        monkeypatch.setattr(director_link, "RETRY_MAX_S", 0.05)
        monkeypatch.setattr("actors.adapters.host_link.BEAT_S", 0.05)
        self.store = MemoryStore()
        self.endpoint: Endpoint | None = None
        self.server: DirectorServer | None = None
        self.hosts: dict[str, tuple[HostCore, HostLink]] = {}
        self.lives = 0

    async def resolve(self) -> Endpoint:
        while self.endpoint is None:  # as Ray does while it restarts an actor
            await asyncio.sleep(0.01)
        return self.endpoint

    async def start_director(self, hosts: int = 2, idle_s: float = 60.0, dedicated_max: int = 10) -> None:
        self.server = DirectorServer(
            SHARDS, hosts, journal=MemoryJournal(self.store), spawner=self, dedicated=["account:hot"],
            dedicated_idle_s=idle_s, dedicated_hosts_max=dedicated_max,
        )  # fmt: skip
        self.endpoint = await self.server.start("127.0.0.1")

    async def stop_director(self) -> None:
        assert self.server is not None
        await self.server.close()
        self.endpoint = self.server = None

    async def start_host(self, name: str, cell: Cell | None = None) -> HostCore:
        self.lives += 1
        rules = frozenset({"account:hot"})
        core = HostCore(
            KINDS, MemoryJournal(self.store), {"bell": Bell()}, owner=f"{name}#{self.lives}", shards=SHARDS,
            wall=lambda: 1_000_000, tell=lambda _envelope: None, park=lambda _poison: [],
            dedicated=lambda home: is_dedicated(rules, home), limits=LIMITS_QUICK,
        )  # fmt: skip
        await core.start()
        link = HostLink(core, name, self.resolve, cell=cell)
        link.start()
        self.hosts[name] = core, link
        return core

    async def kill(self, name: str) -> None:
        core, link = self.hosts.pop(name)
        await link.close()
        await core.close()

    # director_server.Spawner

    async def spawn(self, cell: Cell) -> None:
        await self.start_host(cell.actor, cell)

    async def retire(self, host: str) -> None:
        await self.kill(host)

    async def close(self) -> None:
        for name in list(self.hosts):
            await self.kill(name)
        if self.server is not None:
            await self.stop_director()


@asynccontextmanager
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    found = World(monkeypatch)
    try:
        async with asyncio.timeout(15):
            yield found
    finally:
        await found.close()


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


@asynccontextmanager
async def watcher(town: World) -> AsyncIterator[tuple[PlacementLink, list[Placement], list[str]]]:
    seen: list[Placement] = []
    gone: list[str] = []
    link = PlacementLink(town.resolve, changed=seen.append, gone=gone.append, back=lambda host: gone.append(f"+{host}"))
    link.start()
    try:
        yield link, seen, gone
    finally:
        await link.close()


def owns(core: HostCore) -> int:
    return len(core.cells)


async def test_hosts_share_the_shards_and_a_death_is_heard_of_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(monkeypatch) as town, watcher(town) as (_, seen, gone):
        await town.start_director()
        a, b = await town.start_host("a"), await town.start_host("b")
        await until(lambda: owns(a) == owns(b) == SHARDS // 2)
        await until(lambda: bool(seen) and "" not in seen[-1].hosts)
        await town.kill("a")
        await until(lambda: owns(b) == SHARDS)
        await until(lambda: seen[-1].hosts == ["b"] * SHARDS)
        assert sorted(gone) == ["+a", "+b", "a"]


async def test_a_hanging_host_loses_its_shards_with_its_lease_and_lets_go_when_it_wakes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world(monkeypatch) as town:
        await town.start_director()
        a, b = await town.start_host("a"), await town.start_host("b")
        await until(lambda: owns(a) == owns(b) == SHARDS // 2)
        _, link = town.hosts["a"]
        beats = link._beats
        assert beats is not None and a.lease._task is not None
        beats.cancel()  # neither a beat nor a renewal: as a stopped process
        a.lease._task.cancel()
        await until(lambda: owns(b) == SHARDS)
        await until(lambda: owns(a) == 0)  # its link was closed; connecting again it heard what it had lost


async def test_traffic_goes_on_without_a_director_and_its_successor_learns_who_owns_what(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world(monkeypatch) as town:
        await town.start_director()
        a, b = await town.start_host("a"), await town.start_host("b")
        await until(lambda: owns(a) == owns(b) == SHARDS // 2)
        before = {cell: owned.ownership.epoch for core in (a, b) for cell, owned in core.cells.items()}
        await town.stop_director()
        await asyncio.sleep(0.2)
        assert owns(a) + owns(b) == SHARDS
        assert a.lease.valid() and b.lease.valid()  # nobody can have given anything away
        await town.start_director()
        async with watcher(town) as (_, seen, _gone):
            await until(lambda: bool(seen) and "" not in seen[-1].hosts)
        after = {cell: owned.ownership.epoch for core in (a, b) for cell, owned in core.cells.items()}
        assert after == before  # nothing moved


async def test_a_dedicated_actor_gets_a_host_on_demand_which_ends_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(monkeypatch) as town, watcher(town) as (link, _, _gone):
        await town.start_director(hosts=1, idle_s=0.3)
        await town.start_host("a")
        await link.placement()
        assert await asyncio.gather(link.host_of(HOT), link.host_of(HOT)) == ["account:hot", "account:hot"]
        core, _ = town.hosts["account:hot"]
        assert list(core.cells) == [HOT]
        await until(lambda: "account:hot" not in town.hosts)
        assert await link.host_of(HOT) == "account:hot"  # and again


async def test_the_idlest_dedicated_host_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(director_server, "DEDICATED_SPARED_S", 0.1)
    async with world(monkeypatch) as town, watcher(town) as (link, _, _gone):
        await town.start_director(hosts=1, dedicated_max=1)
        await town.start_host("a")
        await link.placement()
        assert await link.host_of(HOT) == "account:hot"
        warm = Cell(2, "account:warm")
        assert await link.host_of(warm) == "account:warm"
        assert set(town.hosts) == {"a", "account:warm"}


async def test_a_drained_host_hands_everything_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(monkeypatch) as town, watcher(town) as (link, _, _gone):
        await town.start_director()
        a, b = await town.start_host("a"), await town.start_host("b")
        await until(lambda: owns(a) == owns(b) == SHARDS // 2)
        await link.placement()
        assert (await link.request({"drain": "a"}))["drained"]
        assert owns(b) == SHARDS and "a" not in town.hosts


async def test_status_is_every_hosts_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(monkeypatch) as town, watcher(town) as (link, _, _gone):
        await town.start_director(hosts=1)
        await town.start_host("a")
        await link.placement()
        status = (await link.request({"status": True}))["status"]
        assert status["hosts"]["a"]["owner"] == "a#1"


async def test_strangers_are_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(monkeypatch) as town:
        await town.start_director()
        assert town.endpoint is not None and town.server is not None
        for hello in (b'{"hello":"host","token":"guess","name":"x","owner":"y","cell":null,"owned":[]}\n', b"GET /\n"):
            reader, writer = await asyncio.open_connection(town.endpoint.address, town.endpoint.port)
            writer.write(hello)
            assert await reader.read() == b""
            writer.close()
        assert not town.server.director.hosts
