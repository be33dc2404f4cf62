"""The control endpoints under /_sandbox: time, faults, accounts, disputes, 3D Secure, and what the sandbox knows.

They speak JSON and need no key: the sandbox holds no secrets and listens on the local machine unless told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from scripts.sandbox import accounts, authentication, currencies, disputes, faults, ledger, timers
from scripts.sandbox.api import Api
from scripts.sandbox.calls import Call
from scripts.sandbox.errors import StripeError, invalid, missing, refused
from scripts.sandbox.ledger import recount
from scripts.sandbox.records import Account, Entry, Json
from scripts.sandbox.render import render
from scripts.sandbox.store import Store, Work
from scripts.sandbox.tables import Table
from scripts.sandbox.webhooks import Dispatcher

ADVANCE_MOST_S = 10 * 365 * 86_400
CHUNK_RECORDS = 500
_ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9_-]{1,58}\Z")

Handler = Callable[[Request], Awaitable[Response]]


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


class Control:
    """The control endpoints over one store and its API."""

    def __init__(self, store: Store, api: Api, dispatcher: Dispatcher, prepare: Callable[[], None]) -> None:
        self._store = store
        self._prepare = prepare
        self._api = api
        self._dispatcher = dispatcher

    def routes(self) -> list[Route]:
        """Starlette's routes."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.index),
            ("GET", "/_sandbox", self.index),
            ("GET", "/_sandbox/stats", self.stats),
            ("POST", "/_sandbox/reset", self.reset),
            ("GET", "/_sandbox/requests", self.requests),
            ("GET", "/_sandbox/clock", self.clock),
            ("POST", "/_sandbox/clock", self.advance),
            ("GET", "/_sandbox/faults", self.show_faults),
            ("PUT", "/_sandbox/faults", self.set_faults),
            ("POST", "/_sandbox/faults", self.set_faults),
            ("DELETE", "/_sandbox/faults", self.clear_faults),
            ("POST", "/_sandbox/accounts", self.put_account),
            ("POST", "/_sandbox/topups", self.top_up),
            ("POST", "/_sandbox/disputes", self.open_dispute),
            ("POST", "/_sandbox/disputes/{id}/resolve", self.resolve_dispute),
            ("GET", "/_sandbox/authenticate/{id}", self.authentication_page),
            ("POST", "/_sandbox/authenticate/{id}", self.authenticate),
            ("GET", "/_sandbox/ledger", self.ledger),
            ("GET", "/_sandbox/dump", self.dump),
        ]
        return [Route(path, _guarded(handler), methods=[method]) for method, path, handler in table]

    async def index(self, _: Request) -> Response:
        """GET /_sandbox: what there is."""
        endpoints = [f"{'/'.join(sorted(route.methods or ()))} {route.path}" for route in self.routes()]
        return _json({"sandbox": "ready", "endpoints": endpoints})

    async def stats(self, _: Request) -> Response:
        """GET /_sandbox/stats: counts."""
        store, api = self._store, self._api
        return _json(
            {
                "requests": api.requests,
                "replayed": api.replayed,
                "served": {
                    name: {str(status): count for status, count in counts.items()}
                    for name, counts in sorted(api.served.items())
                },
                "faults_injected": api.faults.injected,
                "objects": {kind: len(table) for kind, table in store.tables.items()},
                "events": len(store.events),
                "idempotency_keys": len(store.keys),
                "webhooks": {
                    "owed": sum(len(endpoints) for endpoints in store.undelivered.values()),
                    "delivered": self._dispatcher.delivered,
                    "failed_attempts": self._dispatcher.failed,
                },
                "log_bytes": store.log_bytes,
                "broken": store.broken or None,
            }
        )

    async def reset(self, _: Request) -> Response:
        """POST /_sandbox/reset: as if freshly started; not for a sandbox that keeps its data in a directory."""
        if self._store.durable:
            raise refused("This sandbox keeps its data in a directory: start one on an empty directory instead.")
        self._store.clear()
        self._api.clear()
        self._prepare()
        return _json({"reset": True})

    async def requests(self, _: Request) -> Response:
        """GET /_sandbox/requests: the last requests, newest first."""
        return _json(
            [
                {
                    "id": seen.id, "method": seen.method, "path": seen.path, "idempotency_key": seen.key,
                    "form": seen.form.decode("ascii", "replace"), "status": status, "closed": closed,
                    "took_ms": round(took_ms, 3),
                }
                for seen, status, closed, took_ms in reversed(self._api.recent)
            ]
        )  # fmt: skip

    async def clock(self, _: Request) -> Response:
        """GET /_sandbox/clock"""
        return _json({"now": self._store.now(), "offset_s": self._store.clock_offset_s})

    async def advance(self, request: Request) -> Response:
        """POST /_sandbox/clock {advance_s} or {to}: forward only; everything due by then happens before the answer."""
        body = await _body(request, "advance_s", "to")
        now = self._store.now()
        seconds = _whole(body, "advance_s") if "advance_s" in body else _whole(body, "to") - now
        if not 0 <= seconds <= ADVANCE_MOST_S:
            raise refused(f"The clock goes forward only, by at most {ADVANCE_MOST_S} s.", param="advance_s")
        self._store.advance(seconds)
        rang = timers.run(self._store, self._store.now())
        return _json({"now": self._store.now(), "offset_s": self._store.clock_offset_s, "timers": rang})

    async def show_faults(self, _: Request) -> Response:
        """GET /_sandbox/faults"""
        return _json({"plan": self._api.faults.plan.source, "injected": self._api.faults.injected})

    async def set_faults(self, request: Request) -> Response:
        """PUT /_sandbox/faults: the format of the fault file; replaces what is in force."""
        try:
            plan = faults.read(orjson.loads(await request.body()))
        except (faults.FaultsInvalid, orjson.JSONDecodeError) as error:
            raise refused(str(error)) from None
        self._api.use(plan)
        return _json({"plan": plan.source})

    async def clear_faults(self, _: Request) -> Response:
        """DELETE /_sandbox/faults: no faults, no latency, and the rate limit of the start."""
        self._api.use(faults.Plan())
        return _json({"plan": {}})

    async def put_account(self, request: Request) -> Response:
        """POST /_sandbox/accounts {id, country?, default_currency?, email?, restricted?, balance?: {currency: amount}}:
        create a connected account with an id of one's choice, or change one."""
        body = await _body(request, "id", "country", "default_currency", "email", "restricted", "balance")
        id = body.get("id")
        if not isinstance(id, str) or not _ACCOUNT_ID.match(id):
            raise refused("id must be acct_ followed by up to 58 letters, digits, _ and -.", param="id")
        work = Work(self._store, self._store.now())
        call = Call(self._store, work, {})
        account = self._store.accounts.rows.get(id) or Account(id, work.now)
        for name, type in (("country", str), ("default_currency", str), ("email", str), ("restricted", bool)):
            if name in body and not isinstance(body[name], type):
                raise refused(f"{name} must be a {type.__name__}", param=name)
        given = {name: body[name] for name in ("country", "default_currency", "email", "restricted") if name in body}
        accounts.open_account(call, account._replace(**given))
        balance = body.get("balance", {})
        if not isinstance(balance, dict):
            raise refused("balance must be an object of currency and amount", param="balance")
        for currency in balance:
            wanted = _whole(balance, currency)
            self._adjust(work, id, currency, wanted - self._store.ledger.balance(id, currency))
        self._store.commit(work)
        return _json(render(self._store, self._store.accounts.rows[id]))

    async def top_up(self, request: Request) -> Response:
        """POST /_sandbox/topups {amount, currency}: add to the platform's available balance."""
        body = await _body(request, "amount", "currency")
        work = Work(self._store, self._store.now())
        self._adjust(work, ledger.PLATFORM, str(body.get("currency")), _whole(body, "amount"))
        self._store.commit(work)
        return _json({"balances": self._store.ledger.balances.get(ledger.PLATFORM, {})})

    def _adjust(self, work: Work, owner: str, currency: str, amount: int) -> None:
        if currency not in currencies.SUPPORTED:
            raise refused(f"Invalid currency: {currency}", param="currency")
        if not amount:
            return
        own = owner == ledger.PLATFORM
        work.post(
            Entry(
                id=self._store.new_id("txn_1" if own else "led_"),
                created=work.now,
                type="topup" if own else "adjustment",
                currency=currency,
                source=owner if not own else self._store.settings.platform,
                postings=((owner, amount), (ledger.BANKS, -amount)),
                amount=amount,
            )
        )

    async def open_dispute(self, request: Request) -> Response:
        """POST /_sandbox/disputes {charge | payment_intent, reason?, amount?, inquiry?}"""
        body = await _body(request, "charge", "payment_intent", "reason", "amount", "inquiry")
        work = Work(self._store, self._store.now())
        call = Call(self._store, work, {})
        id = body.get("charge")
        if id is None:
            id = call.payment_intent(str(body.get("payment_intent")), "payment_intent").latest_charge
        charge = call.charge(str(id), "charge")
        reason = body.get("reason", "fraudulent")
        if reason not in disputes.REASONS:
            raise refused(f"Invalid reason: must be one of {', '.join(disputes.REASONS)}", param="reason")
        amount = _whole(body, "amount") if "amount" in body else charge.amount - charge.amount_refunded
        dispute = disputes.open_dispute(call, charge, reason, amount, body.get("inquiry") is True)
        self._store.commit(work)
        return _json(render(self._store, self._store.disputes.rows[dispute.id]))

    async def resolve_dispute(self, request: Request) -> Response:
        """POST /_sandbox/disputes/{id}/resolve {outcome: won | lost}"""
        body = await _body(request, "outcome")
        outcome = disputes.OUTCOMES(body.get("outcome", ""), "outcome")
        dispute = self._store.disputes.rows.get(request.path_params["id"])
        if dispute is None:
            raise missing("dispute", request.path_params["id"])
        if dispute.status in ("won", "lost", "warning_closed"):
            raise invalid(f"This dispute has been decided: it has a status of {dispute.status}.")
        work = Work(self._store, self._store.now())
        disputes.resolve(Call(self._store, work, {}), dispute, outcome)
        self._store.commit(work)
        return _json(render(self._store, self._store.disputes.rows[dispute.id]))

    async def authentication_page(self, request: Request) -> Response:
        """GET /_sandbox/authenticate/{payment_intent}: where `next_action` sends the payer."""
        intent = Call(self._store, Work(self._store, 0), {}).payment_intent(request.path_params["id"])
        amount = currencies.text(intent.amount, intent.currency)
        return HTMLResponse(authentication.PAGE.format(id=intent.id, amount=amount))

    async def authenticate(self, request: Request) -> Response:
        """POST /_sandbox/authenticate/{payment_intent} {outcome: succeed | fail}, as JSON or by the page's form."""
        if request.headers.get("content-type", "").startswith("application/json"):
            outcome = (await _body(request, "outcome")).get("outcome")
        else:
            outcome = (await request.body()).decode("ascii", "replace").removeprefix("outcome=")
        if outcome not in ("succeed", "fail"):
            raise refused("Invalid outcome: must be one of succeed, or fail", param="outcome")
        work = Work(self._store, self._store.now())
        intent = authentication.finish(Call(self._store, work, {}), request.path_params["id"], outcome)
        self._store.commit(work)
        if intent.return_url and not request.headers.get("content-type", "").startswith("application/json"):
            return Response(status_code=303, headers={"location": intent.return_url})
        return _json(render(self._store, self._store.payment_intents.rows[intent.id]))

    async def ledger(self, request: Request) -> Response:
        """GET /_sandbox/ledger: balances, their sums, and the entries; `?entries=false` leaves the entries out,
        `?format=ndjson` streams the entries alone, one a line."""
        entries = list(self._store.entries.rows.values())
        if request.query_params.get("format") == "ndjson":
            return StreamingResponse(_lines(map(_entry, entries)), media_type="application/x-ndjson")
        counted = recount(entries)
        content: Json = {
            "balanced": counted == self._store.ledger.balances and not any(self._store.ledger.totals.values()),
            "totals": self._store.ledger.totals,
            "balances": counted,
            "count": len(entries),
        }
        if request.query_params.get("entries") != "false":
            content["entries"] = [_entry(entry) for entry in entries]
        return _json(content)

    async def dump(self, request: Request) -> Response:
        """GET /_sandbox/dump: every object as NDJSON, oldest first, as it is at this moment; `?type=charge` for one
        kind only, `?transfer_group=` for one order."""
        store, query = self._store, request.query_params
        wanted = query.get("type")
        if wanted is not None and wanted.replace("balance_transaction", "entry") not in store.tables:
            raise refused(f"Invalid type: {wanted}", param="type")
        group = query.get("transfer_group")
        records = [
            record
            for kind, table in store.tables.items()
            if wanted is None or kind == wanted.replace("balance_transaction", "entry")
            for record in _of_group(table, group)
            if kind != "entry" or record.id.startswith("txn_")
        ]
        return StreamingResponse(
            _lines(render(store, record) for record in records), media_type="application/x-ndjson"
        )  # fmt: skip


