"""Who asks: API keys, known by their hashes only.

The keyring actor holds the hashes; each gateway keeps them for a second at most, so a revoked key opens nothing a
second later. A key that is not known is refused only after the actor itself was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

import orjson

from actors.runtime.envelope import Overloaded, Status, Unanswered
from gateway.problems import Problem
from gateway.services import Asks
from models.keyring import KEYRING
from models.sealing import Sealer

RETAILER = frozenset({"retailer"})
SUPPLIER = frozenset({"supplier"})
OPS = frozenset({"ops"})
EVERYONE = RETAILER | SUPPLIER | OPS

KEY_BYTES = 32
KEY_CHARS_MAX = 200


class Principal(NamedTuple):
    """On whose behalf a request comes."""

    role: str
    name: str
    key_id: str

    @property
    def by(self) -> str:
        """As commands and timelines name it: `retailer:acme`."""
        return f"{self.role}:{self.name}"


def new_key(random: Callable[[int], bytes]) -> str:
    """A fresh API key: 256 random bits behind a prefix that secret scanners can be taught."""
    return f"dray_{urlsafe_b64encode(random(KEY_BYTES)).decode().rstrip('=')}"


def derived_key(sealer: Sealer, command_id: str) -> str:
    """The API key that belongs to an Idempotency-Key: 192 bits that only the holder of the master key can derive."""
    return f"dray_{sealer.keyed_digest('api-key', command_id)}"


def hash_of(key: str) -> str:
    """What is stored of a key. A plain hash is enough: 256 random bits cannot be guessed, so nothing needs slowing."""
    return sha256(key.encode()).hexdigest()


class Keys:
    """The keys in force, read from the keyring at most once a second however many ask."""

    def __init__(self, router: Asks, age_s_max: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._router = router
        self._age_s_max = age_s_max
        self._clock = clock
        self._by_hash: dict[str, Principal] = {}
        self._by_header: dict[bytes, Principal] = {}  # of this reading only; spares the hashing
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    def known(self, authorization: bytes) -> Principal | None:
        """Whose key this is, if that is known for sure at this moment; None says to use `principal`."""
        age_s = self._clock() - self._read_at
        if age_s > self._age_s_max:
            return None
        if age_s * 2 > self._age_s_max and self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read_ahead())
        return self._by_header.get(authorization)

    async def principal(self, authorization: bytes) -> Principal:
        """Whose key this is. Raises Problem (`unauthenticated`) if it is nobody's."""
        asked_at = self._clock()
        scheme, _, key = authorization.partition(b" ")
        key = key.strip()
        if scheme.lower() != b"bearer" or not key or len(key) > KEY_CHARS_MAX or not key.isascii():
            raise Problem("unauthenticated", "Send the header Authorization: Bearer KEY.")
        hashed = hash_of(key.decode("ascii"))
        if asked_at - self._read_at > self._age_s_max:
            await self._read_since(asked_at - self._age_s_max)
        found = self._by_hash.get(hashed)
        if found is None:
            await self._read_since(asked_at)
            found = self._by_hash.get(hashed)
        if found is None:
            raise Problem("unauthenticated", "The key is not known, or was revoked.")
        self._by_header[authorization] = found
        return found

    def expire(self) -> None:
        """This process has just changed the keyring: read it anew."""
        self._read_at = float("-inf")

    async def _read_since(self, since: float) -> None:
        """See to it that what we know was read at `since` or later. Everyone who waits shares one reading."""
        while self._read_at < since:
            if self._reading is None:
                self._reading = asyncio.get_running_loop().create_task(self._read())
            await asyncio.shield(self._reading)

    async def _read_ahead(self) -> None:
        """Read while what is known is still good, lest all requests of a busy moment wait for it. Whoever needs it
        reads it again if this fails, and is told why."""
        with contextlib.suppress(Problem, Overloaded, Unanswered):
            await self._read()

    async def _read(self) -> None:
        began = self._clock()
        try:
            reply = await self._router.read(KEYRING)
        finally:
            self._reading = None
        if reply.status not in (Status.OK, Status.ABSENT):
            raise Problem("unavailable", "The keys cannot be read at the moment.", retry_after_s=1)
        keys = (orjson.loads(reply.body) or {}).get("keys", ()) if reply.status is Status.OK else ()
        self._by_hash = {
            key["hash"]: Principal(key["role"], key["name"], key["id"]) for key in keys if not key["revoked_at"]
        }
        self._by_header = {}
        self._read_at = began
