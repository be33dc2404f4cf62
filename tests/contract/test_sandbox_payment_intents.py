"""PaymentIntents at the sandbox, driven by the real Stripe SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.contract.sandbox_server import HOLD, KEY, Server, serving


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Server]:
    with serving("--seed", "1") as server:
        yield server


def test_a_hold_is_captured_in_full(sandbox: Server) -> None:
    intent = sandbox.hold(transfer_group="ord_1", metadata={"order": "ord_1"}, expand=["latest_charge"])
    assert intent.status == "requires_capture"
    assert (intent.amount_capturable, intent.amount_received) == (2000, 0)
    charge = intent.latest_charge
    assert (charge.captured, charge.paid, charge.transfer_group) == (False, True, "ord_1")
    assert charge.payment_method_details.card.capture_before == intent.created + 7 * 86_400
    assert charge.balance_transaction is None

    captured = sandbox.v1.payment_intents.capture(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 2000, 0)
    assert captured.latest_charge.captured is True  # type: ignore[union-attr]
    assert captured.latest_charge.balance_transaction.amount == 2000  # type: ignore[union-attr]
    assert sandbox.balanced()


def test_a_partial_capture_releases_the_rest(sandbox: Server) -> None:
    before = sandbox.held("holds")
    intent = sandbox.hold()
    captured = sandbox.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1250})
    charge = sandbox.v1.charges.retrieve(captured.latest_charge)  # type: ignore[arg-type]
    assert captured.amount_received == 1250
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (2000, 1250, 750)
    assert charge.refunded is False
    assert sandbox.held("holds") == before


@pytest.mark.parametrize("taken", [2001, 99_999_999])
def test_no_more_than_the_hold_is_captured(sandbox: Server, taken: int) -> None:
    intent = sandbox.hold()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.payment_intents.capture(intent.id, {"amount_to_capture": taken})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")
    assert sandbox.v1.payment_intents.retrieve(intent.id).status == "requires_capture"


def test_a_second_capture_is_refused_with_the_intent(sandbox: Server) -> None:
    intent = sandbox.paid()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.payment_intents.capture(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.error.payment_intent.status == "succeeded"  # type: ignore[union-attr]


def test_cancelling_gives_the_hold_back(sandbox: Server) -> None:
    before = sandbox.held("holds")
    intent = sandbox.hold()
    assert sandbox.held("holds") == before + 2000
    cancelled = sandbox.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "requested_by_customer")
    charge = sandbox.v1.charges.retrieve(cancelled.latest_charge)  # type: ignore[arg-type]
    assert (charge.refunded, charge.amount_refunded, charge.captured) == (True, 2000, False)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.payment_intents.cancel(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert sandbox.held("holds") == before


def test_create_then_confirm_captures_by_itself(sandbox: Server) -> None:
    intent = sandbox.v1.payment_intents.create({"amount": 500, "currency": "eur"})
    assert intent.status == "requires_payment_method"
    assert intent.capture_method == "automatic_async"
    intent = sandbox.v1.payment_intents.update(intent.id, {"payment_method": "pm_card_mastercard"})
    assert intent.status == "requires_confirmation"
    intent = sandbox.v1.payment_intents.confirm(intent.id, {"return_url": "https://shop.example/back"})
    assert (intent.status, intent.amount_received) == ("succeeded", 500)


DECLINES = [
    ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("pm_card_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("pm_card_chargeDeclinedFraudulent", "card_declined", "fraudulent"),
    ("pm_card_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
]


@pytest.mark.parametrize(("method", "code", "decline_code"), DECLINES)
def test_declines(sandbox: Server, method: str, code: str, decline_code: str | None) -> None:
    with pytest.raises(stripe.CardError) as declined:
        sandbox.hold(payment_method=method)
    error = declined.value
    assert (error.http_status, error.code) == (402, code)
    told = error.error
    assert told is not None
    assert told.decline_code == decline_code
    intent = told.payment_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == code  # type: ignore[union-attr]
    charge = sandbox.v1.charges.retrieve(told.charge or "")
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert sandbox.v1.payment_intents.retrieve(intent.id).latest_charge == charge.id


def test_a_declined_intent_can_be_confirmed_with_another_card(sandbox: Server) -> None:
    with pytest.raises(stripe.CardError) as declined:
        sandbox.hold(payment_method="pm_card_chargeDeclined")
    failed = declined.value.error.payment_intent  # type: ignore[union-attr]
    again = sandbox.v1.payment_intents.confirm(failed.id, {"payment_method": "pm_card_visa"})  # type: ignore[union-attr]
    assert again.status == "requires_capture"
    charges = sandbox.v1.charges.list({"payment_intent": again.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]


@pytest.mark.parametrize(
    ("method", "outcome", "status"),
    [
        ("pm_card_authenticationRequired", "succeed", "requires_capture"),
        ("pm_card_authenticationRequired", "fail", "requires_payment_method"),
        ("pm_card_threeDSecureRequiredChargeDeclined", "succeed", "requires_payment_method"),
    ],
)
def test_three_d_secure(sandbox: Server, method: str, outcome: str, status: str) -> None:
    intent = sandbox.hold(payment_method=method, return_url="https://shop.example/back")
    assert intent.status == "requires_action"
    assert intent.next_action.redirect_to_url.url.startswith(sandbox.url)
    assert intent.latest_charge is None
    sandbox.post(f"authenticate/{intent.id}", outcome=outcome)
    after = sandbox.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert (after.status, after.next_action) == (status, None)
    if status == "requires_capture":
        assert after.latest_charge.payment_method_details.card.three_d_secure.result == "authenticated"  # type: ignore[union-attr]
    else:
        assert after.last_payment_error is not None
    assert "not requires_action" in sandbox.post(f"authenticate/{intent.id}", outcome="succeed")["error"]["message"]


@pytest.mark.parametrize("params", [{"off_session": True}, {"error_on_requires_action": True}])
def test_an_absent_payer_cannot_authenticate(sandbox: Server, params: dict[str, Any]) -> None:
    with pytest.raises(stripe.CardError) as declined:
        sandbox.hold(payment_method="pm_card_authenticationRequired", **params)
    assert declined.value.code == "authentication_required"
    assert declined.value.error.payment_intent.status == "requires_payment_method"  # type: ignore[union-attr]


REFUSED: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types"),
    ({"colour": "blue"}, "parameter_unknown", "colour"),
    ({"shipping": {"name": "A", "address": {"planet": "Mars"}}}, "parameter_unknown", "shipping[address][planet]"),
    ({"amount": 0}, "parameter_invalid_integer", "amount"),
    ({"amount": -5}, "parameter_invalid_integer", "amount"),
    ({"amount": "12.50"}, "parameter_invalid_integer", "amount"),
    ({"amount": 29}, "amount_too_small", "amount"),
    ({"amount": 100_000_000}, "amount_too_large", "amount"),
    ({"currency": "xxx"}, None, "currency"),
    ({"currency": ""}, "parameter_invalid_empty", "currency"),
    ({"capture_method": "later"}, None, "capture_method"),
    ({"confirm": "perhaps"}, None, "confirm"),
    ({"payment_method": "pm_card_unheard"}, "resource_missing", "payment_method"),
    ({"automatic_payment_methods": {"enabled": True}}, None, "return_url"),
    ({"allowed_payment_method_types": ["card"]}, None, "automatic_payment_methods"),
    ({"customer": "cus_1"}, "parameter_unknown", "customer"),
    ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
    ({"metadata": {f"k{n}": "v" for n in range(51)}}, None, "metadata"),
    ({"expand": ["latest_charge.colour"]}, None, "expand"),
    ({"on_behalf_of": "acct_nobody"}, "resource_missing", "on_behalf_of"),
]


@pytest.mark.parametrize(("params", "code", "param"), REFUSED)
def test_what_is_refused(sandbox: Server, params: dict[str, Any], code: str | None, param: str | None) -> None:
    before = sandbox.get("stats")["objects"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.hold(**params)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert sandbox.get("stats")["objects"] == before


@pytest.mark.parametrize("name", ["amount", "currency"])
def test_what_is_missing(sandbox: Server, name: str) -> None:
    params: Any = {key: value for key, value in HOLD.items() if key != name}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.payment_intents.create(params)
    assert (refused.value.code, refused.value.param) == ("parameter_missing", name)


def test_a_browser_needs_the_intents_own_secret(sandbox: Server) -> None:
    intent = sandbox.hold()
    own: Any = {"client_secret": intent.client_secret}
    assert sandbox.v1.payment_intents.retrieve(intent.id, own).id == intent.id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.payment_intents.retrieve(intent.id, {"client_secret": "guess"})
    assert refused.value.param == "client_secret"


def test_a_capture_may_rename_the_statement(sandbox: Server) -> None:
    params: Any = {"statement_descriptor_suffix": "ORD 1", "metadata": {"taken": "yes"}, "expand": ["latest_charge"]}
    captured = sandbox.v1.payment_intents.capture(sandbox.hold().id, params)
    assert captured.statement_descriptor_suffix == captured.latest_charge.statement_descriptor_suffix == "ORD 1"  # type: ignore[union-attr]
    assert captured.metadata.to_dict() == {"taken": "yes"}


def test_an_unknown_intent_is_404(sandbox: Server) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        sandbox.v1.payment_intents.retrieve("pi_nobody")
    assert (missing.value.http_status, missing.value.code, missing.value.param) == (404, "resource_missing", "intent")
    assert str(missing.value.user_message) == "No such payment_intent: 'pi_nobody'"


def test_metadata_is_merged_and_unset(sandbox: Server) -> None:
    intent = sandbox.hold(metadata={"a": "1", "b": "2"})
    update: Any = {"metadata": {"b": "", "c": "3"}, "description": "two boxes"}
    updated = sandbox.v1.payment_intents.update(intent.id, update)
    assert updated.metadata.to_dict() == {"a": "1", "c": "3"}
    assert updated.description == "two boxes"
    assert sandbox.v1.payment_intents.update(intent.id, {"metadata": ""}).metadata.to_dict() == {}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.payment_intents.update(intent.id, {"amount": 100})
    assert refused.value.code == "payment_intent_unexpected_state"


def test_lists_page_newest_first(sandbox: Server) -> None:
    made = [sandbox.hold(metadata={"batch": "pages"}).id for _ in range(5)]
    page = sandbox.v1.payment_intents.list({"limit": 2})
    assert [intent.id for intent in page.data] == made[:-3:-1]
    assert page.has_more is True
    older = sandbox.v1.payment_intents.list({"limit": 2, "starting_after": page.data[-1].id})
    assert [intent.id for intent in older.data] == made[-3:-5:-1]
    newer = sandbox.v1.payment_intents.list({"limit": 10, "ending_before": older.data[0].id})
    assert [intent.id for intent in newer.data] == made[:-3:-1]
    assert newer.has_more is False
    every = [intent.id for intent in sandbox.v1.payment_intents.list({"limit": 3}).auto_paging_iter()]
    assert every[:5] == made[::-1]
    assert len(every) == len(set(every)) == sandbox.get("stats")["objects"]["payment_intent"]
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.payment_intents.list({"starting_after": "pi_nobody"})
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.payment_intents.list({"limit": 101})


def test_search(sandbox: Server) -> None:
    mine = [sandbox.hold(amount=1000 + n, metadata={"order": "it's 7"}).id for n in range(3)]
    find = sandbox.v1.payment_intents.search
    assert [i.id for i in find({"query": "metadata['order']:'it\\'s 7'"}).data] == mine[::-1]
    assert [i.id for i in find({"query": 'metadata["order"]:"it\'s 7" AND amount>=1001 AND amount<1002'}).data] == mine[
        1:2
    ]
    assert find({"query": "metadata['order']:'it\\'s 7' AND -status:'requires_capture'"}).data == []
    first = find({"query": "metadata['order']~'it' AND created>0", "limit": 2})
    assert first.has_more
    rest = find({"query": "metadata['order']~'it' AND created>0", "limit": 2, "page": first.next_page or ""})
    assert [i.id for i in (*first.data, *rest.data)] == mine[::-1]
    for broken in ("amount", "colour:'x'", "amount:1 AND amount:2 OR amount:3", "amount>many"):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            find({"query": broken})
        assert refused.value.param == "query"


@pytest.mark.parametrize(
    ("key", "raised", "status"),
    [
        ("sk_live_123456789", stripe.AuthenticationError, 401),
        ("nonsense", stripe.AuthenticationError, 401),
        ("pk_test_123456789", stripe.PermissionError, 403),
    ],
)
def test_keys(sandbox: Server, key: str, raised: type[stripe.StripeError], status: int) -> None:
    client = stripe.StripeClient(key, base_addresses={"api": sandbox.url})
    with pytest.raises(raised) as refused:
        client.v1.balance.retrieve()
    assert refused.value.http_status == status
    assert key not in str(refused.value)


def test_headers_of_an_answer(sandbox: Server) -> None:
    response: Any = sandbox.v1.balance.retrieve().last_response
    assert response.headers["request-id"].startswith("req_")
    assert response.headers["stripe-version"] == stripe.api_version == "2026-10-28.endive"
    assert sandbox.get("requests")[0]["id"] == response.headers["request-id"]
    assert KEY not in str(sandbox.get("requests"))


def test_card_payment_methods_of_ones_own(sandbox: Server) -> None:
    method = sandbox.v1.payment_methods.create(
        {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Ada"}}
    )
    assert (method.card.last4, method.billing_details.name) == ("4242", "Ada")  # type: ignore[union-attr]
    assert sandbox.hold(payment_method=method.id).payment_method == method.id
    card: Any = {"type": "card", "card": {"number": "4000000000009995", "exp_month": 1, "exp_year": 2030, "cvc": "123"}}
    with pytest.raises(stripe.CardError) as declined:
        sandbox.hold(payment_method=sandbox.v1.payment_methods.create(card).id)
    assert declined.value.error.decline_code == "insufficient_funds"  # type: ignore[union-attr]
    card["card"]["number"] = "1234123412341234"
    with pytest.raises(stripe.CardError) as incorrect:
        sandbox.v1.payment_methods.create(card)
    assert incorrect.value.code == "incorrect_number"
