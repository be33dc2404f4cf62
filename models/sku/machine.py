"""The machine of one SKU: `received = available + reserved + sold` at every instant (invariant A3).

A row per order is its own record of what was answered: a repeat finds the row and gets the same answer, and a release
that overtakes its reservation leaves the row that refuses it. Reserved rows stay until they are settled. Settled rows
are forgotten after ten to fifteen minutes, the restocks of an order after a month or more (`models.rows.Recent`): by
then no message about them is on its way, and the deciders below give a repeat that nevertheless comes (an orchestrator
that was out for longer) an answer that is still true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from models.decision import NOTHING, Accepted, Command, Decision, Event, Rejected, Send
from models.orchestrator.messages import StockAnswered
from models.record import changed, dataclass
from models.rows import Recent, Rows, tail_worth
from models.sku.messages import (
    ClaimSku,
    ConfirmReservation,
    OrderCommand,
    ReceiveStock,
    ReleaseReservation,
    ReservationReleased,
    Reserve,
    Restock,
    SkuClaimed,
    StockReceived,
    StockRefused,
    StockReserved,
    StockRestocked,
    StockSold,
)

QUANTITY_MAX = 1_000_000_000
SETTLED_SPAN_MS = 5 * 60_000
RESTOCKS_SPAN_MS = 15 * 86_400_000

# --- state -----------------------------------------------------------------------------------------------------------


class RowStatus(StrEnum):
    ABSENT = "absent"
    RESERVED = "reserved"
    REFUSED = "refused"
    RELEASED = "released"
    SOLD = "sold"


@dataclass(frozen=True)
class Row:
    """What a SKU knows of one order. `quantity` is 0 where it does not matter, or is no longer known; `restocks` says
    what came back of the sold units, by occasion."""

    status: RowStatus
    quantity: int = 0
    restocks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Returned:
    """What is kept of a row once units of it came back."""

    sold: int  # 0: the sale itself was forgotten
    restocks: dict[str, int]


RELEASED_MARK = 0
REFUSED_MARK = -1


@dataclass(frozen=True)
class Sku:
    """live: units by order, reserved. settled: units by order, sold, or one of the marks above; bare integers, because
    there may be a million of them. returned: orders of which units came back."""

    sku: str = ""
    supplier: str = ""
    received: int = 0
    available: int = 0
    reserved: int = 0
    sold: int = 0
    live: Rows[int] = field(default_factory=Rows)
    settled: Recent[int] = field(default_factory=lambda: Recent(SETTLED_SPAN_MS))
    returned: Recent[Returned] = field(default_factory=lambda: Recent(RESTOCKS_SPAN_MS))


INITIAL = Sku()
NO_ROW = Row(RowStatus.ABSENT)


@lru_cache(maxsize=1024)
def _plain_row(status: RowStatus, quantity: int) -> Row:
    return Row(status, quantity)


def row_of(state: Sku, order: str) -> Row:
    """The row of one order; `absent` when there was none, or when it is forgotten."""
    reserved = state.live.get(order)
    if reserved is not None:
        return _plain_row(RowStatus.RESERVED, reserved)
    returned = state.returned.get(order)
    if returned is not None:
        return Row(RowStatus.SOLD, returned.sold, returned.restocks)
    settled = state.settled.get(order)
    if settled is None:
        return NO_ROW
    if settled == RELEASED_MARK:
        return _plain_row(RowStatus.RELEASED, 0)
    if settled == REFUSED_MARK:
        return _plain_row(RowStatus.REFUSED, 0)
    return _plain_row(RowStatus.SOLD, settled)


# --- transitions -----------------------------------------------------------------------------------------------------

TRANSITIONS: Mapping[tuple[RowStatus, type[Event]], RowStatus] = {
    (RowStatus.ABSENT, StockReserved): RowStatus.RESERVED,
    (RowStatus.ABSENT, StockRefused): RowStatus.REFUSED,
    (RowStatus.ABSENT, ReservationReleased): RowStatus.RELEASED,
    (RowStatus.ABSENT, StockRestocked): RowStatus.SOLD,  # the sale is forgotten, the units come back all the same
    (RowStatus.RESERVED, ReservationReleased): RowStatus.RELEASED,
    (RowStatus.RESERVED, StockSold): RowStatus.SOLD,
    (RowStatus.SOLD, StockRestocked): RowStatus.SOLD,
}
"""Every step that a row can take. Whatever is not here is refused by the decider, and a bug in a stored record."""

ROW_EVENTS = frozenset(event_type for _, event_type in TRANSITIONS)


# --- decide ----------------------------------------------------------------------------------------------------------


def decide(state: Sku, command: Command) -> Decision:
    """What the SKU says to a command. Rejects with `sku_taken`, `not_found`, `invalid_quantity` or
    `restock_exceeds_sold`."""
    decider = _DECIDERS.get(type(command))
    if decider is None:
        return Rejected("unknown_command", f"a SKU does not know {type(command).__name__}")
    return decider(state, command)


def _claim(state: Sku, command: ClaimSku) -> Decision:
    if not state.supplier:
        return Accepted(events=(SkuClaimed(command.at, command.sku, command.supplier),))
    if state.supplier != command.supplier:
        return Rejected("sku_taken", f"SKU {command.sku} belongs to another supplier")
    return NOTHING


def _receive(state: Sku, command: ReceiveStock) -> Decision:
    if not state.supplier or command.supplier not in ("", state.supplier):
        return Rejected("not_found", f"no SKU {command.sku}")
    if not 1 <= command.quantity <= QUANTITY_MAX:
        return Rejected("invalid_quantity", f"quantity must be from 1 to {QUANTITY_MAX}")
    return Accepted(events=(StockReceived(command.at, command.quantity),))


def _reserve(state: Sku, command: Reserve) -> Decision:
    row = row_of(state, command.order)
    if row.status is not RowStatus.ABSENT:
        return _answer(command, row)
    if command.quantity < 1:
        return Rejected("invalid_quantity", "quantity must be 1 or more")
    if command.quantity > state.available:
        refused = StockRefused(command.at, command.order, command.quantity)
        return _answer(command, _plain_row(RowStatus.REFUSED, 0), refused)
    reserved = StockReserved(command.at, command.order, command.quantity)
    return _answer(command, _plain_row(RowStatus.RESERVED, command.quantity), reserved)


def _confirm(state: Sku, command: ConfirmReservation) -> Decision:
    row = row_of(state, command.order)
    if row.status is RowStatus.RESERVED:
        return _answer(command, _plain_row(RowStatus.SOLD, row.quantity), StockSold(command.at, command.order))
    if row.status is RowStatus.ABSENT:
        # A reserved row is never forgotten: whoever confirms and has no row has confirmed before.
        return _answer(command, _plain_row(RowStatus.SOLD, 0))
    return _answer(command, row)


def _release(state: Sku, command: ReleaseReservation) -> Decision:
    row = row_of(state, command.order)
    if (row.status, ReservationReleased) in TRANSITIONS:
        released = ReservationReleased(command.at, command.order)
        return _answer(command, _plain_row(RowStatus.RELEASED, 0), released)
    return _answer(command, row)


def _restock(state: Sku, command: Restock) -> Decision:
    row = row_of(state, command.order)
    if command.key in row.restocks:
        return _answer(command, row, key=command.key)
    if (row.status, StockRestocked) not in TRANSITIONS:
        return _answer(command, row)
    if command.quantity < 1:
        return Rejected("invalid_quantity", "quantity must be 1 or more")
    back = sum(row.restocks.values()) + command.quantity
    if (row.quantity and back > row.quantity) or command.quantity > state.sold:
        return Rejected("restock_exceeds_sold", f"order {command.order} was not sold {back} units")
    restocked = StockRestocked(command.at, command.order, command.quantity, command.key)
    after = Row(RowStatus.SOLD, row.quantity, {**row.restocks, command.key: command.quantity})
    return _answer(command, after, restocked, key=command.key)


def _answer(command: OrderCommand, row: Row, *events: Event, key: str = "") -> Decision:
    """Tell the orchestrator what the order's row says now, whatever it asked."""
    answer = StockAnswered(
        sku=command.sku, status=str(row.status), restocked=sum(row.restocks.values()) if row.restocks else 0, key=key
    )
    return Accepted(events=events, sends=(Send(command.reply_to, answer),))


