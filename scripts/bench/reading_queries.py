"""What people and systems ask of lists and reports: each filter, with random arguments that find something."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from gateway.order_search import cursor_of
from models.identity import order_id
from scripts.bench.histories import BUYERS, FIRST_NAMES, PRODUCTS, RETAILERS, SUPPLIERS, Histories

HOUR_MS = 3_600_000
STRIPE_ID = re.compile(rb"(?:pi|ch)_[0-9a-f]{24}")
OPS = "ops:olga"
COMMON = 10  # names
TASK_STATUSES = ("accepted", "dispatched", "delivered", "withdrawn")
ORDER_STATUSES = ("confirmed", "dispatched", "delivered", "cancelled")


class Request(NamedTuple):
    """One request. key: whose."""

    path: str
    key: str


Kind = Callable[[random.Random], Request]


def queries(made: Histories, count: int) -> Mapping[str, Kind]:
    """Every kind of request, by what it is called, to the first `count` of these orders."""
    asks = _Asks(made, count)
    return {
        "newest": asks.orders(),
        "deep in the list": asks.orders(cursor=asks.cursor),
        "status": asks.orders(status=lambda draw: draw.choice(ORDER_STATUSES)),
        "status refunded": asks.orders(status=lambda _: "refunded"),
        "product": asks.orders(product=_product),
        "product and status": asks.orders(product=_product, status=lambda draw: draw.choice(ORDER_STATUSES)),
        "supplier": asks.orders(supplier=lambda draw: draw.choice(SUPPLIERS)),
        "supplier, product, refunded": asks.orders(
            supplier=lambda draw: draw.choice(SUPPLIERS), product=_product, status=lambda _: "refunded"
        ),
        "an hour": asks.hour,
        "e-mail": asks.email,
        "e-mail that many share": asks.buyer,
        "e-mail that many share, and status": asks.buyer_and_status,
        "q: a word": asks.orders(q=_common_name),
        "q: both names": asks.names,
        "q: two common words": asks.orders(q=lambda draw: f"{_common_name(draw)} {_common_name(draw)}"),
        "q: one of Stripe's ids": asks.stripe_id,
        "q: an order's id": asks.id,
        "supplier's own orders": asks.own(cursor=asks.cursor),
        "supplier's own, status": asks.own(status=lambda draw: draw.choice(ORDER_STATUSES)),
        "supplier's own, product": asks.own(product=_product),
        "tasks": asks.own("/v1/tasks", cursor=asks.cursor),
        "tasks, status": asks.own("/v1/tasks", status=lambda draw: draw.choice(TASK_STATUSES)),
        **{
            f"report of a month: {name}": asks.report(name)
            for name in ("days", "statuses", "suppliers", "brands", "products", "cancellations", "times")
        },
    }


def _product(draw: random.Random) -> str:
    return f"product-{min(PRODUCTS - 1, int(draw.paretovariate(0.8)) - 1)}"


def _common_name(draw: random.Random) -> str:
    return draw.choice(FIRST_NAMES[:COMMON])


def _retailer(draw: random.Random) -> str:
    return f"retailer:{draw.choices(RETAILERS, (5, 3, 2, 1, 1))[0]}"


def _anybody(draw: random.Random) -> str:
    return draw.choice([OPS, _retailer(draw)])


class _Asks:
    def __init__(self, made: Histories, count: int) -> None:
        self._made = made
        self._count = count

    def orders(self, **fields: Callable[[random.Random], str]) -> Kind:
        """By ops or a retailer, with these fields."""
        return lambda draw: _request("/v1/orders", _anybody(draw), {name: pick(draw) for name, pick in fields.items()})

    def own(self, path: str = "/v1/orders", **fields: Callable[[random.Random], str]) -> Kind:
        """By a supplier."""
        return lambda draw: _request(
            path, f"supplier:{draw.choice(SUPPLIERS)}", {name: pick(draw) for name, pick in fields.items()}
        )

    def report(self, name: str) -> Kind:
        return lambda draw: _request(f"/v1/analytics/{name}", _anybody(draw), {})

    def cursor(self, draw: random.Random) -> str:
        """Some place in the list."""
        at = self._made.at(draw.randrange(self._count))
        return cursor_of((at, order_id(0, at, bytes(10))))

    def hour(self, draw: random.Random) -> Request:
        at = self._made.at(draw.randrange(self._count))
        fields = {"created_after": _time(at), "created_before": _time(at + HOUR_MS)}
        return _request("/v1/orders", _retailer(draw), fields)

    def email(self, draw: random.Random) -> Request:
        customer = self._made.customer(draw.randrange(self._count))
        return _request("/v1/orders", draw.choice([OPS, f"retailer:{customer.retailer}"]), {"email": customer.email})

    def buyer(self, draw: random.Random) -> Request:
        return _request("/v1/orders", _anybody(draw), {"email": draw.choice(BUYERS)})

    def buyer_and_status(self, draw: random.Random) -> Request:
        fields = {"email": draw.choice(BUYERS), "status": draw.choice(ORDER_STATUSES)}
        return _request("/v1/orders", _anybody(draw), fields)

    def names(self, draw: random.Random) -> Request:
        customer = self._made.customer(draw.randrange(self._count))
        return _request("/v1/orders", f"retailer:{customer.retailer}", {"q": f"{customer.first} {customer.last}"})

    def stripe_id(self, draw: random.Random) -> Request:
        number = draw.randrange(self._count)
        ids = STRIPE_ID.findall(b" ".join(self._made.one(number).events))
        key = draw.choice([OPS, f"retailer:{self._made.customer(number).retailer}"])
        return _request("/v1/orders", key, {"q": draw.choice(ids).decode()})

    def id(self, draw: random.Random) -> Request:
        return _request("/v1/orders", OPS, {"q": self._made.one(draw.randrange(self._count)).id})


def _request(path: str, key: str, fields: Mapping[str, str]) -> Request:
    return Request(f"{path}?{urlencode(fields)}", key)


def _time(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 1000))
