"""A full system refuses new orders at the door, at once and for moments only."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.door import Door
from gateway.limits import GATEWAY_LIMITS
from tests.gateway.shop import ORDER, Shop, in_shop, refused


async def test_the_door_is_shut_for_a_moment_after_a_refusal() -> None:
    now = [10.0]
    door = Door(0.05, 0.5, clock=lambda: now[0])
    assert door.open()
    door.shut()
    assert not door.open()
    now[0] += 0.049
    assert not door.open(), "asking does not keep it shut any longer"
    now[0] += 0.002
    assert door.open()


async def test_the_door_shuts_when_what_has_arrived_waits_too_long_for_its_turn() -> None:
    now = [10.0]
    door = Door(0.05, 0.5, clock=lambda: now[0])
    assert door.open()
    now[0] += 0.4
    await asyncio.sleep(0)
    assert door.open(), "a round that is not too long"
    now[0] += 0.6
    assert door.open(), "it is not known before the round is over"
    await asyncio.sleep(0)
    assert not door.open()
    now[0] += 0.4
    await asyncio.sleep(0)
    assert not door.open(), "for as long as the round was"
    now[0] += 0.3
    await asyncio.sleep(0)
    assert door.open()


async def test_the_door_is_shut_while_too_much_is_on_its_way_to_the_hosts() -> None:
    waiting = [0]
    door = Door(0.05, 0.5, waiting_max=2, waiting=lambda: waiting[0])
    for waiting[0], is_open in ((2, True), (3, False), (0, True)):
        assert door.open() is is_open


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
