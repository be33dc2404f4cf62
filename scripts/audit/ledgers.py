"""Reads the payment ledgers of a data directory: the simulated vendor's file and the sandbox's log.

Both are append-only and tell everything, whether their writer runs or not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from scripts.audit.findings import Finding
from scripts.audit.spool import SANDBOX, SIMULATED, Spool, lines_of

WANTED = {
    "payment_intent": ("id", "amount", "status", "transfer_group", "metadata"),
    "charge": ("id", "amount", "captured", "amount_captured", "amount_refunded", "payment_intent", "transfer_group"),
    "transfer": ("id", "amount", "amount_reversed", "destination", "transfer_group", "metadata"),
}
DEFAULTS = {"amount_reversed": 0, "captured": False, "amount_captured": 0, "amount_refunded": 0}
CRC_CHARS = 9


def simulated(path: Path, spool: Spool) -> int:
    """Sort the simulated ledger by order; returns how many effects it has. Raises ValueError if it is damaged."""
    count = 0
    for number, line in enumerate(lines_of(path), 1):
        try:
            effect = orjson.loads(line)
            spool.add(SIMULATED, effect[2], effect)
        except (orjson.JSONDecodeError, IndexError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        count += 1
    return count


def sandbox(path: Path, spool: Spool) -> tuple[int, list[Finding]]:
    """Sort the sandbox's objects by order; returns how many writes there were, and ledger entries that do not balance.
    Raises ValueError if the log is damaged."""
    count = 0
    found: list[Finding] = []
    fields: Mapping[str, list[str]] = {}
    for number, line in enumerate(lines_of(path), 1):
        try:
            if zlib.crc32(body := line[CRC_CHARS:-1]) != int(line[: CRC_CHARS - 1], 16):
                raise ValueError("its checksum is wrong")
            item = orjson.loads(body)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        if "fields" in item:
            fields = item["fields"]
        for kind, values in item.get("w", ()):
            record = dict(zip(fields[kind], values, strict=False))
            count += 1
            if kind == "entry" and sum(amount for _, amount in record["postings"]):
                text = f"postings of {record.get('source')} do not sum to zero: {record['postings']}"
                found.append(Finding("A5", record["id"], text))
            if kind in WANTED:
                _file(kind, record, spool)
    return count, found


def _file(kind: str, record: Mapping[str, Any], spool: Spool) -> None:
    kept = {name: record.get(name, DEFAULTS.get(name)) for name in WANTED[kind]}
    kept["metadata"] = _pairs(kept.get("metadata"))
    order = kept["transfer_group"] or kept["metadata"].get("order")
    if order:
        spool.add(SANDBOX, order, {"object": kind, **kept})


def _pairs(metadata: Any) -> dict[str, str]:
    return dict(metadata) if metadata else {}


def found_in(data: Path) -> Iterable[tuple[str, Path]]:
    """The ledgers that a data directory has, by vendor."""
    for vendor, path in (("simulated", data / "simulated-ledger.jsonl"), ("sandbox", data / "sandbox" / "sandbox.log")):
        if path.exists():
            yield vendor, path
