"""Every id Dray makes, and which shard an actor belongs to.

An order's id names its shard: `ord_` + three hex digits + a UUIDv7 in hex (RFC 9562, 5.7: time-ordered, so ids sort
by creation). Ids of things inside an order carry the order's own digits, so that each finds its order without a table:
`cns_<order digits>_<n>`, `tsk_<order digits>_<n>`, `rfd_<order digits>_<n>`.
"""

from __future__ import annotations

import re
from zlib import crc32

from models.decision import Address, Millis

SHARD_DIGITS = 3
SHARDS_MAX = 16**SHARD_DIGITS
ORDER_ID = re.compile(r"ord_[0-9a-f]{35}\Z")
INNER_ID = re.compile(r"(cns|tsk|rfd|ret|dsp|msg|evt)_([0-9a-f]{35})_([0-9a-z-]{1,40})\Z")
VARIANT = "89ab"
"""The digit that begins the second half of a UUID: two bits say which kind it is, the other two are random."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
"""What tenants, products and SKUs may be called."""


def uuid7(now: Millis, random: bytes) -> str:
    """A UUIDv7 in 32 hex digits from milliseconds and ten random bytes."""
    assert len(random) == 10, "a UUIDv7 takes ten random bytes"
    digits = random.hex()
    return f"{now:012x}7{digits[1:4]}{VARIANT[random[2] >> 6]}{digits[5:]}"


def order_id(shard: int, now: Millis, random: bytes) -> str:
    """Mint an order's id in `shard`."""
    assert 0 <= shard < SHARDS_MAX
    return f"ord_{shard:03x}{uuid7(now, random)}"


def minted_at(order: str) -> Millis:
    """When an order's id was minted, by the clock of the gateway that did; 0 if the text is no such id."""
    try:
        return int(order[4 + SHARD_DIGITS : 16 + SHARD_DIGITS], 16)
    except ValueError:
        return 0


def is_order_id(text: str) -> bool:
    return ORDER_ID.match(text) is not None


def inner_id(prefix: str, order: str, number: int | str) -> str:
    """The id of something inside an order, such as `tsk_<order digits>_1`."""
    return f"{prefix}_{order[4:]}_{number}"


def order_of(inner: str) -> str | None:
    """The order that an inner id belongs to, or None if the text is no such id."""
    match = INNER_ID.match(inner)
    return f"ord_{match[2]}" if match else None


HOME_KINDS = frozenset({"order", "orchestrator"})
"""Kinds whose ids name their shard, so that companions share it."""


def home_of(address: Address) -> Address:
    """The actor that stands for `address` and its companions: an order for its orchestrator, else the actor itself."""
    return Address("order", address.id) if address.kind in HOME_KINDS else address


def shard_of(address: Address, shards: int) -> int:
    """The shard an actor is stored in: named by an order's id, hashed from any other. Raises ValueError on an order
    id that is malformed or names a shard that this system does not have."""
    if address.kind in HOME_KINDS:
        shard = int(address.id[4 : 4 + SHARD_DIGITS], 16)
        if shard >= shards:
            raise ValueError(f"{address.id} names shard {shard} of {shards}")
        return shard
    return crc32(address.id.encode()) % shards
