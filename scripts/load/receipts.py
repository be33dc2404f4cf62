"""What the client was told, one JSON line an answer, for the audit: an order that was promised here has to exist, one that
claims to be of this run has to be here, and the same key has to get the same answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

BUFFERED_MAX = 1_000


class Receipt(NamedTuple):
    """One answer.

    run:    whose posts these are; the orders of a run carry `<run>-<number>` in their metadata.
    status: of HTTP; 0 if no answer came, so that it is unknown whether the order exists.
    order, headline, reason: as the answer had them; empty if it was a refusal.
    what:   `place`, `cancel` or `accept`.
    """

    run: str
    key: str
    what: str
    status: int
    order: str
    headline: str
    reason: str


class ReceiptBook:
    """Writes receipts, buffered: a killed client may lose the last ones, which makes the audit miss something, never
    complain of nothing, except of orders that nobody seems to have posted."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._lines: list[bytes] = []

    def add(self, receipt: Receipt) -> None:
        self._lines.append(orjson.dumps(tuple(receipt)))
        if len(self._lines) >= BUFFERED_MAX:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            self._file.write(b"\n".join(self._lines) + b"\n")
            self._file.flush()
            self._lines.clear()

    def close(self) -> None:
        self.flush()
        self._file.close()


def read_receipts(path: Path) -> Iterator[Receipt]:
    """The receipts in a file, or in all the `.jsonl` files of a directory. Raises ValueError on a damaged line, except a last one that was cut short."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield Receipt(*orjson.loads(line))
                except (orjson.JSONDecodeError, TypeError) as error:
                    if not line.endswith(b"\n"):
                        break
                    raise ValueError(f"{file}, line {number}: {error}") from error
