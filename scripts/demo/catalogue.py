"""The demo's shop: who takes part and what is for sale, loaded over the API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from scripts.client import Client, Keys

CURRENCY = "gbp"
FEE_BPS = 2_000  # of what the slow supplier keeps when it is cancelled in production
ACCEPT_WITHIN_S = 3  # until the deadline of the supplier that never answers
SPLIT = {"brand": 1_000, "supplier": 6_500, "retailer": 1_500}  # the platform keeps 1,000


@dataclass(frozen=True)
class Product:
    """sold_by: the supplier whose offer the retailer adopts. stock: units received at the start."""

    title: str
    brand: str
    sold_by: str
    unit_amount: int
    stock: int


PRODUCTS = {
    "mug": Product("Stoneware mug", "kiln", "north", 1_250, 100),
    "print": Product("Letterpress print", "attic", "north", 3_333, 100),
    "vase": Product("Tall vase, nearly sold out", "kiln", "north", 4_500, 3),
    "table": Product("Oak table, made to order", "kiln", "south", 18_999, 100),
    "chair": Product("Oak chair, made to order", "kiln", "south", 7_450, 100),
    "lamp": Product("Lamp of a supplier that never answers", "attic", "west", 5_900, 100),
    "clock": Product("Clock of a supplier that is fully booked", "attic", "east", 8_800, 100),
}
SUPPLIERS: dict[str, dict[str, Any]] = {
    "north": {"mode": "auto"},
    "south": {"mode": "manual", "cancellation_policy": {"fee_bps": FEE_BPS}},
    "west": {"mode": "manual", "accept_within_s": ACCEPT_WITHIN_S},
    "east": {"mode": "auto", "daily_capacity": 0},
}
BRANDS = {"kiln": True, "attic": False}
"""Brands, and whether they have a Stripe account. The share of one without is recorded as a payable."""

RETAILER = "acme"


@dataclass(frozen=True)
class Shop:
    """The demo's names and keys in one system. A running system gets names of its own, so that nothing that was there
    is touched: `tag` goes in front of each."""

    tag: str
    ops: str
    retailer_key: str
    supplier_keys: Mapping[str, str]
    has_accounts: bool = True
    key_ids: tuple[str, ...] = ()
    """Keys made for this demo alone, to be revoked at its end."""

    def name(self, what: str) -> str:
        return f"{self.tag}{what}"

    def sku(self, product: str) -> str:
        return self.name(product).upper()

    def account(self, party: str) -> str:
        return f"acct_{self.name(party).replace('-', '_')}"

    @property
    def accounts(self) -> list[str]:
        with_one = [RETAILER, *SUPPLIERS, *(brand for brand, has_account in BRANDS.items() if has_account)]
        return [self.account(party) for party in with_one]


async def open_shop(client: Client, keys: Keys, tag: str, *, has_accounts: bool) -> Shop:
    """The demo tenants' keys in a fresh system (no tag); in a running one keys made for the occasion."""
    if not tag:
        return Shop(tag, keys.ops, keys.retailers[RETAILER], keys.suppliers, has_accounts)
    made = {}
    for role, name in (("retailer", RETAILER), ("supplier", "north"), ("supplier", "south")):
        wanted = {"role": role, "name": f"{tag}{name}"}
        made[name] = await client.post(keys.ops, "/v1/api_keys", wanted)
    suppliers = {name: made[name]["key"] for name in ("north", "south")}
    ids = tuple(key["id"] for key in made.values())
    return Shop(tag, keys.ops, made[RETAILER]["key"], suppliers, has_accounts, ids)


async def close_shop(client: Client, shop: Shop) -> None:
    for key_id in shop.key_ids:
        await client.request("DELETE", f"/v1/api_keys/{key_id}", shop.ops)


async def make_accounts(session: aiohttp.ClientSession, sandbox: str, shop: Shop) -> None:
    """Connected accounts in the sandbox, by its control endpoint. Raises aiohttp.ClientError."""
    for account in shop.accounts:
        wanted = {"id": account, "country": "GB", "default_currency": CURRENCY}
        async with session.post(f"{sandbox}/_sandbox/accounts", json=wanted) as answer:
            answer.raise_for_status()


async def load(client: Client, shop: Shop) -> None:
    """Put the whole catalogue, parties first. Raises Refused."""
    parties = [client.put(shop.ops, f"/v1/retailers/{shop.name(RETAILER)}", _party(shop, RETAILER, True))]
    for brand, has_account in BRANDS.items():
        parties.append(client.put(shop.ops, f"/v1/brands/{shop.name(brand)}", _party(shop, brand, has_account)))
    for supplier, terms in SUPPLIERS.items():
        body = {**_party(shop, supplier, True), **terms}
        parties.append(client.put(shop.ops, f"/v1/suppliers/{shop.name(supplier)}", body))
    await asyncio.gather(*parties)
    await asyncio.gather(*(_load_product(client, shop, name, product) for name, product in PRODUCTS.items()))


def _party(shop: Shop, name: str, has_account: bool) -> dict[str, Any]:
    return {"name": name.title(), "stripe_account": shop.account(name) if has_account and shop.has_accounts else None}


async def _load_product(client: Client, shop: Shop, name: str, product: Product) -> None:
    path, supplier = f"/v1/products/{shop.name(name)}", shop.name(product.sold_by)
    described = {"title": product.title, "brand": shop.name(product.brand), "currency": CURRENCY}
    await client.put(shop.ops, path, described)
    offer = {"sku": shop.sku(name), "unit_amount": product.unit_amount, "split": SPLIT}
    await client.put(shop.ops, f"{path}/offers/{supplier}", offer)
    await client.put(shop.retailer_key, f"/v1/adoptions/{shop.name(name)}", {"supplier": supplier})
    receipt = {"quantity": product.stock}
    sku = shop.sku(name)
    await client.post(shop.ops, f"/v1/inventory/{sku}/receipts", receipt, idempotency_key=f"demo-{sku}")
