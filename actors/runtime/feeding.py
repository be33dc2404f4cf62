"""The public feed's port: what the projector has written of every order's public events, for gateways and senders.

The feed is history. A row holds what one round of the projector added to one order; it is written once, in the
transaction that moves the projector on, never changed, and goes when it is older than what is kept
(`Limits.feed_kept_days`). Rows are numbered without gaps in the order in which they were committed, so a reader's place
is one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import orjson

from models.decision import Millis
from models.feed import OWNER, Seen, supplier_bit


class FeedForgotten(Exception):
    """What came after this place is not kept any more: the reader has missed something, and must begin anew."""


class Audience(NamedTuple):
    """Who reads: one retailer, or one supplier; both empty for ops."""

    retailer: str = ""
    supplier: str = ""


class FeedState(NamedTuple):
    """identity: of this feed; places in one are not places in another. position: of the newest row; floor: rows at or
    below it are gone."""

    identity: str
    position: int
    floor: int


class FeedRow(NamedTuple):
    """What one round added to one order.

    suppliers: of its consignments, in their order. numbers: how many events there had been before this row: for ops,
    for the retailer, for the supplier of each consignment. events: a JSON array of `[type, at, data, mask]`
    (`models.feed`). previous: the position of the order's row before; 0 for its first. at: when it was written.
    """

    position: int
    order: str
    retailer: str
    suppliers: tuple[str, ...]
    numbers: tuple[int, ...]
    events: bytes
    previous: int
    at: Millis


class FeedPage(NamedTuple):
    """Rows in order. reached: the position up to which the audience has them all; state: the feed when it was read."""

    rows: Sequence[FeedRow]
    reached: int
    state: FeedState


class FeedReader(Protocol):
    """The feed, for gateways. Every method blocks, and may raise ReadModelUnavailable."""

    def state(self) -> FeedState: ...

    def after(self, position: int, audience: Audience, limit: int) -> FeedPage:
        """At most `limit` rows after `position` of orders that the audience has a part in.

        One call looks at a bounded number of positions, so rows may be few or none although more follow: go on from
        `reached` until that is `state.position`. Raises FeedForgotten."""
        ...

    def of_order(self, order: str, position: int, limit: int) -> Sequence[FeedRow]:
        """The order's first `limit` rows after `position`, of those that are kept. A lookup for each of its rows."""
        ...


def seen(row: FeedRow, audience: Audience) -> list[Seen]:
    """What the audience sees of a row, in order; nothing if it has no part in the order."""
    entries = orjson.loads(row.events)
    first = row.numbers[0] + 1
    mask, sequence = _place(row, audience)
    found = []
    for number, (type_, at, data, visible) in enumerate(entries, first):
        if mask is None or visible & mask:
            sequence += 1
            found.append(Seen(number, sequence, type_, at, data))
    return found


def _place(row: FeedRow, audience: Audience) -> tuple[int | None, int]:
    """The audience's bit (None: it sees everything; 0: nothing), and how many events it has had before."""
    if audience.supplier:
        if audience.supplier not in row.suppliers:
            return 0, 0
        consignment = row.suppliers.index(audience.supplier) + 1
        return supplier_bit(consignment), row.numbers[1 + consignment]
    if audience.retailer:
        return (OWNER, row.numbers[1]) if audience.retailer == row.retailer else (0, 0)
    return None, row.numbers[0]
