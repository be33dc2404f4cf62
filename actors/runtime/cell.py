"""A cell: the residents of one shard (or one dedicated actor) and the commits that make their turns durable.

Decisions run ahead of the disk, answers do not: turns add to `accumulating`; when the journal is free the accumulated
parts become the commit in flight; what they hold back (replies, messages, effects) leaves when it is acknowledged.
"""

from __future__ import annotations

from collections import OrderedDict

from actors.runtime.kind import ActorKind
from actors.runtime.limits import Limits
from actors.runtime.ports import Cell, Commit, Ownership
from actors.runtime.resident import Part, Resident
from models.decision import Address


class OwnedCell:
    """What a host knows of a cell that it owns. Dropped whole when the cell is lost."""

    def __init__(self, ownership: Ownership) -> None:
        self.cell: Cell = ownership.cell
        self.ownership = ownership
        self.number = ownership.number  # the last commit number acknowledged
        self.residents: OrderedDict[Address, Resident] = OrderedDict()  # least recently used first
        self.accumulating: dict[Address, Part] = {}
        self.in_flight: dict[Address, Part] = {}
        self.commit: Commit | None = None  # the commit in flight or blocked; sent again as it is
        self.retry_at = 0.0  # loop time before which a blocked commit is not sent again
        self.retry_s = 0.0
        self.to_load: dict[Address, Resident] = {}
        self.looked_for: dict[Address, Resident] = {}  # in the archive
        self.closing = False
        self.gone = False  # dropped by its host: whoever still holds it must look again
        self._proof = 0  # the commit number that has to be acknowledged before memory is trusted again

    @property
    def unproven(self) -> bool:
        """True while another owner may have taken this cell without our noticing: nothing is answered from memory."""
        return self.number < self._proof

    def prove(self) -> None:
        """Ask the journal, by a commit that leaves from now on (the one in flight may have been stored long ago),
        whether this cell is still ours."""
        self._proof = (self.number if self.commit is None else self.commit.number) + 1

    def resident(self, home: Address, kinds: tuple[ActorKind, ...]) -> Resident:
        """The resident of `home`, created in its loading state when it is not in memory."""
        found = self.residents.get(home)
        if found is None:
            found = self.residents[home] = Resident(home, kinds)
        else:
            self.residents.move_to_end(home)
        return found

    def part_of(self, resident: Resident) -> Part:
        """The part that the next commit will carry for this resident."""
        part = resident.part
        if part is None or part.sealed:
            part = resident.part = self.accumulating[resident.home] = Part(resident)
            if resident.archived is not None:
                resident.archived.into(part, resident)
                resident.archived = None
        return part

    def next_commit(self, limits: Limits) -> Commit | None:
        """Freeze what has accumulated as the next numbered commit, perhaps an empty one for the proof's sake; None when
        there is nothing to store."""
        assert self.commit is None, "one commit in flight per cell"
        if not self.accumulating and not self.unproven:
            return None
        if len(self.accumulating) <= limits.commit_groups_max:
            self.in_flight, self.accumulating = self.accumulating, {}
        else:
            homes = list(self.accumulating)[: limits.commit_groups_max]
            self.in_flight = {home: self.accumulating.pop(home) for home in homes}
        groups = []
        for part in self.in_flight.values():
            part.sealed = True
            groups.append(part.group())
        self.commit = Commit(
            self.cell, self.ownership.epoch, self.ownership.owner, self.number + 1, groups
        )
        return self.commit

    def acknowledged(self) -> dict[Address, Part]:
        """The commit in flight is durable: give back its parts."""
        assert self.commit is not None
        self.number = self.commit.number
        parts, self.in_flight, self.commit = self.in_flight, {}, None
        self.retry_s = 0.0
        for part in parts.values():
            if part.resident is not None and part.resident.part is part:
                part.resident.part = None
        return parts

    def unsettled(self, home: Address) -> bool:
        """True while something of this actor is decided and not durable."""
        return home in self.accumulating or home in self.in_flight

    def forget(self, home: Address) -> Part | None:
        """Drop a resident and whatever it has accumulated on top of a refused group."""
        self.residents.pop(home, None)
        self.to_load.pop(home, None)
        self.looked_for.pop(home, None)
        return self.accumulating.pop(home, None)
