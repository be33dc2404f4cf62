"""Whole lives of orders as the journal has them, made at will: a month of trade of five retailers.

Ten suppliers, seven brands, a hundred products by Zipf's law, two lines an order. Most orders have been delivered; some
are on their way, cancelled, declined or (partly) refunded. Customers' names are common ones; a tenth of the orders
comes from five addresses, so that of a million orders 20,000 share one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from actors.adapters.aesgcm_sealer import AesGcmSealer
from actors.runtime.codec import encode_event
from gateway.personal_data import email_digest
from models.decision import Event, Millis
from models.identity import order_id
from models.order import messages as m
from models.payment_split import split

SHARDS = 64
DAY_MS = 86_400_000
DAYS = 30
RETAILERS = ("acme", "bolt", "crux", "dune", "echo")
CURRENCIES = {"dune": "usd", "echo": "eur"}
SUPPLIERS = tuple(f"supplier-{n}" for n in range(10))
BRANDS = tuple(f"brand-{n}" for n in range(7))
PRODUCTS = 100
FIRST_NAMES = tuple(f"first{n}" for n in range(200))
LAST_NAMES = tuple(f"last{n}" for n in range(2_000))
BUYERS = tuple(f"buyer{n}@example.com" for n in range(5))
SHARE_OF_BUYERS = 0.1
SPLIT = (1000, 6000, 2500)


class History(NamedTuple):
    """One order: its stored events, and the wrapped key of its personal data."""

    id: str
    events: Sequence[bytes]
    data_key: str

    @property
    def shard(self) -> int:
        return int(self.id[4:7], 16)


class Customer(NamedTuple):
    retailer: str
    first: str
    last: str
    email: str


def sealer() -> AesGcmSealer:
    """That of all histories; nobody's data are sealed with it."""
    return AesGcmSealer([b"m" * 32], b"d" * 32)


class Histories:
    """The orders of `days` days up to `until`, `count` of them, evenly spread and in the order of their placing."""

    def __init__(self, count: int, until: Millis, shards: int = SHARDS) -> None:
        self._since = until - DAYS * DAY_MS
        self._step_ms = DAYS * DAY_MS / count
        self._shards = shards
        self._sealer = sealer()
        self._weights = [1 / (n + 1) ** 1.1 for n in range(PRODUCTS)]
        self._names = [1 / (n + 1) ** 0.7 for n in range(len(FIRST_NAMES))]

    def at(self, number: int) -> Millis:
        """When order `number` was placed."""
        return self._since + int(number * self._step_ms)

    def some(self, numbers: range) -> Iterator[History]:
        """These orders. The same number is the same order, but for its seal."""
        for number in numbers:
            yield self.one(number)

    def customer(self, number: int) -> Customer:
        """Who placed order `number`."""
        return self._customer(random.Random(number))

    def _customer(self, draw: random.Random) -> Customer:
        retailer = draw.choices(RETAILERS, (5, 3, 2, 1, 1))[0]
        first, last = draw.choices(FIRST_NAMES, self._names)[0], draw.choice(LAST_NAMES)
        of_many = draw.random() < SHARE_OF_BUYERS
        email = draw.choice(BUYERS) if of_many else f"{first}.{last}{draw.randrange(9)}@example.com"
        return Customer(retailer, first, last, email)

    def one(self, number: int) -> History:
        """Order `number`."""
        draw = random.Random(number)
        id_ = order_id(number % self._shards, self.at(number), number.to_bytes(10, "big"))
        retailer, first, last, email = self._customer(draw)
        address = {"line1": "1 High Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB"}
        customer = {"email": email, "name": f"{first} {last}", "phone": "+44 1134 960000"}
        sealed = self._sealer.seal(id_, orjson.dumps({"customer": customer, "shipping_address": address}))
        words = tuple(self._sealer.keyed_digest("name-word", f"{retailer}\0{word}") for word in (first, last))
        digest = email_digest(self._sealer, retailer, email)
        products = draw.choices(range(PRODUCTS), self._weights, k=2)
        story = _Story(id_, self.at(number), retailer, products, draw, (sealed.sealed, digest, words))
        return History(id_, [encode_event(event) for event in story.events()], sealed.wrapped_key)


