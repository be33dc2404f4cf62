"""Two sets of books: what an order says about its money, and what the payment vendor has written down. Both must agree
to the penny.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

Json = dict[str, Any]

MOVING = frozenset({"pending", "authorised", "capturing", "voiding"})
"""Payment statuses that are on their way to another one."""


# --- an order's own books --------------------------------------------------------------------------------------------


def unsettled(order: Json) -> list[str]:
    """What is still under way in this order: nothing, once it is at rest."""
    open_ends = []
    if order["payment"]["status"] in MOVING:
        open_ends.append(f"the payment is {order['payment']['status']}")
    open_ends += [f"refund {refund['id']} is pending" for refund in order["refunds"] if refund["status"] == "pending"]
    for consignment in order["consignments"]:
        if consignment["status"] in ("pending", "offered"):
            open_ends.append(f"consignment {consignment['number']} is {consignment['status']}")
        for split in consignment["splits"]:
            due = split["amount"] - split["returned"] + split["debt"]
            if split["account"] and split["transferred"] - split["reversed"] != due:
                paid = split["transferred"] - split["reversed"]
                open_ends.append(f"{split['party']} {split['name']} has {paid} of {due}")
    return open_ends


def imbalances(order: Json) -> list[str]:
    """Where the order's figures do not add up, per consignment and in minor units; nothing, at any time."""
    found = []
    if sum(line["amount"] for line in order["lines"]) != order["amount"]:
        found.append(f"lines do not add up to {order['amount']}")
    found += [
        f"consignments do not add up to {name} {order[name]}"
        for name in ("captured_amount", "refunded_amount")
        if sum(consignment[name] for consignment in order["consignments"]) != order[name]
    ]
    succeeded = sum(refund["amount"] for refund in order["refunds"] if refund["status"] == "succeeded")
    if succeeded != order["refunded_amount"]:
        found.append(f"refunds add up to {succeeded}, not {order['refunded_amount']}")
    for consignment in order["consignments"]:
        where = f"consignment {consignment['number']}"
        splits = consignment["splits"]
        if sum(split["amount"] for split in splits) != consignment["captured_amount"]:
            found.append(f"{where}: shares do not add up to the {consignment['captured_amount']} captured")
        if sum(split["returned"] for split in splits) != consignment["refunded_amount"]:
            found.append(f"{where}: shares given back do not add up to the {consignment['refunded_amount']} refunded")
        found += [
            f"{where}: {split['party']} {split['name']} gives back more than it got"
            for split in splits
            if not 0 <= split["returned"] <= split["amount"]
        ]
    return found


# --- the vendor's books ----------------------------------------------------------------------------------------------


@dataclass
class Booked:
    """What the vendor has written down for one order, in minor units. held: authorised and neither captured nor
    released; paid: what each account has got, less what was taken back."""

    captures: int = 0
    captured: int = 0
    refunded: int = 0
    held: int = 0
    paid: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class Books:
    """A vendor's books: by order, and as a whole. balanced: every entry of its ledger sums to zero; None where the
    vendor keeps no ledger of accounts. balances: by account and currency."""

    orders: Mapping[str, Booked]
    balanced: bool | None
    balances: Mapping[str, Mapping[str, int]]

    def of(self, order: str) -> Booked:
        """Nothing, for an order that the vendor has never heard of."""
        return self.orders.get(order) or Booked()


def disagreements(order: Json, booked: Booked) -> list[str]:
    """Where the order and the vendor say different things about one order at rest."""
    paid: dict[str, int] = defaultdict(int)
    for consignment in order["consignments"]:
        for split in consignment["splits"]:
            if split["account"]:
                paid[split["account"]] += split["transferred"] - split["reversed"]
    pairs = [
        ("captured", order["captured_amount"], booked.captured),
        ("refunded", order["refunded_amount"], booked.refunded),
        ("held", 0, booked.held),
        *(
            (f"paid to {account}", paid.get(account, 0), booked.paid.get(account, 0))
            for account in sorted({*paid, *booked.paid})
        ),
    ]
    found = [f"{what}: Dray {ours}, vendor {theirs}" for what, ours, theirs in pairs if ours != theirs]
    return [*found, f"captured {booked.captures} times"] if booked.captures > 1 else found


async def read_sandbox(url: str, session: aiohttp.ClientSession, group: str = "") -> Books:
    """The sandbox's books, of one order if `group` names it. Raises aiohttp.ClientError."""
    orders: dict[str, Booked] = defaultdict(Booked)
    of_charge: dict[str, str] = {}
    for kind in ("payment_intent", "charge", "refund", "transfer"):
        async for record in _dumped(url, session, kind, group if kind in ("payment_intent", "charge") else ""):
            _book(orders, of_charge, kind, record)
    async with session.get(f"{url}/_sandbox/ledger?entries=false") as answer:
        ledger = orjson.loads(await answer.read())
    return Books(orders, bool(ledger["balanced"]), ledger["balances"])


async def _dumped(url: str, session: aiohttp.ClientSession, kind: str, group: str) -> Any:
    query = urlencode({"type": kind, **({"transfer_group": group} if group else {})})
    async with session.get(f"{url}/_sandbox/dump?{query}") as answer:
        answer.raise_for_status()
        buffered = b""
        async for chunk in answer.content.iter_chunked(1 << 18):
            *lines, buffered = (buffered + chunk).split(b"\n")
            for line in lines:
                yield orjson.loads(line)


def _book(orders: dict[str, Booked], of_charge: dict[str, str], kind: str, record: Json) -> None:
    """Refunds carry no transfer group of their own, so they go to the order of their charge."""
    match kind:
        case "payment_intent":
            orders[record["transfer_group"]].held += record["amount_capturable"]
        case "charge":
            of_charge[record["id"]] = record["transfer_group"]
            if record["captured"]:
                orders[record["transfer_group"]].captures += 1
                orders[record["transfer_group"]].captured += record["amount_captured"]
        case "refund":
            if record["status"] == "succeeded" and record["charge"] in of_charge:
                orders[of_charge[record["charge"]]].refunded += record["amount"]
        case "transfer":
            paid = record["amount"] - record["amount_reversed"]
            orders[record["transfer_group"]].paid[record["destination"]] += paid


def read_simulated(ledger: Path) -> Books:
    """The simulated vendor's books, from the file in which it writes down every effect. Raises OSError, ValueError."""
    from actors.adapters.simulated_payments import read_ledger

    return Books(dict(_simulated(read_ledger(ledger))), None, {})


def _simulated(lines: Iterable[Any]) -> Iterator[tuple[str, Booked]]:
    orders: dict[str, Booked] = defaultdict(Booked)
    holds: dict[str, tuple[str, int]] = {}
    account_of: dict[str, str] = {}
    for line in lines:
        if line.outcome:
            continue
        booked = orders[line.order]
        match line.kind:
            case "authorise":
                holds[line.id] = (line.order, line.amount)
            case "capture":
                booked.captures += 1
                booked.captured += line.amount
                holds.pop(line.of, None)
            case "void" if line.of:
                holds.pop(line.of, None)
            case "void":  # of whatever the order may have authorised
                holds = {id_: hold for id_, hold in holds.items() if hold[0] != line.order}
            case "refund":
                booked.refunded += line.amount
            case "transfer":
                account_of[line.id] = line.to.split(" ")[0]
                booked.paid[account_of[line.id]] += line.amount
            case "reverse":
                booked.paid[account_of[line.of]] -= line.amount
    for order, amount in holds.values():
        orders[order].held += amount
    yield from orders.items()
