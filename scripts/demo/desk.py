"""What one order's people do in the demo: the customer, the retailer, the suppliers. Each step is one API call."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

from scripts.client import Client
from scripts.demo.catalogue import CURRENCY, PRODUCTS, Shop

Json = dict[str, Any]

POLL_S = 0.1
POLL_MAX_S = 1.0
ADDRESS = {"line1": "12 Albion Street", "city": "Leeds", "postal_code": "LS1 6JS", "country": "GB"}


class NotSo(Exception):
    """What had to become true of an order did not, in time."""


class Desk:
    """One order, from placing it on. wait_s: how long anything may take before the demo calls it broken."""

    def __init__(self, client: Client, shop: Shop, wait_s: float) -> None:
        self._client = client
        self._shop = shop
        self._wait_s = wait_s
        self._token = secrets.token_hex(8)
        self._steps = 0
        self.order: Json = {}
        self.failed_claims: list[str] = []

    def claim(self, holds: bool, otherwise: str) -> None:
        """Something that must be so besides how the order ends."""
        if not holds:
            self.failed_claims.append(otherwise)

    async def _post(self, key: str, path: str, body: Json, step: str = "") -> Json:
        """Each step has an idempotency key, so that a lost answer is no lost step."""
        self._steps += 1
        step = step or str(self._steps)
        answer: Json = await self._client.post(key, path, body, idempotency_key=f"demo-{self._token}-{step}")
        return answer

    # --- the customer, through the retailer ---------------------------------------------------------------------------

    async def place(self, *lines: tuple[str, int], card: str = "pm_card_visa", allow_partial: bool = False) -> None:
        """Again with the same lines it is the same request."""
        body = {
            "customer": {"email": "ann@example.com", "name": "Ann Lee"},
            "shipping_address": ADDRESS,
            "payment_method": card,
            "currency": CURRENCY,
            "lines": [{"product": self._shop.name(product), "quantity": quantity} for product, quantity in lines],
            "allow_partial": allow_partial,
        }
        self.order = await self._post(self._shop.retailer_key, "/v1/orders", body, step="place")

    async def cancel(self) -> None:
        await self._retailer("cancel", {"reason": "changed my mind"})

    async def confirm_delivery(self) -> None:
        await self._retailer("confirm-delivery")

    async def refund(self, *, amount: int = 0, lines: dict[str, int] | None = None) -> None:
        asked = {"lines": _quantities(lines)} if lines else {"amount": amount}
        await self._retailer("refunds", {**asked, "reason": "goodwill"})

    async def ask_to_return(self, lines: dict[str, int]) -> str:
        """Returns the return's id."""
        asked = {"lines": _quantities(lines), "reason": "does not fit"}
        opened = await self._retailer("returns", asked)
        return str(opened["id"])

    async def _retailer(self, verb: str, body: Json | None = None) -> Json:
        return await self._post(self._shop.retailer_key, f"/v1/orders/{self.order['id']}/{verb}", body or {})

    # --- suppliers ----------------------------------------------------------------------------------------------------

    async def task(self, supplier: str, verb: str, body: Json | None = None) -> None:
        """`supplier` does `verb` to its task: accept, reject, start, dispatch, deliver, cancellation."""
        consignment = self._consignment(supplier)
        key = self._shop.supplier_keys[supplier]
        await self._post(key, f"/v1/tasks/{consignment['task']}/{verb}", body or {})

    async def ship(self, supplier: str) -> None:
        await self.task(supplier, "start")
        number = f"RM{self.order['id'][-9:].upper()}GB"
        await self.task(
            supplier, "dispatch",
            {"carrier": "Royal Mail", "tracking_number": number, "tracking_url": f"https://example.com/track/{number}"},
        )  # fmt: skip

    async def take_back(self, supplier: str, return_id: str, *, restock: bool) -> None:
        key, path = self._shop.supplier_keys[supplier], f"/v1/orders/{self.order['id']}/returns/{return_id}"
        await self._post(key, f"{path}/approve", {})
        await self._post(key, f"{path}/receive", {"restock": restock})

    def _consignment(self, supplier: str) -> Json:
        name = self._shop.name(supplier)
        found: Json = next(c for c in self.order["consignments"] if c["supplier"] == name)
        return found

    # --- watching -----------------------------------------------------------------------------------------------------

    async def until(self, what: str, is_so: Callable[[Json], bool]) -> None:
        """Read the order until `is_so`. Raises NotSo."""
        deadline = time.monotonic() + self._wait_s
        pause_s = POLL_S
        while True:
            await self.read()
            if is_so(self.order):
                return
            if time.monotonic() > deadline:
                raise NotSo(f"not {what} within {self._wait_s:.0f} s")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, POLL_MAX_S)

    async def until_status(self, status: str) -> None:
        await self.until(status, lambda order: order["status"] in (status, "cancelled"))
        if self.order["status"] != status:
            raise NotSo(f"cancelled ({self.order['cancel_reason']}) instead of {status}")

    async def until_offered(self, supplier: str) -> None:
        """Until the supplier has the task: the consignment is on offer a moment before that."""

        def is_offered(order: Json) -> bool:
            return bool(order["status"] == "cancelled" or self._consignment(supplier)["task_status"] == "offered")

        await self.until(f"offered to {supplier}", is_offered)

    async def read(self) -> None:
        self.order = await self._client.get(self._shop.retailer_key, f"/v1/orders/{self.order['id']}")

    def line_of(self, product: str) -> str:
        """The id of the order's line of this product."""
        wanted = self._shop.name(product)
        return str(next(line["id"] for line in self.order["lines"] if line["product"] == wanted))


def _quantities(lines: dict[str, int]) -> list[Json]:
    return [{"id": line_id, "quantity": quantity} for line_id, quantity in lines.items()]


def price_of(product: str, quantity: int = 1) -> int:
    return PRODUCTS[product].unit_amount * quantity
