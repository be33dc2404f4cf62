"""The ports of analytics: what the roll-ups are made of, how they are stored, and what readers are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from models.analytics import Figures, Tally
from models.decision import Millis


class Progress(NamedTuple):
    """How far a shard's rows are counted: up to this sequence and id. generation: of which rebuild; 0 before any."""

    generation: int
    sequence: int
    order_id: str


class ShardState(NamedTuple):
    """A shard's rows, and how far they are counted. sequence: of the latest row."""

    shard: int
    sequence: int
    generation: int
    rebuilding: bool
    caught_up_at: Millis
    progress: Progress


class Changed(NamedTuple):
    """A row by its place in the order of changes. counted: the version that is in the roll-ups; 0 if none is."""

    sequence: int
    id: str
    version: int
    counted: int


class Snapshot(NamedTuple):
    """An order's state as it is stored."""

    id: str
    version: int
    snapshot: bytes


class Counted(NamedTuple):
    """What an order is counted as from now on. contribution: empty for an order that does not count any more."""

    shard: int
    id: str
    version: int
    contribution: bytes


@dataclass(frozen=True)
class Counting:
    """What one transaction does. moves: (shard, before, after)."""

    moves: Sequence[tuple[int, Progress, Progress]]
    counted: Sequence[Counted]
    tally: Tally


class RollUpModel(Protocol):
    """The roll-ups' tables. Every method blocks, and may raise ReadModelUnavailable."""

    def states(self) -> Sequence[ShardState]:
        """Every shard that has rows, all as of one moment."""
        ...

    def changed(self, shard: int, after: Progress, limit: int) -> Sequence[Changed]:
        """Rows that were written after that, in the order of their places."""
        ...

    def snapshots(self, ids: Sequence[str]) -> Sequence[Snapshot]: ...

    def gone(self, shard: int, limit: int) -> Sequence[str]:
        """Orders that are counted and have no row any more."""
        ...

    def counted_as(self, orders: Sequence[tuple[int, str]]) -> Sequence[bytes]:
        """The contributions with which these orders, by shard and id, are in the roll-ups, as far as they are."""
        ...

    def store(self, counting: Counting) -> None:
        """All of it in one transaction. Raises Overtaken, with nothing stored, if a shard is not at `before`."""
        ...

    def note(self, drained: Mapping[int, Millis]) -> None:
        """By shard, the time up to which everything that had happened is counted."""
        ...

    def close(self) -> None: ...


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Period:
    """Days since 1970 in UTC, `until` exclusive. retailer: '' for all of them."""

    since: int
    until: int
    retailer: str = ""


class Sales(NamedTuple):
    """Figures of one currency."""

    key: str
    currency: str
    figures: Figures


class DaysSales(NamedTuple):
    """One day's figures of one currency."""

    day: int
    currency: str
    figures: Figures


class Waited(NamedTuple):
    """How many consignments' waits fell into a bucket, and how long they were in all."""

    measure: str
    supplier: str
    bucket: int
    consignments: int
    total_ms: int


class AnalyticsReader(Protocol):
    """The roll-ups, for gateways. Every method blocks, and may raise ReadModelUnavailable."""

    def sales(self, period: Period, dimension: str) -> Sequence[Sales]:
        """The figures of each key of the dimension, in no particular order."""
        ...

    def sales_by_day(self, period: Period) -> Sequence[DaysSales]:
        """The figures of each day, in no particular order."""
        ...

    def waits(self, period: Period) -> Sequence[Waited]: ...

    def as_of(self) -> Millis:
        """Everything that had happened by then is counted; 0 before the first time."""
        ...
