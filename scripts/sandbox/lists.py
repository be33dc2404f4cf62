"""List endpoints: newest first, paged by `starting_after` / `ending_before`, with Stripe's own filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from scripts.sandbox import parameters
from scripts.sandbox.calls import Answer, Call, Page
from scripts.sandbox.errors import missing
from scripts.sandbox.parameters import Spec, boolean, listing, text, texts
from scripts.sandbox.records import Entry, Event
from scripts.sandbox.render import event as render_event
from scripts.sandbox.tables import Table

LIMIT = 10
_PAGING = frozenset(("limit", "starting_after", "ending_before", "expand", "created"))

PAYMENT_INTENTS = listing(unsupported="customer customer_account", created=parameters.created)
CHARGES = listing(unsupported="customer", created=parameters.created, payment_intent=text, transfer_group=text)
REFUNDS = listing(charge=text, created=parameters.created, payment_intent=text)
TRANSFERS = listing(created=parameters.created, destination=text, transfer_group=text)
REVERSALS = listing()
DISPUTES = listing(charge=text, created=parameters.created, payment_intent=text)
ACCOUNTS = listing(created=parameters.created)
BALANCE_TRANSACTIONS = listing(
    unsupported="payout", created=parameters.created, currency=parameters.currency, source=text, type=text
)
EVENTS = listing(created=parameters.created, delivery_success=boolean, type=text, types=texts(most=20))
WEBHOOK_ENDPOINTS = listing()
RETRIEVE = Spec()


def lister(table_name: str, url: str) -> Callable[[Call], Answer]:
    """A handler that lists one table; a filter on an indexed field narrows the walk."""

    def handle(call: Call) -> Answer:
        return page(call, getattr(call.store, table_name), url, {})

    return handle


payment_intents = lister("payment_intents", "/v1/payment_intents")
charges = lister("charges", "/v1/charges")
refunds = lister("refunds", "/v1/refunds")
transfers = lister("transfers", "/v1/transfers")
disputes = lister("disputes", "/v1/disputes")


def reversals(call: Call) -> Answer:
    """GET /v1/transfers/{id}/reversals"""
    transfer = call.transfer(call.path[0])
    return page(call, call.store.reversals, f"/v1/transfers/{transfer.id}/reversals", {"transfer": transfer.id})


def charge_refunds(call: Call) -> Answer:
    """GET /v1/charges/{id}/refunds"""
    charge = call.charge(call.path[0])
    return page(call, call.store.refunds, f"/v1/charges/{charge.id}/refunds", {"charge": charge.id})


def accounts(call: Call) -> Answer:
    """GET /v1/accounts: the connected accounts, without the platform's own."""
    own = call.settings.platform
    return page(call, call.store.accounts, "/v1/accounts", {}, lambda account: account.id != own)


def webhook_endpoints(call: Call) -> Answer:
    """GET /v1/webhook_endpoints"""
    url = "/v1/webhook_endpoints"
    return page(call, call.store.webhook_endpoints, url, {}, lambda endpoint: not endpoint.deleted)


def balance_transactions(call: Call) -> Answer:
    """GET /v1/balance_transactions: the ledger's entries that moved the platform's balance."""
    url = "/v1/balance_transactions"
    if "source" not in call.params:
        return page(call, call.store.entries, url, {}, visible)
    few: Table[Entry] = Table(Entry)
    for id in _entries_of(call, call.params["source"]):
        few.put(id, call.store.entries.rows[id])
    return page(call, few, url, {}, visible)


def _entries_of(call: Call, source: str) -> list[str]:
    """The entries of an object, oldest first, by the ids it carries: an index of all entries would cost more memory
    than it saves time."""
    try:
        record: Any = call.store.record(source)
    except KeyError:
        return []
    ids = [getattr(record, name, None) for name in ("balance_transaction", "failure_balance_transaction")]
    return [id for id in (*ids, *getattr(record, "balance_transactions", ())) if id]


def visible(entry: Entry) -> bool:
    """Whether Stripe would show a ledger entry as a balance transaction."""
    return entry.id.startswith("txn_")


def balance_transaction(call: Call) -> Answer:
    """GET /v1/balance_transactions/{id}"""
    entry = call.store.entries.rows.get(call.path[0])
    if entry is None or not visible(entry):
        raise missing("balance transaction", call.path[0])
    return entry


def page(
    call: Call, table: Table[Any], url: str, fixed: dict[str, str], accept: Callable[[Any], bool] | None = None
) -> Page:
    """One page of a table under the request's filters and `fixed` ones. Raises StripeError for an unknown cursor."""
    params = call.params
    filters = {**{name: value for name, value in params.items() if name not in _PAGING}, **fixed}
    indexed = next((name for name in filters if table.has_index(name)), None)
    narrowed = (indexed, filters.pop(indexed)) if indexed is not None else None
    low, high = params.get("created", (0, 1 << 62))

    def wanted(record: Any) -> bool:
        return (
            low <= record.created <= high
            and all(getattr(record, name) == value for name, value in filters.items())
            and (accept is None or accept(record))
        )

    try:
        walk = table.newest_first(params.get("starting_after", ""), narrowed)
        found = filter(wanted, walk)
        if "ending_before" in params:
            return _backwards(call, found, url)
        return _forwards(call, found, url)
    except KeyError as cursor:
        raise missing("object", str(cursor.args[0]), param="starting_after", status=400) from None


def _forwards(call: Call, found: Iterator[Any], url: str) -> Page:
    limit = call.params.get("limit", LIMIT)
    data = list(islice(found, limit + 1))
    return Page(data[:limit], len(data) > limit, url)


def _backwards(call: Call, found: Iterable[Any], url: str) -> Page:
    limit, before = call.params.get("limit", LIMIT), call.params["ending_before"]
    newer: list[Any] = []
    for record in found:
        if record.id == before:
            return Page(newer[-limit:], len(newer) > limit, url)
        newer.append(record)
    raise missing("object", before, param="ending_before", status=400)


def events(call: Call) -> Answer:
    """GET /v1/events"""
    params = call.params
    types = set(params.get("types") or ())
    pattern = params.get("type")
    low, high = params.get("created", (0, 1 << 62))
    delivered = params.get("delivery_success")
    every = list(call.store.events.values())
    if params.get("starting_after"):
        place = next((at for at, event in enumerate(every) if event.id == params["starting_after"]), None)
        if place is None:
            raise missing("event", params["starting_after"], param="starting_after", status=400)
        every = every[:place]

    def wanted(event: Event) -> bool:
        if pattern and not (event.type == pattern or (pattern[-1] == "*" and event.type.startswith(pattern[:-1]))):
            return False
        if types and event.type not in types:
            return False
        if delivered is not None and delivered == (event.id in call.store.undelivered):
            return False
        return bool(low <= event.created <= high)

    found = filter(wanted, reversed(every))
    paged = _backwards if "ending_before" in params else _forwards
    result = paged(call, found, "/v1/events")
    return result._replace(data=[render_event(call.store, event) for event in result.data])


def event(call: Call) -> Answer:
    """GET /v1/events/{id}"""
    occurred = call.store.events.get(call.path[0])
    if occurred is None:
        raise missing("event", call.path[0])
    return render_event(call.store, occurred)
