"""The order as each role may see it, from the order actor's own view."""

from __future__ import annotations

from typing import Any

import orjson

from actors.runtime.envelope import Reply
from gateway.auth import Principal
from gateway.personal_data import shown_personal, unseal_customer, unseal_text
from models.sealing import Sealer

View = dict[str, Any]

PRIVATE = ("messages", "sealed", "email_digest", "search_digests")
"""Fields of the actor's view that are nobody's outside. They are its last ones."""
PRIVATE_BEGINS = b',"messages":['
UNDISPUTED = b',"disputes":[]'
"""Quotation marks within a text are escaped in JSON, so these can only be where the view has them itself."""

OWN_ORDER = ("id", "status", "currency", "created_at", "updated_at")
OWN_CONSIGNMENT = (
    "id",
    "number",
    "task",
    "supplier",
    "status",
    "task_status",
    "task_actions",
    "cancellation_requested",
    "accept_by",
    "dropped_lines",
    "tracking",
)
OWN_DISPUTE = ("id", "status", "opened_by", "reason", "outcome", "evidence_due_at", "created_at")
TASK_LINE = ("id", "product", "sku", "quantity")


def sees(principal: Principal, order: str, body: bytes) -> bool:
    """May this principal know that the order exists? Ops all, retailers their own, suppliers those they take part in
    once they have been asked. `body` is the actor's view as JSON."""
    if principal.role == "retailer":
        return body.startswith(b'{"id":"%b","retailer":"%b",' % (order.encode(), principal.name.encode()))
    if principal.role == "supplier":
        return any(_is_task_of(principal.name, consignment) for consignment in orjson.loads(body)["consignments"])
    return principal.role == "ops"


def _is_task_of(supplier: str, consignment: View) -> bool:
    return consignment["supplier"] == supplier and consignment["task_status"] is not None


def shown_order(sealer: Sealer, principal: Principal, view: View, reply: Reply) -> View:
    """The order for this principal, who may see it. `view` is used up."""
    personal = unseal_customer(sealer, view["id"], view["sealed"], reply.data_key)
    if principal.role == "supplier":
        return _own_order(sealer, principal, view, reply, personal)
    for field in PRIVATE:
        view.pop(field, None)
    for dispute in view["disputes"]:
        dispute["evidence"] = _evidence(sealer, view["id"], dispute["evidence"], reply.data_key)
    view.update(personal)
    view["version"] = reply.version
    return view


def order_body(sealer: Sealer, principal: Principal, order: str, reply: Reply, personal: bytes = b"") -> bytes:
    """`shown_order` as JSON. `personal` are the fields `customer` and `shipping_address` as JSON, where the caller has
    them in the clear already.

    An order is shown to its retailer as the actor's JSON shows it, but for the end of it; so it is cut and pasted
    where possible: parsing and encoding it anew was a seventh of what a placed order cost the gateway.
    """
    body = reply.body
    end = body.rfind(PRIVATE_BEGINS)
    # From the end it is nearer, and the search for it faster.
    if principal.role == "supplier" or end < 0 or body.rfind(UNDISPUTED, 0, end) < 0:
        return orjson.dumps(shown_order(sealer, principal, orjson.loads(body), reply))
    if not personal:
        private = orjson.loads(b"{" + body[end + 1 :])
        personal = shown_personal(sealer, order, private["sealed"], reply.data_key)
    return b'%b,%b,"version":%d}' % (body[:end], personal, reply.version)


def _own_order(sealer: Sealer, principal: Principal, view: View, reply: Reply, personal: View) -> View:
    own = [consignment for consignment in view["consignments"] if _is_task_of(principal.name, consignment)]
    ids = {consignment["id"] for consignment in own}
    shown = {field: view[field] for field in OWN_ORDER}
    shown["lines"] = [line for line in view["lines"] if line["consignment"] in ids]
    shown["consignments"] = [{field: consignment[field] for field in OWN_CONSIGNMENT} for consignment in own]
    shown["returns"] = [found for found in view["returns"] if found["consignment"] in ids]
    shown["disputes"] = [_own_dispute(sealer, principal, view, dispute, reply.data_key) for dispute in view["disputes"]]
    shown["customer"] = recipient(personal)
    shown["shipping_address"] = personal["shipping_address"]
    numbers = {f"consignment {consignment['number']}" for consignment in own}
    shown["timeline"] = [
        moment
        for moment in view["timeline"]
        if moment["actor"] == principal.by or moment["detail"].partition(":")[0] in numbers
    ]
    shown["allowed_actions"] = [*(action for consignment in own for action in consignment["task_actions"]), "message"]
    shown["version"] = reply.version
    return shown


def _own_dispute(sealer: Sealer, principal: Principal, view: View, dispute: View, data_key: str) -> View:
    pieces = [piece for piece in dispute["evidence"] if piece["by"] == principal.by]
    shown = {field: dispute[field] for field in OWN_DISPUTE}
    shown["evidence"] = _evidence(sealer, view["id"], pieces, data_key)
    return shown


def _evidence(sealer: Sealer, order: str, pieces: list[View], data_key: str) -> list[View]:
    return [
        {
            "id": piece["id"],
            "at": piece["at"],
            "by": piece["by"],
            "text": unseal_text(sealer, order, piece["sealed"], data_key),
        }
        for piece in pieces
    ]


def recipient(personal: View) -> View | None:
    """Name and telephone of the customer: what a parcel needs, not the e-mail address."""
    customer = personal["customer"]
    if customer is None:
        return None
    return {field: customer[field] for field in ("name", "phone") if field in customer}


def consignment_of_task(view: View, task: str) -> View | None:
    """The consignment that a task is about, or None if it is no task (yet)."""
    for consignment in view["consignments"]:
        if consignment["task"] == task and consignment["task_status"] is not None:
            found: View = consignment
            return found
    return None


def shown_task(sealer: Sealer, view: View, consignment: View, data_key: str) -> View:
    """A consignment as its supplier's task."""
    personal = unseal_customer(sealer, view["id"], view["sealed"], data_key)
    dropped = set(consignment["dropped_lines"])
    return {
        "id": consignment["task"],
        "order": view["id"],
        "consignment": consignment["id"],
        "supplier": consignment["supplier"],
        "status": consignment["task_status"],
        "lines": [
            {**{field: line[field] for field in TASK_LINE}, "dropped": line["id"] in dropped}
            for line in view["lines"]
            if line["consignment"] == consignment["id"]
        ],
        "shipping_address": personal["shipping_address"],
        "customer": recipient(personal),
        "accept_by": consignment["accept_by"],
        "cancellation_requested": consignment["cancellation_requested"],
        "tracking": consignment["tracking"],
        "allowed_actions": consignment["task_actions"],
        "created_at": view["created_at"],
    }


def shown_messages(sealer: Sealer, principal: Principal, view: View, data_key: str) -> list[View]:
    """The messages that this principal wrote or that are meant for its role; all of them for ops."""
    return [
        {
            "id": message["id"],
            "at": message["at"],
            "from": message["from"],
            "to": message["to"],
            "text": unseal_text(sealer, view["id"], message["sealed"], data_key),
        }
        for message in view["messages"]
        if principal.role == "ops" or message["to"] == principal.role or message["from"] == principal.by
    ]
