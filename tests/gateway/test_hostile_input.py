"""Whatever is sent, the gateway answers as published, and never with a fault of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gateway.app import endpoints
from gateway.endpoint import Endpoint
from tests.gateway.read_side import ReadSide
from tests.gateway.shop import ORDER, Shop

ENDPOINTS = [
    endpoint for endpoint in endpoints() if endpoint.path != "/v1/orders/batch" and "sse" not in endpoint.extra
]
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["mug", "north", "acme", "gbp", "1", "MUG", "pm_card_visa", "ops", "\0", "\ud83d", "a" * 600]),
)
NUMBERS = st.one_of(
    st.integers(-3, 10_001), st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**30, 99_999_999]), st.floats()
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


class Playground:
    """One shop with an order in it, for all examples."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.shop = Shop()
        self.runner.run(self.shop.open())
        self.runner.run(self.shop.stocked())
        order = self.runner.run(self.shop.placed())
        self.side = ReadSide(self.shop)
        self.runner.run(self.side.open())
        digits = order["id"][4:]
        self.ids = [
            order["id"],
            f"tsk_{digits}_1",
            f"cns_{digits}_1",
            f"ret_{digits}_x",
            f"dsp_{digits}_x",
            "mug",
            "MUG",
        ]
        self.clients = {"ops": self.shop.ops, "retailer": self.shop.acme, "supplier": self.shop.north}

    def close(self) -> None:
        self.side.close()
        self.runner.run(self.shop.close())
        self.runner.close()


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    made = Playground()
    yield made
    made.close()


def sample_of(endpoint: Endpoint, draw: Any) -> Any:
    """A body that has the endpoint's own field names, so that it gets past the first check now and then."""
    if endpoint.body is None:
        return draw(VALUES)
    fields = list(endpoint.body.model_fields)
    body = {name: draw(VALUES) for name in fields if draw(st.booleans())}
    if endpoint.path == "/v1/orders":
        body = {**ORDER, **body}
    return body


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_breaks_the_gateway(playground: Playground, data: st.DataObject) -> None:
    endpoint = data.draw(st.sampled_from(ENDPOINTS))
    client = playground.clients[data.draw(st.sampled_from(sorted(endpoint.roles or playground.clients)))]
    known = st.sampled_from(playground.ids)
    ids = st.one_of(known, known, TEXTS)
    parts = [
        quote(data.draw(ids), safe="", errors="replace") or "x" if part.startswith("{") else part
        for part in endpoint.path.split("/")
    ]
    body = json.dumps(sample_of(endpoint, data.draw)).encode("utf-8", "surrogatepass")
    headers = {"content-type": "application/json", "stripe-signature": "x"}
    if data.draw(st.booleans()):
        headers["idempotency-key"] = data.draw(st.text("abc \x01", max_size=5))
        headers["if-match"] = data.draw(st.sampled_from(['"1"', "*", "x", ""]))
        headers["prefer"] = data.draw(st.sampled_from(["wait=0", "wait=x", "wait", "respond-async, wait=0", ";="]))

    async def ask() -> int:
        answer = await client.request(endpoint.method, "/".join(parts), content=body, headers=headers)
        return answer.status_code

    status = playground.runner.run(ask())
    event(f"answered {status}")
    assert status < 500


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=200), st.from_regex(rb"[\[\]{}\",:0-9a-z\\]{0,40}")))
def test_no_bytes_break_the_gateway(playground: Playground, body: bytes) -> None:
    async def ask() -> Any:
        headers = {"content-type": "application/json"}
        return await playground.clients["retailer"].post("/v1/orders", content=body, headers=headers)

    answer = playground.runner.run(ask())
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("malformed", "invalid")
