"""Evidence sorted by order, on disk: each part holds all there is about some of the orders and fits in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from scripts.load.receipts import Receipt

ORDER, RECEIPT, SIMULATED, SANDBOX = "order", "receipt", "simulated", "sandbox"
RESERVED, SOLD, TASK, GUARD, ANSWERED = "reserved", "sold", "task", "guard", "answered"
"""What a line is about: an order's existence, an answer that names it, a line of the simulated ledger, an object of the
sandbox, units that a SKU reserves for it or has sold to it, a supplier's live task, an idempotency key that stands for
it; and, sorted by key instead, the order that a key was answered with."""

KEYS_PER_PART = 20_000
PARTS_MAX = 256
BUFFERED_MAX = 500


class Spool:
    """Writes evidence. only: if given, evidence of other orders is left out."""

    def __init__(self, directory: Path, parts: int, only: frozenset[str] | None = None) -> None:
        self._paths = [directory / f"part-{number}" for number in range(parts)]
        for path in self._paths:
            path.touch()
        self._lines: list[list[bytes]] = [[] for _ in range(parts)]
        self._only = only

    def add(self, tag: str, subject: str, item: Any) -> None:
        """subject: the order, or the key, that `item` is about."""
        if self._only is not None and subject not in self._only:
            return
        place = crc32(subject.encode()) % len(self._paths)
        lines = self._lines[place]
        lines.append(orjson.dumps((tag, subject, item)))
        if len(lines) >= BUFFERED_MAX:
            self._flush(place)

    def close(self) -> list[Path]:
        """The parts, ready to be read."""
        for place in range(len(self._paths)):
            self._flush(place)
        return self._paths

    def _flush(self, place: int) -> None:
        if self._lines[place]:
            with self._paths[place].open("ab") as file:
                file.write(b"\n".join(self._lines[place]) + b"\n")
            self._lines[place].clear()


class Evidence:
    """All there is about one order, the order's own record apart."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.simulated: list[list[Any]] = []
        self.sandbox: dict[str, dict[str, Any]] = {}
        self.reserved: dict[str, int] = {}
        self.sold: dict[str, int] = {}
        self.tasks: dict[str, str] = {}
        self.guards: list[str] = []

    def add(self, tag: str, item: Any) -> None:
        match tag:
            case "receipt":
                self.receipts.append(Receipt(*item))
            case "simulated":
                self.simulated.append(item)
            case "sandbox":
                self.sandbox[item["id"]] = item  # the last state wins
            case "reserved":
                self.reserved[item[0]] = item[1]
            case "sold":
                self.sold[item[0]] = item[1]
            case "task":
                self.tasks[item[0]] = item[1]
            case "guard":
                self.guards.append(item)


def read_part(path: Path) -> tuple[dict[str, Evidence], dict[str, set[str]]]:
    """Evidence by order, and the orders that each key was answered with."""
    orders: defaultdict[str, Evidence] = defaultdict(Evidence)
    answered: defaultdict[str, set[str]] = defaultdict(set)
    with path.open("rb") as lines:
        for line in lines:
            tag, subject, item = orjson.loads(line)
            if tag == ANSWERED:
                answered[subject].add(item)
            else:
                orders[subject].add(tag, item)
    return dict(orders), dict(answered)


def parts_for(keys: int) -> int:
    return max(1, min(PARTS_MAX, keys // KEYS_PER_PART))


def lines_of(path: Path) -> Iterator[bytes]:
    """Complete lines only: the last one may still be being written."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield line
