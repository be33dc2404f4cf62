"""The append-only log that lets the sandbox survive a restart, even one by SIGKILL.

One line per request that had an effect: the CRC-32 of the rest in hex, a space, compact JSON. It is handed to the
operating system before the request is answered, so an effect that a client saw is there after the process died; a
power cut may lose the last moments unless `fsync` is on. A torn last line (the process died inside the write) is cut
off; damage anywhere else refuses to start, because guessing would forge money.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

FORMAT = 1
FILE_NAME = "sandbox.log"


class LogUnusable(Exception):
    """The data directory cannot be used: damaged, of another format, or in use by another sandbox."""


class Log:
    """The log of one data directory, locked for this process."""

    def __init__(self, directory: Path, fsync: bool = False) -> None:
        """Open or create. Raises LogUnusable if another process holds it."""
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / FILE_NAME
        self._fsync = fsync
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise LogUnusable(f"{self.path} is in use by another sandbox") from None
        self.size_bytes = os.fstat(self._file).st_size

    def append(self, item: dict[str, Any]) -> None:
        """Write one item. Raises OSError if the disk refuses; then nothing may be answered."""
        line = encode(item)
        written = os.write(self._file, line)
        if written != len(line):
            os.ftruncate(self._file, self.size_bytes)
            raise OSError(f"short write to {self.path}")
        self.size_bytes += written
        if self._fsync:
            os.fdatasync(self._file)

    def replay(self) -> Iterator[dict[str, Any]]:
        """Yield every item from the start; cut a torn tail off. Raises LogUnusable for any other damage."""
        good_bytes = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                item = decode(line)
                if item is None:
                    if lines.read(1) or line.endswith(b"\n"):
                        raise LogUnusable(f"{self.path} is damaged at line {number}")
                    break
                good_bytes += len(line)
                yield item
        if good_bytes < self.size_bytes:
            os.ftruncate(self._file, good_bytes)
            self.size_bytes = good_bytes

    def close(self) -> None:
        """Flush to disk and release the lock."""
        os.fsync(self._file)
        os.close(self._file)


def encode(item: dict[str, Any]) -> bytes:
    """One line of the log."""
    body = orjson.dumps(item)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> dict[str, Any] | None:
    """The item of a line, or None if the line is torn or damaged."""
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    body = line[9:-1]
    try:
        if int(line[:8], 16) != zlib.crc32(body):
            return None
        item: dict[str, Any] = orjson.loads(body)
    except ValueError:
        return None
    return item
