"""What a round of the projector writes, as rows of values: pure, and without SQLAlchemy, so that it can be compiled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from actors.runtime.analytics import Counted
from actors.runtime.reading import Batch, OrderChange, Telling
from models.analytics import Tally
from models.decision import Millis

Values = tuple[Any, ...]


class Told(NamedTuple):
    """One row that the feed gets."""

    position: int
    change: OrderChange
    telling: Telling


def joined(parts: Iterable[object]) -> str:
    return " ".join([str(part) for part in parts])


def told_of(batches: Sequence[Batch], last: int) -> list[Told]:
    """Everything that the feed gets, numbered from `last` on."""
    told: list[Told] = []
    for batch in batches:
        for change in batch.orders:
            if change.telling is not None:
                last += 1
                told.append(Told(last, change, change.telling))
    return told


def feed_rows(told: Sequence[Told], at: Millis) -> list[Values]:
    """position, order_id, retailer, suppliers, numbers, at, events"""
    return [
        (
            position,
            change.row.id,
            change.row.retailer,
            joined(telling.suppliers),
            joined(telling.before),
            at,
            telling.events,
        )
        for position, change, telling in told
    ]


class OrderRows(NamedTuple):
    """changed, replaced: of `orders`. tasks: order_id, consignment, supplier, status, created_at. terms: term,
    created_at, order_id."""

    changed: list[Values]
    replaced: list[Values]
    tasks: list[Values]
    terms: list[Values]


def order_rows(batches: Sequence[Batch], position: int, number: int) -> OrderRows:
    """position: of the feed's last row before these; they are numbered as `told_of` numbers them. number: of this
    write."""
    rows = OrderRows([], [], [], [])
    for shard, _, after, changes, _ in batches:
        for change in changes:
            fed, fed_at = "", 0
            if change.telling is not None:
                position += 1
                fed, fed_at = joined(change.telling.after), position
            id_, created_at = change.row.id, change.row.created_at
            state = (change.version, change.data_key, change.snapshot)
            values = (*change.row, shard, after.generation, *state, number, fed, fed_at)
            (rows.replaced if change.whole else rows.changed).append(values)
            for task in change.tasks:
                rows.tasks.append((id_, task.consignment, task.supplier, task.status, created_at))
            for term in change.terms:
                rows.terms.append((term, created_at, id_))
    return rows


class Counts(NamedTuple):
    """What orders count for from now on. begun: which are counted for the first time; went_on: which were counted
    before, and are to be taken out as what they were counted as."""

    tally: Tally
    begun: list[Counted]
    went_on: list[Counted]


def counts_of(batches: Iterable[Batch]) -> Counts:
    """Of all orders of these batches, each of which counts."""
    counts = Counts(Tally(), [], [])
    for batch in batches:
        if batch.tally is not None:
            counts.tally.merge(batch.tally)
        for change in batch.orders:
            row = Counted(batch.shard, change.row.id, change.version, change.counts or b"")
            (counts.begun if change.begins else counts.went_on).append(row)
    return counts