def _of_group(table: Table[Any], group: str | None) -> Iterable[Any]:
    if group is None:
        return table.snapshot()
    if table.has_index("transfer_group"):
        return table.where("transfer_group", group)
    return [record for record in table.snapshot() if getattr(record, "transfer_group", None) == group]


def _entry(entry: Entry) -> Json:
    return {
        "id": entry.id,
        "created": entry.created,
        "type": entry.type,
        "source": entry.source,
        "currency": entry.currency,
        "postings": [{"account": account, "amount": amount} for account, amount in entry.postings],
    }


async def _lines(items: Iterable[Any]) -> AsyncIterator[bytes]:
    chunk: list[bytes] = []
    for item in items:
        chunk.append(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE))
        if len(chunk) == CHUNK_RECORDS:
            yield b"".join(chunk)
            chunk.clear()
    yield b"".join(chunk)


async def _body(request: Request, *allowed: str) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError as error:
        raise refused(f"The body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise refused("The body must be a JSON object.")
    for name in body:
        if name not in allowed:
            raise refused(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
    return body


def _whole(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(f"{name} must be a whole number.", param=name)
    return value


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except StripeError as error:
            return _json(error.body("req_control"), error.status)

    return guarded


def application(control: Control) -> Starlette:
    """The Starlette application of the control endpoints."""
    return Starlette(routes=control.routes())
