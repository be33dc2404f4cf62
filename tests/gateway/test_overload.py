"""A full system refuses new orders at the door, at once and for moments only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import httpx

from gateway.backlog import Backlog
from gateway.door import Door
from gateway.limits import GATEWAY_LIMITS
from tests.gateway.serving import serving
from tests.gateway.shop import ORDER, Shop, in_shop, order_of, refused

HEADERS = [(b"authorization", b"Bearer acme"), (b"idempotency-key", b"one")]
OTHERS = [(b"authorization", b"Bearer bolt"), (b"idempotency-key", b"one")]


def backlog(few: int = 2, many: int = 100) -> Backlog:
    return Backlog(wait_s=0.5, few=few, many=many, window_s=0.25, retry_after_s_max=10)


def a_door(now: list[float], *, few: int = 2, many: int = 100, waiting: Callable[[], int] = lambda: 0) -> Door:
    return Door(
        backlog(few, many), shut_s=0.05, round_s_max=0.5, waiting_max=2, repeats_max=2, waiting=waiting,
        clock=lambda: now[0],
    )  # fmt: skip


def is_open(door: Door) -> bool:
    admission = door.admit(())
    if admission is not None:
        admission.over()
    return admission is not None


async def test_the_door_is_shut_for_a_moment_after_a_refusal() -> None:
    now = [10.0]
    door = a_door(now)
    assert is_open(door)
    door.shut()
    assert not is_open(door)
    now[0] += 0.049
    assert not is_open(door), "asking does not keep it shut any longer"
    now[0] += 0.002
    assert is_open(door)


async def test_the_door_shuts_when_what_has_arrived_waits_too_long_for_its_turn() -> None:
    now = [10.0]
    door = a_door(now)
    assert is_open(door)
    now[0] += 0.4
    await asyncio.sleep(0)
    assert is_open(door), "a round that is not too long"
    now[0] += 0.6
    assert is_open(door), "it is not known before the round is over"
    await asyncio.sleep(0)
    assert not is_open(door)
    now[0] += 0.4
    await asyncio.sleep(0)
    assert not is_open(door), "for as long as the round was"
    now[0] += 0.3
    await asyncio.sleep(0)
    assert is_open(door)


async def test_the_door_is_shut_while_too_much_is_on_its_way_to_the_hosts() -> None:
    waiting = [0]
    door = a_door([10.0], waiting=lambda: waiting[0])
    for waiting[0], expected in ((2, True), (3, False), (0, True)):
        assert is_open(door) is expected


async def test_who_is_in_makes_room_once_its_order_is_durable_or_will_not_be() -> None:
    door = a_door([10.0], many=2)
    first, second = door.admit(()), door.admit(())
    assert first is not None
    assert second is not None
    assert not is_open(door)
    first.durable()
    assert is_open(door)
    first.durable()
    first.over()
    assert door.backlog.waiting == 1, "it leaves once"
    second.over()
    assert door.backlog.waiting == 0


async def test_what_has_placed_an_order_comes_in_again_while_others_do_not() -> None:
    door = a_door([10.0])
    door.accepted(dict(HEADERS))
    door.shut()
    assert door.admit(OTHERS) is None, "the same key of somebody else"
    assert door.admit(()) is None
    assert door.admit(HEADERS) is not None
    for number in (b"2", b"3"):
        door.accepted({b"idempotency-key": number})
    assert door.admit(HEADERS) is None, "only the last ones are remembered"


async def test_at_its_very_end_a_backlog_takes_no_repeats_either() -> None:
    door = a_door([10.0], many=1)
    door.accepted(dict(HEADERS))
    assert door.admit(()) is not None
    assert door.admit(HEADERS) is None


def answer(queue: Backlog, since: float, until: float, per_second: int, took_s: float) -> None:
    """So many orders are answered between two instants, each after `took_s`."""
    for number in range(round((until - since) * per_second)):
        queue.answered(since + number / per_second, took_s)


def test_a_backlog_that_is_worked_off_soon_enough_has_all_the_room_there_is() -> None:
    queue = backlog()
    answer(queue, 0.0, 2.0, 1_000, took_s=0.5)
    assert queue.room == 100


def test_a_backlog_that_takes_too_long_has_room_for_what_is_answered_in_time() -> None:
    queue = backlog()
    answer(queue, 0.0, 1.01, 100, took_s=0.6)
    assert queue.room == 50, "a hundred a second, half a second each"


def test_a_backlog_always_has_room_for_a_few() -> None:
    queue = backlog(few=7)
    answer(queue, 0.0, 9.0, 1, took_s=6.0)
    assert queue.room == 7


def test_one_that_was_quick_proves_that_the_queue_was_short() -> None:
    queue = backlog()
    for window in range(4):
        answer(queue, window * 0.25, window * 0.25 + 0.24, 100, took_s=2.0)
        queue.answered(window * 0.25 + 0.24, 0.1)
    assert queue.room == 100


def test_room_comes_back_bit_by_bit() -> None:
    queue = backlog()
    answer(queue, 0.0, 1.01, 100, took_s=0.6)
    rooms = [queue.room]
    for window in range(20):
        began = 1.01 + window * 0.25
        answer(queue, began, began + 0.26, 100, took_s=0.1)
        rooms.append(queue.room)
    assert rooms == sorted(rooms)
    assert max(later - sooner * Backlog.GROWTH for sooner, later in pairwise(rooms)) < 1
    assert rooms[-1] == 100


def test_the_more_are_refused_the_later_they_shall_come_again() -> None:
    for sent_away, seconds in ((0, 1), (100, 1), (350, 4), (100_000, 10)):
        queue = backlog()
        answer(queue, 0.0, 0.25, 400, took_s=0.1)
        for _ in range(sent_away):
            queue.refused()
        queue.answered(0.26, 0.1)
        assert queue.retry_after_s == seconds


def test_a_full_door_refuses_with_its_reason_before_it_looks_at_the_key() -> None:
    async def story(shop: Shop) -> None:
        shop.gateway.door.shut()
        problem = await refused(shop.client("nobody").post("/v1/orders", json=ORDER), 429, "overloaded")
        assert problem["title"] == "The system is full"
        metrics = (await shop.acme.get("/metrics")).text
        assert 'dray_http_requests_total{method="POST",route="/v1/orders",status="429"} 1.0' in metrics

    in_shop(story, limits=replace(GATEWAY_LIMITS, door_shut_s=60.0))


def test_who_has_been_accepted_is_answered_by_a_full_system_and_has_one_order() -> None:
    async def story(shop: Shop) -> None:
        key = {"idempotency-key": "again"}
        placed = (await shop.acme.post("/v1/orders", json=ORDER, headers=key)).json()
        await shop.at_rest(placed)
        shop.gateway.door.shut()
        await refused(shop.acme.post("/v1/orders", json=ORDER), 429, "overloaded")
        again = await shop.acme.post("/v1/orders", json=ORDER, headers=key)
        assert (again.status_code, again.json()["id"]) == (202, placed["id"])
        assert again.headers["idempotent-replayed"] == "true"
        other = order_of(("mug", 3))
        await refused(shop.acme.post("/v1/orders", json=other, headers=key), 422, "idempotency_key_reused")

    in_shop(story, limits=replace(GATEWAY_LIMITS, door_shut_s=60.0))


def test_customers_who_wait_for_the_end_keep_nobody_out_once_their_orders_are_durable() -> None:
    async def story(shop: Shop) -> None:
        backlog = shop.gateway.door.backlog
        shop.payments._latency_s = 3600.0
        stored = shop.stored
        waiting = asyncio.ensure_future(shop.acme.post("/v1/orders", json=ORDER, headers={"prefer": "wait=10"}))
        while shop.stored == stored or backlog.waiting:
            await asyncio.sleep(0.001)
        assert not waiting.done()
        waiting.cancel()

    in_shop(story)


def test_once_a_host_is_full_new_orders_are_refused_unread_and_all_else_is_served() -> None:
    async def story(shop: Shop) -> None:
        placed = await shop.placed()
        await shop.at_rest(placed)
        shop.host.refusing = "this test"
        await refused(shop.acme.post("/v1/orders", json=ORDER), 429, "overloaded")
        shop.host.refusing = ""
        stored = shop.stored
        answer = await shop.acme.post("/v1/orders", content=b"never read", headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "overloaded", "1")
        assert (await shop.acme.get(f"/v1/orders/{placed['id']}")).status_code == 200
        assert shop.stored == stored

    in_shop(story, limits=replace(GATEWAY_LIMITS, door_shut_s=60.0))


def test_the_door_opens_again() -> None:
    async def story(shop: Shop) -> None:
        shop.host.refusing = "this test"
        await refused(shop.acme.post("/v1/orders", json=ORDER), 429, "overloaded")
        shop.host.refusing = ""
        while (answer := await shop.acme.post("/v1/orders", json=ORDER)).status_code == 429:
            await asyncio.sleep(0.005)
        assert answer.status_code == 202

    in_shop(story)


def test_over_a_socket_too_a_full_system_refuses_with_a_reason_and_answers_those_it_has_accepted() -> None:
    async def story(shop: Shop) -> None:
        key = {"idempotency-key": "again", "authorization": "Bearer retailer-acme"}
        placed = await shop.placed(key="again")
        await shop.at_rest(placed)
        shop.gateway.door.shut()
        stored = shop.stored
        async with serving(shop.app) as port, httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{port}/v1/orders"
            refused_ = await client.post(url, json=ORDER)
            assert (refused_.status_code, refused_.json()["code"]) == (429, "overloaded")
            assert refused_.headers["content-type"] == "application/problem+json"
            assert refused_.headers["retry-after"] == "1"
            again = await client.post(url, json=ORDER, headers=key)
            assert (again.status_code, again.json()["id"]) == (202, placed["id"])
            assert (await client.get(f"{url}/{placed['id']}", headers=key)).status_code == 200
        assert shop.stored == stored
        metrics = (await shop.acme.get("/metrics")).text
        assert 'dray_http_requests_total{method="POST",route="/v1/orders",status="429"} 1.0' in metrics

    in_shop(story, limits=replace(GATEWAY_LIMITS, door_shut_s=60.0))
