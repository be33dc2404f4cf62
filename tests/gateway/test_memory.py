"""What a gateway remembers between requests: keys, views, and how fast a key may ask."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from actors.runtime.envelope import Status
from gateway.auth import Keys, Principal, hash_of, new_key
from gateway.cache import ViewCache
from gateway.problems import Problem
from gateway.rates import FORGET_AFTER_KEYS, RateLimit
from models.decision import Address
from tests.gateway.actors import Actors, Clock


def ring(*names: str, revoked: bool = False) -> dict[str, Any]:
    return {
        "keys": [
            {
                "id": f"key_{name}",
                "role": "retailer",
                "name": name,
                "hash": hash_of(name),
                "revoked_at": revoked or None,
            }
            for name in names
        ]
    }


ANN = Principal("retailer", "ann", "key_ann")


def test_while_requests_come_keys_are_read_before_they_are_too_old_and_nobody_waits() -> None:
    async def story() -> None:
        clock, actors = Clock(), Actors(keyring=ring("ann"))
        keys = Keys(actors, 1.0, clock)
        await keys.principal(b"Bearer ann")
        clock.now += 0.6
        actors.open.clear()
        for _ in range(3):
            assert keys.known(b"Bearer ann") == ANN
            await asyncio.sleep(0)
        assert actors.reads == 2, "one reading is enough"
        clock.now += 0.3
        actors.views["keyring"] = ring("ann", revoked=True)
        actors.status = Status.EXPIRED
        actors.open.set()
        await asyncio.sleep(0.001)
        assert keys.known(b"Bearer ann") == ANN, "a reading that failed tells nothing"
        clock.now += 0.2
        assert keys.known(b"Bearer ann") is None, "what is too old opens nothing"

    asyncio.run(story())


def test_keys_are_read_once_a_second() -> None:
    async def story() -> None:
        clock, actors = Clock(), Actors(keyring=ring("ann"))
        keys = Keys(actors, 1.0, clock)
        assert keys.known(b"Bearer ann") is None
        assert await keys.principal(b"Bearer ann") == ANN
        assert keys.known(b"Bearer ann") == ANN
        for _ in range(10):
            assert await keys.principal(b"Bearer ann") == ANN
        assert actors.reads == 1
        clock.now += 1.01
        actors.views["keyring"] = ring("ann", revoked=True)
        assert keys.known(b"Bearer ann") is None
        with pytest.raises(Problem, match="unauthenticated"):
            await keys.principal(b"Bearer ann")

    asyncio.run(story())


def test_an_unknown_key_is_refused_only_after_asking() -> None:
    async def story() -> None:
        clock, actors = Clock(), Actors(keyring=ring("ann"))
        keys = Keys(actors, 1.0, clock)
        await keys.principal(b"Bearer ann")
        clock.now += 0.1
        actors.views["keyring"] = ring("ann", "bob")
        assert (await keys.principal(b"Bearer bob")).name == "bob"

    asyncio.run(story())


def test_everyone_who_waits_shares_one_reading() -> None:
    async def story() -> None:
        clock, actors = Clock(), Actors(keyring=ring("ann"))
        keys = Keys(actors, 1.0, clock)
        actors.open.clear()
        asking = [asyncio.ensure_future(keys.principal(b"Bearer ann")) for _ in range(50)]
        await asyncio.sleep(0)
        actors.open.set()
        assert await asyncio.gather(*asking) == [ANN] * 50
        assert actors.reads == 1

    asyncio.run(story())


def test_a_reading_that_began_before_a_key_was_made_does_not_refuse_it() -> None:
    async def story() -> None:
        clock, actors = Clock(), Actors(keyring=ring("ann"))
        keys = Keys(actors, 1.0, clock)
        actors.open.clear()
        early = asyncio.ensure_future(keys.principal(b"Bearer ann"))
        await asyncio.sleep(0)  # the reading has begun, with what there was
        clock.now += 0.2
        actors.views["keyring"] = ring("ann", "bob")
        late = asyncio.ensure_future(keys.principal(b"Bearer bob"))
        await asyncio.sleep(0)
        actors.open.set()
        assert (await early).name == "ann"
        assert (await late).name == "bob"

    asyncio.run(story())


def test_a_keyring_that_cannot_be_read_refuses_nobody_for_good() -> None:
    async def story() -> None:
        actors = Actors(keyring=ring("ann"))
        keys = Keys(actors, 1.0, Clock())
        actors.status = Status.MOVED
        with pytest.raises(Problem, match="unavailable"):
            await keys.principal(b"Bearer ann")
        actors.status = Status.OK
        assert await keys.principal(b"Bearer ann") == ANN

    asyncio.run(story())


def test_new_keys_are_long_and_distinct() -> None:
    made = {new_key(os.urandom) for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("dray_") and key.isascii() and len(key) == 48 for key in made)


def test_views_are_remembered_for_a_second_and_not_beyond_a_bound() -> None:
    async def story() -> None:
        clock, actors = Clock(), Actors(a={"v": 1})
        cache = ViewCache(actors, 1.0, 3, clock)
        a, b = Address("product", "a"), Address("product", "b")
        assert await cache.views([a, b, a]) == {a: {"v": 1}, b: None}
        assert actors.reads == 2
        actors.views["a"] = {"v": 2}
        assert (await cache.views([a]))[a] == {"v": 1}
        began = clock.now = 100.5
        assert (await cache.views([a], since=began))[a] == {"v": 2}
        actors.views["a"] = {"v": 3}
        clock.now = 101.6
        assert (await cache.views([a]))[a] == {"v": 3}
        actors.views["a"] = {"v": 4}
        cache.forget(a)
        assert (await cache.views([a]))[a] == {"v": 4}
        for number in range(20):
            await cache.views([Address("product", f"x{number}")])
        assert len(cache) <= 3

    asyncio.run(story())


def test_a_view_that_has_not_changed_is_the_same_object_when_it_is_read_again() -> None:
    async def story() -> None:
        clock, actors, a = Clock(), Actors(a={"v": 1}), Address("product", "a")
        cache = ViewCache(actors, 1.0, 3, clock)
        first = (await cache.views([a]))[a]
        clock.now += 2.0
        assert (await cache.views([a]))[a] is first
        assert actors.reads == 2
        actors.views["a"] = {"v": 2}
        clock.now += 2.0
        assert (await cache.views([a]))[a] == {"v": 2}
        del actors.views["a"]
        clock.now += 2.0
        assert (await cache.views([a]))[a] is None

    asyncio.run(story())


def test_requests_that_miss_the_same_view_share_one_read_even_if_the_first_of_them_is_given_up() -> None:
    async def story() -> None:
        clock, actors = Clock(), Actors(a={"v": 1}, b={"v": 1})
        cache = ViewCache(actors, 1.0, 3, clock)
        a, b = Address("product", "a"), Address("product", "b")
        actors.open.clear()
        first = asyncio.create_task(cache.views([a]))
        await asyncio.sleep(0)
        clock.now += 0.5
        others = [asyncio.create_task(cache.views([a, b])) for _ in range(5)]
        later = asyncio.create_task(cache.views([a], since=clock.now))  # a read that began before will not do
        await asyncio.sleep(0.01)
        first.cancel()
        actors.open.set()
        assert await asyncio.gather(*others) == [{a: {"v": 1}, b: {"v": 1}}] * 5
        assert await later == {a: {"v": 1}}
        assert actors.reads == 3

    asyncio.run(story())


def test_a_view_that_was_changed_while_it_was_read_is_read_anew() -> None:
    async def story() -> None:
        actors = Actors(a={"v": 1})
        cache = ViewCache(actors, 1.0, 3, Clock())
        a = Address("product", "a")
        actors.open.clear()
        before = asyncio.create_task(cache.views([a]))
        await asyncio.sleep(0.01)
        actors.views["a"] = {"v": 2}
        cache.forget(a)
        actors.open.set()
        assert await before == {a: {"v": 1}}
        assert await cache.views([a]) == {a: {"v": 2}}

    asyncio.run(story())


def test_a_view_that_cannot_be_read_is_no_missing_one() -> None:
    async def story() -> None:
        actors = Actors()
        actors.status = Status.BUSY
        cache = ViewCache(actors, 1.0, 3, Clock())
        with pytest.raises(Problem, match="unavailable"):
            await cache.views([Address("product", "a")])

    asyncio.run(story())


def test_a_bucket_allows_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    rates = RateLimit(10.0, 5.0, clock)
    assert [rates.wait_s("k") for _ in range(5)] == [0.0] * 5
    assert rates.wait_s("k") == pytest.approx(0.1)
    assert rates.wait_s("other") == 0.0
    clock.now += 0.1
    assert rates.wait_s("k") == 0.0
    assert rates.wait_s("k") == pytest.approx(0.1)
    clock.now += 1000
    assert [rates.wait_s("k") for _ in range(6)][-1] > 0, "a bucket holds no more than its burst"


def test_full_buckets_are_forgotten() -> None:
    clock = Clock()
    rates = RateLimit(10.0, 5.0, clock)
    for number in range(FORGET_AFTER_KEYS):
        rates.wait_s(f"k{number}")
    clock.now += 10
    rates.wait_s("one more")
    assert len(rates) == 1
