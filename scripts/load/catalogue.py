"""The load test's own catalogue, made over the API.

Its names are the same in every run, so that it is reused; only a hot SKU gets a new name, for its units are counted.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scripts.client import Client, Keys
from scripts.load.plan import Plan
from scripts.run_state import RunState

CURRENCY = "eur"
RETAILER = "acme"
BRANDS = 5
SPLIT = {"brand": 1_000, "supplier": 7_000, "retailer": 1_000}  # the platform keeps 1,000
REGULAR, SHORT, FULL, MANUAL = "regular", "short", "full", "manual"
FULL_SUPPLIER, MANUAL_SUPPLIER = "load-full", "load-manual"
STOCK_MAX = 1_000_000_000
SETUP_AT_A_TIME = 32


@dataclass(frozen=True)
class Product:
    name: str
    sku: str
    supplier: str
    unit_amount: int


@dataclass(frozen=True)
class Catalogue:
    """Products by what becomes of orders for them; `regular` in the order of popularity."""

    retailer_key: str
    ops_key: str
    regular: Sequence[Product]
    short: Product
    full: Product
    manual: Product

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Catalogue:
        products = {name: Product(**data[name]) for name in (SHORT, FULL, MANUAL)}
        regular = [Product(**product) for product in data[REGULAR]]
        return cls(data["retailer_key"], data["ops_key"], regular, **products)


def product(kind: str, number: int, supplier: str) -> Product:
    name = f"load-{kind}-{number:05d}"
    return Product(name, name.upper(), supplier, 500 + number * 137 % 9_500)


def drawn(plan: Plan, keys: Keys, run: str) -> Catalogue:
    """The catalogue that a plan needs, before it exists."""
    if plan.hot_units >= 0:
        regular = [Product(f"load-hot-{run}", f"LOAD-HOT-{run.upper()}", "load-s00", 1_999)]
    else:
        regular = [product(REGULAR, n, f"load-s{n % plan.suppliers:02d}") for n in range(plan.skus)]
    return Catalogue(
        keys.retailers[RETAILER], keys.ops, regular, product(SHORT, 0, "load-s00"), product(FULL, 0, FULL_SUPPLIER),
        product(MANUAL, 0, MANUAL_SUPPLIER),
    )  # fmt: skip


async def make(client: Client, catalogue: Catalogue, plan: Plan, state: RunState) -> None:
    """Put everything, and see to it that there is stock enough. Raises Refused."""
    accounts = has_accounts(state)
    suppliers = {product.supplier for product in catalogue.regular} | {"load-s00"}
    brands = [f"load-b{number}" for number in range(BRANDS)]
    await make_accounts(
        state, [account(name) for name in (RETAILER, FULL_SUPPLIER, MANUAL_SUPPLIER, *suppliers, *brands)]
    )
    no_more: dict[str, Any] = {}
    parties: list[tuple[str, dict[str, Any]]] = [
        (f"/v1/{kind}/{name}", {"name": name.title(), "stripe_account": account(name) if accounts else None, **more})
        for kind, name, more in [
            ("retailers", RETAILER, no_more),
            *(("brands", name, no_more) for name in brands),
            *(("suppliers", name, {"mode": "auto"}) for name in sorted(suppliers)),
            ("suppliers", FULL_SUPPLIER, {"mode": "auto", "daily_capacity": 0}),
            ("suppliers", MANUAL_SUPPLIER, {"mode": "manual"}),
        ]
    ]
    await asyncio.gather(*(client.put(catalogue.ops_key, path, body) for path, body in parties))
    wanted = [*catalogue.regular, catalogue.full, catalogue.manual]
    limit = asyncio.Semaphore(SETUP_AT_A_TIME)
    stock = plan.hot_units if plan.hot_units >= 0 else STOCK_MAX

    async def one(number: int, product: Product, stock: int) -> None:
        async with limit:
            await _make_product(client, catalogue, product, brands[number % BRANDS], stock)

    stocks = itertools.chain([stock] * len(wanted), [0])
    products = zip([*wanted, catalogue.short], stocks, strict=True)
    await asyncio.gather(*(one(number, product, stock) for number, (product, stock) in enumerate(products)))


async def _make_product(client: Client, catalogue: Catalogue, product: Product, brand: str, stock: int) -> None:
    path = f"/v1/products/{product.name}"
    await client.put(catalogue.ops_key, path, {"title": product.name, "brand": brand, "currency": CURRENCY})
    offer = {"sku": product.sku, "unit_amount": product.unit_amount, "split": SPLIT}
    await client.put(catalogue.ops_key, f"{path}/offers/{product.supplier}", offer)
    await client.put(catalogue.retailer_key, f"/v1/adoptions/{product.name}", {"supplier": product.supplier})
    if not stock:
        return
    found = await client.get(catalogue.ops_key, f"/v1/inventory/{product.sku}")
    if found["available"] < stock / 2:
        receipt = {"quantity": stock - found["available"]}
        key = f"load-{product.sku}-{found['received']}"
        await client.post(catalogue.ops_key, f"/v1/inventory/{product.sku}/receipts", receipt, idempotency_key=key)


# --- connected accounts ----------------------------------------------------------------------------------------------


def account(party: str) -> str:
    return f"acct_{party.replace('-', '_')}"


def has_accounts(state: RunState) -> bool:
    """Real Stripe knows no accounts that we could name; there all shares are payables."""
    return state.payments != "stripe"


async def make_accounts(state: RunState, accounts: Sequence[str]) -> None:
    """In the sandbox, by its control endpoint; the simulated vendor asks for none."""
    if state.payments == "sandbox":
        for name in accounts:
            await asyncio.to_thread(_make_account, f"{state.stripe_url}/_sandbox/accounts", name)


def _make_account(url: str, name: str) -> None:
    body = json.dumps({"id": name, "country": "DE", "default_currency": CURRENCY}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass
