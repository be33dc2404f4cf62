"""Liveness, readiness, metrics, rate limits, and what happens when the actors cannot answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from actors.runtime.envelope import Overloaded, Reply, Status, Unanswered
from gateway.limits import GATEWAY_LIMITS
from models.decision import Address, Command
from tests.gateway.shop import ORDER, Shop, in_shop, ok, refused


class Troubled:
    """A router that has trouble with orders, and with everything once `all` is set."""

    def __init__(self, inner: Any, trouble: Exception | Reply, everything: bool = False) -> None:
        self.inner = inner
        self.trouble = trouble
        self.everything = everything

    async def ask(self, to: Address, command: Command, **more: Any) -> Reply:
        if self.everything or to.kind == "order":
            if isinstance(self.trouble, Reply):
                return self.trouble
            raise self.trouble
        reply: Reply = await self.inner.ask(to, command, **more)
        return reply

    async def read(self, to: Address) -> Reply:
        if self.everything or to.kind == "order":
            return await self.ask(to, Command())
        found: Reply = await self.inner.read(to)
        return found

    async def read_many(self, addresses: Iterable[Address]) -> Sequence[Reply]:
        found: Sequence[Reply] = await self.inner.read_many(addresses)
        return found


def test_health() -> None:
    async def story(shop: Shop) -> None:
        nobody = shop.client()
        assert await ok(nobody.get("/healthz")) == {"status": "ok"}
        assert await ok(nobody.get("/readyz")) == {"status": "ok"}

    in_shop(story, stocked=False)


def test_a_gateway_that_reaches_no_actor_lives_but_is_not_ready() -> None:
    async def story(shop: Shop) -> None:
        for trouble in (Unanswered("silence"), Overloaded(1.0), Reply(Status.MOVED)):
            shop.serve(router=Troubled(shop.router, trouble, everything=True))
            await ok(shop.client().get("/healthz"))
            await refused(shop.client().get("/readyz"), 503, "unavailable")

        async def not_yet() -> str:
            return "Shard 3 has no host."

        shop.serve(router=shop.router, ready=not_yet)
        problem = await refused(shop.client().get("/readyz"), 503, "unavailable")
        assert problem["detail"] == "Shard 3 has no host."

    in_shop(story, stocked=False)


def test_what_actors_cannot_answer() -> None:
    async def story(shop: Shop) -> None:
        for trouble, status, code in (
            (Overloaded(2.0), 429, "overloaded"),
            (Unanswered("silence"), 503, "outcome_unknown"),
            (Reply(Status.FAILED), 500, "command_failed"),
            (Reply(Status.MOVED), 503, "unavailable"),
            (Reply(Status.BUSY), 429, "overloaded"),
            (ZeroDivisionError("a bug"), 500, "internal_error"),
        ):
            shop.serve(router=Troubled(shop.router, trouble))
            answer = await shop.acme.post("/v1/orders", json=ORDER)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert ("retry-after" in answer.headers) == (status in (429, 503))
            assert "a bug" not in answer.text
            reading = await shop.acme.get(f"/v1/orders/ord_000{'0' * 32}")
            assert reading.status_code == status
        assert (await shop.acme.post("/v1/orders", json=ORDER)).headers.get("retry-after") is None

    in_shop(story)


def test_requests_are_limited_by_key() -> None:
    async def story(shop: Shop) -> None:
        shop.serve(limits=replace(GATEWAY_LIMITS, requests_per_second_max=0.01, requests_burst_max=3.0))
        path = f"/v1/orders/ord_000{'0' * 32}"
        acme, bolt = shop.acme, shop.bolt
        for _ in range(3):
            await refused(acme.get(path), 404, "not_found")
        answer = await acme.get(path)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 101
        await refused(bolt.get(path), 404, "not_found")
        await ok(shop.client().get("/healthz"))

    in_shop(story, stocked=False)


def test_metrics_count_answers_by_route() -> None:
    async def story(shop: Shop) -> None:
        await shop.placed()
        await refused(shop.acme.get(f"/v1/orders/ord_000{'0' * 32}"), 404, "not_found")
        answer = await shop.client().get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        text = answer.text
        assert 'dray_http_requests_total{method="POST",route="/v1/orders",status="202"} 1.0' in text
        assert 'dray_http_requests_total{method="GET",route="/v1/orders/{id}",status="404"} 1.0' in text
        assert 'dray_http_request_seconds_count{method="POST",route="/v1/orders"} 1.0' in text

    in_shop(story)
