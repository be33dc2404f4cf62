"""What products, adoptions, parties and the keyring decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from models import adoption, keyring, party, product
from models.adoption import AdoptProduct, ProductAdopted
from models.decision import Command, Event
from models.keyring import CreateKey, KeyCreated, KeyRevoked, RevokeKey
from models.party import PartyPut, PutParty
from models.product import ProductOffered, ProductPut, PutOffer, PutProduct, Split
from models.record import changed
from tests.models.given import given

SPLIT = Split(brand=1000, supplier=7000, retailer=1500)
PUT = PutProduct(at=9, product="mug", title="Mug", brand="clay", currency="gbp")
MUG = ProductPut(9, "mug", "Mug", "clay", "gbp")
OFFER = PutOffer(at=9, product="mug", supplier="north", sku="MUG-1", unit_amount=500, split=SPLIT)
OFFERED = ProductOffered(9, "north", "MUG-1", 500, SPLIT)


def test_a_product_is_put_once() -> None:
    given(product).when(PUT).then(MUG).and_again()
    given(product, MUG).when(changed(PUT, title="Cup")).then(changed(MUG, title="Cup")).and_again()


@pytest.mark.parametrize(
    "wrong",
    [
        {"product": ""},
        {"title": ""},
        {"title": "x" * (product.TITLE_CHARACTERS_MAX + 1)},
        {"brand": ""},
        {"brand": "no spaces"},
        {"currency": "GBP"},
        {"currency": "pound"},
    ],
    ids=str,
)
def test_impossible_products_are_rejected_by_field(wrong: dict[str, str]) -> None:
    outcome = given(product).when(changed(PUT, **wrong)).then_rejected("invalid_product")  # type: ignore[arg-type]
    assert next(iter(wrong)) in outcome.decision.detail  # type: ignore[union-attr]


def test_the_currency_is_fixed_once_there_are_offers() -> None:
    euro = changed(PUT, currency="eur")
    given(product, MUG).when(euro).then(changed(MUG, currency="eur"))
    given(product, MUG, OFFERED).when(euro).then_rejected("currency_fixed")
    given(product, MUG, OFFERED).when(changed(PUT, title="Cup")).then(changed(MUG, title="Cup"))


def test_an_offer_is_put_once_and_can_change() -> None:
    given(product, MUG).when(OFFER).then(OFFERED).and_again()
    cheaper = changed(OFFER, unit_amount=0)
    given(product, MUG, OFFERED).when(cheaper).then(changed(OFFERED, unit_amount=0)).and_again()
    given(product).when(OFFER).then_rejected("not_found")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"supplier": ""}, "supplier"),
        ({"sku": "a b"}, "sku"),
        ({"unit_amount": -1}, "unit_amount"),
        ({"unit_amount": product.AMOUNT_MAX + 1}, "unit_amount"),
        ({"split": Split(-1, 0, 0)}, "split"),
        ({"split": Split(5000, 5000, 1)}, "split"),
    ],
    ids=str,
)
def test_impossible_offers_are_rejected_by_field(wrong: dict[str, Any], field: str) -> None:
    outcome = given(product, MUG).when(changed(OFFER, **wrong)).then_rejected("invalid_offer")
    assert field in outcome.decision.detail  # type: ignore[union-attr]


def test_a_split_may_leave_the_platform_nothing() -> None:
    whole = Split(0, 10_000, 0)
    assert whole.platform == 0
    given(product, MUG).when(changed(OFFER, split=whole)).then(changed(OFFERED, split=whole))


def test_a_product_has_a_bounded_number_of_offers() -> None:
    many = [changed(OFFERED, supplier=f"s{i}") for i in range(product.OFFERS_MAX)]
    full = given(product, MUG, *many)
    full.when(OFFER).then_rejected("too_many_offers")
    full.when(changed(OFFER, supplier="s0", unit_amount=1)).then(changed(OFFERED, supplier="s0", unit_amount=1))


def test_a_product_reads_as_the_api_shows_it() -> None:
    assert product.view(given(product, MUG, OFFERED).state) == {
        "id": "mug",
        "title": "Mug",
        "brand": "clay",
        "currency": "gbp",
        "offers": {
            "north": {
                "sku": "MUG-1",
                "unit_amount": 500,
                "split": {"brand": 1000, "supplier": 7000, "retailer": 1500},
            }
        },
    }


ADOPT = AdoptProduct(at=9, retailer="acme", product="mug", supplier="north")
ADOPTED = ProductAdopted(9, "acme", "mug", "north", None)


def test_an_adoption_is_put_once_and_can_change() -> None:
    given(adoption).when(ADOPT).then(ADOPTED).and_again()
    priced = changed(ADOPT, unit_amount=700)
    given(adoption, ADOPTED).when(priced).then(changed(ADOPTED, unit_amount=700)).and_again()
    free = given(adoption, ADOPTED).when(changed(ADOPT, unit_amount=0)).then(changed(ADOPTED, unit_amount=0))
    assert adoption.view(free.state) == {"retailer": "acme", "product": "mug", "supplier": "north", "unit_amount": 0}


@pytest.mark.parametrize(
    "wrong", [{"retailer": ""}, {"product": ""}, {"supplier": ""}, {"unit_amount": -1}, {"unit_amount": 10**8}], ids=str
)
def test_impossible_adoptions_are_rejected(wrong: dict[str, Any]) -> None:
    given(adoption).when(changed(ADOPT, **wrong)).then_rejected("invalid_adoption")


def test_a_party_is_put_once_and_can_change() -> None:
    put = PutParty(at=9, party="acme", name="Acme")
    given(party).when(put).then(PartyPut(9, "acme", "Acme", "")).and_again()
    known = given(party, PartyPut(9, "acme", "Acme", ""))
    with_account = known.when(changed(put, stripe_account="acct_1")).then(PartyPut(9, "acme", "Acme", "acct_1"))
    assert party.view(with_account.and_again().state) == {"id": "acme", "name": "Acme", "stripe_account": "acct_1"}
    assert party.view(known.state) == {"id": "acme", "name": "Acme", "stripe_account": None}
    known.when(changed(put, name="")).then_rejected("invalid_party")
    known.when(changed(put, party="")).then_rejected("invalid_party")


CREATE = CreateKey(at=9, id="key_1", role="retailer", name="acme", hash="ab12")
CREATED = KeyCreated(9, "key_1", "retailer", "acme", "ab12")


def test_a_key_is_created_once() -> None:
    given(keyring).when(CREATE).then(CREATED).and_again()
    given(keyring, CREATED).when(changed(CREATE, role="ops")).then_rejected("key_exists")
    given(keyring, CREATED).when(changed(CREATE, id="key_2")).then_rejected("key_exists")


@pytest.mark.parametrize("wrong", [{"id": ""}, {"role": "king"}, {"name": ""}, {"name": "a b"}, {"hash": ""}], ids=str)
def test_impossible_keys_are_rejected(wrong: dict[str, Any]) -> None:
    given(keyring).when(changed(CREATE, **wrong)).then_rejected("invalid_key")


def test_a_revoked_key_stays_on_the_ring_revoked() -> None:
    revoked = given(keyring, CREATED).when(RevokeKey(at=12, id="key_1")).then(KeyRevoked(12, "key_1")).and_again()
    assert keyring.view(revoked.state) == {
        "keys": [{"id": "key_1", "role": "retailer", "name": "acme", "hash": "ab12", "created_at": 9, "revoked_at": 12}]
    }
    given(keyring, CREATED, KeyRevoked(12, "key_1")).when(CREATE).then()  # the repeat of a creation revives nothing
    given(keyring).when(RevokeKey(id="key_1")).then_rejected("not_found")


def test_the_ring_has_an_end() -> None:
    state = keyring.Keyring({str(i): keyring.Key(str(i), "ops", "ann", str(i), 1) for i in range(keyring.KEYS_MAX)})
    assert keyring.decide(state, CREATE) == keyring.Rejected("too_many_keys", "there are 10000 keys")


@dataclass(frozen=True)
class Walk:
    """A machine, how to reach each of its phases, and one event of each type."""

    machine: ModuleType
    phases: dict[str, list[Event]]
    steps: list[Event]
    phase_of: Any = field(default=lambda state: state.phase)


WALKS = {
    "product": Walk(product, {"unknown": [], "described": [MUG], "offered": [MUG, OFFERED]}, [MUG, OFFERED]),
    "adoption": Walk(adoption, {"unknown": [], "adopted": [ADOPTED]}, [ADOPTED]),
    "party": Walk(party, {"unknown": [], "known": [PartyPut(9, "a", "A", "")]}, [PartyPut(9, "a", "A", "")]),
    "keyring": Walk(
        keyring,
        {"unknown": [], "in_force": [CREATED], "revoked": [CREATED, KeyRevoked(9, "key_1")]},
        [CREATED, KeyRevoked(9, "key_1")],
        lambda state: keyring.phase(state, "key_1"),
    ),
}


@pytest.mark.parametrize("name", WALKS)
def test_machines_take_the_steps_of_their_table_and_no_others(name: str) -> None:
    walk = WALKS[name]
    assert {phase for phase, _ in walk.machine.TRANSITIONS} <= set(walk.phases)
    assert {step for _, step in walk.machine.TRANSITIONS} == {type(step) for step in walk.steps}
    for phase, events in walk.phases.items():
        state = given(walk.machine, *events).state
        assert walk.phase_of(state) == phase
        for step in walk.steps:
            after = walk.machine.TRANSITIONS.get((phase, type(step)))
            if after is None:
                with pytest.raises(AssertionError):
                    walk.machine.evolve(state, step)
            else:
                assert walk.phase_of(walk.machine.evolve(state, step)) == after


@pytest.mark.parametrize("name", WALKS)
def test_strange_commands_are_rejected_and_nobody_has_no_view(name: str) -> None:
    machine = WALKS[name].machine
    given(machine).when(Command(at=1)).then_rejected("unknown_command")
    assert machine.view(machine.INITIAL) in (None, {"keys": []})