_DECIDERS: Mapping[type[Command], Callable[[Sku, Any], Decision]] = {
    ClaimSku: _claim,
    ReceiveStock: _receive,
    Reserve: _reserve,
    ConfirmReservation: _confirm,
    ReleaseReservation: _release,
    Restock: _restock,
}
COMMANDS = frozenset(_DECIDERS)


# --- evolve ----------------------------------------------------------------------------------------------------------


def evolve(state: Sku, event: Event) -> Sku:
    """Fold one event. Raises KeyError on an event that this machine does not have, and AssertionError on a step that
    the table does not have: either is a broken record."""
    return _EVOLVERS[type(event)](state, event)


def _claimed(state: Sku, event: SkuClaimed) -> Sku:
    return changed(state, sku=event.sku, supplier=event.supplier)


def _received(state: Sku, event: StockReceived) -> Sku:
    return changed(state, received=state.received + event.quantity, available=state.available + event.quantity)


def _reserved(state: Sku, event: StockReserved) -> Sku:
    _step(state, event)
    return changed(
        state,
        available=state.available - event.quantity,
        reserved=state.reserved + event.quantity,
        live=state.live.put(event.order, event.quantity),
    )


def _refused(state: Sku, event: StockRefused) -> Sku:
    _step(state, event)
    return changed(state, settled=state.settled.put(event.order, REFUSED_MARK, event.at))


