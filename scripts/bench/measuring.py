"""What the benchmarks of whole systems share: a temporary system, a load test on it, a table and a JSON line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from scripts.load.measured import Counts, Interval, Measured
from scripts.load.plan import Plan, checked
from scripts.load.run import LoadTest
from scripts.settings import Settings
from scripts.supervision.temporary import temporary_system

NEVER_MS = "999999999"
"""A simulated payment that never answers: the saga stays where it begins."""


@contextmanager
def system(**flags: str) -> Iterator[Settings]:
    """A system of its own with simulated payments, gone afterwards. Raises DidNotStart."""
    sys.stdout.flush()
    with temporary_system({"payments": "simulated", **flags}, "bench") as settings:
        yield settings


def load(settings: Settings, **plan: Any) -> Measured:
    """Put the system under load; no audit."""
    return asyncio.run(LoadTest(settings, checked(Plan(**plan)), _silent).run())


def _silent(_interval: Interval, _total: Counts) -> None:
    """A benchmark shows its table at the end."""


def show(benchmark: str, rows: Sequence[Any], note: str = "") -> None:
    """Print dataclass rows as a table, and all of it as a JSON line."""
    plain = [asdict(row) for row in rows]
    names = list(plain[0])
    cells = [[name.replace("_", " ") for name in names], *[[_text(row[name]) for name in names] for row in plain]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))
    if note:
        print(note)
    print(json.dumps({"benchmark": benchmark, "rows": plain}), flush=True)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
