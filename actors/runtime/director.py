"""The director's mind: which host holds which cell, and what to do when hosts come, go, hang or leave in good order.

Pure: facts come in as method calls, orders go out as data, and the time is an argument. `adapters.director_server`
hears the facts and carries the orders out. The director is off the message path: if it dies traffic goes on, and its
successor learns everything anew from the hosts that report to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.runtime.ports import Cell, Placement


class Own(NamedTuple):
    """`host` is to take the cells over."""

    host: str
    cells: tuple[Cell, ...]


class Disown(NamedTuple):
    """`host` is to let the cells go in good order, and say so."""

    host: str
    cells: tuple[Cell, ...]


class Spawn(NamedTuple):
    """A host of its own is wanted for `cell`; its name is the cell's actor."""

    cell: Cell


class Retire(NamedTuple):
    """`host` holds nothing any more and can end."""

    host: str


Order = Own | Disown | Spawn | Retire


@dataclass
class HostView:
    """What the director knows of a host that reports to it.

    owner:    its incarnation. cell: the one it is dedicated to, if it is.
    wanted:   cells it has been told to own. owned: those it says it owns. leaving: those it has been told to let go.
    """

    name: str
    owner: str
    cell: Cell | None
    wanted: set[Cell] = field(default_factory=set)
    owned: set[Cell] = field(default_factory=set)
    leaving: set[Cell] = field(default_factory=set)
    draining: bool = False


