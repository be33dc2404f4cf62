"""What the actors of a running system say of orders, against what their stored records stand for (A9).

A sample, over HTTP as any client asks: it is the only way to see what a host has in memory.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from actors.adapters.redis_reader import RedisReader
from models.decision import Address
from scripts.audit import archived, events
from scripts.audit.findings import Finding
from scripts.simulation.order_book import OrderBook

TIMEOUT_S = 10.0
ASKED_MAX = 200
TRIES = 3
_SHOWN = {"asked": "in_production"}
"""Statuses that the API calls by another name."""


class Gateway(NamedTuple):
    """Where to ask, and ops' key."""

    url: str
    key: str


async def compare(
    gateway: Gateway, reader: RedisReader, orders: Sequence[str], archive_url: str = ""
) -> tuple[int, list[Finding]]:
    """How many orders were compared, and those that an actor shows otherwise than they are stored."""
    found = []
    compared = 0
    async with archived.opened(archive_url) as archive:
        for id_ in orders[:ASKED_MAX]:
            wrong: list[str] = []
            for _ in range(TRIES):  # it may change between the two looks
                view = await asyncio.to_thread(_ask, gateway, id_)
                shard = int(id_[4:7], 16)
                stored = await reader.events(shard, [Address(kind, id_) for kind in archived.MEMBERS])
                ((own, _, _),), _ = await archived.completed(archive, shard, [id_], stored)
                if view is None or not own:
                    break
                wrong = _differences(view, OrderBook(id_, events.read(own)), len(own))
                if not wrong:
                    break
            else:
                found += [Finding("A9", id_, text) for text in wrong]
            compared += 1
    return compared, found


def _ask(gateway: Gateway, id_: str) -> dict[str, Any] | None:
    """The order as ops see it; None if nobody can tell."""
    headers = {"Authorization": f"Bearer {gateway.key}"}
    request = urllib.request.Request(f"{gateway.url}/v1/orders/{id_}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            found: dict[str, Any] = orjson.loads(answer.read())
            return found
    except (OSError, urllib.error.URLError):
        return None


def _differences(view: dict[str, Any], book: OrderBook, version: int) -> list[str]:
    pairs = [
        ("version", view["version"], version),
        ("captured_amount", view["captured_amount"], book.captured),
        ("refunded_amount", view["refunded_amount"], book.refunded),
        ("payment", view["payment"]["status"], book.payment),
        ("consignments", [part["status"] for part in view["consignments"]], _statuses(book)),
    ]
    return [
        f"its actor shows {name} {shown}, its record is {stored}" for name, shown, stored in pairs if shown != stored
    ]


def _statuses(book: OrderBook) -> list[str]:
    return [_SHOWN.get(parcel.status, parcel.status) for parcel in book.parcels]
