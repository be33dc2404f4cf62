"""From stored events to what the read side writes of an order: pure, and most of what an order costs the projector."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from actors.runtime.codec import Answered, encode_snapshot
from actors.runtime.kind import ActorKind
from actors.runtime.reading import Numbers, OrderChange, Telling
from models.analytics import Tally, contribution
from models.catalogue import decode_event
from models.feed import Entry, published
from models.order.state import Order
from models.projection import new_terms, order_row, task_rows

log = logging.getLogger("dray.projector")

Run = tuple[int, Sequence[bytes]]
"""The version before, and the events."""


class Known(NamedTuple):
    """An order as its rows and the feed have it. `numbers`: of its public events; none before it has had any."""

    order: Order
    version: int
    numbers: Numbers = ()


class Step(NamedTuple):
    """What some events have made of an order: what it is now, and what is to be written."""

    known: Known
    change: OrderChange


def continued(kind: ActorKind, known: Known, runs: Iterable[Run], tally: Tally, data_key: str = "") -> Step | None:
    """The order with all that the runs add to it; None if that is nothing, or if some events before them are missing.
    tally: to which is added what the order counts for. data_key: of an order that begins.

    Raises KeyError and ValidationError for events that this version cannot read."""
    order, version = known.order, known.version
    entries: list[Entry] = []
    for before, events in runs:
        if before > version:
            return None
        if before < version:
            events = events[version - before :]
        order = folded(kind, order, events, entries)
        version += len(events)
    if version == known.version:
        return None
    return step(known, order, version, entries, tally, data_key=data_key)


def folded(kind: ActorKind, order: Order, events: Iterable[bytes], entries: list[Entry] | None) -> Order:
    """The order after these events; their public events are added to `entries`. Raises as `continued` does."""
    evolve = kind.evolve
    for stored in events:
        happened = decode_event(stored)
        if type(happened) is Answered:
            continue
        after = evolve(order, happened)
        if entries is not None:
            entries += published(order, happened, after)
        order = after
    return order


def step(
    known: Known, order: Order, version: int, entries: Sequence[Entry], tally: Tally | None, *, data_key: str = ""
) -> Step:
    """What has to be written for an order that was as `known` says and is like this now. No tally: its rows have been
    read whole, and counting it is left to the counter."""
    whole = tally is None
    told = telling(order, known.numbers, entries) if entries else None
    change = OrderChange(
        row=order_row(order),
        version=version,
        snapshot=encode_snapshot(order, {}),
        data_key=data_key,
        tasks=task_rows(known.order, order),
        terms=new_terms(known.order, order),
        telling=told,
        whole=whole,
        begins=not whole and known.version == 0,
        counts=None if tally is None else counted(order, tally),
    )
    return Step(Known(order, version, told.after if told else known.numbers), change)


def counted(order: Order, tally: Tally) -> bytes | None:
    """Adds what the order counts for in the roll-ups to the tally, and gives it as it is stored; None if it cannot be
    told, which must not keep the order out of lists.

    Done here, and not when it is written: by then what it is made of has left the processor's caches.
    """
    try:
        counts = contribution(order)
        stored = orjson.dumps(counts.plain())
    except Exception:
        log.exception("%s cannot be counted", order.id)
        return None
    tally.add(counts)
    return stored


def telling(order: Order, before: Numbers, entries: Sequence[Entry]) -> Telling:
    """What the feed gets of these entries: everybody's events counted on (see `reading.Numbers`)."""
    suppliers = [consignment.supplier for consignment in order.consignments]
    before = before or (0,) * (2 + len(suppliers))
    masks = [mask for _, _, _, mask in entries]
    after = [before[0] + len(masks)]
    for place, count in enumerate(before[1:]):  # whose bit is 1 << place: the retailer's, then the suppliers'
        after.append(count + (sum(map((1 << place).__and__, masks)) >> place))
    return Telling(orjson.dumps(entries), before, tuple(after), suppliers)
