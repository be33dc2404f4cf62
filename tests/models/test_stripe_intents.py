"""Voids and authorisations that meet while Stripe's lists do not show yet what has happened.

The sandbox's lists are never late, so here Stripe is a few lines: idempotency keys, one kind of object, blind lists,
and the least helpful order of checks (other parameters are complained about even while the first request runs).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from actors.adapters.stripe_errors import Refusal
from actors.adapters.stripe_intents import StripeIntents
from actors.adapters.stripe_objects import Json
from models.payments import Authorise, Declined, Done, Outcome, Unknown, Void
from models.record import changed

ORDER = "ord_011019a5e1b2c3d7abc8123456789abcdef"
AUTHORISE = Authorise(f"{ORDER}:authorise:payment:1", ORDER, False, 2_000, "gbp", "pm_card_visa")
VOID = Void(f"{ORDER}:void:payment:1", ORDER, authorise=AUTHORISE)


class BlindStripe:
    """`Calls` over a Stripe whose lists are empty."""

    def __init__(self) -> None:
        self.intents: list[Json] = []
        self.keys: dict[str, tuple[str, int | Refusal | None]] = {}

    async def post(self, endpoint: str, path: str, params: Mapping[str, Any], key: str) -> Json:
        await asyncio.sleep(0)
        said = json.dumps([path, params], sort_keys=True)
        if key in self.keys:
            before, result = self.keys[key]
            if before != said:
                raise Refusal(400, "idempotency_error")
            if result is None:
                raise Refusal(409, code="idempotency_key_in_use")
            if isinstance(result, Refusal):
                raise result
            return self.intents[result]
        number = self._create(params) if path == "payment_intents" else self._cancel(path)
        self.keys[key] = (said, number)
        return self.intents[number]

    async def get(self, endpoint: str, path: str, params: Mapping[str, Any]) -> Json:
        if "/" in path:
            return next(intent for intent in self.intents if intent["id"] == path.split("/")[1])
        return {"data": [], "has_more": False}

    def begin(self, request: Authorise) -> None:
        """An authorisation has arrived and runs."""
        self.keys[request.key] = (self._said(request), None)

    def fail(self, request: Authorise) -> None:
        """An authorisation has arrived and ended with a fault, without effect."""
        self.keys[request.key] = (self._said(request), Refusal(500, "api_error", replayed=True))

    def decline(self, request: Authorise) -> None:
        self.keys[request.key] = (self._said(request), Refusal(402, "card_error", payment_intent="pi_declined"))

    def held(self) -> list[str]:
        return [intent["id"] for intent in self.intents if intent["status"] == "requires_capture"]

    def _said(self, request: Authorise) -> str:
        from actors.adapters.stripe_intents import create_params

        return json.dumps(["payment_intents", create_params(request)], sort_keys=True)

    def _create(self, params: Mapping[str, Any]) -> int:
        status = "requires_capture" if params.get("confirm") else "requires_payment_method"
        id_ = f"pi_{len(self.intents)}"
        self.intents.append({"id": id_, "status": status, "metadata": params["metadata"], "latest_charge": None})
        return len(self.intents) - 1

    def _cancel(self, path: str) -> int:
        number = int(path.split("/")[1].removeprefix("pi_"))
        self.intents[number]["status"] = "canceled"
        return number


def settle(stripe: BlindStripe, *requests: Authorise | Void) -> list[Outcome | int]:
    """Each request's outcome, or the status of the refusal it ended with."""
    steps = StripeIntents(stripe, lambda: 0)

    async def one(request: Authorise | Void) -> Outcome | int:
        try:
            return await (steps.void(request) if isinstance(request, Void) else steps.authorise(request))
        except Refusal as refusal:
            return refusal.status

    async def main() -> list[Outcome | int]:
        return list(await asyncio.gather(*[one(request) for request in requests]))

    return asyncio.run(main())


def test_a_hold_that_no_list_shows_is_found_by_its_key() -> None:
    stripe = BlindStripe()
    assert settle(stripe, AUTHORISE) == [Done("pi_0", "pi_0", "", 0)]
    assert settle(stripe, VOID) == [Done("pi_0", "pi_0", "")]
    assert stripe.held() == []


def test_a_void_waits_for_an_authorisation_that_runs() -> None:
    stripe = BlindStripe()
    stripe.begin(AUTHORISE)
    assert settle(stripe, VOID) == [409]


def test_a_declined_authorisation_has_nothing_to_void() -> None:
    stripe = BlindStripe()
    stripe.decline(AUTHORISE)
    assert settle(stripe, VOID) == [Done("pi_declined", "pi_declined")]


def test_a_fence_stands_even_where_no_list_shows_it() -> None:
    stripe = BlindStripe()
    settle(stripe, VOID)
    for late in (AUTHORISE, changed(AUTHORISE, lookup=True)):
        (outcome,) = settle(stripe, late)
        assert isinstance(outcome, Declined | int)
        assert outcome == 400 or outcome == Declined("payment_intent_canceled", "voided before it was authorised")
    assert stripe.held() == []


def test_a_fault_under_the_first_key_is_fenced_under_the_next() -> None:
    stripe = BlindStripe()
    stripe.fail(AUTHORISE)
    assert settle(stripe, VOID) == [Done("pi_0", "pi_0", "")]
    assert settle(stripe, changed(AUTHORISE, lookup=True)) == [
        Declined("payment_intent_canceled", "voided before it was authorised")
    ]
    assert stripe.held() == []


def test_a_fault_without_effect_is_authorised_under_the_next_key() -> None:
    stripe = BlindStripe()
    stripe.fail(AUTHORISE)
    again = changed(AUTHORISE, lookup=True)
    assert settle(stripe, again, again) == [Done("pi_0", "pi_0", "", 0)] * 2


def test_faults_under_every_key_stay_unknown() -> None:
    stripe = BlindStripe()
    stripe.fail(AUTHORISE)
    for generation in range(1, 10):
        said, fault = stripe.keys[AUTHORISE.key]
        stripe.keys[f"{AUTHORISE.key}~{generation}"] = (said, fault)
    for request in (changed(AUTHORISE, lookup=True), VOID):
        (outcome,) = settle(stripe, request)
        assert isinstance(outcome, Unknown)
        assert outcome.stale
    assert stripe.intents == []


@pytest.mark.parametrize("void_first", [True, False])
@pytest.mark.parametrize("lookup", [True, False])
def test_a_void_and_an_authorisation_at_once_leave_no_hold(void_first: bool, lookup: bool) -> None:
    stripe = BlindStripe()
    authorise = changed(AUTHORISE, lookup=lookup)
    requests = (VOID, authorise) if void_first else (authorise, VOID)
    settle(stripe, *requests)
    settle(stripe, VOID)
    settle(stripe, changed(AUTHORISE, lookup=True))
    assert stripe.held() == []
