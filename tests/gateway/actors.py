"""A clock and actors that stand still until a test moves them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson

from actors.runtime.envelope import Reply, Status
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
