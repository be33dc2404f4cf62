"""Connected accounts, the platform's own account, and balances. Accounts are onboarded the moment they are created."""

from __future__ import annotations

from scripts.sandbox import ledger, parameters
from scripts.sandbox.calls import Answer, Call
from scripts.sandbox.errors import StripeError, missing
from scripts.sandbox.parameters import Params, Spec, choice, metadata, nested, text, unsettable_text
from scripts.sandbox.records import Account, Json

_PROFILE = Spec(
    unsupported="mcc product_description support_address support_email support_phone support_url url",
    name=unsettable_text,
)
_REQUESTED = nested(Spec(requested=parameters.boolean))
_CAPABILITIES = nested(Spec(card_payments=_REQUESTED, transfers=_REQUESTED))
_TYPE = nested(Spec(type=choice("none", "express", "full")))
_CONTROLLER = Spec(
    fees=nested(Spec(payer=choice("account", "application"))),
    losses=nested(Spec(payments=choice("application", "stripe"))),
    requirement_collection=choice("application", "stripe"),
    stripe_dashboard=_TYPE,
)
_UNSUPPORTED = "account_token company documents external_account groups individual settings tos_acceptance"
_BUSINESS = choice("company", "government_entity", "individual", "non_profit")
CREATE = Spec(
    unsupported=_UNSUPPORTED,
    business_profile=nested(_PROFILE),
    business_type=_BUSINESS,
    capabilities=_CAPABILITIES,
    controller=nested(_CONTROLLER),
    country=text,
    default_currency=parameters.currency,
    email=text,
    metadata=metadata,
    type=choice("custom", "express", "standard"),
)
UPDATE = Spec(
    unsupported=_UNSUPPORTED,
    business_profile=nested(_PROFILE),
    business_type=_BUSINESS,
    capabilities=_CAPABILITIES,
    default_currency=parameters.currency,
    email=text,
    metadata=metadata,
)


def create(call: Call) -> Answer:
    """POST /v1/accounts"""
    params = call.params
    country = params.get("country", "GB").upper()
    return open_account(
        call,
        Account(
            id=call.store.new_id("acct_1"),
            created=call.now,
            country=country,
            default_currency=params.get("default_currency", "gbp" if country == "GB" else "usd"),
            email=params.get("email"),
            business_type=params.get("business_type"),
            business_name=params.get("business_profile", {}).get("name"),
            kind=params.get("type", "none"),
            metadata=parameters.merged({}, params.get("metadata")),
        ),
    )


def open_account(call: Call, account: Account) -> Account:
    """Add a connected account, by the API or with an id of the caller's choice by the control endpoint."""
    call.work.put(account)
    call.work.emit("account.updated", account.id)
    return account


def retrieve(call: Call) -> Answer:
    """GET /v1/accounts/{id}"""
    return _find(call, call.path[0])


def retrieve_own(call: Call) -> Answer:
    """GET /v1/account: the platform's own, or the one named by the Stripe-Account header."""
    return _find(call, call.account or call.settings.platform)


def update(call: Call) -> Answer:
    """POST /v1/accounts/{id}"""
    account = _find(call, call.path[0])
    params = call.params
    changes: Params = {name: params[name] for name in ("business_type", "default_currency", "email") if name in params}
    if "metadata" in params:
        changes["metadata"] = parameters.merged(account.metadata, params["metadata"])
    if "name" in params.get("business_profile", {}):
        changes["business_name"] = params["business_profile"]["name"]
    account = account._replace(**changes)
    call.work.put(account)
    call.work.emit("account.updated", account.id)
    return account


def balance(call: Call) -> Answer:
    """GET /v1/balance of the platform, or of the account in the Stripe-Account header."""
    books = call.store.ledger
    owner = ledger.PLATFORM
    if call.account and call.account != call.settings.platform:
        owner = _find(call, call.account).id
    held = books.currencies(owner) or [call.store.accounts.rows[call.settings.platform].default_currency]

    def amounts(of_currency: dict[str, int]) -> list[Json]:
        return [
            {"amount": amount, "currency": currency, "source_types": {"card": amount}}
            for currency, amount in of_currency.items()
        ]

    return {
        "object": "balance",
        "available": amounts({currency: books.available(owner, currency, call.now) for currency in held}),
        "livemode": False,
        "pending": amounts({currency: books.pending(owner, currency, call.now) for currency in held}),
    }


def _find(call: Call, id: str) -> Account:
    found = call.work.find(call.store.accounts, id)
    if found is None:
        raise missing("account", id) if id else StripeError(400, "No account id was given.", param="id")
    return found
