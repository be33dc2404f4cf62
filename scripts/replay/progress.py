"""What a replay has done, kept beside the system's own data, so that a second run goes on where the first stopped.

Idempotency keys alone would do for a day, which is how long a system remembers them. Nothing here is needed for
correctness within that day: a line that was not written because the process was killed costs one repeated request.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple


class Stocked(NamedTuple):
    """A stock code whose stock has been received. at: RFC 3339; sold: units sold by then, to others."""

    at: str
    sold: int
    received: int


class Progress:
    """An append-only file of one file's replay into one system. Raises OSError."""

    def __init__(self, directory: Path, digest: str) -> None:
        directory.mkdir(exist_ok=True)
        path = directory / f"{digest[:16]}.jsonl"
        self.stocked: dict[str, Stocked] = {}
        self.orders: dict[str, str] = {}
        text = path.read_text() if path.exists() else ""
        for line in text.splitlines():
            self._take(line)
        self._file = path.open("a", buffering=1)
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def _take(self, line: str) -> None:
        try:
            entry: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            return  # cut short by a kill
        if "stocked" in entry:
            self.stocked[entry["stocked"]] = Stocked(entry["at"], entry["sold"], entry["received"])
        else:
            self.orders[entry["invoice"]] = entry["order"]

    def stock(self, code: str, stocked: Stocked) -> None:
        self.stocked[code] = stocked
        self._write({"stocked": code, **stocked._asdict()})

    def place(self, invoice: str, order: str) -> None:
        self.orders[invoice] = order
        self._write({"invoice": invoice, "order": order})

    def forget(self) -> None:
        """Nothing of it is true any more."""
        self._file.truncate(0)
        self.stocked.clear()
        self.orders.clear()

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")

    def close(self) -> None:
        self._file.close()
