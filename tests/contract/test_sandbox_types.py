"""The sandbox against the types that the installed Stripe SDK carries.

Every field it sends must exist in the SDK's class and have its type, every field the class says is always there must
be sent, every enumerated value must be one that the SDK lists, and every parameter it accepts must exist in the SDK's
TypedDict.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import pytest
import stripe
import stripe.params
from stripe import StripeObject
from stripe._object_classes import get_object_class
from stripe._request_options import RequestOptions

from scripts.sandbox.cards import CARDS
from scripts.sandbox.parameters import Spec, nested
from scripts.sandbox.routes import ENDPOINTS, Endpoint
from tests.contract.sandbox_server import Server, serving

# What Stripe's annotations claim always to be there, and its own API leaves out of the objects the sandbox serves.
ABSENT = {
    ("WebhookEndpoint", "secret"),  # only at creation
}


def annotations_of(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, StripeObject) and base is not StripeObject:
            found.update(
                (name, annotation)
                for name, annotation in inspect.get_annotations(base).items()
                if not str(annotation).startswith("typing.ClassVar") and not name.startswith("_")
            )
    return found


def problems(value: Any, cls: type[Any], place: str) -> Iterator[str]:
    """Whatever in a JSON object does not fit an SDK class."""
    known = annotations_of(cls)
    for name, inner in value.items():
        if name not in known:
            yield f"{place}.{name} does not exist in {cls.__qualname__}"
        else:
            yield from misfits(inner, known[name], getattr(cls, "_inner_class_types", {}).get(name), f"{place}.{name}")
    for name, annotation in known.items():
        optional = type(None) in get_args(annotation)
        if name not in value and not optional and (cls.__name__, name) not in ABSENT:
            yield f"{place}.{name} is missing"


def misfits(value: Any, annotation: Any, inner: type[Any] | None, place: str) -> Iterator[str]:
    parts = list(get_args(annotation)) if get_origin(annotation) in (Union, types.UnionType) else [annotation]
    if value is None:
        if type(None) not in parts:
            yield f"{place} is null"
        return
    literals = [choice for part in parts if get_origin(part) is Literal for choice in get_args(part)]
    if isinstance(value, str) and literals and value not in literals:
        yield f"{place} is {value!r}, not one of {literals}"
    if isinstance(value, dict):
        if "object" in value and isinstance(value["object"], str) and value["object"] != "list":
            yield from problems(value, object_class(value["object"]), place)
        elif value.get("object") == "list":
            for position, element in enumerate(value["data"]):
                yield from misfits(element, Any, None, f"{place}[{position}]")
        elif inner is not None:
            yield from problems(value, inner, place)
        elif not any("UntypedStripeObject" in str(part) for part in parts):
            yield f"{place} is an object that nothing describes"
    elif isinstance(value, list):
        elements = next((get_args(part) for part in parts if get_origin(part) is list), None)
        if elements is None:
            yield f"{place} is a list"
            return
        for position, element in enumerate(value):
            yield from misfits(element, elements[0], inner, f"{place}[{position}]")
    elif not any(accepts(part, value) for part in parts):
        yield f"{place} is {value!r}, not {annotation}"


def accepts(part: Any, value: Any) -> bool:
    if part is Any or isinstance(part, ForwardRef):
        return True
    if get_origin(part) is Literal:
        return value in get_args(part)
    if part is float:
        return isinstance(value, int | float)
    if part in (int, str, bool):
        return type(value) is part
    return False


def object_class(name: str) -> type[Any]:
    cls: type[Any] = get_object_class("V1", name)
    assert cls is not StripeObject, f"the SDK has no class for {name}"
    return cls


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Server]:
    with serving("--seed", "6", "--accounts", "acct_a", "--fee-bps", "100", "--dispute-fee", "1500") as server:
        exercise(server)
        yield server


def exercise(sandbox: Server) -> None:
    """Bring objects of every kind into as many states as there are."""
    v1 = sandbox.v1
    shipping: Any = {"name": "Ada", "address": {"line1": "1 High Street", "city": "York", "country": "GB"}}
    intent = sandbox.paid(transfer_group="ord_1", shipping=shipping, receipt_email="a@b.example", on_behalf_of="acct_a")
    transfer: Any = {
        "amount": 900,
        "currency": "gbp",
        "destination": "acct_a",
        "source_transaction": intent.latest_charge,
    }
    made = v1.transfers.create(transfer)
    v1.transfers.reversals.create(made.id, {"amount": 100})
    v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    for card in CARDS.values():
        params: Any = {"payment_method": f"pm_card_{card.name}", "capture_method": "automatic"}
        try:
            authenticated = sandbox.hold(**params)
            if authenticated.status == "requires_action":
                sandbox.post(f"authenticate/{authenticated.id}", outcome="succeed")
            elif card.refund:
                v1.refunds.create({"payment_intent": authenticated.id})
        except stripe.CardError:
            pass
    sandbox.hold(payment_method="pm_card_threeDSecureRequired", return_url="https://shop.example/")
    sandbox.hold(payment_method="pm_card_threeDSecureRequired", use_stripe_sdk=True)
    v1.payment_intents.create({"amount": 100, "currency": "jpy", "allowed_payment_method_types": ["card"]})
    v1.payment_intents.cancel(sandbox.hold().id, {"cancellation_reason": "abandoned"})
    sandbox.hold()
    for dispute, word in zip(v1.disputes.list().data, ("winning_evidence", "losing_evidence", "other"), strict=False):
        v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": word}, "metadata": {"a": "b"}})
    sandbox.account("acct_shut", restricted=True, balance={"usd": 100})
    endpoint: Any = {"url": "http://127.0.0.1:1/", "enabled_events": ["account.updated"], "metadata": {"a": "b"}}
    v1.webhook_endpoints.create(endpoint)
    v1.accounts.create({"type": "custom", "business_profile": {"name": "North"}, "business_type": "company"})
    v1.accounts.create()
    sandbox.post("topups", amount=100, currency="gbp")
    sandbox.post("clock", advance_s=30 * 86_400)


def test_every_object_has_the_shape_the_sdk_describes(sandbox: Server) -> None:
    objects = sandbox.dump()
    kinds = {found["object"] for found in objects}
    assert kinds == {
        "payment_intent", "charge", "refund", "transfer", "transfer_reversal", "account", "payment_method", "dispute",
        "webhook_endpoint", "balance_transaction",
    }  # fmt: skip
    wrong = [p for found in objects for p in problems(found, object_class(found["object"]), found["object"])]
    assert sorted(set(wrong)) == []


def test_every_event_has_the_shape_and_a_type_the_sdk_knows(sandbox: Server) -> None:
    events = [event.to_dict() for event in sandbox.v1.events.list({"limit": 100}).auto_paging_iter()]
    assert len({event["type"] for event in events}) > 20
    wrong = [p for event in events for p in problems(event, stripe.Event, event["type"])]
    wrong += [p for event in events for p in misfits(event["data"]["object"], Any, None, event["type"])]
    assert sorted(set(wrong)) == []


def test_balances_lists_and_deletions_have_the_shape(sandbox: Server) -> None:
    balance = sandbox.v1.balance.retrieve().to_dict()
    created = sandbox.v1.webhook_endpoints.create({"url": "http://127.0.0.1:1/", "enabled_events": ["*"]}).to_dict()
    assert list(problems(balance, stripe.Balance, "balance")) == []
    assert list(problems(created, stripe.WebhookEndpoint, "webhook_endpoint")) == []
    listed = sandbox.v1.charges.list({"limit": 1}).to_dict()
    assert set(listed) == {"object", "data", "has_more", "url"}
    found = sandbox.v1.charges.search({"query": "amount>0", "limit": 1}).to_dict()
    assert set(found) == {"object", "data", "has_more", "url", "next_page"}


def test_errors_have_the_shape_and_codes_the_sdk_knows(sandbox: Server) -> None:
    shown = annotations_of(stripe.PaymentIntent.LastPaymentError)["code"]
    codes = {code for part in get_args(shown) if get_origin(part) is Literal for code in get_args(part)}
    assert len(codes) > 100
    codes.add("insufficient_capabilities_for_transfer")  # answered by Stripe Connect, missing from the SDK's list
    errors = []
    attempts: list[Any] = [
        lambda: sandbox.hold(payment_method="pm_card_chargeDeclined"),
        lambda: sandbox.hold(payment_method="pm_card_chargeDeclinedFraudulent"),
        lambda: sandbox.hold(payment_method="pm_card_authenticationRequired", off_session=True),
        lambda: sandbox.hold(amount=1),
        lambda: sandbox.hold(amount=10**8),
        lambda: sandbox.hold(colour="blue"),
        lambda: sandbox.v1.payment_intents.create({"amount": 100}),  # type: ignore[typeddict-item]
        lambda: sandbox.v1.payment_intents.capture(sandbox.hold().id, {"amount_to_capture": 9999}),
        lambda: sandbox.v1.payment_intents.capture(sandbox.paid().id),
        lambda: sandbox.v1.charges.retrieve("ch_nobody"),
        lambda: sandbox.v1.transfers.create({"amount": 10**7, "currency": "gbp", "destination": "acct_a"}),
        lambda: sandbox.v1.transfers.create({"amount": 10, "currency": "gbp", "destination": "acct_shut"}),
        lambda: sandbox.v1.refunds.create({"payment_intent": sandbox.paid(payment_method="pm_card_createDispute").id}),
    ]
    for attempt in attempts:
        with pytest.raises(stripe.StripeError) as raised:
            attempt()
        errors.append(raised.value.json_body["error"])  # type: ignore[index]
    for error in errors:
        known = annotations_of(stripe.ErrorObject)
        assert set(error) <= set(known), set(error) - set(known)
        assert error.get("code") is None or error["code"] in codes, error
        assert error["type"] in ("card_error", "invalid_request_error")
        if "payment_intent" in error:
            assert list(problems(error["payment_intent"], stripe.PaymentIntent, "error.payment_intent")) == []


def typed_dict(endpoint: Endpoint) -> Any:
    return getattr(stripe.params, f"{endpoint.sdk}Params")


def unknown(spec: Spec, params: Any, place: str) -> Iterator[str]:
    """Parameters that a spec accepts, or calls Stripe's, and the SDK's TypedDict does not have."""
    module = vars(__import__(params.__module__, fromlist=["*"]))
    accepted = {*spec.parsers, *spec.unsupported}
    for name in sorted(accepted):
        if name not in params.__annotations__:
            yield f"{place}.{name}"
        elif isinstance(spec.parsers.get(name), nested):
            inner = [found for found in named(params.__annotations__[name]) if found in module]
            if not inner:
                yield f"{place}.{name} is no hash"
            for found in inner:
                parser = spec.parsers[name]
                assert isinstance(parser, nested)
                yield from unknown(parser.spec, module[found], f"{place}.{name}")


def named(annotation: Any) -> list[str]:
    """Names of the classes an annotation refers to."""
    text = annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else str(annotation)
    words = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text).split()
    return [word for word in words if "Params" in word]


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=list(ENDPOINTS))
def test_every_parameter_exists_in_the_sdk(endpoint: Endpoint) -> None:
    assert list(unknown(endpoint.spec, typed_dict(endpoint), endpoint.sdk)) == []


def other_method_types() -> set[str]:
    """Payment methods that are no cards: each is a parameter of its own name."""
    return set(annotations_of(stripe.PaymentMethod)) & set(stripe.params.PaymentMethodCreateParams.__annotations__) - {
        "billing_details", "card", "customer", "customer_account", "metadata", "radar_options", "type",
    }  # fmt: skip


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=list(ENDPOINTS))
def test_every_parameter_of_the_sdk_is_accepted_or_named_as_unsupported(endpoint: Endpoint) -> None:
    theirs = set(typed_dict(endpoint).__annotations__) - set(RequestOptions.__annotations__)
    if endpoint.sdk == "PaymentMethodCreate":
        theirs -= other_method_types()
    ours = {*endpoint.spec.names(), *endpoint.spec.unsupported}
    assert sorted(theirs - ours) == []


def test_required_parameters_are_the_sdks(sandbox: Server) -> None:
    for endpoint in ENDPOINTS.values():
        params = typed_dict(endpoint)
        required = {
            name
            for name, annotation in params.__annotations__.items()
            if "NotRequired" not in str(annotation) and get_origin(annotation) is not typing.NotRequired
        }
        assert required <= set(endpoint.spec.required), endpoint.name
