"""The Stripe API over ASGI: authentication, rate limits, faults, idempotency, execution, answer.

A plain ASGI callable, because this is the hot path; Starlette serves the control endpoints. Between reading the body
and answering nothing awaits, unless a fault plan adds latency: so a request is atomic, and two requests with one key
can only meet while such a latency lasts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from time import perf_counter
from typing import NamedTuple

import orjson
from starlette.types import Receive, Scope, Send

from scripts.sandbox import expand, parameters, timers, wire
from scripts.sandbox.calls import Answer, Call, Page
from scripts.sandbox.errors import StripeError, rate_limited, refused, server_error
from scripts.sandbox.faults import Faults, Plan
from scripts.sandbox.idempotency import Saved, digest
from scripts.sandbox.rate_limits import RateLimits
from scripts.sandbox.records import Json
from scripts.sandbox.render import render
from scripts.sandbox.routes import Endpoint, find
from scripts.sandbox.store import Store, Work
from scripts.sandbox.wire import Reply, Request

REQUESTS_KEPT = 1_000
FORM_KEPT_BYTES = 2_000
_ACCOUNT_AWARE = frozenset(("GET /v1/balance", "GET /v1/account"))


class Exchange(NamedTuple):
    """A request that found its endpoint. `fingerprint` is "" unless the request carries an idempotency key."""

    request: Request
    endpoint: Endpoint
    ids: tuple[str, ...]
    raw: Json
    fault: str
    fingerprint: str = ""


class Served(NamedTuple):
    """A line of the request log."""

    request: Request
    status: int
    closed: bool
    took_ms: float


class Api:
    """Serves /v1 over one store."""

    def __init__(self, store: Store, plan: Plan, rate_limit: str) -> None:
        self.store = store
        self._plan, self._rate_limit = plan, rate_limit
        self.requests = 0
        self.clear()
        self._start = f"{int(time.time() * 1000):x}"[-8:]  # request ids differ between runs on the same data

    def clear(self) -> None:
        """Back to the faults and limits of the start, and no counts."""
        self.faults = Faults(self._plan, self.store.settings.seed)
        self.limits = RateLimits(self._rate_limit)
        self.served: dict[str, dict[int, int]] = {}  # endpoint -> status -> how many
        self.recent: deque[Served] = deque(maxlen=REQUESTS_KEPT)
        self.replayed = 0

    def use(self, plan: Plan) -> None:
        """Put another fault plan in force, with its rate limit or, if it names none, that of the start."""
        self.faults = Faults(plan, self.store.settings.seed)
        self.limits = RateLimits(plan.source.get("rate_limit", self._rate_limit))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Everything it answers, errors included, is Stripe's JSON."""
        body = await wire.read_body(receive)
        started = perf_counter()
        self.requests += 1
        request = wire.request(scope, body, f"req_{self._start}{self.requests:08d}")
        endpoint, ids = find(request.method, request.path)
        try:
            reply = await self._serve(request, endpoint, ids)
        except StripeError as error:
            reply = wire.error_reply(error, request)
        except Exception as error:  # a bug; nothing was changed, or else the store has stopped itself
            await wire.send_reply(send, wire.error_reply(_bug(repr(error)), request))
            raise
        counts = self.served.setdefault(endpoint.name if endpoint is not None else "unknown", {})
        counts[reply.status] = counts.get(reply.status, 0) + 1
        if len(request.form) > FORM_KEPT_BYTES:
            request = request._replace(form=request.form[:FORM_KEPT_BYTES])
        self.recent.append(Served(request, reply.status, reply.closed, (perf_counter() - started) * 1000))
        if reply.closed:
            await wire.drop(scope)
        else:
            await wire.send_reply(send, reply)

    async def _serve(self, request: Request, endpoint: Endpoint | None, ids: tuple[str, ...]) -> Reply:
        if self.store.broken:
            raise _bug(self.store.broken)
        wire.authenticate(request.authorization)
        if endpoint is None:
            raise StripeError(404, f"Unrecognized request URL ({request.method}: {request.path}).", saved=False)
        if request.size_bytes > wire.BODY_MAX_BYTES:
            raise StripeError(413, f"The body is larger than {wire.BODY_MAX_BYTES} bytes.", saved=False)
        if self.limits.active:
            self.limits.take(endpoint.name)
        fault, latency_s = self.faults.decide(endpoint.name, request.key) if self.faults.active else ("", 0.0)
        if fault in ("rate_limit", "lock_timeout"):
            raise _throttled(fault)
        exchange = Exchange(request, endpoint, ids, parameters.decode(request.form), fault)
        if request.key is None or request.method == "GET":
            return await self._delayed(exchange, latency_s)
        exchange = exchange._replace(fingerprint=digest(request.path, exchange.raw))
        saved = self.store.keys.begin(request.key, endpoint.name, exchange.fingerprint, self.store.now())
        if saved is not None:
            self.replayed += 1
            return self._replay(saved, request, fault)
        try:
            return await self._delayed(exchange, latency_s)
        finally:
            self.store.keys.end(request.key)

    async def _delayed(self, exchange: Exchange, latency_s: float) -> Reply:
        """Execute in the middle of the latency, so that a client that gives up may have done so on either side."""
        if latency_s:
            await asyncio.sleep(latency_s / 2)
        if exchange.fault == "closed_before":
            return Reply(0, b"", [], closed=True)
        reply = self._execute(exchange)
        if latency_s:
            await asyncio.sleep(latency_s / 2)
        return reply._replace(closed=True) if exchange.fault == "closed_after" else reply

    def _execute(self, exchange: Exchange) -> Reply:
        request, endpoint, ids, raw, fault, _ = exchange
        store = self.store
        now = store.now()
        timers.run(store, now)
        if request.account and endpoint.name not in _ACCOUNT_AWARE:
            raise refused("This sandbox acts for the platform only: the Stripe-Account header is not supported here.")
        params = endpoint.spec.parse(raw)
        paths = params.get("expand", ())
        if paths:
            expand.check(endpoint.kind, endpoint.listed, paths)
        work = Work(store, now, request.id, request.key)
        if fault == "error_500_before":
            return self._conclude(server_error(), work, exchange)
        try:
            answer = endpoint.handle(Call(store, work, params, ids, request.account))
        except StripeError as error:
            if not error.effective:
                work = Work(store, now, request.id, request.key)
            return self._conclude(error, work, exchange)
        if fault == "error_500_after":
            return self._conclude(server_error(), work, exchange)
        return self._answer(answer, work, exchange, paths)

    def _answer(self, answer: Answer, work: Work, exchange: Exchange, paths: list[str]) -> Reply:
        """Commit, and render the answer as the commit left it."""
        request = exchange.request
        body = b""

        def outcome() -> Saved:
            nonlocal body
            body = orjson.dumps(self._json(answer, paths))
            record = None if isinstance(answer, dict | Page) or paths else answer
            kept = body.decode() if record is None else None
            return Saved(work.now, exchange.endpoint.name, exchange.fingerprint, 200, request.id, record, kept)

        if exchange.fingerprint:
            self.store.commit(work, outcome)
        else:
            self.store.commit(work)
            body = orjson.dumps(self._json(answer, paths))
        return Reply(200, body, wire.headers(request))

    def _conclude(self, error: StripeError, work: Work, exchange: Exchange) -> Reply:
        """Commit what stands in spite of the error, save the error under the key, and answer it."""
        request = exchange.request
        body = b""

        def outcome() -> Saved:
            nonlocal body
            body = orjson.dumps(error.body(request.id))
            return Saved(
                work.now, exchange.endpoint.name, exchange.fingerprint, error.status, request.id, None, body.decode()
            )  # fmt: skip

        if exchange.fingerprint and error.saved:
            self.store.commit(work, outcome)
        else:
            self.store.commit(work)
            body = orjson.dumps(error.body(request.id))
        return wire.error_reply(error, request, body)

    def _json(self, answer: Answer, paths: list[str]) -> Json:
        store = self.store
        if isinstance(answer, dict):
            return expand.expand(store, answer, paths)
        if not isinstance(answer, Page):
            return expand.expand(store, render(store, answer), paths)
        listed: Json = {
            "object": "search_result" if answer.search else "list",
            "data": [item if isinstance(item, dict) else render(store, item) for item in answer.data],
            "has_more": answer.has_more,
            "url": answer.url,
        }
        if answer.search:
            listed["next_page"] = answer.next_page
        return expand.expand(store, listed, paths)

    def _replay(self, saved: Saved, request: Request, fault: str) -> Reply:
        headers = wire.headers(request)
        headers.append((b"idempotent-replayed", b"true"))
        headers.append((b"original-request", saved.request_id.encode()))
        if saved.status >= 500:
            headers.append((b"stripe-should-retry", b"false"))
        if saved.record is not None:
            body = orjson.dumps(render(self.store, saved.record))
        else:
            body = (saved.body or "").encode()
        return Reply(saved.status, body, headers, closed=fault in ("closed_before", "closed_after"))


def _bug(what: str) -> StripeError:
    return StripeError(500, f"The sandbox has a bug, or its disk is full: {what}", type="api_error", saved=False)


def _throttled(fault: str) -> StripeError:
    if fault == "rate_limit":
        return rate_limited("global-rate", "Request rate limit exceeded.")
    return rate_limited(
        "",
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing "
        "it. If you see this error intermittently, retry the request.",
        "lock_timeout",
    )
