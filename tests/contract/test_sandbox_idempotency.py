"""Idempotency keys at the sandbox, driven by the real Stripe SDK: https://docs.stripe.com/api/idempotent_requests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.contract.sandbox_server import HOLD, Server, headers, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--seed", "3", "--accounts", "acct_a") as running:
        yield running


@pytest.fixture
def sandbox(server: Server) -> Server:
    server.post("reset")
    return server


def hold(sandbox: Server, key: str, **params: Any) -> Any:
    return sandbox.v1.payment_intents.create({**HOLD, **params}, {"idempotency_key": key})  # type: ignore[typeddict-item]


def replayed(answer: Any) -> bool:
    return bool(answer.last_response.headers.get("idempotent-replayed") == "true")


def test_a_replay_is_the_first_answer(sandbox: Server) -> None:
    first = hold(sandbox, "k1")
    sandbox.v1.payment_intents.capture(first.id)
    again = hold(sandbox, "k1")
    assert (replayed(first), replayed(again)) == (False, True)
    assert again.to_dict() == first.to_dict()
    assert again.status == "requires_capture"
    assert again.last_response.headers["original-request"] == first.last_response.headers["request-id"]
    assert again.last_response.headers["idempotency-key"] == "k1"
    assert sandbox.get("stats")["objects"]["payment_intent"] == 1


def test_the_order_of_parameters_does_not_matter(sandbox: Server) -> None:
    first = hold(sandbox, "k1", metadata={"a": "1", "b": "2"})
    params: Any = dict(reversed({**HOLD, "metadata": {"b": "2", "a": "1"}}.items()))
    assert sandbox.v1.payment_intents.create(params, {"idempotency_key": "k1"}).id == first.id


def test_other_parameters_are_refused(sandbox: Server) -> None:
    intent = hold(sandbox, "k1")
    with pytest.raises(stripe.IdempotencyError) as other:
        hold(sandbox, "k1", amount=2001)
    assert other.value.http_status == 400
    assert "can only be used with the same parameters they were first used with" in str(other.value)
    with pytest.raises(stripe.IdempotencyError) as elsewhere:
        sandbox.v1.payment_intents.capture(intent.id, {}, {"idempotency_key": "k1"})
    assert "('/v1/payment_intents/:id/capture' vs '/v1/payment_intents')" in str(elsewhere.value)
    second = sandbox.hold()
    sandbox.v1.payment_intents.capture(intent.id, {}, {"idempotency_key": "k2"})
    with pytest.raises(stripe.IdempotencyError):
        sandbox.v1.payment_intents.capture(second.id, {}, {"idempotency_key": "k2"})
    with pytest.raises(stripe.IdempotencyError):
        hold(sandbox, "k" * 256)


def test_validation_failures_keep_no_key(sandbox: Server) -> None:
    for params in ({"amount": 0}, {"colour": "blue"}, {"amount": 5}, {"expand": ["colour"]}):
        with pytest.raises(stripe.InvalidRequestError):
            hold(sandbox, "k1", **params)
    assert replayed(hold(sandbox, "k1")) is False


def test_declines_and_refusals_are_kept(sandbox: Server) -> None:
    with pytest.raises(stripe.CardError) as first:
        hold(sandbox, "k1", payment_method="pm_card_chargeDeclined")
    with pytest.raises(stripe.CardError) as declined:
        hold(sandbox, "k1", payment_method="pm_card_chargeDeclined")
    assert declined.value.json_body == first.value.json_body
    assert headers(declined.value)["idempotent-replayed"] == "true"
    assert sandbox.get("stats")["objects"]["charge"] == 1
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.refunds.create({"charge": "ch_nobody"}, {"idempotency_key": "k2"})
    with pytest.raises(stripe.InvalidRequestError) as missing:
        sandbox.v1.refunds.create({"charge": "ch_nobody"}, {"idempotency_key": "k2"})
    assert headers(missing.value)["idempotent-replayed"] == "true"


def test_a_short_account_stays_short_under_the_same_key(sandbox: Server) -> None:
    params: Any = {"amount": 10, "currency": "gbp", "destination": "acct_a"}
    with pytest.raises(stripe.InvalidRequestError) as short:
        sandbox.v1.transfers.create(params, {"idempotency_key": "k1"})
    assert short.value.code == "balance_insufficient"
    sandbox.post("topups", amount=1000, currency="gbp")
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.transfers.create(params, {"idempotency_key": "k1"})
    assert sandbox.v1.transfers.create(params, {"idempotency_key": "k2"}).amount == 10


def test_keys_are_forgotten_after_24_hours(sandbox: Server) -> None:
    first = hold(sandbox, "k1")
    sandbox.post("clock", advance_s=86_400 - 30)
    assert replayed(hold(sandbox, "k1"))
    sandbox.post("clock", advance_s=60)
    later = hold(sandbox, "k1")
    assert replayed(later) is False
    assert later.id != first.id
    assert sandbox.get("stats")["idempotency_keys"] == 1


def test_a_key_in_flight_is_409(sandbox: Server) -> None:
    sandbox.call("PUT", "faults", {"latency": {"distribution": "constant", "ms": 600}})

    def attempt() -> Any:
        try:
            return hold(sandbox, "k1")
        except stripe.StripeError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: attempt(), range(2)))
    [conflict] = [answer for answer in answers if isinstance(answer, stripe.StripeError)]
    assert (conflict.http_status, conflict.code) == (409, None)
    assert conflict.json_body["error"]["code"] == "idempotency_key_in_use"  # type: ignore[index]
    assert headers(conflict)["stripe-should-retry"] == "true"
    assert replayed(hold(sandbox, "k1"))
    assert sandbox.get("stats")["objects"]["payment_intent"] == 1


@pytest.mark.parametrize(("fault", "objects"), [("error_500_before", 0), ("error_500_after", 1)])
def test_a_500_is_kept_and_replayed(sandbox: Server, fault: str, objects: int) -> None:
    sandbox.call("PUT", "faults", {"rules": [{"fault": fault, "times": 1}]})
    for attempt in range(3):
        with pytest.raises(stripe.APIError) as failed:
            hold(sandbox, "k1")
        assert failed.value.http_status == 500
        assert headers(failed.value)["stripe-should-retry"] == "false"
        assert ("idempotent-replayed" in headers(failed.value)) is (attempt > 0)
    assert sandbox.get("stats")["objects"]["payment_intent"] == objects
    assert hold(sandbox, "k2").status == "requires_capture"


def test_expanded_answers_and_secrets_are_replayed_too(sandbox: Server) -> None:
    first = hold(sandbox, "k1", expand=["latest_charge"])
    sandbox.v1.payment_intents.capture(first.id)
    again = hold(sandbox, "k1", expand=["latest_charge"])
    assert again.latest_charge.captured is False
    params: Any = {"url": "http://127.0.0.1:1/", "enabled_events": ["*"]}
    endpoint = sandbox.v1.webhook_endpoints.create(params, {"idempotency_key": "k2"})
    assert sandbox.v1.webhook_endpoints.create(params, {"idempotency_key": "k2"}).secret == endpoint.secret
    assert "secret" not in sandbox.v1.webhook_endpoints.retrieve(endpoint.id)
