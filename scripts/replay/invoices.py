"""From rows to invoices: what the file holds, and what of it is to be replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.replay.rows import Flaw, Row, read


@dataclass(frozen=True)
class Article:
    """What a stock code stands for: its first description, its first price, and all units that the file sells."""

    code: str
    title: str
    unit_amount: int
    units: int


@dataclass(frozen=True)
class Invoice:
    """One invoice's valid lines, in the file's order."""

    number: str
    rows: tuple[Row, ...]

    @property
    def line(self) -> int:
        return self.rows[0].line

    @property
    def customer(self) -> str:
        return self.rows[0].customer

    @property
    def amount(self) -> int:
        return sum(row.amount for row in self.rows)


@dataclass
class Survey:
    """What a first reading has found.

    chosen:       invoices to be replayed, each with the line of its last row: no row comes later.
    until:        rows from this line on are left out, but for those of a chosen invoice.
    articles:     by stock code, those of the chosen invoices.
    invoices:     in the whole file.
    """

    chosen: dict[str, int] = field(default_factory=dict)
    until: int | None = None
    articles: dict[str, Article] = field(default_factory=dict)
    invoices: int = 0

    def holds(self, row: Row | Flaw) -> bool:
        """Is this row to be replayed, or reported?"""
        return self.until is None or row.line < self.until or row.invoice in self.chosen


def survey(path: Path, limit: int | None, posted: Container[str] = ()) -> Survey:
    """Read the file once, to know where each invoice ends and what stock it takes. Chosen are the first `limit`
    invoices with a valid line, and those `posted` by an earlier run, whose stock is part of the same reconciliation.
    Raises BadFile and OSError."""
    found = Survey()
    everywhere: set[str] = set()
    wanted: set[str] = set()
    firsts: dict[str, Row] = {}
    titles: dict[str, str] = {}
    units: Counter[str] = Counter()
    for row in read(path):
        if isinstance(row, Flaw) or row.is_cancellation:
            continue
        everywhere.add(row.invoice)
        if limit is None or len(everywhere) <= limit or row.invoice in found.chosen or row.invoice in posted:
            found.chosen[row.invoice] = row.line
            wanted.add(row.code)
        elif found.until is None:
            found.until = row.line
        units[row.code] += row.quantity
        firsts.setdefault(row.code, row)
        if row.description:
            titles.setdefault(row.code, row.description)
    found.invoices = len(everywhere)
    for code, first in firsts.items():
        if code in wanted:
            title = titles.get(code, f"Stock code {code}")
            found.articles[code] = Article(code, title, first.unit_amount, units[code])
    return found


def replayed(path: Path, found: Survey) -> Iterator[Invoice | Row | Flaw]:
    """Read the file again: flawed rows and cancellation rows as they come, an invoice once its last row has come. The
    rows of an invoice need not be together. Only invoices that are not whole yet are kept in memory."""
    begun: dict[str, list[Row]] = {}
    for row in read(path):
        if not found.holds(row):
            continue
        if isinstance(row, Flaw) or row.is_cancellation:
            yield row
            continue
        rows = begun.setdefault(row.invoice, [])
        rows.append(row)
        if row.line == found.chosen[row.invoice]:
            yield Invoice(row.invoice, tuple(begun.pop(row.invoice)))
