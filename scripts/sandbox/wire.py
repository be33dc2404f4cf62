"""HTTP as Stripe speaks it: reading a request, checking its key, sending a reply or dropping the connection."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, NamedTuple

import orjson
from starlette.types import Receive, Scope, Send

from scripts.sandbox.errors import StripeError
from scripts.sandbox.render import API_VERSION

BODY_MAX_BYTES = 1 << 20
TRANSPORT = "sandbox.transport"  # the scope's key for the connection, put there by `server.Protocol`
_JSON = (b"content-type", b"application/json")
_VERSION = (b"stripe-version", API_VERSION.encode())

Headers = list[tuple[bytes, bytes]]


class Request(NamedTuple):
    """One HTTP request as far as Stripe's API cares. `form` is the query of a GET or DELETE, else the body."""

    id: str
    method: str
    path: str
    authorization: bytes
    key: str | None
    account: str
    form: bytes
    size_bytes: int


class Reply(NamedTuple):
    """What goes back. `closed` answers nothing and drops the connection instead."""

    status: int
    body: bytes
    headers: Headers
    closed: bool = False


def request(scope: Scope, body: bytes, id: str) -> Request:
    """The request that a scope and a body make."""
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
        form = b"\xff"  # not a form: `parameters.decode` answers with Stripe's message
    return Request(id, method, scope["path"], authorization, key, account, form, len(body))


def authenticate(authorization: bytes) -> None:
    """Take any secret or restricted test key, as Bearer or as the user of Basic. Raises StripeError: 401, or 403 for a
    publishable key."""
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
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://docs.stripe.com/api#authentication.",
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


def headers(of: Request) -> Headers:
    """The headers of every reply."""
    common = [_JSON, (b"request-id", of.id.encode()), _VERSION]
    if of.key is not None:
        common.append((b"idempotency-key", of.key.encode("latin-1")))
    return common


def error_reply(error: StripeError, of: Request, body: bytes | None = None) -> Reply:
    """The reply for an error; `body` if it has been encoded already."""
    encoded = body if body is not None else orjson.dumps(error.body(of.id))
    return Reply(error.status, encoded, [*headers(of), *error.headers])


async def read_body(receive: Receive) -> bytes:
    """The whole body; one that is too large is read to its end and comes back as one byte over the limit."""
    message = await receive()
    parts: list[bytes] = [message.get("body", b"")]
    size = len(parts[0])
    while message.get("more_body", False):
        message = await receive()
        size += len(message.get("body", b""))
        if size <= BODY_MAX_BYTES:
            parts.append(message.get("body", b""))
    return b"".join(parts) if size <= BODY_MAX_BYTES else b" " * (BODY_MAX_BYTES + 1)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send status, headers and body."""
    length = (b"content-length", str(len(reply.body)).encode())
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
    await send({"type": "http.response.body", "body": reply.body})


async def drop(scope: Scope) -> None:
    """Close the connection without an answer, as a network failure would."""
    transport: Any = scope.get(TRANSPORT)
    assert transport is not None, "the server must run with server.Protocol"
    transport.abort()
    await asyncio.sleep(0)  # let uvicorn see the disconnection before the application returns
