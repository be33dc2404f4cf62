"""Which outcome each refusal of Stripe's becomes, and which keys may meet which server."""

from __future__ import annotations

import pytest

from actors.adapters.stripe_errors import MISCONFIGURED_MS, Refusal, outcome_of
from actors.adapters.stripe_payments import check_credentials, default_pace
from models.payments import Declined, Outcome, Throttled, Unknown

TABLE: list[tuple[Refusal, Outcome]] = [
    (Refusal(0, message="Server disconnected"), Unknown("0 : Server disconnected")),
    (Refusal(200, message="not JSON"), Unknown("200 : not JSON")),
    (Refusal(400, "invalid_request_error", "amount_too_small", message="m"), Declined("amount_too_small", "m")),
    (Refusal(400, "invalid_request_error", message="m"), Declined("invalid_request_error", "m")),
    (Refusal(400, "idempotency_error", message="m"), Unknown("400 idempotency_error: m", stale=True)),
    (Refusal(401, message="m"), Throttled(MISCONFIGURED_MS)),
    (
        Refusal(402, "card_error", "card_declined", "insufficient_funds", "m", payment_intent="pi_1"),
        Declined("insufficient_funds", "m", "pi_1"),
    ),
    (Refusal(402, "card_error", "expired_card", message="m"), Declined("expired_card", "m")),
    (Refusal(403, message="m"), Throttled(MISCONFIGURED_MS)),
    (Refusal(403, code="account_invalid", message="m"), Declined("account_invalid", "m")),
    (Refusal(404, "invalid_request_error", "resource_missing", message="m"), Declined("resource_missing", "m")),
    (Refusal(409, "invalid_request_error", "idempotency_key_in_use"), Throttled(1_000)),
    (Refusal(429, code="rate_limit"), Throttled(1_000)),
    (Refusal(429, code="rate_limit", retry_after_ms=2_500), Throttled(2_500)),
    (Refusal(500, "api_error", message="m"), Unknown("500 api_error: m")),
    (Refusal(500, "api_error", message="m", replayed=True), Unknown("500 api_error: m", stale=True)),
    (Refusal(402, "card_error", "card_declined", "lost_card", "m", replayed=True), Declined("lost_card", "m")),
    (Refusal(503, message="m"), Unknown("503 : m")),
]


@pytest.mark.parametrize(("refusal", "outcome"), TABLE, ids=lambda case: f"{getattr(case, 'status', '')}")
def test_every_refusal_has_its_outcome(refusal: Refusal, outcome: Outcome) -> None:
    assert outcome_of(refusal) == outcome


@pytest.mark.parametrize(
    ("key", "address"),
    [
        ("sk_test_51abc", ""),
        ("rk_live_51abc", ""),
        ("sk_live_51abc", "https://api.stripe.com"),
        ("sk_test_51abc", "http://127.0.0.1:12111"),
        ("sk_test_dray_sandbox", "http://127.0.0.1:12111"),
        ("sk_live_51abc", "https://eu.api.stripe.com"),
    ],
)
def test_keys_that_may_be_used(key: str, address: str) -> None:
    check_credentials(key, address)


@pytest.mark.parametrize(
    ("key", "address", "reason"),
    [
        ("", "", "not set"),
        ("pk_live_51abc", "", "secret or restricted"),
        ("sk_live_51abc", "http://127.0.0.1:12111", "live key"),
        ("rk_live_51abc", "http://localhost", "live key"),
        ("sk_live_51abc", "https://api.stripe.com.example", "live key"),
        ("sk_live_51abc", "https://api.stripe.com@example.test", "live key"),
        ("sk_live_51abc", "https://notstripe.com", "live key"),
        ("sk_live_51abc", "http://api.stripe.com", "https"),
        ("sk_test_51abc", "http://api.stripe.com", "https"),
        ("sk_test_dray_sandbox", "", "sandbox"),
        ("sk_test_dray_sandbox", "https://api.stripe.com", "sandbox"),
        ("sk_test_51abc", "localhost:12111", "address"),
        ("sk_test_51abc", "ftp://localhost", "address"),
    ],
)
def test_keys_that_must_not_meet_a_server(key: str, address: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        check_credentials(key, address)
    assert not key or key not in str(refused.value)


def test_the_pace_starts_below_what_stripe_allows() -> None:
    assert default_pace("sk_live_1", "").rate_start_per_s < 100
    assert default_pace("sk_test_1", "").rate_start_per_s < 25
