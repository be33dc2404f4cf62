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

    async def stream_position(self, shard: int) -> int: ...

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

    def restart(self, shard: int, sequence: int) -> None:
        """Put a shard at `sequence`, whatever it was at, to be rebuilt."""
        ...

    def close(self) -> None: ...


# --- reading ---------------------------------------------------------------------------------------------------------

Place = tuple[Millis, str]
"""Where an order stands in lists, newest first: when it was placed, and its id."""

AllOf = tuple[frozenset[str], ...]
"""Terms: of each set, the order has at least one."""


@dataclass(frozen=True)
class OrderQuery:
    """A page of orders, newest first. What is empty or None does not matter.

    after:    the place where the page before ended. id: this order only.
    retailer: whose orders; asked: only orders with a task of this supplier.
    status:   the headline; `refunded` also finds orders of which a part was refunded.
    created_from, created_to: milliseconds, the second exclusive.
    emails:   keyed digests, one of which the order has. any_of: one of these the order's terms meet.
    """

    limit: int
    after: Place | None = None
    id: str = ""
    retailer: str = ""
    asked: str = ""
    status: str = ""
    created_from: Millis | None = None
    created_to: Millis | None = None
    emails: frozenset[str] = frozenset()
    any_of: tuple[AllOf, ...] = ()


class Found(NamedTuple):
    """An order on a page."""

    place: Place
    kept: Kept


@dataclass(frozen=True)
class TaskQuery:
    """A page of one supplier's tasks, newest order first. An order has at most one task for a supplier.

    after:  the place where the page before ended. status: the task's own; empty for all.
    """

    limit: int
    supplier: str
    status: str = ""
    after: Place | None = None


class FoundTask(NamedTuple):
    """A task on a page: which consignment of the order it is, and what the rows say of its status."""

    place: Place
    consignment: int
    status: str
    kept: Kept


class OrderReader(Protocol):
    """The read model, for gateways. Every method blocks, and may raise ReadModelUnavailable."""

    def find(self, query: OrderQuery) -> Sequence[Found]:
        """At most `query.limit` orders."""
        ...

    def find_tasks(self, query: TaskQuery) -> Sequence[FoundTask]:
        """At most `query.limit` tasks."""
        ...

    def retailers(self) -> Sequence[str]:
        """Everybody who has ever placed an order."""
        ...

    def caught_up_at(self) -> Millis:
        """Everything that had happened by then is in the rows; 0 before the first time."""
        ...
