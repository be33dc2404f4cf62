"""What a replay has to say at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from models.money import format_major
from scripts.books import Books
from scripts.replay.cancellations import Matching
from scripts.replay.orders import Placed
from scripts.replay.reconciliation import Findings
from scripts.replay.rows import Flaw, Row
from scripts.replay.shop import CURRENCY

LABEL = 12
TEXT = 58
AMOUNT = 16
WRONG_SHOWN_MAX = 200


class RefusedInvoice(NamedTuple):
    """An invoice that the system did not take as an order, for instance because it has too many lines."""

    line: int
    number: str
    amount: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: invoice {self.number} was refused: {self.reason}"


@dataclass
class Seen:
    """What the second reading has come across."""

    placed: list[Placed] = field(default_factory=list)
    refused: list[RefusedInvoice] = field(default_factory=list)
    cancellations: list[Row] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    rounded: list[Row] = field(default_factory=list)
    lines: int = 0
    amount: int = 0
    post_s: float = 0.0


class Outcome(NamedTuple):
    """Everything that a replay has found out. levels: the SKUs' stock, summed up."""

    seen: Seen
    matching: Matching
    totals: Findings
    levels: Counter[str]
    books: Books | None
    payments: str


def report(outcome: Outcome) -> Iterator[str]:
    """The rows that were left out, then what was read, posted, captured, refunded and sold, then the verdict."""
    seen, matching, totals, levels, books, payments = outcome
    yield from (str(flaw) for flaw in sorted(seen.flaws, key=lambda flaw: flaw.line))
    yield from (str(refused) for refused in seen.refused)
    yield from (f"line {row.line}: price rounded to {_money(row.unit_amount)}" for row in seen.rounded)
    yield from (f"cancellation on {unmatched}" for unmatched in matching.unmatched)
    yield ""
    yield from _read(seen)
    yield from _posted(seen, totals)
    yield from _refunded(matching, totals)
    yield _row("paid out", ", ".join(f"{party} {_money(sum_)}" for party, sum_ in totals.paid_out.items()))
    parts = (f"{name} {levels[name]:,}" for name in ("available", "reserved", "sold"))
    yield _row("stock", f"received {levels['received']:,} = {' + '.join(parts)}")
    yield _row("ledger", _verdict_of(books, payments))
    yield ""
    for line in totals.wrong[:WRONG_SHOWN_MAX]:
        yield f"WRONG  {line}"
    if len(totals.wrong) > WRONG_SHOWN_MAX:
        yield f"WRONG  and {len(totals.wrong) - WRONG_SHOWN_MAX:,} more"
    yield "reconciled to the penny" if not totals.wrong else f"NOT reconciled: {len(totals.wrong):,} disagreements"


def _read(seen: Seen) -> Iterator[str]:
    cancelled = sum(row.amount for row in seen.cancellations)
    yield _row("read", f"{seen.lines:,} order lines on {len(seen.placed) + len(seen.refused):,} invoices", seen.amount)
    yield _row("", f"{len(seen.cancellations):,} cancellation rows", cancelled)
    kinds = Counter(flaw.kind for flaw in seen.flaws)
    yield _row("", f"{len(seen.flaws):,} rows that are no valid order line, listed above")
    yield from _counts(kinds)


def _posted(seen: Seen, totals: Findings) -> Iterator[str]:
    now = sum(placed.posted_now for placed in seen.placed)
    pace = f", {now / seen.post_s:,.0f} orders a second" if now and seen.post_s else ""
    yield _row("posted", f"{totals.orders:,} orders: {now:,} in this run{pace}", totals.amount)
    if seen.refused:
        yield _row(
            "", f"refused: {len(seen.refused):,} invoices, listed above", sum(one.amount for one in seen.refused)
        )
    for status, count in sorted(totals.statuses.items()):
        yield _row("", f"  {count:>7,} {status}")
    yield from _counts(totals.cancelled)
    if totals.uncaptured:
        yield _row("", "cancelled before any money was taken", totals.uncaptured)
    yield _row("captured", "", totals.captured)


def _refunded(matching: Matching, totals: Findings) -> Iterator[str]:
    """Cancellation rows = refunded + not refunded + what their prices differ from those that had been paid."""
    yield _row("refunded", f"{totals.refunds:,} refunds", totals.refunded)
    if totals.undone:
        yield _row("", "by orders that were cancelled themselves", totals.undone)
    yield _row("", f"not refunded: {len(matching.unmatched):,} cancellation rows, listed above", matching.not_refunded)
    yield from _counts(Counter(one.reason for one in matching.unmatched))
    yield _row("", "cancelled at another price than was paid", matching.price_difference)


def _counts(counts: Counter[str]) -> Iterable[str]:
    return (_row("", f"  {count:>7,} {what}") for what, count in counts.most_common())


def _verdict_of(books: Books | None, payments: str) -> str:
    if books is None:
        return f"{payments} keeps its own books: not compared"
    balanced = {True: "balances and ", False: "does NOT balance; ", None: ""}[books.balanced]
    return f"{payments}: {balanced}was compared order by order"


def _row(label: str, text: str, amount: int | None = None) -> str:
    money = f"{_money(amount):>{AMOUNT}}" if amount is not None else ""
    return f"{label:<{LABEL}}{text:<{TEXT}}{money}".rstrip()


def _money(pence: int) -> str:
    """`1,234.56`"""
    whole, _, part = format_major(abs(pence), CURRENCY).partition(".")
    return f"{'-' if pence < 0 else ''}{int(whole):,}.{part}"
