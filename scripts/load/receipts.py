"""What the client was told, one JSON line an answer, for the audit.

An order that was promised here has to exist, one that claims to be of this run has to be here, and the same key has to
get the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

BUFFERED_MAX = 1_000
OPENED, CLOSED = "opened", "closed"


class Receipt(NamedTuple):
    """One answer.

    run:    whose posts these are; the orders of a run carry `<run>-<number>` in their metadata.
    status: of HTTP; 0 if no answer came, so that it is unknown whether the order exists.
    order, headline, reason: as the answer had them; empty if it was a refusal.
    version: of the order, as its ETag had it; 0 if there was none.
    what:   `place`, `cancel` or `accept`; a book begins with OPENED and, if its client ended in good order, ends with
            CLOSED: only then is it known that there were no other posts.
    """

    run: str
    key: str
    what: str
    status: int
    order: str
    headline: str
    reason: str
    version: int = 0


class ReceiptBook:
    """Writes a client's receipts, buffered."""

    def __init__(self, path: Path, run: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._lines: list[bytes] = []
        self._run = run
        self._mark(OPENED)

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
        """All posts of this client are in the book."""
        self._mark(CLOSED)
        self._file.close()

    def _mark(self, what: str) -> None:
        self.add(Receipt(self._run, "", what, 0, "", "", ""))
        self.flush()


def read_receipts(path: Path) -> Iterator[Receipt]:
    """The receipts in a file, or in all the `.jsonl` files of a directory.

    A line may also be an object with `key`, `status` and `order`, as any other client can write it. Raises ValueError
    on a damaged line, except a last one that was cut short.
    """
    for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path]:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield _receipt(orjson.loads(line))
                except (orjson.JSONDecodeError, TypeError, KeyError) as error:
                    if not line.endswith(b"\n"):
                        break
                    raise ValueError(f"{file}, line {number}: {error!r}") from error


def _receipt(fields: Any) -> Receipt:
    if isinstance(fields, dict):
        order, headline, reason = (str(fields.get(name) or "") for name in ("order", "headline", "reason"))
        return Receipt("", str(fields.get("key") or order), "place", int(fields["status"]), order, headline, reason)
    return Receipt(*fields)
