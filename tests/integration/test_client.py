"""The commands' HTTP client against a server that misbehaves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from scripts.client import Client, Refused, Unreachable, connected
from scripts.run_state import NotRunning

Answer = Callable[[web.Request], web.StreamResponse | None]
"""None closes the connection without an answer."""


class Server:
    """Answers with each of `script` in turn, the last one for ever; `seen` are the requests."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.seen: list[web.Request] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        await request.read()
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        response = answer(request)
        if response is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return response

    @contextlib.asynccontextmanager
    async def client(self, patience_s: float = 5.0) -> AsyncIterator[Client]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            port = runner.addresses[0][1]
            async with connected(lambda: f"http://127.0.0.1:{port}", patience_s=patience_s) as client:
                yield client
        finally:
            await runner.cleanup()


def ok(_request: web.Request) -> web.Response:
    return web.json_response({"id": "ord_1"}, headers={"Idempotent-Replayed": "true"})


def busy(_request: web.Request) -> web.Response:
    return web.json_response({"code": "overloaded"}, status=429, headers={"Retry-After": "0"})


def unavailable(_request: web.Request) -> web.Response:
    return web.json_response({"code": "outcome_unknown"}, status=503)


def closed(_request: web.Request) -> None:
    return None


async def test_what_is_busy_away_or_lost_is_asked_again() -> None:
    server = Server(busy, unavailable, closed, ok)
    async with server.client() as client:
        answer = await client.request("POST", "/v1/orders", "key", {"a": 1}, idempotency_key="k")
    assert (answer.body, answer.replayed, client.retries) == ({"id": "ord_1"}, True, 3)
    assert {request.headers["Idempotency-Key"] for request in server.seen} == {"k"}
    assert {request.headers["Authorization"] for request in server.seen} == {"Bearer key"}


@pytest.mark.parametrize("trouble", [unavailable, closed])
async def test_a_post_without_a_key_is_not_repeated_when_it_may_have_happened(trouble: Answer) -> None:
    server = Server(trouble, ok)
    async with server.client() as client:
        with pytest.raises((Refused, Unreachable)):
            await client.post("key", "/v1/orders", {})
    assert len(server.seen) == 1


async def test_a_post_without_a_key_is_repeated_when_it_was_certainly_refused() -> None:
    server = Server(busy, ok)
    async with server.client() as client:
        assert await client.post("key", "/v1/orders", {}) == {"id": "ord_1"}


async def test_a_refusal_says_what_and_why() -> None:
    problem = {"code": "invalid", "title": "Invalid", "errors": [{"field": "lines.0", "message": "Too many."}]}
    server = Server(lambda _request: web.json_response(problem, status=422))
    async with server.client() as client:
        with pytest.raises(Refused, match=r"PUT /v1/x: 422 invalid: Invalid \(lines.0: Too many.\)") as caught:
            await client.put("key", "/v1/x", {})
    assert (caught.value.status, caught.value.code, len(server.seen)) == (422, "invalid", 1)


async def test_a_refusal_that_is_no_problem_document_is_shown_as_it_is() -> None:
    server = Server(lambda _request: web.Response(text="bad gateway", status=502))
    async with server.client() as client:
        with pytest.raises(Refused, match="502 : bad gateway"):
            await client.get("key", "/v1/x")


async def test_patience_has_an_end() -> None:
    async with Server(busy).client(patience_s=0.1) as client:
        with pytest.raises(Refused, match="429"):
            await client.get("key", "/")
    async with Server(closed).client(patience_s=0.1) as client:
        with pytest.raises(Unreachable, match="no answer for 0 s"):
            await client.get("key", "/")


async def test_a_system_that_comes_back_elsewhere_is_found() -> None:
    server = Server(ok)
    async with server.client() as real:
        found = ["http://127.0.0.1:9", NotRunning("not yet"), await _url_of(real)]

        def locate() -> str:
            place = found.pop(0) if len(found) > 1 else found[0]
            if isinstance(place, NotRunning):
                raise place
            return place

        async with connected(locate) as client:
            assert await client.get("key", "/v1/x") == {"id": "ord_1"}


async def _url_of(client: Client) -> str:
    return client._url
