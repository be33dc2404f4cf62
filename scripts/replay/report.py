"""What a replay has to say at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from models.money import format_major
from scripts.books import Books
from scripts.replay.cancellations import Matching
from scripts.replay.invoices import Survey
from scripts.replay.reconciliation import Findings
from scripts.replay.shop import CURRENCY

if TYPE_CHECKING:
    from scripts.replay.run import Seen

LABEL = 12
TEXT = 58
AMOUNT = 16
WRONG_SHOWN_MAX = 200


def report(
    found: Survey, seen: Seen, matching: Matching, totals: Findings, levels: Counter[str], books: Books | None,
    payments: str,
) -> Iterator[str]:  # fmt: skip
    """The rows that were left out, then what was read, posted, captured, refunded and sold, then the verdict."""
    yield from (str(flaw) for flaw in sorted(seen.flaws, key=lambda flaw: flaw.line))
    yield from (f"line {row.line}: price rounded to {_money(row.unit_amount)}" for row in seen.rounded)
    yield from (f"cancellation on {unmatched}" for unmatched in matching.unmatched)
    yield ""
    yield from _read(seen, matching)
    yield from _posted(seen, totals)
    yield from _refunded(seen, matching, totals)
    yield _row("paid out", ", ".join(f"{party} {_money(sum_)}" for party, sum_ in totals.paid_out.items()))
    yield _row(
        "stock", f"received {levels['received']:,} = available {levels['available']:,} + reserved "
        f"{levels['reserved']:,} + sold {levels['sold']:,}",
    )  # fmt: skip
    yield _row("ledger", _verdict_of(books, payments))
    yield ""
    for line in totals.wrong[:WRONG_SHOWN_MAX]:
        yield f"WRONG  {line}"
    if len(totals.wrong) > WRONG_SHOWN_MAX:
        yield f"WRONG  and {len(totals.wrong) - WRONG_SHOWN_MAX:,} more"
    if len(seen.placed) != len(found.chosen):
        yield f"WRONG  {len(seen.placed):,} orders for {len(found.chosen):,} invoices"
    yield "reconciled to the penny" if not totals.wrong else f"NOT reconciled: {len(totals.wrong):,} disagreements"


def _read(seen: Seen, matching: Matching) -> Iterator[str]:
    cancelled = sum(row.amount for row in seen.cancellations)
    yield _row("read", f"{seen.lines:,} order lines on {len(seen.placed):,} invoices", seen.amount)
    yield _row("", f"{len(seen.cancellations):,} cancellation rows", cancelled)
    kinds = Counter(flaw.kind for flaw in seen.flaws)
    yield _row("", f"{len(seen.flaws):,} rows that are no valid order line, listed above")
    yield from _counts(kinds)


def _posted(seen: Seen, totals: Findings) -> Iterator[str]:
    now = sum(placed.posted_now for placed in seen.placed)
    pace = f", {now / seen.post_s:,.0f} orders a second" if now and seen.post_s else ""
    yield _row("posted", f"{totals.orders:,} orders: {now:,} in this run{pace}", totals.amount)
    for status, count in sorted(totals.statuses.items()):
        yield _row("", f"  {count:>7,} {status}")
    yield from _counts(totals.cancelled)
    yield _row("captured", "", totals.captured)


def _refunded(seen: Seen, matching: Matching, totals: Findings) -> Iterator[str]:
    """Cancellation rows = refunded + unmatched + what their prices differ from those that had been paid."""
    unmatched = sum(one.quantity * one.row.unit_amount for one in matching.unmatched)
    difference = sum(one.quantity * (one.row_unit_amount - one.unit_amount) for one in matching.taken)
    yield _row("refunded", f"{totals.refunds:,} refunds", totals.refunded)
    yield _row("", f"not refunded: {len(matching.unmatched):,} cancellation rows, listed above", unmatched)
    yield from _counts(Counter(one.reason for one in matching.unmatched))
    yield _row("", "cancelled at another price than was paid", difference)


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
    return (
        f"{int(format_major(pence, CURRENCY).partition('.')[0] or 0):,}.{pence % 100:02d}"
        if pence >= 0
        else f"-{_money(-pence)}"
    )
