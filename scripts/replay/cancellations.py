"""Which order a cancellation row takes back from: the customer's latest order that still has that line.

Pure, and in the file's order, so that a second run finds the same orders as the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from scripts.replay.rows import Row


@dataclass
class SoldLine:
    """A line of an order. left: units that have not been taken back yet."""

    id: str
    code: str
    unit_amount: int
    left: int


@dataclass
class SoldOrder:
    """An order that can be refunded. line: where its invoice begins in the file."""

    id: str
    invoice: str
    customer: str
    line: int
    lines: list[SoldLine] = field(default_factory=list)


class Taken(NamedTuple):
    """Units that a cancellation row takes back from one line of an order. line: the row's, in the file."""

    line: int
    cancellation: str
    order: SoldOrder
    line_id: str
    quantity: int
    unit_amount: int
    row_unit_amount: int

    @property
    def amount(self) -> int:
        """What is refunded: the price that was paid, not the price of the cancellation row."""
        return self.quantity * self.unit_amount


class Unmatched(NamedTuple):
    """Units of a cancellation row that no order can give back."""

    row: Row
    quantity: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.row.line}: {self.quantity} x {self.row.code} of {self.row.invoice}: {self.reason}"


class Matching(NamedTuple):
    """What cancellation rows take back, and what they cannot."""

    taken: list[Taken]
    unmatched: list[Unmatched]

    @property
    def not_refunded(self) -> int:
        """In pence, at the rows' own prices."""
        return sum(one.quantity * one.row.unit_amount for one in self.unmatched)

    @property
    def price_difference(self) -> int:
        """In pence: what the rows name beyond the prices that had been paid."""
        return sum(one.quantity * (one.row_unit_amount - one.unit_amount) for one in self.taken)


def match(orders: Iterable[SoldOrder], cancellations: Iterable[Row]) -> Matching:
    """Match rows in the file's order. `orders` are used up: their `left` says what remains.

    A row that takes back more than the latest order has left goes on with the customer's order before it. Within an
    order lines of the row's own price come first.
    """
    of_customer: dict[str, list[SoldOrder]] = defaultdict(list)
    for order in sorted(orders, key=lambda order: order.line):
        of_customer[order.customer].append(order)
    found = Matching([], [])
    for row in sorted(cancellations, key=lambda row: row.line):
        if not row.customer:
            found.unmatched.append(Unmatched(row, row.quantity, "it names no customer"))
            continue
        earlier = [order for order in of_customer[row.customer] if order.line < row.line]
        taken = _take(row, reversed(earlier))
        found.taken.extend(taken)
        missing = row.quantity - sum(one.quantity for one in taken)
        if missing:
            sold = any(line.code == row.code for order in earlier for line in order.lines)
            reason = "more than was ever sold to the customer" if sold else "the customer has no earlier order with it"
            found.unmatched.append(Unmatched(row, missing, reason))
    return found


def _take(row: Row, latest_first: Iterable[SoldOrder]) -> list[Taken]:
    taken: list[Taken] = []
    wanted = row.quantity
    for order in latest_first:
        lines = [line for line in order.lines if line.code == row.code and line.left]
        for line in sorted(lines, key=lambda line: line.unit_amount != row.unit_amount):
            quantity = min(wanted, line.left)
            if quantity:
                line.left -= quantity
                wanted -= quantity
                taken.append(Taken(row.line, row.invoice, order, line.id, quantity, line.unit_amount, row.unit_amount))
        if not wanted:
            break
    return taken


class RefundRequest(NamedTuple):
    """What one cancellation invoice takes back from one order: lines with their quantities."""

    cancellation: str
    order: SoldOrder
    lines: tuple[tuple[str, int], ...]
    amount: int


def refund_requests(taken: Iterable[Taken]) -> list[RefundRequest]:
    """One request for each pair of cancellation invoice and order. Lines that cost nothing have nothing to refund."""
    gathered: dict[tuple[str, str], list[Taken]] = defaultdict(list)
    for one in taken:
        if one.unit_amount:
            gathered[one.cancellation, one.order.id].append(one)
    requests = []
    for (cancellation, _), parts in gathered.items():
        quantities: dict[str, int] = {}
        for part in parts:
            quantities[part.line_id] = quantities.get(part.line_id, 0) + part.quantity
        amount = sum(part.amount for part in parts)
        requests.append(RefundRequest(cancellation, parts[0].order, tuple(quantities.items()), amount))
    return requests
