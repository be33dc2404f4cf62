"""The Stripe API over ASGI: authentication, rate limits, faults, idempotency, execution, answer.

A plain ASGI callable, because this is the hot path; Starlette serves the control endpoints. Between reading the body
and answering nothing awaits, unless a fault plan adds latency: so a request is atomic, and two requests with one key
can only meet while such a latency lasts.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from time import perf_counter
from typing import Any, NamedTuple

import orjson
from starlette.types import Receive, Scope, Send

from scripts.sandbox import expand, parameters, timers
from scripts.sandbox.calls import Answer, Call, Page
from scripts.sandbox.errors import StripeError, rate_limited, server_error
from scripts.sandbox.faults import Faults, Plan
from scripts.sandbox.idempotency import Saved, digest
from scripts.sandbox.rate_limits import RateLimits
from scripts.sandbox.records import Json
from scripts.sandbox.render import API_VERSION, render
from scripts.sandbox.routes import Endpoint, find
from scripts.sandbox.store import Store, Work

BODY_MAX_BYTES = 1 << 20
REQUESTS_KEPT = 1_000
TRANSPORT = "sandbox.transport"  # the scope's key for the connection, put there by `server.Protocol`
_JSON = (b"content-type", b"application/json")
_VERSION = (b"stripe-version", API_VERSION.encode())
_ACCOUNT_AWARE = frozenset(("GET /v1/balance", "GET /v1/account"))

Headers = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """What goes back. `closed` answers nothing and drops the connection instead."""

    status: int
    body: bytes
    headers: Headers
    closed: bool = False


class Request(NamedTuple):
    """One HTTP request as far as Stripe's API cares."""

    id: str
    method: str
    path: str
    authorization: bytes
    key: str | None
    account: str
    form: bytes


