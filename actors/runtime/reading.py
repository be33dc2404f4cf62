"""The read side's ports: what the projector asks of the journal and of the read model, and what readers are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from actors.runtime.ports import Record, StreamEntry
from models.decision import Address, Millis
from models.projection import Row


class Stream(Protocol):
    """The journal, as the projector follows it. Every method may raise JournalUnavailable."""

    async def stream_open(self, shard: int) -> None: ...

    async def stream_read(self, shard: int, after: int, limit: int) -> Sequence[StreamEntry]: ...

    async def stream_trim(self, shard: int, through: int) -> None: ...

    async def addresses(self, shard: int) -> Sequence[Address]: ...

    async def records(self, shard: int, addresses: Sequence[Address]) -> Sequence[Record]: ...

    async def data_keys(self, shard: int, addresses: Sequence[Address]) -> Sequence[str]: ...


class ReadModelUnavailable(Exception):
    """The database cannot be reached, or is not set up yet. Trying again later is right."""


class Overtaken(Exception):
    """Somebody else has moved a shard's offset on: nothing was written. Read the positions again."""


class Position(NamedTuple):
    """How far a shard is: the last stream entry that is in the rows.

    generation: goes up by one with every rebuild. rebuilding: its rows are to be made anew from the journal; rows of
    the generation before go at the end.
    """

    sequence: int
    generation: int
    rebuilding: bool


class Kept(NamedTuple):
    """An order as the read model has it. `snapshot`: the state as stored; `data_key`: '' once it was erased."""

    id: str
    version: int
    snapshot: bytes
    data_key: str


@dataclass(frozen=True)
class OrderChange:
    """One order's rows, to be written.

    tasks: the task rows that are new or changed: (consignment, supplier, status). terms: those to add.
    whole: the rows come from the journal itself, and the data key with them; else `data_key` counts for a new order
           only: an erased one stays erased.
    """

    row: Row
    version: int
    snapshot: bytes
    data_key: str
    tasks: Sequence[tuple[int, str, str]]
    terms: Sequence[str]
    whole: bool = False


@dataclass(frozen=True)
class Batch:
    """What one transaction does to one shard: its orders' rows, and its offset from `before` to `after`."""

    shard: int
    before: Position
    after: Position
    orders: Sequence[OrderChange]


class ReadModel(Protocol):
    """The rows and offsets. Every method blocks, and may raise ReadModelUnavailable."""

    def prepare(self, shards: int) -> None:
        """Bring the tables up to date, and give each shard a position: at the beginning, to be rebuilt."""
        ...

    def positions(self) -> Mapping[int, Position]: ...

    def kept(self, orders: Sequence[str]) -> Sequence[Kept]:
        """Those of these orders that are there."""
        ...

    def write(self, batches: Sequence[Batch]) -> None:
        """All of it in one transaction, durable when it returns. Raises Overtaken, with nothing written, if a shard is
        not at `before` any more. A batch that ends a rebuild deletes the shard's rows of earlier generations."""
        ...

    def caught_up(self, shards: Sequence[int], at: Millis) -> None:
        """Note that everything which had happened in these shards by `at` is in the rows."""
        ...

    def request_rebuild(self) -> None:
        """Mark every shard as to be rebuilt."""
        ...

    def close(self) -> None: ...
