"""Owners, appends and groups: the small words that the journal's contract is written in."""

from __future__ import annotations

from dataclasses import replace

from actors.runtime.ports import Append, Cell, Commit, CommitResult, Group, Guard, Ownership, Record, Stored
from models.decision import Address, Due
from tests.contract.journal_backends import AnyJournal

SHARD = Cell(17)
ORDER = Address("order", "ord_1")
SAGA = Address("orchestrator", "ord_1")
SKU = Address("sku", "HOT-1")
HOT = Cell(17, "sku:HOT-1")
HOUR_MS = 3_600_000


def events(*names: str) -> list[bytes]:
    return [f'{name}/1 {{"at":1}}'.encode() for name in names]


def append(address: Address, version: int, *names: str, due: Due | None = None, **more: object) -> Append:
    made = Append(address, version, events(*names), due=due, due_changed=due is not None)
    return replace(made, **more)  # type: ignore[arg-type]


def one(*appends: Append, guard: Guard | None = None) -> Group:
    return Group(list(appends), guard)


class Owner:
    """An owner that numbers its commits."""

    def __init__(self, journal: AnyJournal, ownership: Ownership) -> None:
        self.journal = journal
        self.epoch = ownership.epoch
        self.cell, self.name, self.number = ownership.cell, ownership.owner, ownership.number

    def next(self, *groups: Group) -> Commit:
        self.number += 1
        return Commit(self.cell, self.epoch, self.name, self.number, groups)

    async def store(self, *groups: Group) -> CommitResult:
        return await self.send(self.next(*groups))

    async def send(self, commit: Commit) -> CommitResult:
        (result,) = await self.journal.commit([commit])
        return result


async def take(journal: AnyJournal, name: str = "A", cell: Cell = SHARD) -> Owner:
    return Owner(journal, await journal.acquire(cell, name))


async def record(journal: AnyJournal, address: Address, cell: Cell = SHARD) -> Record:
    (found,) = await journal.load(cell, [address])
    return found


def plain(result: CommitResult) -> CommitResult:
    return Stored(tuple(result.refused)) if isinstance(result, Stored) else result
