"""Stripe's webhooks: what the bank did, told late, twice, out of order, or not at all."""

from __future__ import annotations

import asyncio
from random import Random

from models.decision import Address
from models.order.commands import StripeHint
from scripts.simulation.bank import Happening
from scripts.simulation.client import Client


class Webhooks:
    """Tells orders through the gateways, as Stripe would. `open` is how many are still on their way."""

    def __init__(self, client: Client, random: Random) -> None:
        self._client = client
        self._random = random
        self._under_way: set[asyncio.Task[None]] = set()

    def happened(self, happening: Happening) -> None:
        for _ in range(self._random.choice((0, 1, 1, 2))):
            task = asyncio.get_running_loop().create_task(self._tell(happening, self._random.random() * 6))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    @property
    def open(self) -> int:
        return len(self._under_way)

    async def _tell(self, happening: Happening, after_s: float) -> None:
        await asyncio.sleep(after_s)
        hint = StripeHint(
            type=happening.type, object=happening.object, status=happening.status, amount=happening.amount
        )
        await self._client.ask(Address("order", happening.order), lambda: hint)
