"""Sealing personal data: what the gateway and the projector may ask of it, whoever implements it.

Every order has a data key of its own, kept beside its events *wrapped*, that is encrypted under a master key which is
kept elsewhere. Destroying the wrapped key destroys the data (erasure). `evolve` never unseals.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Sealed(NamedTuple):
    """Personal data at rest, both parts as ASCII text."""

    sealed: str
    wrapped_key: str


class CannotUnseal(Exception):
    """Base of the reasons why sealed data stay closed."""


class Erased(CannotUnseal):
    """The data key has been destroyed: nobody will ever read this again. Not a fault."""


class MasterKeyMissing(CannotUnseal):
    """The data key was wrapped under a master key that this process was not given."""


class SealBroken(CannotUnseal):
    """The text was altered, cut short, or belongs to another order."""


class Sealer(Protocol):
    """Encrypts an order's personal data and makes the keyed hashes by which they are found."""

    def seal(self, order: str, plain: bytes) -> Sealed:
        """Seal under a fresh data key. Both parts are bound to `order` and open for no other."""
        ...

    def seal_more(self, order: str, wrapped_key: str, plain: bytes) -> str:
        """Seal under the order's existing data key (messages, evidence). Raises CannotUnseal."""
        ...

    def unseal(self, order: str, sealed: str, wrapped_key: str) -> bytes:
        """The plain bytes. Raises CannotUnseal."""
        ...

    def rewrap(self, order: str, wrapped_key: str) -> str:
        """The same data key under the current master key; unchanged if it is already. Raises CannotUnseal."""
        ...

    def keyed_digest(self, purpose: str, text: str) -> str:
        """A hash of `text` that only holders of the master key can make, 32 URL-safe characters. The same text has
        unrelated digests for different purposes (`email`, `name-word`, `body`, ...)."""
        ...