def _released(state: Sku, event: ReservationReleased) -> Sku:
    row = _step(state, event)
    settled = state.settled.put(event.order, RELEASED_MARK, event.at)
    if row.status is RowStatus.ABSENT:
        return changed(state, settled=settled)
    return changed(
        state,
        available=state.available + row.quantity,
        reserved=state.reserved - row.quantity,
        live=state.live.drop(event.order),
        settled=settled,
    )


def _sold(state: Sku, event: StockSold) -> Sku:
    row = _step(state, event)
    return changed(
        state,
        reserved=state.reserved - row.quantity,
        sold=state.sold + row.quantity,
        live=state.live.drop(event.order),
        settled=state.settled.put(event.order, row.quantity, event.at),
    )


def _restocked(state: Sku, event: StockRestocked) -> Sku:
    row = _step(state, event)
    returned = Returned(row.quantity, {**row.restocks, event.key: event.quantity})
    return changed(
        state,
        available=state.available + event.quantity,
        sold=state.sold - event.quantity,
        returned=state.returned.put(event.order, returned, event.at),
    )


def _step(state: Sku, event: StockReserved | StockRefused | ReservationReleased | StockSold | StockRestocked) -> Row:
    """The row that the event is about, which the table must allow to take the step."""
    row = row_of(state, event.order)
    assert (row.status, type(event)) in TRANSITIONS, f"{event} on a row that is {row.status}"
    return row


_EVOLVERS: Mapping[type[Event], Callable[[Sku, Any], Sku]] = {
    SkuClaimed: _claimed,
    StockReceived: _received,
    StockReserved: _reserved,
    StockRefused: _refused,
    ReservationReleased: _released,
    StockSold: _sold,
    StockRestocked: _restocked,
}


# --- view ------------------------------------------------------------------------------------------------------------


def view(state: Sku) -> dict[str, Any] | None:
    """The SKU as the API shows it; None until a supplier has claimed it."""
    if not state.supplier:
        return None
    return {
        "sku": state.sku,
        "supplier": state.supplier,
        "received": state.received,
        "available": state.available,
        "reserved": state.reserved,
        "sold": state.sold,
    }


def weight(state: Sku) -> int:
    """The tail after which a snapshot pays."""
    return tail_worth(state.live.size + state.settled.size + state.returned.size)
