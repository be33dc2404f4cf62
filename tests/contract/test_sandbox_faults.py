"""Faults, rate limits and the fault file of the sandbox, seen through the real Stripe SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from scripts.sandbox import faults
from scripts.sandbox.errors import StripeError
from scripts.sandbox.rate_limits import RateLimitInvalid, RateLimits
from tests.contract.sandbox_server import HOLD, Server, headers, refusal, serving, write_plan


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--seed", "4", "--accounts", "acct_a") as running:
        yield running


@pytest.fixture
def sandbox(server: Server) -> Server:
    server.post("reset")
    return server


def plan(sandbox: Server, **content: Any) -> None:
    assert sandbox.call("PUT", "faults", content) == {"plan": content}


@pytest.mark.parametrize(
    ("fault", "code", "reason"), [("rate_limit", "rate_limit", "global-rate"), ("lock_timeout",) * 2 + (None,)]
)
def test_a_throttled_request_has_no_effect(sandbox: Server, fault: str, code: str, reason: str | None) -> None:
    plan(sandbox, rules=[{"fault": fault, "times": 1}])
    with pytest.raises(stripe.RateLimitError) as throttled:
        sandbox.v1.payment_intents.create(HOLD, {"idempotency_key": "k"})  # type: ignore[arg-type]
    assert throttled.value.http_status == 429
    assert throttled.value.json_body["error"]["code"] == code  # type: ignore[index]
    assert headers(throttled.value).get("stripe-rate-limited-reason") == reason
    assert sandbox.get("stats")["objects"]["payment_intent"] == 0
    assert sandbox.v1.payment_intents.create(HOLD, {"idempotency_key": "k"}).status == "requires_capture"  # type: ignore[arg-type]


@pytest.mark.parametrize(("fault", "objects"), [("closed_before", 0), ("closed_after", 1)])
def test_a_dropped_connection(sandbox: Server, fault: str, objects: int) -> None:
    plan(sandbox, rules=[{"fault": fault, "endpoints": ["POST /v1/payment_intents"], "times": 1}])
    with pytest.raises(stripe.APIConnectionError):
        sandbox.v1.payment_intents.create(HOLD, {"idempotency_key": "k"})  # type: ignore[arg-type]
    assert sandbox.get("stats")["objects"]["payment_intent"] == objects
    again: Any = sandbox.v1.payment_intents.create(HOLD, {"idempotency_key": "k"})  # type: ignore[arg-type]
    assert ("idempotent-replayed" in again.last_response.headers) is bool(objects)
    assert sandbox.get("stats")["objects"]["payment_intent"] == 1
    assert sandbox.get("stats")["faults_injected"] == {fault: 1}
    assert sandbox.get("requests")[1]["closed"] is True


def test_rules_name_their_endpoints(sandbox: Server) -> None:
    plan(sandbox, rules=[{"fault": "error_500_before", "endpoints": ["POST /v1/payment_intents/{}/capture"]}])
    intent = sandbox.hold()
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            sandbox.v1.payment_intents.capture(intent.id)
    assert sandbox.call("DELETE", "faults") == {"plan": {}}
    assert sandbox.v1.payment_intents.capture(intent.id).status == "succeeded"


def outcomes(sandbox: Server, seed: str, keys: list[str]) -> dict[str, str]:
    sandbox.post("reset")
    plan(sandbox, seed=seed, rules=[{"fault": "error_500_before", "probability": 0.4}])
    seen = {}
    for key in keys:
        try:
            sandbox.v1.payment_intents.create(HOLD, {"idempotency_key": key})  # type: ignore[arg-type]
            seen[key] = "done"
        except stripe.APIError:
            seen[key] = "failed"
    return seen


def test_faults_repeat_from_their_seed_in_any_order(sandbox: Server) -> None:
    keys = [f"key {n}" for n in range(40)]
    first = outcomes(sandbox, "7", keys)
    assert outcomes(sandbox, "7", keys[::-1]) == first
    assert outcomes(sandbox, "8", keys) != first
    assert 5 < list(first.values()).count("failed") < 30


def test_the_test_preset_limits_each_endpoint() -> None:
    with serving("--rate-limit", "test") as sandbox:
        statuses, reasons = [], set()
        for _ in range(40):
            try:
                sandbox.v1.balance.retrieve()
                statuses.append(200)
            except stripe.RateLimitError as limited:
                statuses.append(429)
                reasons.add(headers(limited)["stripe-rate-limited-reason"])
        assert statuses[:25] == [200] * 25
        assert 429 in statuses[25:]
        assert reasons == {"endpoint-rate"}
        assert sandbox.v1.refunds.list().data == []


@pytest.mark.parametrize(("name", "allowed"), [("none", 1000), ("live", 100), ("test", 25), ("7/3", 3), ("2/0", 2)])
def test_buckets_refill_by_the_second(name: str, allowed: int) -> None:
    now = 0.0
    limits = RateLimits(name, lambda: now)

    def taken() -> int:
        for count in range(1000):
            try:
                limits.take("GET /v1/balance")
            except StripeError:
                return count
        return 1000

    assert taken() == allowed
    now = 0.5
    assert taken() == (allowed if allowed == 1000 else allowed // 2)
    now = 10.0
    assert taken() == allowed


@pytest.mark.parametrize("name", ["fast", "10", "10/", "-1/5", "1/2/3"])
def test_rate_limits_that_do_not_exist(name: str) -> None:
    with pytest.raises(RateLimitInvalid, match="use one of none, live, test, or GLOBAL/ENDPOINT"):
        RateLimits(name)


WRONG: list[tuple[Any, str]] = [
    ([], "the plan must be an object"),
    ({"rule": []}, "the plan has the unknown key 'rule'"),
    ({"rules": {}}, "rules must be a list"),
    ({"rules": [{}]}, r"rules\[0\] lacks 'fault'"),
    ({"rules": [{"fault": "explode"}]}, r"rules\[0\].fault must be one of rate_limit, lock_timeout"),
    ({"rules": [{"fault": "rate_limit", "probability": 1.5}]}, r"rules\[0\].probability must be a number from 0 to 1"),
    ({"rules": [{"fault": "rate_limit", "probability": True}]}, "must be a number"),
    ({"rules": [{"fault": "rate_limit", "endpoints": ["POST /v1/nothing"]}]}, "there is no 'POST /v1/nothing'"),
    ({"rules": [{"fault": "rate_limit", "endpoints": "all"}]}, "must be a list of names"),
    ({"rules": [{"fault": "rate_limit", "times": -1}]}, "times must be a whole number"),
    ({"rate_limit": "fast"}, "rate_limit: "),
    ({"latency": {"distribution": "weird"}}, "latency.distribution must be one of constant"),
    ({"latency": {"distribution": "constant"}}, "lacks 'ms'"),
    ({"latency": {"distribution": "constant", "ms": 5, "sigma": 1}}, "unknown key 'sigma'"),
    ({"latency": {"distribution": "uniform", "min_ms": 5, "max_ms": 1}}, "min_ms is above"),
    ({"latency": {"distribution": "constant", "ms": "5"}}, "latency.ms must be a number"),
    ({"webhooks": {"lost": 1}}, "webhooks has the unknown key 'lost'"),
    ({"webhooks": {"late": 2}}, "webhooks.late must be a number from 0 to 1"),
]


@pytest.mark.parametrize(("content", "complaint"), WRONG)
def test_a_wrong_plan_is_refused_by_name(content: Any, complaint: str) -> None:
    with pytest.raises(faults.FaultsInvalid, match=complaint):
        faults.read(content)


def test_a_wrong_plan_is_refused_by_the_control_endpoint_and_at_start(sandbox: Server, tmp_path: Path) -> None:
    answer = sandbox.call("PUT", "faults", {"rules": [{"fault": "explode"}]})
    assert answer["error"]["message"].startswith("rules[0].fault must be one of")
    status, complaint = refusal("--faults", write_plan(tmp_path / "faults.json", {"rule": 1}))
    assert status == 2
    assert "the plan has the unknown key 'rule'" in complaint
    (tmp_path / "broken.json").write_text("{")
    assert refusal("--faults", str(tmp_path / "broken.json"))[0] == 2
    assert refusal("--rate-limit", "fast")[0] == 2
    assert refusal("--accounts", "nobody")[0] == 2
    assert (
        "needs the signing secret" in refusal("--webhook", "http://127.0.0.1:1/", "--webhook-secret-env", "NO_SUCH")[1]
    )


LATENCIES = [
    ({"distribution": "constant", "ms": 20}, 20, 20, 20),
    ({"distribution": "uniform", "min_ms": 10, "max_ms": 30}, 20, 10, 30),
    ({"distribution": "exponential", "mean_ms": 20, "max_ms": 90}, 14, 0, 90),
    ({"distribution": "lognormal", "median_ms": 20, "sigma": 0.5}, 20, 1, 1000),
]


@pytest.mark.parametrize(("latency", "median_ms", "least_ms", "most_ms"), LATENCIES)
def test_latency_follows_its_distribution(
    latency: dict[str, Any], median_ms: float, least_ms: float, most_ms: float
) -> None:
    plan = faults.Faults(faults.read({"seed": 1, "latency": latency}))
    drawn = sorted(plan.decide("GET /v1/balance", None)[1] * 1000 for _ in range(2000))
    assert drawn[1000] == pytest.approx(median_ms, rel=0.1)
    assert least_ms <= drawn[0]
    assert drawn[-1] <= most_ms


def test_the_documented_plan_is_understood() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
    example = text.split("```json fault-plan\n")[1].split("```")[0]
    plan = faults.read(json.loads(example))
    assert {rule.fault for rule in plan.rules} == set(faults.KINDS)
    assert all(f"`{kind}`" in text for kind in faults.KINDS)
