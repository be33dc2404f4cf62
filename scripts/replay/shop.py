"""The history's shop in the running system: its parties, a product for each stock code, and stock enough."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp

from scripts.client import Client, Keys, Refused
from scripts.replay.invoices import Article
from scripts.replay.progress import Progress, Stocked

CURRENCY = "gbp"
RETAILER = "acme"
BRAND = "online-retail"
SPLIT = {"brand": 1_000, "supplier": 7_000, "retailer": 1_500}  # the platform keeps 500
TITLE_CHARS_MAX = 200

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def product_of(code: str) -> str:
    """A stock code as the id of its product and SKU: itself, unless it is no possible id (`BANK CHARGES`)."""
    if _NAME.match(code):
        return code
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", code).strip("._-")[:50] or "code"
    return f"{readable}-{hashlib.sha256(code.encode()).hexdigest()[:8]}"


def supplier_of(code: str) -> str:
    return f"supplier-{product_of(code)[0]}"


class Parties(NamedTuple):
    """Who takes part. sandbox: where their Stripe accounts can be made; "" where they cannot."""

    keys: Keys
    sandbox: str

    @property
    def retailer_key(self) -> str:
        return self.keys.retailers[RETAILER]


async def invite(client: Client, session: aiohttp.ClientSession, parties: Parties, suppliers: set[str]) -> None:
    """See to it that retailer, brand and suppliers exist. Whoever is there already stays as they are, but for the
    account of a retailer that has none. Raises Refused."""
    await _party(client, session, parties, f"/v1/brands/{BRAND}", {"name": "Online Retail"})
    await _party(client, session, parties, f"/v1/retailers/{RETAILER}", {"name": RETAILER.title()})
    for supplier in sorted(suppliers):
        described = {"name": supplier.title(), "mode": "auto"}
        await _party(client, session, parties, f"/v1/suppliers/{supplier}", described)


async def _party(
    client: Client, session: aiohttp.ClientSession, parties: Parties, path: str, described: dict[str, Any]
) -> None:
    try:
        known = await client.get(parties.keys.ops, path)
    except Refused as refused:
        if refused.status != 404:
            raise
        known = None
    if known is not None and (known["stripe_account"] or RETAILER not in path):
        return
    if parties.sandbox:
        account = "acct_" + path.rpartition("/")[2].replace("-", "_").replace(".", "_")
        wanted = {"id": account, "country": "GB", "default_currency": CURRENCY}
        async with session.post(f"{parties.sandbox}/_sandbox/accounts", json=wanted) as answer:
            answer.raise_for_status()
        described = {**described, "stripe_account": account}
    await client.put(parties.keys.ops, path, {"name": known["name"], **described} if known else described)


async def stock(client: Client, parties: Parties, progress: Progress, digest: str, article: Article) -> None:
    """Make one article's product, offer and adoption, and receive all the units that the whole file sells of it: then
    a later run with a higher limit needs no more. Raises Refused."""
    if article.code in progress.stocked:
        return
    product, supplier = product_of(article.code), supplier_of(article.code)
    before = await _stock_of(client, parties, product)
    ops, path = parties.keys.ops, f"/v1/products/{product}"
    described = {"title": article.title[:TITLE_CHARS_MAX], "brand": BRAND, "currency": CURRENCY}
    await client.put(ops, path, described)
    offer = {"sku": product, "unit_amount": article.unit_amount, "split": SPLIT}
    await client.put(ops, f"{path}/offers/{supplier}", offer)
    await client.put(parties.retailer_key, f"/v1/adoptions/{product}", {"supplier": supplier})
    # Asked for right after what was sold before: orders of this replay come later.
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    key = f"replay-{digest[:32]}-stock-{product}"
    after = await client.post(
        ops, f"/v1/inventory/{product}/receipts", {"quantity": article.units}, idempotency_key=key
    )
    progress.stock(article.code, Stocked(at, before["sold"] if before else 0, after["received"]))


async def _stock_of(client: Client, parties: Parties, sku: str) -> dict[str, Any] | None:
    try:
        level: dict[str, Any] = await client.get(parties.keys.ops, f"/v1/inventory/{sku}")
    except Refused as refused:
        if refused.status != 404:
            raise
        return None
    return level