@dataclass
class _Story:
    """What becomes of one order. customer: sealed, digest of the e-mail, digests of the words."""

    id: str
    at: Millis
    retailer: str
    products: Sequence[int]
    draw: random.Random
    customer: tuple[str, str, tuple[str, ...]]

    def events(self) -> Iterator[Event]:
        at, draw, fate = self.at, self.draw, self.draw.random()
        lines = tuple([_line(n, draw.randint(1, 3)) for n in self.products])
        suppliers = list(dict.fromkeys(line.supplier for line in lines))
        parties = [("supplier", name) for name in suppliers] + [("brand", line.brand) for line in lines]
        accounts = {f"{role}:{name}": f"acct_{name}" for role, name in [*parties, ("retailer", self.retailer)]}
        sealed, digest, words = self.customer
        yield m.OrderPlaced(
            at, self.id, self.retailer, CURRENCIES.get(self.retailer, "gbp"), lines, accounts, {}, "pm_card_visa",
            False, {}, sealed, digest, words,
        )  # fmt: skip
        if fate < 0.03:
            yield m.PaymentDeclined(at + 300, "insufficient_funds", self._stripe("pi"), False)
            yield self._cancelled(at + 300, "payment_declined", "dray", suppliers)
            return
        yield m.PaymentAuthorised(at + 300, self._stripe("pi"), at + 7 * DAY_MS)
        yield m.StockReserved(at + 320)
        for number, name in enumerate(suppliers, 1):
            yield m.ConsignmentAccepted(at + 330 + draw.randrange(60_000), number, f"supplier:{name}", ())
        yield from self._paid(at + 60_500, lines, suppliers, fate)

    def _paid(self, at: Millis, lines: Sequence[m.LineTerms], suppliers: Sequence[str], fate: float) -> Iterator[Event]:
        amounts = [sum(x.quantity * x.unit_amount for x in lines if x.supplier == name) for name in suppliers]
        shares = tuple(split(amount, SPLIT) for amount in amounts)
        yield m.CaptureBegun(at, sum(amounts))
        yield m.PaymentCaptured(at + 200, self._stripe("ch"), sum(amounts), shares)
        made = [
            m.Made(number, party, share, self._stripe("tr"))
            for number, parts in enumerate(shares, 1)
            for party, share in enumerate(parts[:3])
        ]
        yield m.SharesTransferred(at + 500, tuple(made))
        if fate < 0.08:
            yield self._cancelled(at + 900_000, "customer_request", f"retailer:{self.retailer}", suppliers)
            yield from self._refund(at + 900_000, amounts, shares, "cancellation", whole=True)
            return
        if fate < 0.16:
            return
        numbers = range(1, len(suppliers) + 1)
        ready = at + self.draw.randrange(3_600_000, 3 * DAY_MS)
        parcel = m.Tracking("DPD", "1", "")
        yield from (m.ConsignmentStarted(ready, n, f"supplier:{suppliers[n - 1]}") for n in numbers)
        yield from (m.ConsignmentDispatched(ready + 60_000, n, f"supplier:{suppliers[n - 1]}", parcel) for n in numbers)
        if fate < 0.26:
            return
        yield from (m.ConsignmentDelivered(ready + DAY_MS, n, f"supplier:{suppliers[n - 1]}") for n in numbers)
        if fate < 0.34:
            yield from self._refund(ready + 2 * DAY_MS, amounts, shares, "request", whole=fate < 0.28)

    def _refund(
        self, at: Millis, amounts: Sequence[int], shares: Sequence[tuple[int, ...]], cause: str, *, whole: bool
    ) -> Iterator[Event]:
        back = [amount if whole else amount // 3 for amount in amounts]
        returned = tuple(parts if whole else split(part, SPLIT) for parts, part in zip(shares, back, strict=True))
        refund, allocation = f"rfd_{self.id[4:]}_1", tuple(enumerate(back, 1))
        yield m.RefundRequested(at, refund, sum(back), allocation, (), "", f"retailer:{self.retailer}", cause)
        yield m.RefundSucceeded(at + 400, refund, self._stripe("re"), returned)

    def _cancelled(self, at: Millis, reason: str, by: str, suppliers: Sequence[str]) -> Event:
        return m.OrderCancelled(at, reason, by, "", tuple(range(1, len(suppliers) + 1)))

    def _stripe(self, prefix: str) -> str:
        return f"{prefix}_{self.draw.randbytes(12).hex()}"


def _line(product: int, quantity: int) -> m.LineTerms:
    """A supplier makes one brand only, so that a consignment has four parties."""
    supplier = product % len(SUPPLIERS)
    brand = BRANDS[supplier % len(BRANDS)]
    return m.LineTerms(
        f"product-{product}", f"SKU-{product}", quantity, 499 + 100 * product, SUPPLIERS[supplier], brand, SPLIT
    )
