"""One way through the gateway for every request: key, role, rate, body, handler, answer.

Endpoints are declared as data (`Routes`), so that what is enforced and what `/openapi.json` says are the same thing.
FastAPI routes and documents them; `DirectRoute` then calls the pipeline below without FastAPI's dependency solving and
response validation, which would cost more than everything else a placed order costs the gateway.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from actors.runtime.envelope import Overloaded, Unanswered
from gateway.auth import Principal
from gateway.door import Admission
from gateway.parsing import parse, parsed_query
from gateway.problems import PROBLEM_TYPE, Problem
from models.record import dataclass
from models.sealing import CannotUnseal

if TYPE_CHECKING:
    from gateway.context import Gateway

log = logging.getLogger("dray.gateway")

Header = tuple[bytes, bytes]
JSON = b"application/json"
NDJSON = b"application/x-ndjson"
ACCEPTED = 202
WHOLE = "dray.whole"
"""The scope's key for the server's own way with what is at hand (`protocol.ShortWay`), where the server has one."""


@dataclass(frozen=True)
class Answer:
    """A response in full: its body is bytes already."""

    status: int
    body: bytes = b""
    headers: Sequence[Header] = ()
    content_type: bytes = JSON


def _nothing() -> None:
    pass


class Streamed(NamedTuple):
    """A response that is sent as it comes about. The next chunk is asked for once the client has taken the one before.

    stalled_s: a client that takes nothing for so long is let go; None waits for ever.
    release: called in the end, whichever it is.
    """

    status: int
    chunks: AsyncIterator[bytes]
    content_type: bytes = NDJSON
    headers: Sequence[Header] = ()
    stalled_s: float | None = None
    release: Callable[[], None] = _nothing


class Call:
    """One request on its way through. `body` is the validated model, `written` the same as JSON in one spelling
    (`parsing.parse`), `principal` who asks; public endpoints have a nameless one. `admission` is the door's, where the
    endpoint has one."""

    __slots__ = (
        "admission", "began", "body", "gateway", "headers", "params", "principal", "raw", "receive", "scope", "written",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, began: float) -> None:
        self.gateway = gateway
        self.scope = scope
        self.receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.params: dict[str, str] = scope["path_params"]
        self.began = began
        self.principal = NOBODY
        self.raw = b""
        self.body: Any = None
        self.written = ""
        self.admission: Admission | None = None

    def header(self, name: bytes) -> str:
        """A request header, '' if it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")

    def query(self) -> dict[str, str]:
        """The query string's fields; a repeated field's last value. Raises Problem on bytes that are no UTF-8."""
        return parsed_query(self.scope["query_string"])


NOBODY = Principal("", "", "")
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
"""An ASGI application, of one endpoint."""
Handler = Callable[[Call], Awaitable[Answer | Streamed]]


class Parameter(NamedTuple):
    """A documented query parameter or header."""

    name: str
    where: str  # query, header
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """What an endpoint demands and promises.

    roles:   who may call it; empty means that no key is needed.
    body:    the model of its JSON body; None means that it reads none, or reads it itself.
    body_required: False where `{}` is as good as nothing.
    answers: by status, the model of the answer (None: no JSON) and what it means.
    problems: codes it may refuse with, beside those that every endpoint shares.
    arrivals: True where new orders come in, which a full system refuses before it looks at them (`door`).
    """

    method: str
    path: str
    handler: Handler
    tag: str
    roles: frozenset[str]
    body: type[BaseModel] | None
    body_required: bool
    answers: Mapping[int, tuple[type[BaseModel] | None, str]]
    problems: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    extra: Mapping[str, Any]
    arrivals: bool = False

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def idempotent(self) -> bool:
        """POSTs with a key take an Idempotency-Key."""
        return self.method == "POST" and bool(self.roles)


