"""Does what was read equal what was posted, captured and refunded, to the penny and the last unit?"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from scripts.books import Books, disagreements, imbalances, read_sandbox, read_simulated, unsettled
from scripts.client import Client
from scripts.replay.crew import Crew
from scripts.replay.orders import Placed, Till
from scripts.replay.progress import Progress
from scripts.replay.shop import product_of
from scripts.run_state import RunState

Json = dict[str, Any]

SETTLE_TIMEOUT_S = 120.0
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 2.0
REASONS = frozenset({
    "payment_declined", "payment_authentication_required", "payment_failed", "out_of_stock", "supplier_rejected",
    "supplier_timeout", "capture_failed", "customer_request", "operator_request",
})  # fmt: skip


@dataclass
class Findings:
    """What the orders add up to, in pence, and all that is wrong.

    uncaptured: of orders that were cancelled before their money was taken.
    undone:     what cancelled orders gave back; `refunded` is what other orders did.
    """

    orders: int = 0
    amount: int = 0
    captured: int = 0
    uncaptured: int = 0
    refunded: int = 0
    undone: int = 0
    refunds: int = 0
    paid_out: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seen: dict[str, Json] = field(default_factory=dict)
    """By order, what its vendor's books must agree with."""


async def ended(till: Till, crew: Crew, placed: list[Placed]) -> None:
    """Wait until the first part of every order is over. Raises Stopped."""
    waiting = [one for one in placed if not one.has_ended]
    if not waiting:
        return

    async def wait(one: Placed) -> None:
        pauses = _pauses()
        while not one.has_ended and await anext(pauses, False):
            one.see(await till.read(one.id))

    await crew.each("waiting for orders to end", waiting, wait, total=len(waiting))


async def add_up(till: Till, crew: Crew, placed: list[Placed], refunds: Mapping[str, int]) -> Findings:
    """Read every order until it is at rest, and hold it against its invoice and its refunds (pence by order)."""
    found = Findings()

    async def read(one: Placed) -> None:
        order = await till.read(one.id)
        pauses = _pauses()
        while (unsettled(order) or not _refunded(order, refunds)) and await anext(pauses, False):
            order = await till.read(one.id)
        one.see(order)
        _add(found, one, order, refunds.get(one.id, 0))

    await crew.each("reading orders", placed, read, total=len(placed))
    return found


def _refunded(order: Json, refunds: Mapping[str, int]) -> bool:
    return bool(order["status"] == "cancelled" or order["refunded_amount"] >= refunds.get(order["id"], 0))


