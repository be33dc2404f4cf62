"""The read side's ports: what the projector asks of the journal and of the read model, and what readers are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from actors.runtime.ports import Record, StreamEntry
from models.analytics import Tally
from models.decision import Address, Millis
from models.projection import OrderRow, TaskRow


class Stream(Protocol):
    """The journal, as the projector follows it: all shards at once where it does so all the time. Every method may
    raise JournalUnavailable."""

    async def stream_open(self, shard: int) -> None:
        """From now on keep the shard's events in its stream, until they are trimmed."""
        ...

    async def stream_position(self, shard: int) -> int:
        """The sequence of the shard's latest stream entry, trimmed or not; 0 if there never was one."""
        ...

    async def stream_read_all(self, after: Mapping[int, int], limit: int) -> Mapping[int, Sequence[StreamEntry]]:
        """Of each shard up to `limit` entries beyond the sequence given, in order. Shards without any are left out."""
        ...

    async def stream_trim_all(self, through: Mapping[int, int]) -> None:
        """Of each shard drop the entries up to the sequence given."""
        ...

    async def data_keys_all(self, addresses: Mapping[int, Sequence[Address]]) -> Mapping[Address, str]:
        """The wrapped data keys of these actors, by shard; '' where there is none."""
        ...

    async def addresses_all(self, shards: Sequence[int]) -> Mapping[int, Sequence[Address]]:
        """By shard every actor of which something is stored. Looks through all there is, once."""
        ...

    async def records(self, shard: int, addresses: Sequence[Address]) -> Sequence[Record]: ...


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


Numbers = tuple[int, ...]
"""How many public events an order has had: in all, for its retailer, for the supplier of each consignment."""


class Fed(NamedTuple):
    """What the feed has had of an order: the public events of its first `version` events. No numbers: nothing."""

    version: int
    numbers: Numbers


NEVER_FED = Fed(0, ())


class Telling(NamedTuple):
    """What the feed is to get of an order: `events` as JSON, told after `before`; then it has had `after`. `suppliers`:
    of its consignments, in their order."""

    events: bytes
    before: Numbers
    after: Numbers
    suppliers: Sequence[str]


class OrderChange(NamedTuple):
    """One order's rows, to be written.

    tasks:   the task rows that are new or changed. terms: those to add.
    telling: what is new for the feed, if anything.
    whole:   the rows come from the journal itself, and the data key with them; else `data_key` counts for a new order
             only: an erased one stays erased.
    begins:  the order has no rows yet. counts: what it counts for in the roll-ups, as it is stored; None if that is for
             the counter to tell.
    """

    row: OrderRow
    version: int
    snapshot: bytes
    data_key: str
    tasks: Sequence[TaskRow]
    terms: Collection[str]
    telling: Telling | None
    whole: bool = False
    begins: bool = False
    counts: bytes | None = None


class Batch(NamedTuple):
    """What one transaction does to one shard: its orders' rows, and its offset from `before` to `after`.

    tally: what its orders count for in the roll-ups together, as far as they say so themselves.
    """

    shard: int
    before: Position
    after: Position
    orders: Sequence[OrderChange]
    tally: Tally | None = None


class ReadModel(Protocol):
    """The rows and offsets. Every method blocks, and may raise ReadModelUnavailable."""

    def prepare(self, shards: int) -> None:
        """Bring the tables up to date, give each shard a position (at the beginning, to be rebuilt), and from now on
        refuse what any other writer writes."""
        ...

    def positions(self) -> Mapping[int, Position]: ...

    def kept(self, orders: Sequence[str]) -> Sequence[Kept]:
        """Those of these orders that are there."""
        ...

    def fed(self, orders: Sequence[str]) -> Mapping[str, Fed]:
        """What the feed has had of these orders, whether or not their rows are there; an order that it has had nothing
        of is only there if its rows are."""
        ...

    def write(self, batches: Sequence[Batch], at: Millis) -> None:
        """All of it in one transaction, durable when it returns; `at`: the time that the feed's rows are written with.
        Raises Overtaken, with nothing written, if a shard is not at `before` any more or another projector has been
        prepared since. The roll-ups count the orders of those shards of which all was counted before. A batch that
        ends a rebuild deletes the shard's rows of earlier generations; what the feed has of those orders is
        remembered."""
        ...

    def trim_feed(self, before: Millis, limit: int) -> None:
        """Delete up to `limit` of the feed's oldest rows if all of them were written before this time."""
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
