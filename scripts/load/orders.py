"""The orders of a load test, as prebuilt requests.

What is bought follows Zipf's law, what becomes of it the plan's shares.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from scripts.load.catalogue import CURRENCY, FULL, MANUAL, REGULAR, SHORT, Catalogue, Product
from scripts.load.plan import Plan

DECLINED, CANCELLED = "declined", "cancelled"
GOOD_CARD, BAD_CARD = "pm_card_visa", "pm_card_visa_chargeDeclined"
WAIT_S = 10
PREFER = f"Prefer: wait={WAIT_S}\r\n".encode()
DRAWN_AT_ONCE = 4096


class Request(NamedTuple):
    """One order to be. `plain` is its POST, `waiting` the same with `Prefer`: either may be sent again."""

    key: str
    kind: str
    plain: bytes
    waiting: bytes


class Orders:
    """Makes the orders of one client process. Their idempotency keys are `<run>-<number>`, repeated in the order's
    metadata, so that the audit can tell which post an order belongs to."""

    def __init__(self, plan: Plan, catalogue: Catalogue, host: str, run: str, seed: int) -> None:
        self._random = random.Random(seed)
        self._plan = plan
        self._run = run
        shares = (plan.declines, plan.shortages, plan.rejections, plan.cancellations, plan.manual)
        kinds = (DECLINED, SHORT, FULL, CANCELLED, MANUAL)
        self._kinds = [*kinds, REGULAR]
        self._up_to = [*itertools.accumulate(share / 100 for share in shares), 1.0]
        self._special = {kind: _line(getattr(catalogue, kind)) for kind in (SHORT, FULL, MANUAL)}
        self._baskets = _Baskets(plan, catalogue.regular, self._random)
        self._posts = _head("/v1/orders", host, catalogue.retailer_key)
        self._end = _customer()

    def make(self, number: int) -> Request:
        key = f"{self._run}-{number}"
        chance = self._random.random()
        kind = next(kind for kind, up_to in zip(self._kinds, self._up_to, strict=True) if chance < up_to)
        lines = self._baskets.draw()
        if kind in self._special:
            lines = [self._special[kind], *lines[1:]]
        card = BAD_CARD if kind == DECLINED else GOOD_CARD
        body = b'{"lines":[%b],"payment_method":"%b","metadata":{"load":"%b"},"customer":{"email":"%b%b' % (
            b",".join(lines), card.encode(), key.encode(), key.encode(), self._end,
        )  # fmt: skip
        head = b"%bIdempotency-Key: %b\r\nContent-Length: %d\r\n" % (self._posts, key.encode(), len(body))
        return Request(key, kind, b"%b\r\n%b" % (head, body), b"%b%b\r\n%b" % (head, PREFER, body))


class _Baskets:
    """Lines, drawn many at a time."""

    def __init__(self, plan: Plan, products: Sequence[Product], random_: random.Random) -> None:
        self._lines = plan.lines if plan.hot_units < 0 else 1
        self._random = random_
        weights = [1 / rank**plan.zipf for rank in range(1, len(products) + 1)]
        self._all = _Weighted(products, weights, random_)
        self._of = None
        if plan.one_supplier:
            by_supplier: dict[str, list[tuple[Product, float]]] = {}
            for product, weight in zip(products, weights, strict=True):
                by_supplier.setdefault(product.supplier, []).append((product, weight))
            self._of = {
                supplier: _Weighted([p for p, _ in offered], [w for _, w in offered], random_)
                for supplier, offered in by_supplier.items()
            }

    def draw(self) -> list[bytes]:
        if self._of is None:
            return [self._all.draw()[1] for _ in range(self._lines)]
        product, line = self._all.draw()
        others = self._of[product.supplier]
        return [line, *(others.draw()[1] for _ in range(self._lines - 1))]


class _Weighted:
    def __init__(self, products: Sequence[Product], weights: Sequence[float], random_: random.Random) -> None:
        self._choices = [(product, _line(product)) for product in products]
        self._up_to = list(itertools.accumulate(weights))
        self._random = random_
        self._drawn: list[tuple[Product, bytes]] = []

    def draw(self) -> tuple[Product, bytes]:
        if not self._drawn:
            self._drawn = self._random.choices(self._choices, cum_weights=self._up_to, k=DRAWN_AT_ONCE)
        return self._drawn.pop()


def _line(product: Product) -> bytes:
    return orjson.dumps({"product": product.name, "quantity": 1})


def _customer() -> bytes:
    """What follows the e-mail address."""
    rest = {
        "shipping_address": {"line1": "1 Load Street", "city": "Berlin", "postal_code": "10115", "country": "DE"},
        "currency": CURRENCY,
    }
    return b'@load.example","name":"Ada Load"},' + orjson.dumps(rest)[1:]


def _head(path: str, host: str, key: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n".encode() + (
        b"Content-Type: application/json\r\n"
    )


class Commands:
    """Requests about an order that exists."""

    def __init__(self, catalogue: Catalogue, host: str) -> None:
        self._host, self._retailer, self._ops = host, catalogue.retailer_key, catalogue.ops_key

    def read(self, order: str) -> bytes:
        head = (
            f"GET /v1/orders/{order} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._retailer}\r\n\r\n"
        )
        return head.encode()

    def cancel(self, order: str, key: str) -> bytes:
        return self._post(f"/v1/orders/{order}/cancel", self._retailer, key, b'{"reason":"changed my mind"}')

    def accept(self, task: str, key: str) -> bytes:
        """As ops, for the manual supplier."""
        return self._post(f"/v1/tasks/{task}/accept", self._ops, key, b"{}")

    def _post(self, path: str, who: str, key: str, body: bytes) -> bytes:
        return b"%bIdempotency-Key: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            _head(path, self._host, who), key.encode(), len(body), body,
        )  # fmt: skip
