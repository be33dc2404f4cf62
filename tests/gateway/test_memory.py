"""What a gateway remembers between requests: keys, views, and how fast a key may ask."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from actors.runtime.envelope import Reply, Status
from gateway.auth import Keys, Principal, hash_of, new_key
from gateway.cache import ViewCache
from gateway.catalogue import Catalogue, Terms
from gateway.problems import Problem
from gateway.rates import FORGET_AFTER_KEYS, RateLimit
from gateway.schemas.orders import LineRequest
from models.decision import Address


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Actors:
    """Views by address, how often each was read, and a gate that keeps readers waiting."""

    def __init__(self, **views: Any) -> None:
        self.views = views
        self.reads = 0
        self.status = Status.OK
        self.open = asyncio.Event()
        self.open.set()

    async def read(self, to: Address) -> Reply:
        self.reads += 1
        view = self.views.get(to.id)
        await self.open.wait()
        if self.status is not Status.OK:
            return Reply(self.status)
        return Reply(Status.OK, orjson.dumps(view)) if view is not None else Reply(Status.ABSENT)

    async def read_many(self, addresses: Iterable[Address]) -> list[Reply]:
        return [await self.read(address) for address in addresses]

    async def ask(self, to: Address, command: Any, **more: Any) -> Reply:
        raise AssertionError("nothing is asked here")


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


# --- what products come to --------------------------------------------------------------------------------------------


def a_shop() -> Actors:
    split = {"brand": 1000, "supplier": 6000, "retailer": 2000}
    offer = {"sku": "MUG", "unit_amount": 700, "split": split}
    return Actors(
        **{
            "mug": {"brand": "brio", "currency": "gbp", "offers": {"north": offer, "south": {**offer, "sku": "MUG-S"}}},
            "acme/mug": {"supplier": "north", "unit_amount": None},
            "north": {"stripe_account": "acct_n", "cancellation_policy": {"fee_bps": 100}},
            "brio": {"stripe_account": "acct_b"},
            "acme": {"stripe_account": None},
        }
    )


def sold(catalogue: Catalogue, *lines: LineRequest, began: float = 100.0) -> Terms:
    return asyncio.run(catalogue.resolve("acme", "gbp", lines, began))


MUG = LineRequest(product="mug", quantity=3)


def test_a_product_is_worked_out_once_however_often_it_is_ordered() -> None:
    actors, clock = a_shop(), Clock()
    catalogue = Catalogue(ViewCache(actors, 1.0, 100, clock), 10)
    first = sold(catalogue, MUG, LineRequest(product="mug", quantity=1, unit_amount=650))
    assert [(line.quantity, line.unit_amount) for line in first.lines] == [(3, 700), (1, 650)]
    assert first.accounts == {"supplier:north": "acct_n", "brand:brio": "acct_b"}
    assert first.fees_bps == {"north": 100}
    reads = actors.reads
    assert sold(catalogue, MUG).lines == first.lines[:1]
    assert actors.reads == reads == 5


def test_what_a_product_came_to_lives_no_longer_than_the_views_behind_it() -> None:
    actors, clock = a_shop(), Clock()
    views = ViewCache(actors, 1.0, 100, clock)
    catalogue = Catalogue(views, 10)
    asyncio.run(views.views([Address("product", "mug")]))
    clock.now += 0.4
    sold(catalogue, MUG)  # the product's view is 0.4 s old already
    dearer = {**actors.views["mug"]["offers"]["north"], "unit_amount": 900}
    actors.views["mug"] = {**actors.views["mug"], "offers": {"north": dearer}}
    clock.now += 0.3
    assert sold(catalogue, MUG).lines[0].unit_amount == 700
    clock.now += 0.4
    assert sold(catalogue, MUG).lines[0].unit_amount == 900


@pytest.mark.parametrize(
    ("changed", "view"),
    [
        ("acme/mug", {"supplier": "south", "unit_amount": None}),
        ("mug", {**a_shop().views["mug"], "brand": "bold"}),
        ("north", {"stripe_account": "acct_new", "cancellation_policy": {"fee_bps": 100}}),
        ("brio", {"stripe_account": None}),
        ("acme", {"stripe_account": "acct_r"}),
    ],
)
def test_whichever_of_its_views_changes_a_product_is_worked_out_anew(changed: str, view: Any) -> None:
    actors, clock = a_shop(), Clock()
    actors.views["south"] = actors.views["north"]
    catalogue = Catalogue(ViewCache(actors, 1.0, 100, clock), 10)
    before = sold(catalogue, MUG)
    clock.now += 1.1
    assert sold(catalogue, MUG) == before
    actors.views[changed] = view
    clock.now += 1.1
    assert sold(catalogue, MUG) != before
    actors.views |= a_shop().views
    clock.now += 1.1
    assert sold(catalogue, MUG) == before


def test_what_this_process_changes_counts_at_once() -> None:
    actors, clock = a_shop(), Clock()
    views = ViewCache(actors, 1.0, 100, clock)
    catalogue = Catalogue(views, 10)
    assert sold(catalogue, MUG).lines[0].sku == "MUG"
    actors.views["acme/mug"] = {"supplier": "south", "unit_amount": 650}
    views.forget(Address("adoption", "acme/mug"))
    line = sold(catalogue, MUG).lines[0]
    assert (line.sku, line.unit_amount) == ("MUG-S", 650)


def test_a_line_is_refused_on_what_is_so_now_and_each_line_by_its_own_number() -> None:
    actors, clock = a_shop(), Clock()
    catalogue = Catalogue(ViewCache(actors, 1.0, 100, clock), 10)
    sold(catalogue, MUG)
    unknown = LineRequest(product="hat", quantity=1)
    with pytest.raises(Problem) as refused:
        sold(catalogue, MUG, unknown, MUG, unknown, began=clock.now)
    assert refused.value.code == "unknown_product"
    assert [error.field for error in refused.value.errors] == ["lines.1.product", "lines.3.product"]
    actors.views["hat"] = actors.views["mug"]
    actors.views["acme/hat"] = {"supplier": "north", "unit_amount": 1}
    clock.now += 0.01
    assert len(sold(catalogue, MUG, unknown, began=clock.now).lines) == 2


def test_more_products_than_are_remembered_are_sold_all_the_same() -> None:
    actors, clock = a_shop(), Clock()
    for number in range(5):
        actors.views[f"mug{number}"] = actors.views["mug"]
        actors.views[f"acme/mug{number}"] = actors.views["acme/mug"]
    catalogue = Catalogue(ViewCache(actors, 1.0, 100, clock), 2)
    lines = [LineRequest(product=f"mug{number}", quantity=1) for number in range(5)]
    assert len(sold(catalogue, *lines).lines) == 5
    assert len(sold(catalogue, *lines).lines) == 5


def test_what_is_ordered_again_and_again_is_read_before_it_is_outdated() -> None:
    async def story() -> None:
        actors, clock = a_shop(), Clock()
        catalogue = Catalogue(ViewCache(actors, 1.0, 100, clock), 10)
        await catalogue.resolve("acme", "gbp", [MUG], clock.now)
        actors.views["acme/mug"] = {"supplier": "south", "unit_amount": 650}
        actors.views["south"] = actors.views["north"]
        clock.now += 0.8
        known = catalogue.known("acme", "gbp", [MUG])
        assert known is not None and known.lines[0].sku == "MUG", "it may be a second old"
        await asyncio.sleep(0.01)
        clock.now += 0.4
        known = catalogue.known("acme", "gbp", [MUG])
        assert known is not None and known.lines[0].sku == "MUG-S", "nobody had to wait for the newer one"
        clock.now += 1.1
        assert catalogue.known("acme", "gbp", [MUG]) is None, "what nobody orders is not read"

    asyncio.run(story())
