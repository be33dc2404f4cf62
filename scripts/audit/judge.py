"""Judges one order: its own record (A2, A4), its money (A5), and what others keep for it (A1, A6).

What an intent under way explains is no violation: until it is settled, its effect may have happened or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.audit.bank import BankBook
from scripts.audit.findings import Finding
from scripts.audit.saga_book import SagaBook
from scripts.audit.spool import Evidence
from scripts.simulation.order_book import OrderBook, Parcel

KEEPS_TASK = frozenset({"offered", "accepted", "confirmed", "in_production", "asked", "dispatched"})
KEEPS_STOCK = frozenset({"pending", "offered", "accepted"})
WHOLE_BPS = 10_000


@dataclass
class Case:
    """One order with all that is known about it.

    ledger: whether the payment ledger could be read. frozen: an open dispute, or a refund that the bank refused, keeps
    money with the platform. exact_skus: those whose records say what they have sold to whom.
    """

    id: str
    book: OrderBook
    saga: SagaBook
    bank: BankBook
    evidence: Evidence
    ledger: bool
    frozen: bool
    exact_skus: frozenset[str]


def judge(case: Case) -> list[Finding]:
    """All that is wrong with an order."""
    found = [*_own_record(case), *_stock(case), *_tasks(case)]
    if case.ledger:
        found += [*_charge(case), *_holds(case), *_payouts(case)]
    else:
        found += _split_sums(case)
    return [finding._replace(order=case.id) for finding in found]


def orphans(id_: str, bank: BankBook, evidence: Evidence) -> list[Finding]:
    """What others keep for an order that does not exist."""
    texts = [f"{sku} reserves {units} units for it" for sku, units in evidence.reserved.items()]
    texts += [f"{sku} has sold {units} units to it" for sku, units in evidence.sold.items() if units]
    texts += [f"{supplier} has {task}" for task, supplier in evidence.tasks.items()]
    texts += [f"{hold.id} is {hold.status}" for hold in bank.holds.values() if hold.status != "released"]
    texts += [f"{payout.id} was paid to {payout.party}" for payout in bank.payouts.values()]
    return [Finding("A6", id_, f"does not exist, and {text}", id_) for text in texts]


# --- A2, A4 ----------------------------------------------------------------------------------------------------------


def _own_record(case: Case) -> Iterator[Finding]:
    book, saga = case.book, case.saga
    for wrong in book.wrong:
        yield Finding("A2", case.id, wrong)
    confirmed = [parcel for parcel in book.live if parcel.status not in KEEPS_STOCK]
    if confirmed:
        if book.payment not in ("captured", "not_required", "voided", "voiding"):
            yield Finding("A4", case.id, f"is confirmed, and its payment is {book.payment}")
        for parcel in confirmed:
            worth = worth_of(book, parcel)
            if parcel.captured != worth:
                yield Finding(
                    "A4", case.id, f"consignment {parcel.number} is worth {worth}, captured {parcel.captured}"
                )
            for sku in kept_units(book, parcel):
                if f"confirm:{sku}" not in saga.done and f"confirm:{sku}" not in saga.pending:
                    yield Finding("A4", case.id, f"is confirmed, and {sku} was not")
    if book.live or saga.pending:
        return
    if not book.cancel_reason and not any(parcel.status == "rejected" for parcel in book.parcels):
        yield Finding("A4", case.id, "has ended without a reason")
    if book.payment not in ("voided", "declined", "captured", "not_required"):
        yield Finding("A4", case.id, f"is cancelled, and its payment is {book.payment}")
    if book.captured and book.refunded < book.captured - book.fees and not _failed_refund(book):
        text = f"is cancelled, and {book.refunded} of {book.captured} came back, less a fee of {book.fees}"
        yield Finding("A4", case.id, text)


def _failed_refund(book: OrderBook) -> bool:
    """A refund that the bank refused for good waits for a person, and the order says so."""
    return any(refund["status"] == "failed" for refund in book.refunds.values()) and bool(book.attention)


def worth_of(book: OrderBook, parcel: Parcel) -> int:
    lines = [book.lines[number - 1] for number in parcel.lines if number not in parcel.dropped]
    return sum(line["quantity"] * line["unit_amount"] for line in lines)


def kept_units(book: OrderBook, parcel: Parcel) -> dict[str, int]:
    """Units by SKU on lines that the supplier took on."""
    units: dict[str, int] = {}
    for number in parcel.lines:
        if number not in parcel.dropped:
            line = book.lines[number - 1]
            units[line["sku"]] = units.get(line["sku"], 0) + line["quantity"]
    return units


# --- stock and tasks: A4, A6 -----------------------------------------------------------------------------------------


def _stock(case: Case) -> Iterator[Finding]:
    """What SKUs keep for the order against what it has asked for and not given back."""
    book, saga, evidence = case.book, case.saga, case.evidence
    if saga.waits_for("reserve", "release", "confirm", "restock"):
        return
    wanted: dict[str, int] = {}
    for parcel in book.parcels:
        if parcel.status in ("offered", "accepted"):
            for number in parcel.lines:
                line = book.lines[number - 1]
                wanted[line["sku"]] = wanted.get(line["sku"], 0) + line["quantity"]
    released = {name.partition(":")[2] for name in saga.done if name.startswith("release:")}
    for sku in {*wanted, *evidence.reserved}:
        want = 0 if sku in released else wanted.get(sku, 0)
        have = evidence.reserved.get(sku, 0)
        if have > want:
            yield Finding("A6", case.id, f"{sku} still reserves {have} units for it; it wants {want}")
        elif have < want:
            yield Finding("A4", case.id, f"wants {want} units of {sku} reserved, and {have} are")
    sold = book.sold_units()
    for sku in {*sold, *evidence.sold} & case.exact_skus:
        want, have = sold.get(sku, 0), evidence.sold.get(sku, 0)
        if have > want:
            yield Finding("A4", case.id, f"{sku} has sold {have} units to it; it keeps {want}")
        elif have < want:
            yield Finding("A4", case.id, f"keeps {want} units of {sku}, and {have} were sold to it")


def _tasks(case: Case) -> Iterator[Finding]:
    book, saga = case.book, case.saga
    if saga.waits_for("offer", "withdraw", "close"):
        return
    digits = case.id[4:]
    for task, supplier in case.evidence.tasks.items():
        number = int(task.rpartition("_")[2])
        parcel = book.parcels[number - 1] if 0 < number <= len(book.parcels) else None
        if parcel is None or parcel.supplier != supplier:
            yield Finding("A6", case.id, f"{supplier} has {task}, which is no consignment of its")
        elif parcel.status not in KEEPS_TASK:
            yield Finding("A6", case.id, f"{supplier} still has {task}, whose consignment is {parcel.status}")
    for parcel in book.parcels:
        task = f"tsk_{digits}_{parcel.number}"
        if parcel.status in KEEPS_TASK and task not in case.evidence.tasks and f"offer:{parcel.number}" in saga.done:
            yield Finding("A6", case.id, f"{parcel.supplier} does not know of {task}, which is {parcel.status}")


# --- A5, A6: money ---------------------------------------------------------------------------------------------------


def _charge(case: Case) -> Iterator[Finding]:
    book, saga, bank = case.book, case.saga, case.bank
    for invariant, wrong in bank.wrong:
        yield Finding(invariant, case.id, wrong)
    charged = [hold for hold in bank.holds.values() if hold.captured]
    if bank.captures > 1:
        yield Finding(
            "A5", case.id, f"was captured {bank.captures} times: {', '.join(hold.charge for hold in charged)}"
        )
        return
    if bank.captured not in _possible(book.captured, saga.amounts("capture")):
        text = f"{book.captured} captured by its record, {bank.captured} by the payment ledger"
        yield Finding("A4" if book.captured and not bank.captured else "A5", case.id, text)
        return
    if bank.refunded not in _possible(book.refunded, saga.amounts("refund")):
        text = f"{book.refunded} refunded by its record, {bank.refunded} by the payment ledger"
        yield Finding("A5", case.id, text)
    if charged and book.charge and charged[0].charge != book.charge:
        yield Finding("A5", case.id, f"charge {book.charge} by its record, {charged[0].charge} by the payment ledger")


def _holds(case: Case) -> Iterator[Finding]:
    book, saga = case.book, case.saga
    if book.captured and not case.bank.captured:
        return  # its capture is missing: `_charge` says so
    held = [hold for hold in case.bank.holds.values() if hold.status == "held" and hold.amount]
    if not saga.waits_for("authorise", "capture", "void"):
        wanted = book.payment == "authorised"
        if wanted and not held:
            yield Finding("A4", case.id, "is authorised, and the payment ledger has no hold")
        for hold in held[1 if wanted else 0 :]:
            yield Finding("A6", case.id, f"{hold.id} still holds {hold.amount}, and its payment is {book.payment}")


def _payouts(case: Case) -> Iterator[Finding]:
    """Captured less refunded is what parties have, are owed and owe, per consignment, and as the ledger has it."""
    book, saga = case.book, case.saga
    digits = case.id[4:]
    moving = saga.waits_for("transfer", "reverse", "refund", "capture")
    yield from _split_sums(case)
    by_place: dict[str, list[tuple[str, int]]] = {}
    for payout in case.bank.payouts.values():
        by_place.setdefault(payout.consignment, []).append((payout.party, payout.amount - payout.reversed))
    places = {f"cns_{digits}_{parcel.number}": parcel for parcel in book.parcels}
    for place in by_place:
        if place not in places:
            yield Finding("A6", case.id, f"was paid out for {place}, which is no consignment of its")
    if moving:
        return
    for place, parcel in places.items():
        if not parcel.shares:
            if place in by_place:
                yield Finding("A6", case.id, f"{place} was paid out and never captured")
            continue
        known = {f"{role}:{name}" for role, name, _ in parcel.parties}
        for party, amount in by_place.get(place, []):
            if party not in known:
                yield Finding("A6", case.id, f"{place} has paid {amount} to {party}, who has no share in it")
        for index, (role, name, account) in enumerate(parcel.parties):
            banked = sum(amount for party, amount in by_place.get(place, []) if party == f"{role}:{name}")
            recorded, debt = parcel.net_paid(index), parcel.debts.get(index, 0)
            if banked != recorded:
                text = f"{place} {role} {name} has {recorded} by its record, {banked} by the payment ledger"
                yield Finding("A5", case.id, text)
            elif account and role != "platform":
                owed = parcel.due(index) - (banked - debt)
                if owed < 0 or (owed and not case.frozen):
                    text = f"{place} {role} {name} has {banked}, owes {debt}, is due {parcel.due(index)}"
                    yield Finding("A5", case.id, text)


def _split_sums(case: Case) -> Iterator[Finding]:
    """The shares of a capture are the frozen split of the lines, to the penny."""
    for parcel in case.book.parcels:
        if parcel.shares and parcel.shares != split_of(case.book, parcel):
            text = (
                f"consignment {parcel.number} is shared out {parcel.shares}, by its split {split_of(case.book, parcel)}"
            )
            yield Finding("A5", case.id, text)


def split_of(book: OrderBook, parcel: Parcel) -> list[int]:
    """Largest remainder over the accepted lines' own basis points; ties by the fixed order of parties."""
    weights = {f"{role}:{name}": 0 for role, name, _ in parcel.parties}
    for number in parcel.lines:
        if number in parcel.dropped:
            continue
        line = book.lines[number - 1]
        amount = line["quantity"] * line["unit_amount"]
        brand, supplier, retailer = line["split"]
        own = (f"brand:{line['brand']}", f"supplier:{parcel.supplier}", _retailer(parcel), "platform:platform")
        for party, bps in zip(own, (brand, supplier, retailer, WHOLE_BPS - brand - supplier - retailer), strict=True):
            weights[party] += amount * bps
    worth, whole = worth_of(book, parcel), sum(weights.values())
    if not whole:
        return [0] * len(weights)
    exact = [worth * weight for weight in weights.values()]
    shares = [part // whole for part in exact]
    ranked = sorted(range(len(exact)), key=lambda i: (-(exact[i] % whole), i))
    for i in ranked[: worth - sum(shares)]:
        shares[i] += 1
    return shares


def _retailer(parcel: Parcel) -> str:
    return next(f"{role}:{name}" for role, name, _ in parcel.parties if role == "retailer")


def _possible(recorded: int, pending: list[int]) -> set[int]:
    """What the ledger may have: what is recorded, and any of what is under way."""
    sums = {recorded}
    for amount in pending:
        sums |= {before + amount for before in sums}
    return sums
