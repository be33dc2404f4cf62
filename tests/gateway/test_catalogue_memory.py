"""What a gateway remembers of the catalogue: what products come to, for as long as the views behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.cache import ViewCache
from gateway.catalogue import Catalogue, Terms
from gateway.problems import Problem
from gateway.schemas.orders import LineRequest
from models.decision import Address
from tests.gateway.actors import Actors, Clock


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
    async def sell() -> Terms:
        known = catalogue.known("acme", "gbp", lines)
        return known if known is not None else await catalogue.resolve("acme", "gbp", lines, began)

    return asyncio.run(sell())


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


def test_what_is_in_demand_is_read_together_and_what_cannot_be_sold_any_more_is_left_out() -> None:
    async def story() -> None:
        actors, clock = a_shop(), Clock()
        names = [f"mug{number}" for number in range(6)]
        for name in names:
            actors.views[name] = actors.views["mug"]
            actors.views[f"acme/{name}"] = actors.views["acme/mug"]
        catalogue = Catalogue(ViewCache(actors, 1.0, 100, clock), 10)
        lines = [LineRequest(product=name, quantity=1) for name in names]
        await catalogue.resolve("acme", "gbp", lines, clock.now)
        for _ in range(2):
            assert catalogue.known("acme", "gbp", lines[:5]) is not None
        clock.now += 0.8
        del actors.views["acme/mug0"]
        assert catalogue.known("acme", "gbp", lines[4:5]) is not None
        await asyncio.sleep(0.01)
        assert catalogue.known("acme", "gbp", lines[4:5]) is not None
        await asyncio.sleep(0.01)
        clock.now += 0.4
        assert catalogue.known("acme", "gbp", lines[1:5]) is not None, "nobody had asked for these in time"
        assert catalogue.known("acme", "gbp", lines[0:1]) is None, "it is not adopted any more"
        assert catalogue.known("acme", "gbp", lines[5:6]) is None, "nobody wants it often enough"

    asyncio.run(story())
