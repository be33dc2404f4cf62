"""The payment ledger of one order: what the vendor has written down, whichever vendor it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Hold:
    """An authorisation. status: `held`, `captured`, `released`."""

    id: str
    amount: int
    status: str = "held"
    charge: str = ""
    captures: int = 0
    captured: int = 0
    refunded: int = 0


@dataclass
class Payout:
    """A transfer. party: `role:name`."""

    id: str
    consignment: str
    party: str
    account: str
    amount: int
    reversed: int = 0


@dataclass
class BankBook:
    """holds and payouts by the vendor's ids. wrong: what the vendor should never have been asked to do."""

    holds: dict[str, Hold] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    @property
    def captured(self) -> int:
        return sum(hold.captured for hold in self.holds.values())

    @property
    def refunded(self) -> int:
        return sum(hold.refunded for hold in self.holds.values())

    @property
    def captures(self) -> int:
        return sum(hold.captures for hold in self.holds.values())


def of_simulated(lines: Iterable[list[Any]]) -> BankBook:
    """From lines of the simulated vendor's ledger: key, kind, order, amount, id, of, to, outcome.

    A line that repeats an earlier one is a retry.
    """
    book = BankBook()
    seen: dict[str, list[Any]] = {}
    for line in lines:
        key, kind, _order, amount, id_, of, to, outcome = line
        before = seen.setdefault(key, line)
        if before is not line:
            if before != line:
                book.wrong.append(("A8", f"{key} was sent with other parameters"))
            continue
        if outcome:
            continue
        match kind:
            case "authorise":
                book.holds[id_] = Hold(id_, amount)
            case "capture":
                hold = book.holds.setdefault(of, Hold(of, amount))
                hold.status, hold.charge = "captured", id_
                hold.captures += 1
                hold.captured += amount
            case "void":
                hold = book.holds.setdefault(id_, Hold(id_, 0))
                if hold.status == "captured":
                    book.wrong.append(("A5", f"{id_} was voided after its capture"))
                hold.status = "released"
            case "refund":
                book.holds.setdefault(of, Hold(of, 0)).refunded += amount
            case "transfer":
                account, consignment, party = to.split(" ", 2)
                book.payouts[id_] = Payout(id_, consignment, party, account, amount)
            case "reverse":
                payout = book.payouts.get(of)
                if payout is None:
                    book.wrong.append(("A5", f"{id_} reverses {of}, which was never paid"))
                else:
                    payout.reversed += amount
    return book


def of_sandbox(records: Iterable[dict[str, Any]]) -> BankBook:
    """From the sandbox's objects, each in its last state."""
    book = BankBook()
    charges = []
    for record in records:
        match record["object"]:
            case "payment_intent":
                status = {"requires_capture": "held", "succeeded": "captured"}.get(record["status"], "released")
                book.holds[record["id"]] = Hold(record["id"], record["amount"], status)
            case "charge":
                charges.append(record)
            case "transfer":
                meta = record["metadata"]
                book.payouts[record["id"]] = Payout(
                    record["id"], meta.get("consignment", ""), meta.get("party", ""), record["destination"],
                    record["amount"], record["amount_reversed"],
                )  # fmt: skip
    for charge in charges:
        if charge["captured"]:
            intent = charge["payment_intent"]
            hold = book.holds.setdefault(intent, Hold(intent, charge["amount"], "captured"))
            hold.charge = charge["id"]
            hold.captures += 1
            hold.captured += charge["amount_captured"]
            released = (
                charge["amount"] - charge["amount_captured"]
            )  # by a partial capture: Stripe counts it as refunded
            hold.refunded += charge["amount_refunded"] - released
    return book


def merged(books: Iterable[BankBook]) -> BankBook:
    """A system may have been run with one vendor and then with another."""
    whole = BankBook()
    for book in books:
        whole.holds |= book.holds
        whole.payouts |= book.payouts
        whole.wrong += book.wrong
    return whole
