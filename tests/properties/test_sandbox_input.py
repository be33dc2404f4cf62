"""Whatever is sent to the sandbox, it answers as Stripe would: with an object or with an error, never by breaking."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.sandbox.cards import CARDS
from scripts.sandbox.parameters import Spec, nested
from scripts.sandbox.routes import ENDPOINTS
from scripts.sandbox.server import Options, Sandbox
from tests.properties.test_sandbox_model import call

ACCOUNT = "acct_a"
NAMES = (
    *sorted(ENDPOINTS),
    *["POST /v1/payment_intents"] * 6,
    "POST /v1/payment_intents/{}/capture",
    "POST /v1/transfers",
)
EXPANSIONS = ("latest_charge", "data.charge", "charge.balance_transaction.source", "reversals", "data", "", "refunds")


def known_ids(sandbox: Sandbox) -> list[str]:
    """A few ids of every kind."""
    tables = sandbox.store.tables.values()
    return [id for table in tables for id in list(table.rows)[-2:]] or [ACCOUNT]


def values(ids: list[str]) -> st.SearchStrategy[Any]:
    """Plausible and implausible values of parameters."""
    plain = st.one_of(
        st.sampled_from(ids),
        st.sampled_from([f"pm_card_{name}" for name in CARDS]),
        st.sampled_from(
            ["true", "false", "", "gbp", "usd", "jpy", "card", "manual", "automatic", "GB", "*", "lost", "duplicate",
             "http://127.0.0.1:1/", "amount>5", "metadata['a']:'b'", "winning_evidence", "charge.captured"]
        ),
        st.integers(-5, 5000).map(str),
        st.text(max_size=12),
    )  # fmt: skip
    return st.one_of(
        plain, st.dictionaries(st.sampled_from(["0", "1", "a", "gt", "lte", "enabled"]), plain, max_size=2)
    )


def params_for(draw: Any, spec: Spec, ids: list[str], depth: int = 0) -> dict[str, Any]:
    """Parameters for a spec: usually the required ones, some of the others, sometimes an unknown one."""
    names = sorted(spec.parsers)
    chosen = set(draw(st.lists(st.sampled_from(names), max_size=3))) if names else set()
    if draw(st.integers(0, 9)) < 9:
        chosen |= set(spec.required)
    params: dict[str, Any] = {}
    for name in sorted(chosen):
        parser = spec.parsers[name]
        if isinstance(parser, nested) and depth < 2 and name != "shipping" and draw(st.integers(0, 4)) < 4:
            params[name] = params_for(draw, parser.spec, ids, depth + 1)
        else:
            params[name] = draw(likely(name, ids))
    if depth == 0 and draw(st.integers(0, 29)) == 29:
        params["colour"] = "blue"
    if depth == 0 and draw(st.integers(0, 7)) == 7:
        params["expand"] = {"0": draw(st.sampled_from(EXPANSIONS))}
    return params


def likely(name: str, ids: list[str]) -> st.SearchStrategy[Any]:
    """Mostly what the name calls for, so that requests get past validation."""
    fitting: dict[str, st.SearchStrategy[Any]] = {
        "amount": st.integers(30, 3000).map(str),
        "currency": st.just("gbp"),
        "payment_method": st.sampled_from([f"pm_card_{card}" for card in CARDS]),
        "confirm": st.sampled_from(["true", "false"]),
        "capture_method": st.sampled_from(["manual", "automatic"]),
        "allowed_payment_method_types": st.just({"0": "card"}),
        "destination": st.just(ACCOUNT),
        "type": st.just("card"),
        "enabled_events": st.just({"0": "charge.captured"}),
        "url": st.just("http://127.0.0.1:1/"),
        "metadata": st.sampled_from([{"a": "b"}, {"a": ""}, ""]),
        "limit": st.sampled_from(["1", "100"]),
        "created": st.sampled_from(["5", {"gt": "5"}]),
        "query": st.sampled_from(["amount>5", "metadata['a']:'b'", "-status:'succeeded' OR currency~'g'"]),
        "shipping": st.just({"name": "Ada", "address": {"line1": "1 High Street"}}),
        "description": st.just("boxes"),
        "transfer_group": st.just("ord_1"),
        "amount_to_capture": st.integers(1, 3000).map(str),
        "starting_after": st.sampled_from(ids),
        "ending_before": st.sampled_from(ids),
        "evidence": st.just({"uncategorized_text": "winning_evidence"}),
        "return_url": st.just("https://shop.example/"),
        "source_transaction": st.sampled_from([id for id in ids if id.startswith("ch_")] or ["ch_none"]),
        "charge": st.sampled_from([id for id in ids if id.startswith("ch_")] or ["ch_none"]),
        "payment_intent": st.sampled_from([id for id in ids if id.startswith("pi_")] or ["pi_none"]),
    }
    known = fitting.get(name)
    return values(ids) if known is None else st.integers(0, 9).flatmap(lambda n: values(ids) if n == 9 else known)


PREFIXES = {
    "payment_intents": "pi_", "charges": "ch_", "refunds": "re_", "transfers": "tr_", "accounts": "acct_",
    "balance_transactions": "txn_", "disputes": "du_", "payment_methods": "pm_", "webhook_endpoints": "we_",
}  # fmt: skip


def path_for(draw: Any, name: str, ids: list[str]) -> tuple[str, str]:
    """Method and path of an endpoint, with ids that mostly fit."""
    method, pattern = name.split(" ")
    fitting = [id for id in ids if id.startswith(PREFIXES.get(pattern.split("/")[2], "trr_"))]
    while "{}" in pattern:
        found = draw(st.sampled_from([*fitting * 5, "nothing", ids[0]]))
        pattern = pattern.replace("{}", found, 1)
        fitting = [id for id in ids if id.startswith("trr_")]
    return method, pattern


def stocked() -> Sandbox:
    """A sandbox with something of everything."""
    sandbox = Sandbox(Options(accounts=(ACCOUNT,)))

    def post(path: str, **params: str) -> Any:
        status, body = call(sandbox, "POST", path, params)
        assert status == 200, body
        return body

    hold = {
        "amount": "900",
        "currency": "gbp",
        "confirm": "true",
        "capture_method": "manual",
        "transfer_group": "ord_1",
    }
    hold["allowed_payment_method_types[]"] = "card"
    charge = ""
    for method in ("pm_card_createDispute", "pm_card_authenticationRequired", "pm_card_visa", "pm_card_visa"):
        intent = post("/v1/payment_intents", **hold, payment_method=method)
        if method != "pm_card_authenticationRequired":
            charge = post(f"/v1/payment_intents/{intent['id']}/capture")["latest_charge"]
    transfer = {"amount": "500", "currency": "gbp", "destination": ACCOUNT, "source_transaction": charge}
    post(f"/v1/transfers/{post('/v1/transfers', **transfer)['id']}/reversals", amount="100")
    post("/v1/refunds", charge=charge, amount="100")
    post("/v1/payment_intents", **hold, payment_method="pm_card_visa")
    post("/v1/webhook_endpoints", **{"url": "http://127.0.0.1:1/", "enabled_events[]": "charge.captured"})
    return sandbox


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_request_is_answered(data: st.DataObject) -> None:
    sandbox = stocked()
    for _ in range(12):
        ids = known_ids(sandbox)
        endpoint = ENDPOINTS[data.draw(st.sampled_from(NAMES))]
        method, path = path_for(data.draw, endpoint.name, ids)
        params = params_for(data.draw, endpoint.spec, ids)
        status, body = call(sandbox, method, path, flat(params))
        assert status in (200, 400, 402, 404), body
        if status == 200:
            assert body["object"]
        else:
            assert body["error"]["type"] in ("invalid_request_error", "card_error", "idempotency_error")
            assert body["error"]["message"]
        assert not sandbox.store.broken
        assert not any(sandbox.store.ledger.totals.values())


def flat(params: dict[str, Any], outer: str = "") -> dict[str, str]:
    """Nested parameters as a form's names."""
    form: dict[str, str] = {}
    for name, value in params.items():
        full = f"{outer}[{name}]" if outer else name
        if isinstance(value, dict):
            form.update(flat(value, full))
        else:
            form[full] = value
    return form
