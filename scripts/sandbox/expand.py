"""`expand[]`: replace ids in an answer by the objects they name (https://docs.stripe.com/expand).

Which properties can be expanded is a static table, so that a wrong path is refused before anything executes.
"""

from __future__ import annotations

from typing import Any

from scripts.sandbox.errors import refused
from scripts.sandbox.records import Json
from scripts.sandbox.render import by_id, render
from scripts.sandbox.store import Store

ANY = "*"
# kind -> property -> kind of what it names; "" where this sandbox has nothing to show, so that it stays null
EXPANDABLE: dict[str, dict[str, str]] = {
    "payment_intent": {
        "application": "", "customer": "", "latest_charge": "charge", "on_behalf_of": "account",
        "payment_method": "payment_method", "review": "", "source": "",
    },
    "charge": {
        "application": "", "application_fee": "", "balance_transaction": "balance_transaction", "customer": "",
        "failure_balance_transaction": "", "on_behalf_of": "account", "payment_intent": "payment_intent",
        "refunds": "refund", "review": "", "source_transfer": "",
    },
    "refund": {
        "balance_transaction": "balance_transaction", "charge": "charge",
        "failure_balance_transaction": "balance_transaction", "payment_intent": "payment_intent",
        "source_transfer_reversal": "", "transfer_reversal": "",
    },
    "transfer": {
        "balance_transaction": "balance_transaction", "destination": "account", "reversals": "transfer_reversal",
        "source_transaction": "charge",
    },
    "transfer_reversal": {
        "balance_transaction": "balance_transaction", "source_refund": "", "transfer": "transfer",
    },
    "dispute": {"charge": "charge", "payment_intent": "payment_intent", "balance_transactions": "balance_transaction"},
    "balance_transaction": {"source": ANY},
    "payment_method": {"customer": ""},
}  # fmt: skip


def check(kind: str, listed: bool, paths: list[str]) -> None:
    """Raise StripeError (400) unless every path can be expanded in an answer of `kind`, or in a list of it."""
    for path in paths:
        parts = path.split(".")
        if listed and parts.pop(0) != "data":
            raise _not_expandable(path)
        here = kind
        while parts and here != ANY:
            head = parts.pop(0)
            if head not in EXPANDABLE.get(here, {}):
                raise _not_expandable(path)
            here = EXPANDABLE[here][head]
            if parts and parts[0] == "data":
                parts.pop(0)


def expand(store: Store, answer: Json, paths: list[str]) -> Json:
    """Return the answer with every path, checked before, expanded in place."""
    for path in paths:
        _expand(store, answer, path.split("."))
    return answer


def _expand(store: Store, node: Any, path: list[str]) -> None:
    if isinstance(node, list):
        for element in node:
            _expand(store, element, path)
        return
    if not isinstance(node, dict) or not path:
        return
    head, rest = path[0], path[1:]
    if head == "refunds" and node.get("object") == "charge":
        node.setdefault("refunds", _refunds(store, node["id"]))
    value = node.get(head)
    if isinstance(value, str):
        expanded = by_id(store, value)
        if expanded is not None:
            node[head] = value = expanded
    _expand(store, value, rest)


def _refunds(store: Store, charge: str) -> Json:
    refunds = list(reversed(store.refunds.where("charge", charge)))
    return {
        "object": "list",
        "data": [render(store, refund) for refund in refunds[:10]],
        "has_more": len(refunds) > 10,
        "url": f"/v1/charges/{charge}/refunds",
    }


def _not_expandable(path: str) -> Exception:
    return refused(f"This property cannot be expanded ({path}).", param="expand")
