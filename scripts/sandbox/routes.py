"""The table of endpoints: method and path -> parameters and handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from scripts.sandbox import (
    accounts,
    charges,
    disputes,
    lists,
    payment_intents,
    payment_methods,
    refunds,
    search,
    transfers,
    webhook_endpoints,
)
from scripts.sandbox.calls import Answer, Call
from scripts.sandbox.parameters import Spec

PLAIN = Spec()


class Endpoint(NamedTuple):
    """One endpoint: `name` is how faults and rate limits call it, `sdk` the SDK's parameters class without `Params`,
    `kind` the kind of object it answers, `listed` whether it answers a list of them."""

    name: str
    spec: Spec
    handle: Callable[[Call], Answer]
    sdk: str
    kind: str
    listed: bool


_TABLE = (
    ("POST /v1/payment_intents", payment_intents.CREATE, payment_intents.create, "PaymentIntentCreate"),
    ("GET /v1/payment_intents", lists.PAYMENT_INTENTS, lists.payment_intents, "PaymentIntentList"),
    ("GET /v1/payment_intents/search", search.SEARCH, search.payment_intents, "PaymentIntentSearch"),
    ("GET /v1/payment_intents/{}", payment_intents.RETRIEVE, payment_intents.retrieve, "PaymentIntentRetrieve"),
    ("POST /v1/payment_intents/{}", payment_intents.UPDATE, payment_intents.update, "PaymentIntentUpdate"),
    ("POST /v1/payment_intents/{}/confirm", payment_intents.CONFIRM, payment_intents.confirm, "PaymentIntentConfirm"),
    ("POST /v1/payment_intents/{}/capture", payment_intents.CAPTURE, payment_intents.capture, "PaymentIntentCapture"),
    ("POST /v1/payment_intents/{}/cancel", payment_intents.CANCEL, payment_intents.cancel, "PaymentIntentCancel"),
    ("GET /v1/charges", lists.CHARGES, lists.charges, "ChargeList"),
    ("GET /v1/charges/search", search.SEARCH, search.charges, "ChargeSearch"),
    ("GET /v1/charges/{}", PLAIN, charges.retrieve, "ChargeRetrieve"),
    ("POST /v1/charges/{}", charges.UPDATE, charges.update, "ChargeUpdate"),
    ("GET /v1/charges/{}/refunds", lists.REVERSALS, lists.charge_refunds, "ChargeListRefunds"),
    ("POST /v1/refunds", refunds.CREATE, refunds.create, "RefundCreate"),
    ("GET /v1/refunds", lists.REFUNDS, lists.refunds, "RefundList"),
    ("GET /v1/refunds/{}", PLAIN, refunds.retrieve, "RefundRetrieve"),
    ("POST /v1/refunds/{}", refunds.UPDATE, refunds.update, "RefundUpdate"),
    ("POST /v1/transfers", transfers.CREATE, transfers.create, "TransferCreate"),
    ("GET /v1/transfers", lists.TRANSFERS, lists.transfers, "TransferList"),
    ("GET /v1/transfers/{}", PLAIN, transfers.retrieve, "TransferRetrieve"),
    ("POST /v1/transfers/{}", transfers.UPDATE, transfers.update, "TransferUpdate"),
    ("POST /v1/transfers/{}/reversals", transfers.REVERSE, transfers.reverse, "TransferReversalCreate"),
    ("GET /v1/transfers/{}/reversals", lists.REVERSALS, lists.reversals, "TransferReversalList"),
    ("GET /v1/transfers/{}/reversals/{}", PLAIN, transfers.retrieve_reversal, "TransferReversalRetrieve"),
    (
        "POST /v1/transfers/{}/reversals/{}",
        transfers.UPDATE_REVERSAL,
        transfers.update_reversal,
        "TransferReversalUpdate",
    ),
    ("POST /v1/accounts", accounts.CREATE, accounts.create, "AccountCreate"),
    ("GET /v1/accounts", lists.ACCOUNTS, lists.accounts, "AccountList"),
    ("GET /v1/accounts/{}", PLAIN, accounts.retrieve, "AccountRetrieve"),
    ("POST /v1/accounts/{}", accounts.UPDATE, accounts.update, "AccountUpdate"),
    ("GET /v1/account", PLAIN, accounts.retrieve_own, "AccountRetrieveCurrent"),
    ("GET /v1/balance", PLAIN, accounts.balance, "BalanceRetrieve"),
    (
        "GET /v1/balance_transactions",
        lists.BALANCE_TRANSACTIONS,
        lists.balance_transactions,
        "BalanceTransactionList",
    ),
    ("GET /v1/balance_transactions/{}", PLAIN, lists.balance_transaction, "BalanceTransactionRetrieve"),
    ("GET /v1/disputes", lists.DISPUTES, lists.disputes, "DisputeList"),
    ("GET /v1/disputes/{}", PLAIN, disputes.retrieve, "DisputeRetrieve"),
    ("POST /v1/disputes/{}", disputes.UPDATE, disputes.update, "DisputeUpdate"),
    ("POST /v1/disputes/{}/close", disputes.CLOSE, disputes.close, "DisputeClose"),
    ("GET /v1/events", lists.EVENTS, lists.events, "EventList"),
    ("GET /v1/events/{}", PLAIN, lists.event, "EventRetrieve"),
    ("POST /v1/payment_methods", payment_methods.CREATE, payment_methods.create, "PaymentMethodCreate"),
    ("GET /v1/payment_methods/{}", PLAIN, payment_methods.retrieve, "PaymentMethodRetrieve"),
    ("POST /v1/payment_methods/{}", payment_methods.UPDATE, payment_methods.update, "PaymentMethodUpdate"),
    ("POST /v1/webhook_endpoints", webhook_endpoints.CREATE, webhook_endpoints.create, "WebhookEndpointCreate"),
    ("GET /v1/webhook_endpoints", lists.WEBHOOK_ENDPOINTS, lists.webhook_endpoints, "WebhookEndpointList"),
    ("GET /v1/webhook_endpoints/{}", PLAIN, webhook_endpoints.retrieve, "WebhookEndpointRetrieve"),
    ("POST /v1/webhook_endpoints/{}", webhook_endpoints.UPDATE, webhook_endpoints.update, "WebhookEndpointUpdate"),
    ("DELETE /v1/webhook_endpoints/{}", webhook_endpoints.DELETE, webhook_endpoints.delete, "WebhookEndpointDelete"),
)
_KINDS = {"account": "account", "balance": "balance"}  # the others are plurals


def _endpoint(name: str, spec: Spec, handle: Callable[[Call], Answer], sdk: str) -> Endpoint:
    nouns = [part for part in name.split("/")[2:] if part.endswith("s")]
    noun = nouns[-1] if nouns else name.split("/")[2]
    kind = {"reversals": "transfer_reversal"}.get(noun, _KINDS.get(noun, noun.removesuffix("s")))
    return Endpoint(name, spec, handle, sdk, kind, name.startswith("GET") and name.endswith(("s", "/search")))


ENDPOINTS: dict[str, Endpoint] = {row[0]: _endpoint(*row) for row in _TABLE}


def find(method: str, path: str) -> tuple[Endpoint | None, tuple[str, ...]]:
    """The endpoint of a request, and the ids in its path."""
    endpoint = ENDPOINTS.get(f"{method} {path}")
    if endpoint is not None:
        return endpoint, ()
    parts = path.split("/")
    if len(parts) < 4:
        return None, ()
    ids = tuple(parts[3::2])
    parts[3::2] = ["{}"] * len(ids)
    return ENDPOINTS.get(f"{method} {'/'.join(parts)}"), ids