class Director:
    """Assigns cells.

    expected:   hosts that are to report. Until they have all done so, or `gather_s` has passed, nothing is assigned, so
                that a successor does not give away what a host is about to say it holds.
    standby:    how many of them hold nothing as long as all are there: when one dies, its shards find a process that
                is up, and meanwhile nothing is spent on messages between more hosts than the machine has use for.
    settle_s:   how long a newcomer waits before shards that others hold are moved to it.
    version:    the first placement's; larger than any predecessor's (the wall clock in ms will do).
    """

    def __init__(
        self, shards: int, expected: int, *, version: int, now: float, dedicated: Iterable[str] = (),
        standby: int = 0, gather_s: float = 3.0, settle_s: float = 2.0,
    ) -> None:  # fmt: skip
        self.shards = shards
        self.expected = expected
        self.standby = standby
        self.dedicated = frozenset(dedicated)
        self.hosts: dict[str, HostView] = {}
        self._version = version
        self._gather_until = now + gather_s
        self._settle_s = settle_s
        self._rebalance_at = 0.0
        self._asked_for: set[Cell] = set()  # dedicated cells whose host has been ordered and has not reported yet

    # --- facts --------------------------------------------------------------------------------------------------------

    def joined(self, name: str, owner: str, cell: Cell | None, owned: Iterable[Cell], now: float) -> Sequence[Order]:
        """A host reports, new or again, with the cells it believes to own."""
        orders: list[Order] = []
        before = self.hosts.get(name)
        if before is not None and before.owner != owner:
            orders += self.left(name, before.owner, now)
        host = self.hosts[name] = HostView(name, owner, cell)
        if cell is not None:
            self._asked_for.discard(cell)
        claimed = {held for other in self.hosts.values() for held in other.wanted}
        for held in owned:
            ours = held == cell if cell is not None else not held.actor and held not in claimed
            (host.owned if ours else host.leaving).add(held)
        host.wanted = set(host.owned)
        if host.leaving:
            orders.append(Disown(name, tuple(sorted(host.leaving))))
        if cell is not None and cell not in host.wanted:
            host.wanted.add(cell)
            orders.append(Own(name, (cell,)))
        self._version += 1
        self._rebalance_at = now + self._settle_s
        return [*orders, *self._assign(now)]

    def left(self, name: str, owner: str, now: float) -> Sequence[Order]:
        """A host is dead, or its lease is: its shards go to the survivors at once."""
        host = self.hosts.get(name)
        if host is None or host.owner != owner:
            return []
        del self.hosts[name]
        self._version += 1
        return self._assign(now)

    def owned(self, name: str, owner: str, cells: Iterable[Cell]) -> Sequence[Order]:
        """A host has taken cells over."""
        host = self._host(name, owner)
        if host is not None:
            host.owned |= set(cells) & host.wanted
            self._version += 1
        return []

    def disowned(self, name: str, owner: str, cells: Iterable[Cell], now: float) -> Sequence[Order]:
        """A host has let cells go, because it was told to or because another owner has fenced it."""
        host = self._host(name, owner)
        if host is None:
            return []
        orders: list[Order] = []
        for cell in cells:
            host.owned.discard(cell)
            host.wanted.discard(cell)
            host.leaving.discard(cell)
            if cell == host.cell and not host.draining:  # fenced by mistake: take it again
                host.wanted.add(cell)
                orders.append(Own(name, (cell,)))
        self._version += 1
        orders += self._assign(now)
        if host.draining and not host.owned and not host.leaving:
            orders.append(Retire(name))
        return orders

    def drain(self, name: str) -> Sequence[Order]:
        """A host is to leave: it gives up its cells one by one, then `Retire` follows."""
        host = self.hosts.get(name)
        if host is None or host.draining:
            return []
        host.draining = True
        if host.cell is None:
            self.expected = max(1, self.expected - 1)
        held = tuple(sorted(host.wanted))
        host.leaving |= host.wanted
        host.wanted = set()
        return [Disown(name, held)] if held else [Retire(name)]

    def wanted(self, cell: Cell) -> Sequence[Order]:
        """Somebody looks for the host of a dedicated cell."""
        if cell in self._asked_for or cell.actor in self.hosts:
            return []
        self._asked_for.add(cell)
        return [Spawn(cell)]

    def ordered(self) -> int:
        """How many dedicated hosts have been ordered and have not reported yet."""
        return len(self._asked_for)

    def not_spawned(self, cell: Cell) -> None:
        """The host ordered for `cell` could not be had; the next who looks for it may order one again."""
        self._asked_for.discard(cell)

    def tick(self, now: float) -> Sequence[Order]:
        """The clock: assigns what waited for hosts to gather, and evens out what newcomers can share."""
        return [*self._assign(now), *self._rebalance(now)]

    # --- what is known ------------------------------------------------------------------------------------------------

    def placement(self) -> Placement:
        """Which host owns each shard, by its own word; '' while none does."""
        hosts = [""] * self.shards
        for host in self.hosts.values():
            for cell in host.owned - host.leaving:
                if not cell.actor:
                    hosts[cell.shard] = host.name
        return Placement(self._version, hosts, self.dedicated)

    def host_of(self, cell: Cell) -> str:
        """The host that owns a dedicated cell, or ''."""
        host = self.hosts.get(cell.actor)
        return host.name if host is not None and cell in host.owned and not host.draining else ""

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _host(self, name: str, owner: str) -> HostView | None:
        host = self.hosts.get(name)
        return host if host is not None and host.owner == owner else None

    def _sharers(self) -> list[HostView]:
        return [host for host in self.hosts.values() if host.cell is None and not host.draining]

    def _active(self) -> list[HostView]:
        """The sharers that are to hold shards: all but the standbys, and these are whoever holds least."""
        sharers = sorted(self._sharers(), key=lambda host: (-len(host.wanted), host.name))
        spare = min(self.standby, len(sharers) - (self.expected - self.standby))
        return sharers[: max(1, len(sharers) - max(spare, 0))]

    def _assign(self, now: float) -> Sequence[Order]:
        """Give every shard that nobody holds or is about to let go to the host with the fewest."""
        sharers = self._sharers()
        if not sharers or (now < self._gather_until and len(sharers) < self.expected):
            return []
        self._gather_until = now  # gathered once: from now on every change is acted upon at once
        held = {cell.shard for host in self.hosts.values() for cell in host.wanted | host.leaving if not cell.actor}
        active = self._active()
        given: dict[str, list[Cell]] = {}
        for shard in range(self.shards):
            if shard not in held:
                host = min(active, key=lambda candidate: (len(candidate.wanted), candidate.name))
                host.wanted.add(Cell(shard))
                given.setdefault(host.name, []).append(Cell(shard))
        return [Own(name, tuple(cells)) for name, cells in given.items()]

    def _rebalance(self, now: float) -> Sequence[Order]:
        """Move shards from standbys to the others, and from the fullest to the emptiest of these until they differ by
        one at most. A shard on its way (told to be owned or let go, and not yet reported) is left alone."""
        sharers = self._sharers()
        if now < self._rebalance_at or len(sharers) < 2:
            return []
        if any(host.wanted != host.owned or host.leaving for host in sharers):
            return []
        active = self._active()
        count = {host.name: len(host.wanted) for host in active}
        moved: dict[str, list[Cell]] = {}
        for host in sharers:
            if host.wanted and host not in active:
                moved[host.name] = sorted(host.wanted)
                host.leaving |= host.wanted
                host.wanted = set()
        while True:
            fullest = max(active, key=lambda host: (count[host.name], host.name))
            emptiest = min(active, key=lambda host: (count[host.name], host.name))
            if count[fullest.name] - count[emptiest.name] <= 1:
                break
            cell = max(fullest.wanted)
            fullest.wanted.discard(cell)
            fullest.leaving.add(cell)
            moved.setdefault(fullest.name, []).append(cell)
            count[fullest.name] -= 1
            count[emptiest.name] += 1  # `_assign` gives it there, once it has been let go
        return [Disown(name, tuple(cells)) for name, cells in moved.items()]
