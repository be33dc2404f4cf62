"""Reports by a plain look at all orders, which shares no code with the roll-ups."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from actors.runtime.analytics import Period
from models.analytics import DAY_MS, WAIT_BITS, Figures
from models.buckets import bucket_of
from models.order.state import Order
from models.order.view import view


def shares(amount: int, weights: Sequence[int]) -> list[int]:
    """In proportion, by the largest remainder, the first on ties."""
    exact = [Fraction(amount * weight, sum(weights)) if amount else Fraction(0) for weight in weights]
    parts = [math.floor(share) for share in exact]
    order = sorted(range(len(weights)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def lines_of(order: Order) -> Iterator[tuple[dict[str, Any], str, str, int, int]]:
    """Each line of the view with its supplier, brand, what it brought in and what went back."""
    shown = view(order)
    assert shown is not None
    for part in shown["consignments"]:
        lines = [line for line in shown["lines"] if line["consignment"] == part["id"]]
        taken = [line for line in lines if line["id"] not in part["dropped_lines"]]
        brought = {line["id"]: line["amount"] for line in taken} if part["captured_amount"] else {}
        assert sum(brought.values()) == part["captured_amount"]
        back = {line["id"]: 0 for line in taken}
        for refund in shown["refunds"]:
            for named in refund["lines"] if refund["status"] == "succeeded" else ():
                line = next(line for line in shown["lines"] if line["id"] == named["id"])
                if line["id"] in back:
                    back[line["id"]] += line["unit_amount"] * named["quantity"]
        left = [brought.get(id_, 0) - amount for id_, amount in back.items()]
        assert all(amount >= 0 for amount in left)
        rest = shares(part["refunded_amount"] - sum(back.values()), left)
        for (id_, amount), more in zip(back.items(), rest, strict=True):
            back[id_] = amount + more
        for line in lines:
            brand = order.lines[int(line["id"]) - 1].brand
            yield line, part["supplier"], brand, brought.get(line["id"], 0), back.get(line["id"], 0)


def keys_of(order: Order, dimension: str) -> dict[str, tuple[int, int, int]]:
    """What the order counts for in one dimension: key -> units, revenue, refunds."""
    shown = view(order)
    assert shown is not None
    whole = (sum(line["quantity"] for line in shown["lines"]), shown["captured_amount"], shown["refunded_amount"])
    if dimension == "total":
        return {"": whole}
    if dimension == "status":
        return {shown["status"]: whole}
    if dimension == "cancellation":
        return {shown["cancel_reason"]: whole} if shown["cancel_reason"] else {}
    found: dict[str, tuple[int, int, int]] = {}
    for line, supplier, brand, brought, back in lines_of(order):
        key = {"supplier": supplier, "brand": brand, "product": line["product"]}[dimension]
        units, revenue, refunds = found.get(key, (0, 0, 0))
        found[key] = (units + line["quantity"], revenue + brought, refunds + back)
    return found


def expected(orders: Sequence[Order], period: Period, dimension: str, *, by_day: bool = False) -> set[tuple[Any, ...]]:
    sums: dict[tuple[Any, str], Figures] = defaultdict(Figures)
    for order in orders:
        day = order.created_at // DAY_MS
        if period.since <= day < period.until and period.retailer in ("", order.retailer):
            for key, more in keys_of(order, dimension).items():
                place = (day if by_day else key, order.currency)
                sums[place] = Figures(*[a + b for a, b in zip(sums[place], (1, *more), strict=True)])
    return {(*place, figures) for place, figures in sums.items()}


def expected_waits(orders: Sequence[Order], period: Period) -> dict[tuple[str, str, int], tuple[int, int]]:
    sums: dict[tuple[str, str, int], tuple[int, int]] = {}
    for order in orders:
        if not period.since <= order.created_at // DAY_MS < period.until or period.retailer not in ("", order.retailer):
            continue
        accepted: dict[str, int] = {}
        offered = next((at for at, event, *_ in order.timeline if event == "stock_reserved"), 0)
        for at, event, _, detail in order.timeline:
            if event not in ("accepted", "dispatched"):
                continue
            waited = at - (offered if event == "accepted" else accepted[detail])
            if event == "accepted":
                accepted[detail] = at
            measure = {"accepted": "acceptance", "dispatched": "dispatch"}[event]
            supplier = order.consignments[int(detail.split()[1]) - 1].supplier
            place = (measure, supplier, bucket_of(waited, WAIT_BITS))
            count, total = sums.get(place, (0, 0))
            sums[place] = (count + 1, total + waited)
    return sums
