"""One order as its stored record tells it, read independently of the order's own machine: legal steps (A2), money and
stock. Knows events by their stored names and fields alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from models.decision import Millis
from scripts.simulation.history import Happened

LIVE = frozenset({"pending", "offered", "accepted", "confirmed", "in_production", "asked", "dispatched", "delivered"})
SOLD = frozenset({"confirmed", "in_production", "asked", "dispatched", "delivered"})


@dataclass
class Parcel:
    """A consignment. `parties` are (role, name, account); `shares` what each got of what was captured."""

    number: int
    supplier: str
    lines: list[int]
    parties: list[tuple[str, str, str]]
    status: str = "pending"
    dropped: list[int] = field(default_factory=list)
    shares: list[int] = field(default_factory=list)
    refunded: int = 0
    fee: int = 0
    paid: dict[str, tuple[int, int]] = field(default_factory=dict)  # transfer -> (party, amount)
    reversed: dict[str, int] = field(default_factory=dict)
    debts: dict[int, int] = field(default_factory=dict)

    @property
    def captured(self) -> int:
        return sum(self.shares)

    def net_paid(self, party: int) -> int:
        out = sum(amount for index, amount in self.paid.values() if index == party)
        back = sum(self.reversed.get(transfer, 0) for transfer, (index, _) in self.paid.items() if index == party)
        return out - back

    def due(self, party: int) -> int:
        return self.shares[party] - given_back(self.shares, self.refunded)[party] if self.shares else 0


def given_back(shares: Sequence[int], refunded: int) -> list[int]:
    """t_i(R) of design section 1, spelt out by hand: what each party has given back once `refunded` has been."""
    captured = sum(shares)
    if not captured:
        return [0] * len(shares)
    t = [max(0, -((captured - 2 * s * refunded) // (2 * captured))) for s in shares]
    while sum(t) < refunded:
        best = max(Fraction(s, 2 * g + 1) for s, g in zip(shares, t, strict=True))
        t[next(i for i, s in enumerate(shares) if Fraction(s, 2 * t[i] + 1) == best)] += 1
    while sum(t) > refunded:
        worst = min(Fraction(s, 2 * g - 1) for s, g in zip(shares, t, strict=True) if g)
        t[max(i for i, s in enumerate(shares) if t[i] and Fraction(s, 2 * t[i] - 1) == worst)] -= 1
    return t


class OrderBook:
    """`wrong` collects what no order may do."""

    def __init__(self, id_: str, events: Iterable[Happened]) -> None:
        self.id = id_
        self.wrong: list[str] = []
        self.lines: list[dict[str, Any]] = []
        self.parcels: list[Parcel] = []
        self.payment = ""
        self.payment_intent = ""
        self.charge = ""
        self.taking: list[int] = []
        self.cancel_reason = ""
        self.refunds: dict[str, dict[str, Any]] = {}  # as requested, with `status`
        self.requests: list[str] = []  # the `reason` of every refund that was requested from outside
        self.returns: dict[str, dict[str, Any]] = {}
        self.attention: list[str] = []
        self.last_at: Millis = 0
        for happened in events:
            step = _STEPS.get(happened.name)
            if step is None:
                if happened.name != "actor.answered/1":
                    self.wrong.append(f"{happened.name} is not known")
            elif self.lines or happened.name == "order.placed/1":
                try:
                    step(self, happened.fields)
                except (LookupError, ValueError) as error:
                    self.wrong.append(f"{happened.name} makes no sense: {error!r}")
            else:
                self.wrong.append(f"{happened.name} before it was placed")

    # --- what follows -------------------------------------------------------------------------------------------------

    @property
    def live(self) -> list[Parcel]:
        return [parcel for parcel in self.parcels if parcel.status in LIVE]

    @property
    def captured(self) -> int:
        return sum(parcel.captured for parcel in self.parcels)

    @property
    def refunded(self) -> int:
        return sum(parcel.refunded for parcel in self.parcels)

    @property
    def fees(self) -> int:
        return sum(parcel.fee for parcel in self.parcels)

    def sold_units(self) -> dict[str, int]:
        """Units by SKU that the order keeps: sold, and not put back."""
        units: dict[str, int] = {}
        for parcel in self.parcels:
            if parcel.status in SOLD:
                for number in parcel.lines:
                    if number not in parcel.dropped:
                        line = self.lines[number - 1]
                        units[line["sku"]] = units.get(line["sku"], 0) + line["quantity"]
        for sent in self.returns.values():
            if sent.get("restock"):
                for line_id, quantity in sent["lines"]:
                    units[self.lines[int(line_id) - 1]["sku"]] -= quantity
        return {sku: quantity for sku, quantity in units.items() if quantity}

    # --- steps --------------------------------------------------------------------------------------------------------

    def _pay(self, event: str, allowed: tuple[str, ...], after: str) -> None:
        if self.payment not in allowed:
            self.wrong.append(f"{event} while the payment is {self.payment}")
        self.payment = after
        self._release_if_ended()

    def _release_if_ended(self) -> None:
        """Without a live consignment a hold is to be voided."""
        if self.payment == "authorised" and not self.live:
            self.payment = "voiding"

    def _move(self, number: int, event: str, allowed: tuple[str, ...], after: str) -> Parcel:
        parcel = self.parcels[number - 1]
        if parcel.status not in allowed:
            self.wrong.append(f"{event} of consignment {number} while it is {parcel.status}")
        parcel.status = after
        self._release_if_ended()
        return parcel

    def placed(self, f: dict[str, Any]) -> None:
        if self.lines:
            self.wrong.append("placed twice")
            return
        self.lines = f["lines"]
        for number, line in enumerate(self.lines, 1):
            parcel = next((p for p in self.parcels if p.supplier == line["supplier"]), None)
            if parcel is None:
                parcel = Parcel(len(self.parcels) + 1, line["supplier"], [], [])
                self.parcels.append(parcel)
            parcel.lines.append(number)
        for parcel in self.parcels:
            brands = dict.fromkeys(self.lines[n - 1]["brand"] for n in parcel.lines)
            names = [*(("brand", b) for b in brands), ("supplier", parcel.supplier), ("retailer", f["retailer"])]
            parcel.parties = [(role, name, f["accounts"].get(f"{role}:{name}", "")) for role, name in names]
            parcel.parties.append(("platform", "platform", ""))
        free = sum(line["quantity"] * line["unit_amount"] for line in self.lines) == 0
        self.payment = "not_required" if free else "pending"

    def authorised(self, f: dict[str, Any]) -> None:
        self.payment_intent = f["payment_intent"]
        self._pay("authorised", ("pending",), "authorised")

    def declined(self, f: dict[str, Any]) -> None:
        self._pay("declined", ("pending",), "voiding" if f["unsure"] else "declined")

    def reserved(self, _f: dict[str, Any]) -> None:
        if self.payment not in ("authorised", "not_required"):
            self.wrong.append(f"reserved while the payment is {self.payment}")
        for parcel in self.parcels:
            if parcel.status == "pending":
                parcel.status = "offered"

    def accepted(self, f: dict[str, Any]) -> None:
        self._move(f["consignment"], "accepted", ("offered",), "accepted").dropped = list(f["dropped"])

    def rejected(self, f: dict[str, Any]) -> None:
        self._move(f["consignment"], "rejected", ("offered",), "rejected")

    def capturing(self, f: dict[str, Any]) -> None:
        self._pay("capturing", ("authorised",), "capturing")
        self.taking = [parcel.number for parcel in self.parcels if parcel.status == "accepted"]
        if any(parcel.status in ("pending", "offered") for parcel in self.parcels):
            self.wrong.append("captures before every supplier has answered")
        worth = sum(
            self.lines[n - 1]["quantity"] * self.lines[n - 1]["unit_amount"]
            for parcel in self.parcels
            if parcel.number in self.taking
            for n in parcel.lines
            if n not in parcel.dropped
        )
        if f["amount"] != worth:
            self.wrong.append(f"captures {f['amount']} for {worth}")

    def taken(self, f: dict[str, Any]) -> None:
        self._pay("captured", ("capturing",), "captured")
        self.charge = f["charge"]
        for parcel, shares in zip(self.parcels, f["shares"], strict=True):
            if bool(shares) != (parcel.number in self.taking):
                self.wrong.append(f"the capture of consignment {parcel.number} was not what it was begun for")
            parcel.shares = list(shares)
            if parcel.status == "accepted":
                parcel.status = "confirmed"
        if f["amount"] != self.captured:
            self.wrong.append(f"captured {f['amount']} and shared out {self.captured}")

    def capture_failed(self, _f: dict[str, Any]) -> None:
        self._pay("capture_failed", ("capturing",), "voiding")

    def nothing_due(self, _f: dict[str, Any]) -> None:
        self.payment = "voiding" if self.payment == "authorised" else self.payment
        for parcel in self.parcels:
            if parcel.status == "accepted":
                parcel.status = "confirmed"

    def voided(self, f: dict[str, Any]) -> None:
        self._pay("voided", ("voiding", "authorised") if f["expired"] else ("voiding",), "voided")

    def cancelled(self, f: dict[str, Any]) -> None:
        self.cancel_reason = self.cancel_reason or f["reason"]
        for number in f["consignments"]:
            self._move(number, "cancelled", ("pending", "offered", "accepted", "confirmed"), "cancelled")

    def asked(self, f: dict[str, Any]) -> None:
        self._move(f["consignment"], "cancellation_requested", ("in_production",), "asked")

    def answered(self, f: dict[str, Any]) -> None:
        after = "cancelled" if f["accepted"] else "in_production"
        self._move(f["consignment"], "cancellation_answered", ("asked",), after).fee = f["fee"]

    def started(self, f: dict[str, Any]) -> None:
        self._move(f["consignment"], "started", ("confirmed",), "in_production")

    def dispatched(self, f: dict[str, Any]) -> None:
        self._move(f["consignment"], "dispatched", ("in_production", "asked"), "dispatched")

    def delivered(self, f: dict[str, Any]) -> None:
        self._move(f["consignment"], "delivered", ("dispatched",), "delivered")

    def transferred(self, f: dict[str, Any]) -> None:
        for consignment, party, amount, id_ in f["made"]:
            parcel = self.parcels[consignment - 1]
            if id_ in parcel.paid:
                self.wrong.append(f"transfer {id_} is recorded twice")
            parcel.paid[id_] = party, amount

    def reversed(self, f: dict[str, Any]) -> None:
        parcel = self.parcels[f["consignment"] - 1]
        parcel.reversed[f["transfer"]] = parcel.reversed.get(f["transfer"], 0) + f["amount"]
        debt = parcel.debts.get(f["party"], 0)
        if debt:
            parcel.debts[f["party"]] = max(0, debt - f["amount"])

    def debt(self, f: dict[str, Any]) -> None:
        debts = self.parcels[f["consignment"] - 1].debts
        debts[f["party"]] = debts.get(f["party"], 0) + f["amount"]

    def refund_requested(self, f: dict[str, Any]) -> None:
        if self.payment != "captured" or f["refund"] in self.refunds:
            self.wrong.append(f"refund {f['refund']} is out of place")
        self.refunds[f["refund"]] = {**f, "status": "pending"}
        if f["cause"] == "request":
            self.requests.append(f["reason"])
        pending = sum(refund["amount"] for refund in self.refunds.values() if refund["status"] == "pending")
        if pending > self.captured - self.refunded:
            self.wrong.append(f"refunds of {pending} are under way, and {self.captured - self.refunded} is left")

    def refunded_(self, f: dict[str, Any]) -> None:
        refund = self.refunds[f["refund"]]
        if refund["status"] != "pending":
            self.wrong.append(f"refund {f['refund']} succeeds while {refund['status']}")
        refund["status"] = "succeeded"
        for number, part in refund["allocation"]:
            parcel = self.parcels[number - 1]
            parcel.refunded += part
            if parcel.refunded > parcel.captured:
                self.wrong.append(f"consignment {number} has {parcel.refunded} of {parcel.captured} refunded")

    def refund_failed(self, f: dict[str, Any]) -> None:
        self.refunds[f["refund"]]["status"] = "failed"

    def return_requested(self, f: dict[str, Any]) -> None:
        if self.parcels[f["consignment"] - 1].status not in ("dispatched", "delivered"):
            self.wrong.append(f"return {f['return_id']} before dispatch")
        self.returns[f["return_id"]] = {**f, "status": "requested"}

    def return_received(self, f: dict[str, Any]) -> None:
        self.returns[f["return_id"]].update(status="received", restock=f["restock"])

    def attention_raised(self, f: dict[str, Any]) -> None:
        self.attention.append(f["reason"])

    def nothing(self, _f: dict[str, Any]) -> None:
        """An event that changes neither money, stock nor status."""


_Step = Callable[[OrderBook, dict[str, Any]], None]
_STEPS: dict[str, _Step] = {
    f"order.{name}/1": step
    for name, step in {
        "placed": OrderBook.placed,
        "authorised": OrderBook.authorised,
        "declined": OrderBook.declined,
        "reserved": OrderBook.reserved,
        "short": OrderBook.nothing,
        "offered": OrderBook.nothing,
        "accepted": OrderBook.accepted,
        "rejected": OrderBook.rejected,
        "capturing": OrderBook.capturing,
        "captured": OrderBook.taken,
        "capture_failed": OrderBook.capture_failed,
        "nothing_due": OrderBook.nothing_due,
        "voided": OrderBook.voided,
        "cancelled": OrderBook.cancelled,
        "cancellation_requested": OrderBook.asked,
        "cancellation_answered": OrderBook.answered,
        "started": OrderBook.started,
        "dispatched": OrderBook.dispatched,
        "delivered": OrderBook.delivered,
        "transferred": OrderBook.transferred,
        "reversed": OrderBook.reversed,
        "debt": OrderBook.debt,
        "refund_requested": OrderBook.refund_requested,
        "refunded": OrderBook.refunded_,
        "refund_failed": OrderBook.refund_failed,
        "return_requested": OrderBook.return_requested,
        "return_approved": OrderBook.nothing,
        "return_rejected": OrderBook.nothing,
        "return_received": OrderBook.return_received,
        "dispute_opened": OrderBook.nothing,
        "dispute_resolved": OrderBook.nothing,
        "attention_raised": OrderBook.attention_raised,
        "attention_cleared": OrderBook.nothing,
    }.items()
}
