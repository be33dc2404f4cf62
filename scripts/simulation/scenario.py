"""Who takes part in a run: how large the system is, what is sold, by whom, and how much of it there is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from actors.runtime.limits import LIMITS, Limits
from models.order.commands import PlaceOrder
from models.order.values import LineTerms
from models.supplier import PutSupplier
from scripts.simulation.bank import (
    AUTHENTICATING_CARD,
    DECLINED_CARD,
    SHORT_ACCOUNT,
    UNCAPTURABLE_CARD,
)

CARDS = (*["pm_card_visa"] * 12, DECLINED_CARD, AUTHENTICATING_CARD, UNCAPTURABLE_CARD)
SPLITS = ((2_000, 6_000, 1_000), (3_333, 3_333, 3_333), (0, 9_000, 0), (1, 9_998, 1))
PRICES = (0, 1, 999, 1_250, 3_333, 10_001)


@dataclass(frozen=True)
class Product:
    """One thing that is sold, its price and its split frozen for the run."""

    sku: str
    supplier: str
    brand: str
    price: int
    split: tuple[int, int, int]
    stock: int


@dataclass(frozen=True)
class Scenario:
    """diligence: by manual supplier, how often it answers a task at all. wire_s: latency of the control plane.
    flaky: how often a turn raises while the storm lasts."""

    hosts: int
    gateways: int
    shards: int
    dedicated: frozenset[str]
    skew_ms: int
    wire_s: float
    flaky: float
    limits: Limits
    orders: int
    storm_s: float
    suppliers: tuple[PutSupplier, ...]
    diligence: dict[str, float]
    products: tuple[Product, ...]
    accounts: dict[str, str]

    def fees_bps(self) -> dict[str, int]:
        return {supplier.supplier: supplier.fee_bps for supplier in self.suppliers}


def scenario(random: Random) -> Scenario:
    suppliers = _suppliers(random)
    products = tuple(_product(random, number, suppliers) for number in range(random.randint(2, 5)))
    hot = frozenset({f"sku:{products[0].sku}"})
    return Scenario(
        hosts=random.randint(1, 3),
        gateways=random.randint(1, 2),
        shards=random.choice((2, 4, 4, 6)),
        dedicated=random.choice(
            (frozenset(), frozenset(), frozenset(), hot, frozenset({"supplier"}), frozenset({"order"}))
        ),
        skew_ms=random.choice((0, 0, 400)),
        wire_s=random.choice((0.001, 0.001, 0.05, 0.4)),
        flaky=random.choice((0.0, 0.0, 0.005, 0.03)),
        limits=_limits(random),
        orders=random.randint(6, 24),
        storm_s=random.uniform(8.0, 26.0),
        suppliers=suppliers,
        diligence={"south": random.uniform(0.7, 1.0), "west": random.choice((0.0, 0.5))},
        products=products,
        accounts=_accounts(random),
    )


def _limits(random: Random) -> Limits:
    """Small bounds, so that a small world meets them; now and then tiny ones."""

    def bound(usual: int, tiny: int) -> int:
        return tiny if random.random() < 0.15 else usual

    lease_s = random.choice((5.0, 2.0))
    return replace(
        LIMITS,
        lease_lost_s=lease_s,
        lease_renew_s=lease_s / 3,
        due_poll_s=1.5,
        archive_poll_s=1.5,
        archive_after_s=random.choice((1.0, 1.0, 3.0, 600.0, 0.0)),
        archive_batch_orders_max=bound(32, 1),
        archive_timer_min_s=random.choice((1.0, 3.0, 3_600.0)),
        router_sweep_s=1.5,
        call_timeout_s=6.0,
        resident_idle_s=random.choice((1.0, 4.0, 30.0)),
        resident_actors_max=bound(30, 3),
        load_batch_actors_max=bound(8, 1),
        due_batch_actors_max=bound(8, 1),
        commit_groups_max=bound(8, 1),
        arrivals_in_flight_max=bound(2_000, 4),
        effects_in_flight_max=bound(10_000, 2),
        watches_max=bound(20_000, 1),
        mailbox_messages_max=bound(10_000, 3),
        host_queue_messages_max=bound(50_000, 20),
        router_queue_messages_max=bound(20_000, 10),
        router_batch_messages_max=bound(1_000, 2),
    )


def _suppliers(random: Random) -> tuple[PutSupplier, ...]:
    return (
        PutSupplier(supplier="north", name="North", mode="auto", stripe_account="acct_north"),
        PutSupplier(
            supplier="east",
            name="East",
            mode="auto",
            daily_capacity=random.randint(1, 8),
            fee_bps=1_500,
            stripe_account="acct_east",
        ),
        PutSupplier(
            supplier="south",
            name="South",
            mode="manual",
            accept_within_s=random.randint(5, 60),
            fee_bps=2_500,
            stripe_account="acct_south",
        ),
        PutSupplier(
            supplier="west", name="West", mode="manual", accept_within_s=random.randint(2, 20), daily_capacity=20
        ),
    )


def _product(random: Random, number: int, suppliers: tuple[PutSupplier, ...]) -> Product:
    return Product(
        sku=f"SKU-{number}",
        supplier=random.choice(suppliers).supplier,
        brand=random.choice(("alba", "boreal")),
        price=random.choice(PRICES),
        split=random.choice(SPLITS),
        stock=random.choice((3, 10, 40, 1_000)),
    )


def _accounts(random: Random) -> dict[str, str]:
    """By `role:name`. Some parties have none, and one may be unable to give anything back."""
    accounts = {
        "brand:alba": "acct_alba",
        "brand:boreal": random.choice(("acct_boreal", SHORT_ACCOUNT)),
        "supplier:north": "acct_north",
        "supplier:east": "acct_east",
        "supplier:south": random.choice(("acct_south", SHORT_ACCOUNT)),
        "retailer:acme": "acct_acme",
    }
    return {party: account for party, account in accounts.items() if random.random() < 0.85}


def order(random: Random, plan: Scenario) -> PlaceOrder:
    """An order without its id: one to four lines, some of them of the same SKU."""
    lines = []
    for _ in range(random.choice((1, 1, 2, 2, 3, 4))):
        product = random.choice(plan.products)
        lines.append(
            LineTerms(
                product=f"product-{product.sku}",
                sku=product.sku,
                quantity=random.choice((1, 1, 2, 5)),
                unit_amount=random.choice((product.price, product.price, product.price + 1)),
                supplier=product.supplier,
                brand=product.brand,
                split=product.split,
            )
        )
    return PlaceOrder(
        retailer="acme",
        currency="gbp",
        lines=tuple(lines),
        accounts=plan.accounts,
        fees_bps=plan.fees_bps(),
        payment_method=random.choice(CARDS),
        allow_partial=random.random() < 0.4,
        sealed="c2VhbGVk",
        email_digest="digest",
        search_digests=("word",),
    )
