"""Webhooks as the sandbox signs them, and objects as it has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import orjson
import pytest

from actors.adapters.stripe_events import TOLERANCE_S, StripeEvents
from models.payments import Done
from scripts.sandbox.webhooks import signature
from tests.contract.payment_vendors import Order, payments_at
from tests.contract.sandbox_process import API_KEY, Sandbox, sandbox_process

SECRET = "whsec_of_the_tests"
EVENT = orjson.dumps({"id": "evt_1", "object": "event", "data": {"object": {"id": "pi_1", "name": "Zoë"}}})


class Forged(Exception):
    """What the gateway would answer 400 to."""


def events_at(address: str) -> StripeEvents:
    return StripeEvents(API_KEY, address, SECRET, Forged)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with sandbox_process() as running:
        yield running


def test_an_event_that_stripe_signed_is_believed() -> None:
    events = events_at("http://127.0.0.1:9")
    event = events.verified(EVENT, signature(EVENT, SECRET, int(time.time())))
    assert event["id"] == "evt_1"


@pytest.mark.parametrize(
    ("payload", "secret", "age_s"),
    [
        (EVENT.replace(b"pi_1", b"pi_2"), SECRET, 0),
        (EVENT, "whsec_of_somebody_else", 0),
        (EVENT, SECRET, TOLERANCE_S + 60),
        (EVENT + b" ", SECRET, 0),
        (b"\xff\xfe", SECRET, 0),
    ],
)
def test_an_event_that_stripe_did_not_sign_is_refused(payload: bytes, secret: str, age_s: int) -> None:
    with pytest.raises(Forged):
        events_at("http://127.0.0.1:9").verified(payload, signature(EVENT, secret, int(time.time()) - age_s))


@pytest.mark.parametrize("header", ["", "t=1", "v1=abc", "nonsense", "t=x,v1=y"])
def test_a_header_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(Forged):
        events_at("http://127.0.0.1:9").verified(EVENT, header)


@pytest.mark.parametrize("body", [b"[]", b"3", b"{"])
def test_what_is_signed_but_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(Forged):
        events_at("http://127.0.0.1:9").verified(body, signature(body, SECRET, int(time.time())))


def test_without_a_secret_nothing_starts() -> None:
    with pytest.raises(ValueError, match="STRIPE_WEBHOOK_SECRET"):
        StripeEvents(API_KEY, "http://127.0.0.1:9", "", Forged)


def with_events(address: str, story: Callable[[StripeEvents], Awaitable[None]]) -> None:
    async def main() -> None:
        events = events_at(address)
        try:
            await story(events)
        finally:
            await events.close()

    asyncio.run(main())


def test_objects_are_fetched_as_they_are_now(sandbox: Sandbox) -> None:
    async def story(events: StripeEvents) -> None:
        async with payments_at(sandbox) as payments:
            order = Order()
            hold = await payments.done(order.authorise())
            intent = await events.fetched("payment_intent", hold.payment_intent)
            assert intent is not None and intent["status"] == "requires_capture"
            captured: Done = await payments.done(order.capture(hold))
            intent = await events.fetched("payment_intent", hold.payment_intent)
            assert intent is not None and intent["status"] == "succeeded"
            refund = await payments.done(order.refund(hold, 100))
            moved = await payments.done(order.transfer(captured, sandbox.destination, 100))
            for kind, object_id in [("charge", captured.charge), ("refund", refund.id), ("transfer", moved.id)]:
                found = await events.fetched(kind, object_id)
                assert found is not None and found["id"] == object_id
            assert await events.fetched("dispute", "du_nobody") is None
            assert await events.fetched("charge", "ch_nobody/../../events") is None

    with_events(sandbox.address, story)


def test_a_stripe_that_cannot_be_asked_is_a_connection_error(sandbox: Sandbox) -> None:
    async def story(events: StripeEvents) -> None:
        with pytest.raises(ConnectionError):
            await events.fetched("charge", "ch_1")

    with_events("http://127.0.0.1:9", story)
    sandbox.inject({"fault": "error_500_before", "times": 1})
    with_events(sandbox.address, story)
