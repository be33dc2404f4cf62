"""API keys, and what the gateway says of itself."""

from __future__ import annotations

from typing import Literal

from gateway.schemas.body import Body
from gateway.schemas.common import Name, Shown, Time

Role = Literal["retailer", "supplier", "ops"]


class KeyRequest(Body):
    """`name` is the retailer, supplier or operator on whose behalf the key speaks."""

    role: Role
    name: Name


class Key(Shown):
    id: str
    role: Role
    name: str
    created_at: Time
    revoked_at: Time | None


class NewKey(Key):
    """`key` is shown this once; only its hash is stored."""

    key: str


class KeyList(Shown):
    data: list[Key]
    next_cursor: str | None


class Health(Shown):
    status: Literal["ok"]


class Received(Shown):
    received: Literal[True]
