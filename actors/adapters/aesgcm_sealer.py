"""Sealing with AES-256-GCM. Nothing else in Dray imports `cryptography`.

Wrapped key: `<master key id>.<base64 of salt, nonce and encrypted data key>`. The master key wraps nothing itself:
random 96-bit nonces under one key would run out of safety after 2**32 messages (NIST SP 800-38D, 8.3), which is 25 days
at 2,000 orders a second. A process wraps under a key derived from the master key and a random salt with keyed BLAKE2b
(RFC 7693), and takes another salt long before.
"""

from __future__ import annotations

import os
from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, sha256
from hmac import digest as hmac_digest
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.sealing import Erased, MasterKeyMissing, SealBroken, Sealed

KEY_BYTES = 32
WRAPS_PER_SALT_MAX = 100_000
WRAPPING_KEYS_MAX = 256
SHA256_BLOCK_BYTES = 64
_NONCE_BYTES = 12
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_SALT_BYTES = 12
_WRAP_PURPOSE = b"dray/wrap/1"
_DIGEST_PURPOSE = b"dray/digest/1/"
_ID_PURPOSE = b"dray/key-id/1"


class AesGcmSealer:
    """Implements `models.sealing.Sealer`.

    master_keys: 32 bytes each. The first wraps, all unwrap: to rotate, put the new key in front and rewrap.
    digest_key:  32 bytes, the root of the keyed digests. It does not rotate, since every stored digest would be lost.
    """

    def __init__(self, master_keys: Sequence[bytes], digest_key: bytes) -> None:
        if not master_keys:
            raise ValueError("a sealer needs a master key")
        if any(len(key) != KEY_BYTES for key in [*master_keys, digest_key]):
            raise ValueError(f"a master key or digest key has {KEY_BYTES} bytes")
        self._keys = {key_id(key): _derived(key, _WRAP_PURPOSE) for key in master_keys}
        self._current = key_id(master_keys[0])
        self._digest_key = digest_key
        self._purpose_hashes = lru_cache(maxsize=64)(self._purpose_hashes_anew)
        self._wrapping_keys = lru_cache(maxsize=WRAPPING_KEYS_MAX)(self._wrapping_key)
        self._salt = b""
        self._wraps_left = 0

    def seal(self, order: str, plain: bytes) -> Sealed:
        """Seal under a fresh data key, bound to `order`."""
        random = os.urandom(KEY_BYTES + _NONCE_BYTES + _NONCE_BYTES)
        data_key, nonce, wrap_nonce = random[:KEY_BYTES], random[KEY_BYTES:-_NONCE_BYTES], random[-_NONCE_BYTES:]
        return Sealed(_encrypted(data_key, nonce, plain, order), self._wrap(order, data_key, wrap_nonce))

    def seal_more(self, order: str, wrapped_key: str, plain: bytes) -> str:
        """Seal under the order's existing data key. Raises CannotUnseal."""
        return _encrypted(self._unwrap(order, wrapped_key), os.urandom(_NONCE_BYTES), plain, order)

    def unseal(self, order: str, sealed: str, wrapped_key: str) -> bytes:
        """The plain bytes. Raises CannotUnseal."""
        return _decrypted(AESGCM(self._unwrap(order, wrapped_key)), _decoded(sealed), order)

    def rewrap(self, order: str, wrapped_key: str) -> str:
        """The same data key under the first master key. Raises CannotUnseal."""
        if wrapped_key.startswith(self._current + "."):
            return wrapped_key
        return self._wrap(order, self._unwrap(order, wrapped_key), os.urandom(_NONCE_BYTES))

    def keyed_digest(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 under a key derived for `purpose`, cut to 192 bits: 32 URL-safe characters."""
        inner, outer = self._purpose_hashes(purpose)
        inner, outer = inner.copy(), outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return b2a_base64(outer.digest()[:24], newline=False).translate(_URL_SAFE).decode()

    def _purpose_hashes_anew(self, purpose: str) -> tuple[Any, Any]:
        """HMAC's two hashes (RFC 2104) with the purpose's key in them already: the halves that every digest shares."""
        key = _derived(self._digest_key, _DIGEST_PURPOSE + purpose.encode()).ljust(SHA256_BLOCK_BYTES, b"\0")
        return sha256(bytes(byte ^ 0x36 for byte in key)), sha256(bytes(byte ^ 0x5C for byte in key))

    def _wrap(self, order: str, data_key: bytes, nonce: bytes) -> str:
        if not self._wraps_left:
            self._salt, self._wraps_left = os.urandom(_SALT_BYTES), WRAPS_PER_SALT_MAX
        self._wraps_left -= 1
        encrypted = self._wrapping_keys(self._current, self._salt).encrypt(nonce, data_key, order.encode())
        return f"{self._current}.{_base64(self._salt + nonce + encrypted)}"

    def _wrapping_key(self, name: str, salt: bytes) -> AESGCM:
        return AESGCM(blake2b(salt, key=self._keys[name], digest_size=KEY_BYTES).digest())

    def _unwrap(self, order: str, wrapped_key: str) -> bytes:
        if not wrapped_key:
            raise Erased(f"the data key of {order} has been destroyed")
        name, _, text = wrapped_key.partition(".")
        if name not in self._keys:
            raise MasterKeyMissing(f"the data key of {order} is wrapped under master key {name!r}")
        wrapped = _decoded(text)
        return _decrypted(self._wrapping_keys(name, wrapped[:_SALT_BYTES]), wrapped[_SALT_BYTES:], order)


def key_id(master_key: bytes) -> str:
    """Eight hex digits that name a master key without telling anything about it."""
    return _derived(master_key, _ID_PURPOSE).hex()[:8]


def digest_key_of(master_key: bytes) -> bytes:
    """The digest key to use where none was given: derived, so that one secret is enough."""
    return _derived(master_key, b"dray/digest-root/1")


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac_digest(key, purpose, "sha256")


def _encrypted(key: bytes, nonce: bytes, plain: bytes, order: str) -> str:
    return _base64(nonce + AESGCM(key).encrypt(nonce, plain, order.encode()))


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _decrypted(key: AESGCM, sealed: bytes, order: str) -> bytes:
    if len(sealed) < _NONCE_BYTES + 16:
        raise SealBroken(f"sealed data of {order} are cut short")
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], order.encode())
    except InvalidTag:
        raise SealBroken(f"sealed data of {order} were altered or belong to another order") from None


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise SealBroken("sealed data are not base64") from None
