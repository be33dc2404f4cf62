"""A reader's place in the feed, as the opaque text that clients keep.

A cursor says of which feed it is, what its reader has had, and carries a keyed digest: whatever is not ours, or was
tampered with, is refused instead of skipping events silently. It says nothing about who may read what.
"""

from __future__ import annotations

import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

from gateway.problems import FieldError, Problem
from models.sealing import Sealer

LAYOUT = struct.Struct(">4sQI")
PAYLOAD_CHARS = 22
DIGEST_CHARS = 10  # 60 bits: guessing one gains a client nothing but a wrong place of its own
CURSOR = re.compile(rf"[A-Za-z0-9_-]{{{PAYLOAD_CHARS + DIGEST_CHARS}}}\Z")


class Place(NamedTuple):
    """position: every row up to it has been read; taken: and so many events of the reader's next row."""

    position: int
    taken: int = 0


def cursor_of(sealer: Sealer, identity: str, place: Place) -> str:
    """The text that continues after `place` in the feed named `identity`."""
    payload = urlsafe_b64encode(LAYOUT.pack(_tag(identity), *place)).decode().rstrip("=")
    return payload + _digest(sealer, payload)


def place_of(sealer: Sealer, identity: str, cursor: str) -> Place:
    """What `cursor_of` made of it. Raises Problem: `invalid` for what is no cursor of ours, `cursor_expired` for one of
    a feed that is no more."""
    payload, digest = cursor[:PAYLOAD_CHARS], cursor[PAYLOAD_CHARS:]
    if not CURSOR.match(cursor) or not compare_digest(digest, _digest(sealer, payload)):
        raise Problem("invalid", errors=[FieldError("after", "This is no cursor of this feed.")])
    tag, position, taken = LAYOUT.unpack(urlsafe_b64decode(payload + "=="))
    if tag != _tag(identity):
        raise expired()
    return Place(position, taken)


def expired() -> Problem:
    """What a reader is told who has missed something for good."""
    return Problem("cursor_expired", "Read the orders anew, then the feed from `after=latest`, or from its beginning.")


def _tag(identity: str) -> bytes:
    return sha256(identity.encode()).digest()[:4]


def _digest(sealer: Sealer, payload: str) -> str:
    return sealer.keyed_digest("feed-cursor", payload)[:DIGEST_CHARS]
