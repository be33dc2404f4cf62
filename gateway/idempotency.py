"""Idempotency keys: what a repeated POST is recognised by."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from gateway.endpoint import Call
from gateway.limits import GatewayLimits
from gateway.problems import Problem
from models.record import dataclass
from models.sealing import Sealer

USUAL_PREFER_BYTES_MAX = 40  # longer ones are read anew each time, lest a memory of them grows large
REPLAYED = (b"idempotent-replayed", b"true")


class CommandId(NamedTuple):
    """How an actor recognises a command that it has answered; both empty without an Idempotency-Key."""

    command_id: str = ""
    digest: str = ""


def key_of(call: Call) -> str:
    """The Idempotency-Key header, '' if there is none. Raises Problem if it is no printable ASCII, or too long."""
    raw = call.headers.get(b"idempotency-key")
    if raw is None:
        return ""
    key = raw.decode("latin-1").strip()
    chars_max = call.gateway.limits.idempotency_key_chars_max
    if not key or len(key) > chars_max or not key.isascii() or not key.isprintable():
        raise Problem("malformed", f"An Idempotency-Key has 1 to {chars_max} printable ASCII characters.")
    return key


def command_id(call: Call) -> CommandId:
    """The id and digest of this POST: the id names who asks and with which key, the digest what is asked."""
    key = key_of(call)
    if not key:
        return CommandId()
    digest = call.gateway.sealer.keyed_digest
    asked = f"{call.scope['path']}\0{call.scope['query_string'].decode('latin-1')}\0{call.written}"
    return CommandId(digest("command-id", f"{call.principal.by}\0{key}"), digest("body", asked))


def minted_part(call: Call, shape: str = "") -> str:
    """The last part of an inner id that this POST makes: random, or derived from its Idempotency-Key, so that a
    replay finds what its first try made."""
    key = key_of(call)
    if not key:
        return call.gateway.services.random(8).hex()
    return key_digits(call.gateway.sealer, f"{call.principal.by}\0{shape}\0{key}")


def key_digits(sealer: Sealer, text: str) -> str:
    """Sixteen hex digits that only we can derive from `text`."""
    return sealer.keyed_digest("minted-id", text).encode().hex()[:16]


@dataclass(frozen=True)
class PlacingKey:
    """Where an order with an idempotency key lives, and the key of its guard there."""

    shard: int
    guard: str


def placing_key(sealer: Sealer, retailer: str, key: str, shards: int) -> PlacingKey:
    """The same retailer and key always lead to the same shard, where the guard decides who came first."""
    guard = sealer.keyed_digest("placing-key", f"{retailer}\0{key}")
    return PlacingKey(crc32(guard.encode()) % shards, guard)


def prefer_wait_s(call: Call, limits: GatewayLimits) -> float | None:
    """Seconds of `Prefer: wait=N` (RFC 7240), None if it was not asked for. As the RFC wants it, a preference that
    cannot be understood is ignored; one beyond our bound is cut to it."""
    header = call.headers.get(b"prefer")
    if header is None:
        return None
    wanted_s = _wanted_s(header) if len(header) <= USUAL_PREFER_BYTES_MAX else _wanted_s.__wrapped__(header)
    return None if wanted_s is None else min(wanted_s, limits.prefer_wait_s_max)


@lru_cache(maxsize=256)
def _wanted_s(prefer: bytes) -> float | None:
    for preference in prefer.decode("latin-1").replace(";", ",").split(","):
        name, _, value = preference.partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isdigit() and len(value) < 7:
            return float(value)
    return None
