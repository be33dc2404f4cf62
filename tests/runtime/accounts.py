"""Accounts of the toy town, as tests look at them."""

from __future__ import annotations

import json

from actors.runtime.envelope import Reply, Status
from models.decision import Address
from tests.runtime.toys import Deposit, Open, Town


def account(name: str) -> Address:
    return Address("account", name)


def body(reply: Reply) -> dict[str, int]:
    assert reply.status is Status.OK, reply
    found: dict[str, int] = json.loads(reply.body)
    return found


async def opened(town: Town, name: str, balance: int = 0) -> Address:
    at = account(name)
    assert (await town.router.ask(at, Open(owner=name))).status is Status.OK
    if balance:
        await town.router.ask(at, Deposit(amount=balance))
    return at