class Routes:
    """Collects the endpoints of one topic."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.endpoints: list[Endpoint] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        roles: frozenset[str] = frozenset(),
        body: type[BaseModel] | None = None,
        body_required: bool = True,
        answers: Mapping[int, tuple[type[BaseModel] | None, str]],
        problems: tuple[str, ...] = (),
        parameters: tuple[Parameter, ...] = (),
        extra: Mapping[str, Any] | None = None,
        arrivals: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Decorator: this handler answers `method path`. Its docstring is the documentation."""

        def register(handler: Handler) -> Handler:
            self.endpoints.append(
                Endpoint(
                    method,
                    path,
                    handler,
                    self.tag,
                    roles,
                    body,
                    body_required,
                    answers,
                    problems,
                    parameters,
                    extra or {},
                    arrivals,
                )
            )
            return handler

        return register


class DirectRoute(APIRoute):
    """A FastAPI route whose requests go straight to the pipeline."""

    def serve(self, gateway: Gateway, endpoint: Endpoint) -> Pipeline:
        """Have `endpoint` answer; returns the pipeline that carries requests to it."""
        pipeline = Pipeline(gateway, endpoint)
        self.app = pipeline.run
        return pipeline


class Pipeline:
    """Carries requests to one endpoint."""

    def __init__(self, gateway: Gateway, endpoint: Endpoint) -> None:
        self._gateway = gateway
        self._endpoint = endpoint
        self._observe = gateway.metrics.observer(endpoint.method, endpoint.path)
        self._refusals: dict[int, Answer] = {}  # by Retry-After: made once, because there are many when there are some

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of this endpoint. Whatever goes wrong becomes a problem."""
        began = time.monotonic()
        admission: Admission | None = None
        if self._endpoint.arrivals:
            admission = self._gateway.door.admit(scope["headers"])
            if admission is None:
                refusal = self._refusal()
                if not self._sent(scope, refusal, began):
                    await send_answer(send, refusal)
                return
        call = Call(self._gateway, scope, receive, began)
        call.admission = admission
        try:
            answer = await self._answer(call)
            if type(answer) is Streamed:
                await _stream(send, answer)
                self._observe(answer.status, time.monotonic() - began)
                return
        except ClientGone:
            return
        except Exception as error:
            if self._endpoint.arrivals and isinstance(error, Overloaded):
                self._gateway.door.shut()
            answer = as_answer(problem_of(error))
        finally:
            if admission is not None:
                admission.over()
        assert type(answer) is Answer
        if admission is not None and answer.status == ACCEPTED:
            self._gateway.door.accepted(call.headers)
        if not self._sent(scope, answer, began):
            await send_answer(send, answer)

    def turns_away(self, scope: Scope) -> bool:
        """Refuse a new order by the short way, which is open, before a task has been made for it; False if it may come
        in."""
        began = time.monotonic()
        return self._gateway.door.turns_away(scope["headers"]) and self._sent(scope, self._refusal(), began)

    def _refusal(self) -> Answer:
        """What the door says to those it does not let in."""
        seconds = self._gateway.door.backlog.retry_after_s
        answer = self._refusals.get(seconds)
        if answer is None:
            answer = self._refusals[seconds] = as_answer(Problem("overloaded", retry_after_s=seconds))
        return answer

    def _sent(self, scope: Scope, answer: Answer, began: float) -> bool:
        """Count the answer, and send it by the short way; False if it has to take the usual one."""
        self._observe(answer.status, time.monotonic() - began)
        whole = scope.get(WHOLE)
        headers = (*answer.headers, (b"content-type", answer.content_type))
        return whole is not None and whole(answer.status, headers, answer.body)

    async def _answer(self, call: Call) -> Answer | Streamed:
        endpoint, gateway = self._endpoint, self._gateway
        if endpoint.roles:
            authorization = call.headers.get(b"authorization", b"")
            call.principal = gateway.keys.known(authorization) or await gateway.keys.principal(authorization)
            wait_s = gateway.rates.wait_s(call.principal.key_id)
            if wait_s:
                raise Problem("rate_limited", retry_after_s=int(wait_s) + 1)
            if call.principal.role not in endpoint.roles:
                raise Problem("forbidden", f"This needs a key of role {' or '.join(sorted(endpoint.roles))}.")
        if endpoint.body is not None:
            raw = call.raw = at_hand(call, gateway.limits.body_bytes_max) or await self._raw_body(call)
            call.body, call.written = parse(raw, endpoint.body, gateway.limits.nesting_levels_max)
        return await endpoint.handler(call)

    async def _raw_body(self, call: Call) -> bytes:
        raw = await read_body(call, self._gateway.limits.body_bytes_max)
        if not raw and not self._endpoint.body_required:
            return b"{}"
        check_content_type(call, JSON)
        return raw


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


def at_hand(call: Call, bytes_max: int) -> bytes:
    """The whole body, if it has arrived and is nothing out of the ordinary: JSON within the bound. Else nothing, and
    `read_body` takes it from there."""
    whole = call.scope.get(WHOLE)
    if whole is None or call.headers.get(b"content-type") != JSON or not 0 < whole.received() <= bytes_max:
        return b""
    body: bytes = whole.taken()
    return body


async def read_body(call: Call, bytes_max: int) -> bytes:
    """The whole body. Raises Problem if it is larger than the bound, without reading it to the end."""
    announced = call.headers.get(b"content-length")
    if announced is not None and (not announced.isdigit() or len(announced) > 15 or int(announced) > bytes_max):
        raise Problem("too_large", f"A body may have {bytes_max} bytes.")
    message = await call.receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > bytes_max:
            raise Problem("too_large", f"A body may have {bytes_max} bytes.")
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > bytes_max:
            raise Problem("too_large", f"A body may have {bytes_max} bytes.")
    return b"".join(parts)


def check_content_type(call: Call, wanted: bytes) -> None:
    """Raises Problem unless the body is said to be `wanted`."""
    given = call.headers.get(b"content-type", b"")
    if given != wanted and given.partition(b";")[0].strip().lower() != wanted:
        raise Problem("unsupported_media_type", f"The body must be {wanted.decode()}.")


def problem_of(error: Exception) -> Problem:
    """What a failure looks like from outside. What was not foreseen is logged, and tells nothing of itself."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Overloaded):
        return Problem("overloaded", retry_after_s=max(1, round(error.retry_after_s)))
    if isinstance(error, Unanswered):
        return Problem("outcome_unknown", retry_after_s=1)
    if isinstance(error, CannotUnseal):
        return Problem("erased")
    log.error("a request failed", exc_info=error)
    return Problem("internal_error")


def as_answer(problem: Problem) -> Answer:
    return Answer(problem.status, problem.body(), problem.headers(), PROBLEM_TYPE.encode())


async def send_answer(send: Send, answer: Answer) -> None:
    headers = list(answer.headers)
    if answer.status != 304:  # which is about a body that the client has already (RFC 9110, 15.4.5)
        headers += (
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
        )
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _stream(send: Send, streamed: Streamed) -> None:
    """Raises ClientGone once the client has stalled, which breaks the connection off."""
    headers = [*streamed.headers, (b"content-type", streamed.content_type)]
    chunks = streamed.chunks
    try:
        await send({"type": "http.response.start", "status": streamed.status, "headers": headers})
        async for chunk in chunks:
            await _taken(send({"type": "http.response.body", "body": chunk, "more_body": True}), streamed.stalled_s)
        await _taken(send({"type": "http.response.body", "body": b""}), streamed.stalled_s)
    finally:
        streamed.release()
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def _taken(sending: Awaitable[None], seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await sending
    except TimeoutError:
        raise ClientGone from None


async def disconnected(call: Call) -> None:
    """Wait until the client has gone away; before that there is only the request's empty body."""
    while (await call.receive())["type"] != "http.disconnect":
        pass
