"""An intent as what leaves for it: a payment request, or a command for a SKU or a supplier.

A pure function of the journalled parameters, so that every repetition is the same to the last byte.
"""

from __future__ import annotations

from collections.abc import Callable

from models.decision import Address, Command, Effect, Send
from models.identity import inner_id
from models.orchestrator.messages import Params
from models.orchestrator.state import Intent
from models.orchestrator.tables import STEPS
from models.payments import AnyRequest, Authorise, Capture, Refund, Reverse, Transfer, Void
from models.sku.messages import ConfirmReservation, ReleaseReservation, Reserve, Restock
from models.supplier.messages import CloseTask, OfferTask, WithdrawTask

Learnt = dict[str, str]


def outgoing(learnt: Learnt, home: Address, intent: Intent) -> Effect | Send:
    """`home` is the orchestrator, to which answers go."""
    to = STEPS[intent.step].to
    if to == "payments":
        return Effect(to, _REQUESTS[intent.step](learnt, intent), home)
    if to == "sku":
        sku = intent.object.partition("/")[0]
        return Send(Address(to, sku), _SKU_COMMANDS[intent.step](sku, intent, home))
    return Send(Address(to, str(intent.params["supplier"])), _task_command(intent, home))


# --- payments --------------------------------------------------------------------------------------------------------


def _key(learnt: Learnt, intent: Intent) -> str:
    """The idempotency key: `order:step:object:attempt`."""
    return f"{learnt['order']}:{intent.key}"


def _authorise(learnt: Learnt, intent: Intent) -> Authorise:
    return _authorisation(learnt, _key(learnt, intent), intent.params, intent.lookup)


def _authorisation(learnt: Learnt, key: str, params: Params, lookup: bool = False) -> Authorise:
    return Authorise(
        key=key,
        order=learnt["order"],
        lookup=lookup,
        amount=int(params["amount"]),
        currency=learnt["currency"],
        payment_method=str(params["payment_method"]),
    )


def _capture(learnt: Learnt, intent: Intent) -> Capture:
    return Capture(
        key=_key(learnt, intent),
        order=learnt["order"],
        lookup=intent.lookup,
        payment_intent=learnt["payment_intent"],
        amount=int(intent.params["amount"]),
    )


def _void(learnt: Learnt, intent: Intent) -> Void:
    """With parameters, it is an authorisation of unknown outcome that is voided: they are that request's."""
    unlearnt = f"{learnt['order']}:authorise:pi:1"
    return Void(
        key=_key(learnt, intent),
        order=learnt["order"],
        lookup=intent.lookup,
        payment_intent=learnt.get("payment_intent", ""),
        authorise=_authorisation(learnt, unlearnt, intent.params) if intent.params else None,
    )


def _refund(learnt: Learnt, intent: Intent) -> Refund:
    return Refund(
        key=_key(learnt, intent),
        order=learnt["order"],
        lookup=intent.lookup,
        payment_intent=learnt["payment_intent"],
        amount=int(intent.params["amount"]),
        refund=str(intent.params["refund"]),
    )


def _transfer(learnt: Learnt, intent: Intent) -> Transfer:
    """Its fields by position: an order has half a dozen, and a class takes arguments by name at twice the cost."""
    order, params = learnt["order"], intent.params
    amount, destination, party = int(params["amount"]), str(params["destination"]), str(params["party"])
    consignment = inner_id("cns", order, intent.object.partition("-")[0])
    key, charge, currency = _key(learnt, intent), learnt["charge"], learnt["currency"]
    return Transfer(key, order, intent.lookup, amount, currency, destination, charge, consignment, party)


def _reverse(learnt: Learnt, intent: Intent) -> Reverse:
    return Reverse(
        key=_key(learnt, intent),
        order=learnt["order"],
        lookup=intent.lookup,
        transfer=str(intent.params["transfer"]),
        amount=int(intent.params["amount"]),
    )


_REQUESTS: dict[str, Callable[[Learnt, Intent], AnyRequest]] = {
    "authorise": _authorise,
    "capture": _capture,
    "void": _void,
    "refund": _refund,
    "transfer": _transfer,
    "reverse": _reverse,
}


# --- SKUs and suppliers ----------------------------------------------------------------------------------------------


def _reserve(sku: str, intent: Intent, home: Address) -> Command:
    return Reserve(sku=sku, order=home.id, reply_to=home, quantity=int(intent.params["quantity"]))


def _confirm(sku: str, _intent: Intent, home: Address) -> Command:
    return ConfirmReservation(sku=sku, order=home.id, reply_to=home)


def _release(sku: str, _intent: Intent, home: Address) -> Command:
    return ReleaseReservation(sku=sku, order=home.id, reply_to=home)


def _restock(sku: str, intent: Intent, home: Address) -> Command:
    occasion = intent.object.partition("/")[2]
    return Restock(sku=sku, order=home.id, reply_to=home, quantity=int(intent.params["quantity"]), key=occasion)


_SKU_COMMANDS: dict[str, Callable[[str, Intent, Address], Command]] = {
    "reserve": _reserve,
    "confirm": _confirm,
    "release": _release,
    "restock": _restock,
}


def _task_command(intent: Intent, home: Address) -> Command:
    supplier, task = str(intent.params["supplier"]), inner_id("tsk", home.id, intent.object)
    if intent.step == "offer":
        return OfferTask(supplier=supplier, task=task, order=home.id, reply_to=home, consignment=int(intent.object))
    command = {"withdraw": WithdrawTask, "close": CloseTask}[intent.step]
    return command(supplier=supplier, task=task, order=home.id, reply_to=home)
