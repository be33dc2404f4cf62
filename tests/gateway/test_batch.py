"""Many orders in one request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from gateway.limits import GATEWAY_LIMITS
from tests.gateway.shop import ORDER, Json, Shop, in_shop, ok, order_of, refused

NDJSON = {"content-type": "application/x-ndjson"}
PATH = "/v1/orders/batch"


def lines_of(*orders: Json) -> bytes:
    return b"".join(json.dumps(order).encode() + b"\n" for order in orders)


def results(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_has_its_own_result_in_order() -> None:
    async def story(shop: Shop) -> None:
        body = lines_of(
            {**ORDER, "idempotency_key": "a"},
            {**order_of(("elephant", 1)), "idempotency_key": "b"},
            ORDER,
            {**order_of(("hat", 2)), "idempotency_key": "c"},
            {**ORDER, "idempotency_key": "a"},
            {**order_of(("hat", 3)), "idempotency_key": "a"},
        )
        body = body + b"\n  \n" + b"{not json}\n" + json.dumps({**ORDER, "idempotency_key": "d"}).encode()
        answer = await shop.acme.post(PATH, content=body, headers=NDJSON)
        assert answer.headers["content-type"] == "application/x-ndjson"
        found = results(answer.text)
        assert [line["index"] for line in found] == list(range(8))
        assert [line["status"] for line in found] == [202, 422, 422, 202, 202, 422, 400, 202]
        codes = [line["problem"]["code"] for line in found if "problem" in line]
        assert codes == ["unknown_product", "invalid", "idempotency_key_reused", "malformed"]
        assert found[0]["order"]["id"] == found[4]["order"]["id"]
        assert found[3]["order"]["lines"][0]["product"] == "hat"
        assert (await ok(shop.acme.get(f"/v1/orders/{found[7]['order']['id']}")))["id"] == found[7]["order"]["id"]

    in_shop(story)


def test_a_batch_is_a_stream_both_ways() -> None:
    """Results come while the client has not finished sending: ASGI's own channels, since httpx buffers."""

    async def story(shop: Shop) -> None:
        inbox: asyncio.Queue[Json] = asyncio.Queue()
        outbox: asyncio.Queue[Json] = asyncio.Queue()
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer retailer-acme"), (b"content-type", b"application/x-ndjson")],
        }
        running = asyncio.ensure_future(shop.app(scope, inbox.get, outbox.put))  # type: ignore[arg-type]
        for number in range(3):
            line = lines_of({**ORDER, "idempotency_key": f"k{number}"})
            inbox.put_nowait({"type": "http.request", "body": line[:50], "more_body": True})
            inbox.put_nowait({"type": "http.request", "body": line[50:], "more_body": True})
            if number == 0:
                assert (await outbox.get())["status"] == 200
            result = json.loads((await outbox.get())["body"])
            assert (result["index"], result["status"]) == (number, 202)
        inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        assert (await outbox.get())["body"] == b""
        await running

    in_shop(story)


def test_a_batch_of_many_is_bounded_and_complete() -> None:
    async def story(shop: Shop) -> None:
        async def lines() -> AsyncIterator[bytes]:
            for number in range(60):
                yield lines_of({**order_of(("hat", 1)), "idempotency_key": f"k{number}"})

        answer = await shop.acme.post(PATH, content=lines(), headers=NDJSON)
        found = results(answer.text)
        assert [line["index"] for line in found] == list(range(60))
        assert {line["status"] for line in found} == {202}
        assert len({line["order"]["id"] for line in found}) == 60

    in_shop(story, limits=replace(GATEWAY_LIMITS, batch_orders_in_flight_max=4))


def test_lines_that_are_too_long_are_passed_over() -> None:
    async def story(shop: Shop) -> None:
        async def lines() -> AsyncIterator[bytes]:
            yield lines_of({**ORDER, "idempotency_key": "a"})
            for _ in range(20):
                yield b"x" * 65_536
            yield b"\n" + lines_of({**ORDER, "idempotency_key": "b"})
            yield b"y" * (GATEWAY_LIMITS.body_bytes_max + 1)

        answer = await shop.acme.post(PATH, content=lines(), headers=NDJSON)
        assert [line["status"] for line in results(answer.text)] == [202, 413, 202, 413]

    in_shop(story)


def test_a_batch_must_be_ndjson_and_may_be_empty() -> None:
    async def story(shop: Shop) -> None:
        await refused(shop.acme.post(PATH, json=ORDER), 415, "unsupported_media_type")
        answer = await shop.acme.post(PATH, content=b"", headers=NDJSON)
        assert (answer.status_code, answer.text) == (200, "")

    in_shop(story)


def test_each_line_takes_a_token() -> None:
    async def story(shop: Shop) -> None:
        orders = [{**order_of(("hat", 1)), "idempotency_key": f"k{n}"} for n in range(8)]
        shop.serve(limits=replace(GATEWAY_LIMITS, requests_per_second_max=0.001, requests_burst_max=4.0))
        client = shop.client("retailer-acme")
        answer = await client.post(PATH, content=lines_of(*orders), headers=NDJSON)
        assert [line["status"] for line in results(answer.text)] == [202, 202, 202, 429, 429, 429, 429, 429]

    in_shop(story)


def test_a_batch_sent_again_answers_with_the_orders_of_the_first() -> None:
    async def story(shop: Shop) -> None:
        body = lines_of(*({**order_of(("hat", 1)), "idempotency_key": f"k{number}"} for number in range(40)))
        first, again = [results((await shop.acme.post(PATH, content=body, headers=NDJSON)).text) for _ in range(2)]
        assert [line["order"]["id"] for line in first] == [line["order"]["id"] for line in again]
        assert [line["index"] for line in again] == list(range(40))
        assert again[0]["order"]["customer"] == ORDER["customer"]

    in_shop(story, limits=replace(GATEWAY_LIMITS, batch_orders_in_flight_max=16))


def test_what_a_client_sent_before_it_went_away_is_placed() -> None:
    async def story(shop: Shop) -> None:
        inbox: asyncio.Queue[Json] = asyncio.Queue()
        sent: list[Json] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "headers": [(b"authorization", b"Bearer retailer-acme"), (b"content-type", b"application/x-ndjson")],
        }
        body = lines_of(*({**order_of(("hat", 1)), "idempotency_key": f"k{number}"} for number in range(5)))
        inbox.put_nowait({"type": "http.request", "body": body, "more_body": True})
        inbox.put_nowait({"type": "http.disconnect"})
        await shop.app(scope, inbox.get, send)
        placed = results(b"".join(message.get("body", b"") for message in sent).decode())
        assert [line["status"] for line in placed] == [202] * 5

    in_shop(story)
