"""Where the master keys of sealing come from: the environment, or a file that only its owner can read.

The file has one line per key, `master <base64>` (the first wraps, all unwrap) and `digest <base64>`; `#` begins a
comment. It is made on first use. Losing it loses all personal data, so it belongs into the backups, but not into the
same ones as the journal.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from actors.adapters.aesgcm_sealer import KEY_BYTES, AesGcmSealer, digest_key_of

MASTER_VARIABLE = "DRAY_MASTER_KEY"
DIGEST_VARIABLE = "DRAY_DIGEST_KEY"


class Keys(NamedTuple):
    """Master keys, newest first, and the root of the keyed digests."""

    masters: tuple[bytes, ...]
    digest: bytes

    def sealer(self) -> AesGcmSealer:
        """A sealer with these keys."""
        return AesGcmSealer(self.masters, self.digest)


class KeysUnusable(ValueError):
    """The keys cannot be trusted or read; the message says what to do and never shows a key."""


def load_keys(environ: Mapping[str, str], path: Path) -> Keys:
    """The keys of the environment if it has any, else those of the file, which is made if it does not exist. Raises
    KeysUnusable."""
    return keys_from_environment(environ) or keys_from_file(path)


def keys_from_environment(environ: Mapping[str, str]) -> Keys | None:
    """`DRAY_MASTER_KEY`: base64 or hex keys, separated by commas, newest first. `DRAY_DIGEST_KEY`: one key; without
    it the digests hang on the *last* master key, so keep that one in the list when rotating. Raises KeysUnusable."""
    text = environ.get(MASTER_VARIABLE, "").strip()
    if not text:
        return None
    masters = tuple(_parsed(part, MASTER_VARIABLE) for part in text.split(","))
    digest = environ.get(DIGEST_VARIABLE, "").strip()
    return Keys(masters, _parsed(digest, DIGEST_VARIABLE) if digest else digest_key_of(masters[-1]))


def keys_from_file(path: Path) -> Keys:
    """Read the key file, or make it with mode 600. Two processes that make it at once end up with the same keys.
    Raises KeysUnusable if others may read it or if it is damaged."""
    try:
        return _read(path)
    except FileNotFoundError:
        _create(path)
        return _read(path)


def _read(path: Path) -> Keys:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise KeysUnusable(
                f"{path} may be read by others (mode {mode & 0o777:o}): chmod 600 it and rotate the keys"
            )
        lines = file.read().decode(errors="replace").splitlines()
    masters: list[bytes] = []
    digest: bytes | None = None
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        match words:
            case []:
                pass
            case ["master", text]:
                masters.append(_parsed(text, f"{path}, line {number}"))
            case ["digest", text] if digest is None:
                digest = _parsed(text, f"{path}, line {number}")
            case _:
                raise KeysUnusable(f"{path}, line {number}: expected `master <base64>` or one `digest <base64>`")
    if not masters:
        raise KeysUnusable(f"{path} has no master key")
    return Keys(tuple(masters), digest or digest_key_of(masters[-1]))


def _create(path: Path) -> None:
    """Write a temporary file and link it into place: the file appears whole or not at all, and never replaces one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    text = "".join(f"{use} {b64encode(os.urandom(KEY_BYTES)).decode()}\n" for use in ("master", "digest"))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(
                "# The keys of Dray's personal data. Whoever has them reads everything; without them nobody does.\n"
            )
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        _sync_directory(path.parent)
    finally:
        temporary.unlink()


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _parsed(text: str, where: str) -> bytes:
    text = text.strip()
    try:
        key = (
            bytes.fromhex(text)
            if len(text) == 2 * KEY_BYTES
            else b64decode(text, altchars=b"-_" if set(text) & set("-_") else None, validate=True)
        )
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeysUnusable(f"{where}: a key is {KEY_BYTES} bytes in base64 or hex")
    return key