async def _pauses() -> Any:
    """True after each pause, which grow, until it has been enough."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    pause_s = PAUSE_FIRST_S
    while time.monotonic() < deadline:
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, PAUSE_MAX_S)
        yield True


def _add(found: Findings, one: Placed, order: Json, refund: int) -> None:
    found.orders += 1
    found.amount += order["amount"]
    found.captured += order["captured_amount"]
    if order["status"] == "cancelled":
        found.undone += order["refunded_amount"]
        found.uncaptured += 0 if order["captured_amount"] else order["amount"]
    else:
        found.refunded += order["refunded_amount"]
    found.refunds += sum(refund["status"] == "succeeded" for refund in order["refunds"])
    found.statuses[order["status"]] += 1
    splits = [split for consignment in order["consignments"] for split in consignment["splits"]]
    for split in splits:
        found.paid_out[split["party"]] += split["amount"] - split["returned"]
    wrong = unsettled(order) + imbalances(order)
    if order["amount"] != one.amount:
        wrong.append(f"amounts to {order['amount']}, the invoice to {one.amount}")
    if order["status"] == "cancelled":
        found.cancelled[order["cancel_reason"] or "without a reason"] += 1
        if order["captured_amount"] != order["refunded_amount"]:
            wrong.append(f"cancelled, with {order['captured_amount'] - order['refunded_amount']} kept")
        if order["cancel_reason"] not in REASONS:
            wrong.append(f"cancelled, cancel_reason {order['cancel_reason']}")
    else:
        if order["captured_amount"] != one.amount:
            wrong.append(f"captured {order['captured_amount']} of {one.amount}")
        if order["refunded_amount"] != refund:
            wrong.append(f"refunded {order['refunded_amount']}, cancelled {refund}")
    if order["attention"]:
        wrong.append(f"asks for attention: {order['attention']['reason']} {order['attention']['detail']}")
    found.wrong += [f"invoice {one.invoice}, {one.id}: {what}" for what in wrong]
    kept = ("account", "transferred", "reversed")
    found.seen[one.id] = {
        "captured_amount": order["captured_amount"],
        "refunded_amount": order["refunded_amount"],
        "consignments": [{"splits": [{name: split[name] for name in kept} for split in splits]}],
    }


def unequal(
    totals: Findings, *, read: int, refused: int, cancelled: int, not_refunded: int, price_difference: int
) -> list[str]:
    """The sums that must be equal and are not, in pence. read: of the order lines; refused: of the invoices that were;
    cancelled: of the cancellation rows, of which `not_refunded` found no order and `price_difference` is more than had
    been paid."""
    sides = [
        ("read", read, "posted and refused", totals.amount + refused),
        ("posted", totals.amount, "captured, and cancelled before", totals.captured + totals.uncaptured),
        (
            "cancelled", cancelled,
            "refunded, without an order, and price differences", totals.refunded + not_refunded + price_difference,
        ),
        (
            "captured less refunded", totals.captured - totals.refunded - totals.undone,
            "all parties' shares", sum(totals.paid_out.values()),
        ),
    ]  # fmt: skip
    return [f"{one} {left}, but {other} {right}" for one, left, other, right in sides if left != right]


async def compare_books(state: RunState, session: aiohttp.ClientSession, found: Findings) -> Books | None:
    """Hold the vendor's books against the orders. None where the vendor's books are elsewhere (Stripe's own)."""
    if state.payments == "sandbox":
        books = await read_sandbox(state.stripe_url, session)
    elif state.payments == "simulated" and state.ledger:
        books = read_simulated(Path(state.ledger))
    else:
        return None
    if books.balanced is False:
        found.wrong.append("the vendor's ledger does not balance")
    for order, ours in found.seen.items():
        found.wrong += [f"{order}: {what}" for what in disagreements(ours, books.of(order))]
    return books


def units_sold(placed: list[Placed], progress: Progress) -> Counter[str]:
    """Units that stay sold, by stock code, on top of those that had been sold before this replay. An order that is
    older than the count of those is in that count already."""
    sold: Counter[str] = Counter()
    for one in placed:
        if one.is_sold:
            for goods in one.goods:
                if one.created_at >= progress.stocked[goods.code].at:
                    sold[goods.code] += goods.quantity
    return sold


async def compare_stock(
    client: Client, crew: Crew, ops: str, placed: list[Placed], progress: Progress
) -> tuple[Counter[str], list[str]]:
    """Hold each SKU's stock against what was received and sold; returns the levels' sums and what is wrong."""
    sold = units_sold(placed, progress)
    codes = sorted({goods.code for one in placed for goods in one.goods})
    sums: Counter[str] = Counter()
    wrong: list[str] = []

    async def compare(code: str) -> None:
        level = await client.get(ops, f"/v1/inventory/{product_of(code)}")
        parts = {name: level[name] for name in ("received", "available", "reserved", "sold")}
        sums.update(parts)
        if parts["received"] != parts["available"] + parts["reserved"] + parts["sold"] or min(parts.values()) < 0:
            wrong.append(f"stock of {code} does not add up: {parts}")
        expected = progress.stocked[code].sold + sold[code]
        if parts["sold"] != expected or parts["reserved"]:
            wrong.append(f"stock of {code}: {expected} sold by these orders and before, but it says {parts}")

    await crew.each("reading stock", codes, compare, total=len(codes))
    return sums, wrong
