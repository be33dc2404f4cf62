"""Transfers to connected accounts and their reversals.

https://docs.stripe.com/connect/separate-charges-and-transfers: a transfer with `source_transaction` draws on one
charge, whose transfers together never exceed it, and becomes available when the charge does; one without draws on the
platform's available balance. A reversal needs the money to be in the connected account.
"""

from __future__ import annotations

from scripts.sandbox import currencies, ledger, parameters
from scripts.sandbox.calls import Answer, Call
from scripts.sandbox.errors import invalid, missing
from scripts.sandbox.parameters import Spec, amount, choice, metadata, text, unsettable_text
from scripts.sandbox.records import Charge, Entry, Reversal, Transfer

CREATE = Spec(
    required="amount currency destination",
    amount=amount,
    currency=parameters.currency,
    description=text,
    destination=text,
    metadata=metadata,
    source_transaction=text,
    source_type=choice("card"),
    transfer_group=text,
)
UPDATE = Spec(description=unsettable_text, metadata=metadata)
REVERSE = Spec(
    unsupported="description refund_application_fee", amount=amount, metadata=metadata
)  # fmt: skip
UPDATE_REVERSAL = Spec(metadata=metadata)


def create(call: Call) -> Answer:
    """POST /v1/transfers"""
    params = call.params
    taken, currency = params["amount"], params["currency"]
    _check_destination(call, params["destination"])
    group = params.get("transfer_group")
    available_on = call.now
    charge: Charge | None = None
    if "source_transaction" in params:
        charge = _source(call, params["source_transaction"], taken, currency)
        group = group or charge.transfer_group or f"group_{charge.payment_intent or charge.id}"
        paid_in = call.store.entries.rows[charge.balance_transaction or ""]
        available_on = max(call.now, paid_in.available_on)
    elif call.store.ledger.available(ledger.PLATFORM, currency, call.now) < taken:
        raise invalid(
            "You have insufficient available funds in your Stripe account. Try adding funds directly to your available "
            "balance by creating Charges using the 4000000000000077 test card.",
            code="balance_insufficient",
        )
    id = call.store.new_id("tr_3")
    entry = call.work.post(
        Entry(
            id=call.store.new_id("txn_3"),
            created=call.now,
            type="transfer",
            currency=currency,
            source=id,
            postings=((ledger.PLATFORM, -taken), (params["destination"], taken)),
            amount=-taken,
            available_on=available_on,
            description=params.get("description"),
        )
    )
    transfer = Transfer(
        id=id,
        created=call.now,
        amount=taken,
        currency=currency,
        destination=params["destination"],
        balance_transaction=entry.id,
        destination_payment=call.store.new_id("py_1"),
        source_transaction=charge.id if charge is not None else None,
        transfer_group=group,
        description=params.get("description"),
        metadata=parameters.merged({}, params.get("metadata")),
    )
    call.work.put(transfer)
    call.work.emit("transfer.created", transfer.id)
    if charge is not None:
        call.work.put(charge._replace(transferred=charge.transferred + taken, transfer_group=group))
    return transfer


def _check_destination(call: Call, id: str) -> None:
    account = call.store.accounts.rows.get(id)
    if account is None or id == call.settings.platform:
        raise missing("destination", id, param="destination", status=400)
    if account.restricted:
        raise invalid(
            "Your destination account needs to have at least one of the following capabilities enabled: transfers, "
            "crypto_transfers, legacy_payments",
            code="insufficient_capabilities_for_transfer",
            param="destination",
        )


def _source(call: Call, id: str, taken: int, currency: str) -> Charge:
    charge = call.charge(id, "source_transaction", 400)
    if charge.status != "succeeded" or not charge.captured:
        raise invalid(f"The source_transaction {id} is not a captured charge.", param="source_transaction")
    if charge.currency != currency:
        raise invalid(
            f"The currency of source_transaction's balance transaction ({charge.currency}) must be the same as the "
            f"transfer currency ({currency})",
            param="currency",
        )
    if charge.transferred + taken > charge.amount_captured:
        message = (
            "Transfers using this transaction as a source must not exceed the source amount of "
            f"{currencies.text(charge.amount_captured, currency)}."
        )
        if charge.transferred:
            message += (
                " (There is already a transfer using this source, amounting to "
                f"{currencies.text(charge.transferred, currency)}.)"
            )
        raise invalid(message, param="amount")
    return charge


def retrieve(call: Call) -> Answer:
    """GET /v1/transfers/{id}"""
    return call.transfer(call.path[0])


def update(call: Call) -> Answer:
    """POST /v1/transfers/{id}"""
    transfer = call.transfer(call.path[0])
    params = dict(call.params)
    params.pop("expand", None)
    if "metadata" in params:
        params["metadata"] = parameters.merged(transfer.metadata, params["metadata"])
    transfer = transfer._replace(**params)
    call.work.put(transfer)
    call.work.emit("transfer.updated", transfer.id)
    return transfer


def reverse(call: Call) -> Answer:
    """POST /v1/transfers/{id}/reversals, of all that is left or of an amount."""
    transfer = call.transfer(call.path[0])
    remaining = transfer.amount - transfer.amount_reversed
    if remaining == 0:
        raise invalid(f"Transfer {transfer.id} is already fully reversed.", param="id")
    taken = call.params.get("amount", remaining)
    if taken > remaining:
        first, second = currencies.text(taken, transfer.currency), currencies.text(remaining, transfer.currency)
        raise invalid(f"Reversal amount ({first}) is greater than the unreversed amount ({second})", param="amount")
    if call.store.ledger.balance(transfer.destination, transfer.currency) < taken:
        raise invalid(
            "Insufficient funds in your Stripe balance to reverse this transfer: the connected account "
            f"{transfer.destination} does not hold {currencies.text(taken, transfer.currency)}.",
            code="balance_insufficient",
        )
    id = call.store.new_id("trr_1")
    paid_out = call.store.entries.rows[transfer.balance_transaction]
    entry = call.work.post(
        Entry(
            id=call.store.new_id("txn_3"),
            created=call.now,
            type="transfer_refund",
            currency=transfer.currency,
            source=id,
            postings=((transfer.destination, -taken), (ledger.PLATFORM, taken)),
            amount=taken,
            available_on=max(call.now, paid_out.available_on),
        )
    )
    reversal = Reversal(
        id=id,
        created=call.now,
        amount=taken,
        currency=transfer.currency,
        transfer=transfer.id,
        balance_transaction=entry.id,
        destination_payment_refund=call.store.new_id("pyr_1"),
        metadata=parameters.merged({}, call.params.get("metadata")),
    )
    call.work.put(reversal)
    total = transfer.amount_reversed + taken
    call.work.put(transfer._replace(amount_reversed=total, reversals=(id, *transfer.reversals)))
    call.work.emit("transfer.reversed", transfer.id)
    return reversal


def retrieve_reversal(call: Call) -> Answer:
    """GET /v1/transfers/{id}/reversals/{id}"""
    return _reversal(call)


def update_reversal(call: Call) -> Answer:
    """POST /v1/transfers/{id}/reversals/{id}"""
    reversal = _reversal(call)
    if "metadata" in call.params:
        reversal = reversal._replace(metadata=parameters.merged(reversal.metadata, call.params["metadata"]))
    call.work.put(reversal)
    return reversal


def _reversal(call: Call) -> Reversal:
    call.transfer(call.path[0])
    found = call.work.find(call.store.reversals, call.path[1])
    if found is None or found.transfer != call.path[0]:
        raise missing("transfer reversal", call.path[1])
    return found