class Api:
    """Serves /v1 over one store."""

    def __init__(self, store: Store, plan: Plan, rate_limit: str) -> None:
        self.store = store
        self.faults = Faults(plan)
        self.limits = RateLimits(rate_limit)
        self.served: dict[str, dict[int, int]] = {}  # endpoint -> status -> how many
        self.recent: deque[Json] = deque(maxlen=REQUESTS_KEPT)
        self.requests = 0
        self.replayed = 0

    def use(self, plan: Plan) -> None:
        """Put another fault plan in force, its rate limit included."""
        self.faults = Faults(plan)
        self.limits = RateLimits(plan.rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Everything it answers, errors included, is Stripe's JSON."""
        body = await _body(receive)
        started = perf_counter()
        self.requests += 1
        request = _request(scope, body, f"req_{self.requests:08d}{self.store.suffix}")
        endpoint, ids = find(request.method, request.path)
        try:
            reply = await self._serve(request, endpoint, ids, len(body))
        except StripeError as error:
            reply = _error(error, request)
        except Exception as error:
            self.store.broken = self.store.broken or f"{type(error).__name__}: {error}"
            await _send(send, _error(_broken(self.store), request))
            raise
        name = endpoint.name if endpoint is not None else "unknown"
        counts = self.served.setdefault(name, {})
        counts[reply.status] = counts.get(reply.status, 0) + 1
        took_ms = (perf_counter() - started) * 1000
        self.recent.append((request, reply.status, reply.closed, took_ms))
        if reply.closed:
            await _drop(scope)
        else:
            await _send(send, reply)

    async def _serve(self, request: Request, endpoint: Endpoint | None, ids: tuple[str, ...], size: int) -> Reply:
        if self.store.broken:
            raise _broken(self.store)
        _authenticate(request.authorization)
        if endpoint is None:
            message = f"Unrecognized request URL ({request.method}: {request.path})."
            raise StripeError(404, message, saved=False)
        if size > BODY_MAX_BYTES:
            raise StripeError(413, f"The body is larger than {BODY_MAX_BYTES} bytes.", saved=False)
        if self.limits.active:
            self.limits.take(endpoint.name)
        fault, latency_s = self.faults.decide(endpoint.name, request.key) if self.faults.active else ("", 0.0)
        if fault in ("rate_limit", "lock_timeout"):
            raise _throttled(fault)
        raw = parameters.decode(request.form)
        if request.key is None or request.method == "GET":
            return await self._delayed(request, endpoint, ids, raw, "", fault, latency_s)
        fingerprint = digest(raw)
        place = f"{request.method} {request.path}"
        saved = self.store.keys.begin(request.key, place, fingerprint, self.store.now())
        if saved is not None:
            self.replayed += 1
            return self._replay(saved, request, fault)
        try:
            return await self._delayed(request, endpoint, ids, raw, fingerprint, fault, latency_s)
        finally:
            self.store.keys.end(request.key)

    async def _delayed(
        self, request: Request, endpoint: Endpoint, ids: tuple[str, ...], raw: Json, fingerprint: str, fault: str,
        latency_s: float,
    ) -> Reply:  # fmt: skip
        """Execute in the middle of the latency, so that a client that gives up may have done so on either side."""
        if latency_s:
            await asyncio.sleep(latency_s / 2)
        if fault == "closed_before":
            return Reply(0, b"", [], closed=True)
        reply = self._execute(request, endpoint, ids, raw, fingerprint, fault)
        if latency_s:
            await asyncio.sleep(latency_s / 2)
        return reply._replace(closed=True) if fault == "closed_after" else reply

    def _execute(
        self, request: Request, endpoint: Endpoint, ids: tuple[str, ...], raw: Json, fingerprint: str, fault: str
    ) -> Reply:
        store = self.store
        now = store.now()
        timers.run(store, now)
        if request.account and endpoint.name not in _ACCOUNT_AWARE:
            message = "This sandbox acts for the platform only: the Stripe-Account header is not supported here."
            raise StripeError(400, message, saved=False)
        params = endpoint.spec.parse(raw)
        paths = params.get("expand", ())
        if paths:
            expand.check(endpoint.kind, endpoint.listed, paths)
        work = Work(store, now, request.id, request.key)
        keyed = bool(fingerprint)
        if fault == "error_500_before":
            return self._conclude(server_error(), work, request, fingerprint, keyed)
        try:
            answer = endpoint.handle(Call(store, work, params, ids, request.account))
        except StripeError as error:
            if not error.effective:
                work = Work(store, now, request.id, request.key)
            return self._conclude(error, work, request, fingerprint, keyed and error.saved)
        if fault == "error_500_after":
            return self._conclude(server_error(), work, request, fingerprint, keyed)
        return self._answer(answer, work, request, fingerprint, paths)

    def _answer(self, answer: Answer, work: Work, request: Request, fingerprint: str, paths: list[str]) -> Reply:
        store = self.store
        body = b""
        plain = not isinstance(answer, dict | Page) and not paths

        def outcome() -> Saved:
            nonlocal body
            body = orjson.dumps(self._json(answer, paths))
            record = answer if plain and not isinstance(answer, dict | Page) else None
            kept = None if plain else body.decode()
            return Saved(
                work.now, f"{request.method} {request.path}", fingerprint, 200, request.id, record, kept
            )  # fmt: skip

        if fingerprint:
            store.commit(work, outcome)
        else:
            store.commit(work)
            body = orjson.dumps(self._json(answer, paths))
        return Reply(200, body, _headers(request))

    def _conclude(self, error: StripeError, work: Work, request: Request, fingerprint: str, keyed: bool) -> Reply:
        """Commit what stands in spite of the error, save the error under the key, and answer it."""
        reply = _error(error, request, render_body=False)
        body = b""

        def outcome() -> Saved:
            nonlocal body
            body = orjson.dumps(error.body(request.id))
            place = f"{request.method} {request.path}"
            return Saved(work.now, place, fingerprint, error.status, request.id, None, body.decode())

        if keyed:
            self.store.commit(work, outcome)
        else:
            self.store.commit(work)
            body = orjson.dumps(error.body(request.id))
        return reply._replace(body=body)

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
        headers = _headers(request)
        headers.append((b"idempotent-replayed", b"true"))
        headers.append((b"original-request", saved.request_id.encode()))
        if saved.status >= 500:
            headers.append((b"stripe-should-retry", b"false"))
        if saved.record is not None:
            body = orjson.dumps(render(self.store, saved.record))
        else:
            body = (saved.body or "").encode()
        return Reply(saved.status, body, headers, closed=fault in ("closed_before", "closed_after"))


def _broken(store: Store) -> StripeError:
    return StripeError(500, f"The sandbox stopped, it has a bug: {store.broken}", type="api_error", saved=False)


def _throttled(fault: str) -> StripeError:
    if fault == "rate_limit":
        return rate_limited("global-rate", "Request rate limit exceeded.")
    return rate_limited(
        "",
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing "
        "it. If you see this error intermittently, retry the request.",
        "lock_timeout",
    )


def _request(scope: Scope, body: bytes, id: str) -> Request:
    authorization, account, key, content_type = b"", "", None, b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
        elif name == b"idempotency-key":
            key = value.decode("latin-1") or None
        elif name == b"stripe-account":
            account = value.decode("latin-1")
        elif name == b"content-type":
            content_type = value
    method = scope["method"]
    form = scope["query_string"] if method in ("GET", "DELETE") else body
    if content_type.startswith(b"application/json") and body:
        form = b"%ff"  # not a form: `parameters.decode` answers with Stripe's message
    return Request(id, method, scope["path"], authorization, key, account, form)


def _authenticate(authorization: bytes) -> None:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            token = base64.b64decode(token, validate=True).partition(b":")[0]
        except ValueError:
            token = b""
    elif scheme.lower() != b"bearer":
        token = b""
    token = token.strip()
    if token.startswith((b"sk_test_", b"rk_test_")) and len(token) > 8:
        return
    if not token:
        raise StripeError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer "
            "auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://docs.stripe.com/api#authentication for "
            "details, or we can help at https://support.stripe.com/.",
            saved=False,
        )
    if token.startswith(b"pk_"):
        raise StripeError(
            403,
            "This API call cannot be made with a publishable API key. Please use a secret API key.",
            code="secret_key_required",
            saved=False,
        )
    shown = token.decode("latin-1")
    masked = f"{shown[:8]}{'*' * 8}{shown[-4:]}" if len(shown) > 12 else "*" * len(shown)
    live = "; a live key has no business in a sandbox" if token.startswith((b"sk_live_", b"rk_live_")) else ""
    raise StripeError(401, f"Invalid API Key provided: {masked}{live}", saved=False)


def _headers(request: Request) -> Headers:
    headers = [_JSON, (b"request-id", request.id.encode()), _VERSION]
    if request.key is not None:
        headers.append((b"idempotency-key", request.key.encode("latin-1")))
    return headers


def _error(error: StripeError, request: Request, render_body: bool = True) -> Reply:
    headers = [*_headers(request), *error.headers]
    return Reply(error.status, orjson.dumps(error.body(request.id)) if render_body else b"", headers)


async def _body(receive: Receive) -> bytes:
    message = await receive()
    if not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        return body
    parts = [message.get("body", b"")]
    size = len(parts[0])
    while message.get("more_body", False):
        message = await receive()
        size += len(message.get("body", b""))
        if size <= BODY_MAX_BYTES:
            parts.append(message.get("body", b""))
    return b"".join(parts) if size <= BODY_MAX_BYTES else b" " * (BODY_MAX_BYTES + 1)


async def _send(send: Send, reply: Reply) -> None:
    length = (b"content-length", str(len(reply.body)).encode())
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
    await send({"type": "http.response.body", "body": reply.body})


async def _drop(scope: Scope) -> None:
    transport: Any = scope.get(TRANSPORT)
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0)
