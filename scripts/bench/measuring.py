"""What the benchmarks of whole systems share: a temporary system, a load test on it, a table with bars, a JSON line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from scripts.compiling.build import path_of_processes
from scripts.load.measured import Counts, Interval, Measured
from scripts.load.plan import Plan, checked
from scripts.load.run import LoadTest
from scripts.settings import Settings, resolve
from scripts.supervision.temporary import temporary_system

NEVER_MS = "999999999"
"""A simulated payment that never answers: the saga stays where it begins."""

NO_LIMIT = "10000000"
"""For `arrivals_max`, where sagas that never get on are not to be what is measured."""


def measured_environment() -> dict[str, str]:
    """Of a process that runs what one of a system would: compiled code, unless there is no compiler or `DRAY_COMPILED`
    says no. Raises CannotCompile if it says yes, and that cannot be done."""
    path = path_of_processes(resolve({}).settings.compiled, print)
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


@dataclass(frozen=True)
class Bar:
    """A figure beside what is wanted of it. at_least: it should be that or more; else that or less.
    undone: beyond it the work does not count as done; None where `wanted` is the only bar."""

    what: str
    figure: float
    wanted: float
    at_least: bool = True
    undone: float | None = None

    @property
    def verdict(self) -> str:
        """reached, missed, or between the two bars: passable."""
        if self._holds(self.wanted):
            return "reached"
        return "passable" if self.undone is not None and self._holds(self.undone) else "MISSED"

    def _holds(self, bar: float) -> bool:
        return self.figure >= bar if self.at_least else self.figure <= bar

    def cells(self) -> tuple[str, str, str, str]:
        """For a table: what, figure, bar, verdict."""
        sign = "at least" if self.at_least else "at most"
        undone = ""
        if self.undone is not None:
            undone = f" (not done {'below' if self.at_least else 'above'} {text(self.undone)})"
        return self.what, text(self.figure), f"{sign} {text(self.wanted)}{undone}", self.verdict

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def at_most(what: str, figure: float, wanted: float, undone: float | None = None) -> Bar:
    return Bar(what, figure, wanted, at_least=False, undone=undone)


@contextmanager
def system(**flags: str) -> Iterator[Settings]:
    """A system of its own, gone afterwards; payments are simulated unless `flags` say otherwise. Raises DidNotStart."""
    sys.stdout.flush()
    with temporary_system({"payments": "simulated", **flags}, "bench") as settings:
        yield settings


def load(settings: Settings, **plan: Any) -> Measured:
    """Put the system under load; no audit."""
    return asyncio.run(loaded(settings, **plan))


async def loaded(settings: Settings, **plan: Any) -> Measured:
    """The same inside an event loop."""
    return await LoadTest(settings, checked(Plan(**plan)), silent).run()


def silent(_interval: Interval, _total: Counts) -> None:
    """A benchmark shows its table at the end."""


def none_lost(measured: Measured) -> None:
    """Raises AssertionError if the end of an order that was accepted has not been seen."""
    assert not measured.lost(), f"{measured.lost()} accepted orders were lost: {measured.receipts}"


def show(benchmark: str, rows: Sequence[Any], bars: Sequence[Bar] = (), note: str = "") -> list[Bar]:
    """Print dataclass rows as a table, bars beside their figures, and all of it as a JSON line. Returns the bars."""
    plain = [asdict(row) for row in rows]
    names = list(plain[0])
    head = [name.replace("_", " ") for name in names]
    print_table([head, *([text(row[name]) for name in names] for row in plain)])
    if note:
        print(note)
    show_bars(bars)
    cores = os.cpu_count() or 1
    found = {"benchmark": benchmark, "cores": cores, "rows": plain, "bars": [bar.to_json() for bar in bars]}
    print(json.dumps(found), flush=True)
    return list(bars)


def show_bars(bars: Sequence[Bar]) -> None:
    """The bars as a table of their own."""
    if bars:
        print(f"on {os.cpu_count() or 1} cores, client included:")
        print_table([("figure", "is", "should be", ""), *(bar.cells() for bar in bars)], left=True)


def print_table(lines: Sequence[Sequence[str]], *, left: bool = False) -> None:
    """Right-justified columns, or left-justified ones."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = (cell.ljust(width) if left else cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def text(value: Any) -> str:
    """A figure as a table has it."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
