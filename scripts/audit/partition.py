"""Audits one part of the evidence: all that is known about some of the orders. Runs in a process of its own."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from actors.adapters.redis_reader import RedisReader
from models.decision import Address
from models.identity import is_order_id
from scripts.audit import archived, bank, events
from scripts.audit.findings import Finding, Findings
from scripts.audit.judge import Case, judge, orphans
from scripts.audit.saga_book import SagaBook
from scripts.audit.spool import Evidence, read_part
from scripts.load.receipts import Receipt
from scripts.simulation.history import Happened
from scripts.simulation.order_book import OrderBook

ORDERS_AT_A_TIME = 200
SAMPLE_MAX = 40


class Context(NamedTuple):
    """What all parts need to know.

    runs:      whose receipts there are; an order that says it is of one of them must have been given to a client.
    unknown:   keys of posts that were never answered: their orders may exist or not.
    exact_skus: see `judge.Case`.
    """

    redis: str
    archive: str
    shards: int
    ledger: bool
    receipts: bool
    runs: frozenset[str]
    unknown: frozenset[str]
    exact_skus: frozenset[str]


@dataclass
class PartResult:
    """What a part has come to.

    sold:      units that orders keep, by SKU. unsettled: SKUs of orders that have intents under way: their sums are not
               certain. unread: orders that are lost or cannot be read, so that no sum is certain.
    claimed:   orders that nobody was told of, by the key that they say they were posted with.
    sample:    some of the orders, to be looked at again.
    latest:    when the last event happened.
    """

    findings: Findings = field(default_factory=Findings)
    sold: Counter[str] = field(default_factory=Counter)
    unsettled: set[str] = field(default_factory=set)
    claimed: list[tuple[str, str]] = field(default_factory=list)
    orders: int = 0
    sample: list[str] = field(default_factory=list)
    unread: int = 0
    latest: int = 0


def unhurried_collector() -> None:
    """An order's books are trees, freed as they go; looking for cycles among a part's evidence costs a tenth."""
    gc.set_threshold(100_000, 50, 50)


def audit_part(path: Path, context: Context) -> PartResult:
    """Raises JournalUnavailable."""
    return asyncio.run(_audit(path, context))


async def _audit(path: Path, context: Context) -> PartResult:
    result = PartResult()
    orders, answered = read_part(path)
    for key, named in answered.items():
        result.findings.checked["A8"] += 1
        if len(named) > 1:
            text = f"was answered with {len(named)} orders: {', '.join(sorted(named))}"
            result.findings.add([Finding("A8", key, text)])
    twice = {key for key, named in answered.items() if len(named) > 1}
    reader = RedisReader(context.redis)
    try:
        async with archived.opened(context.archive) as archive:
            for batch in _batches(list(orders), context.shards):
                shard = int(batch[0][4:7], 16)
                actors = [Address(kind, id_) for id_ in batch for kind in archived.MEMBERS]
                stored = await reader.events(shard, actors)
                records, found = await archived.completed(archive, shard, batch, stored)
                result.findings.add(found)
                for id_, record in zip(batch, records, strict=True):
                    _audit_order(result, context, id_, orders.pop(id_), record, twice)
    finally:
        await reader.close()
    for id_, evidence in orders.items():  # no ids of orders in this system
        _missing(result, context, id_, evidence)
    return result


def _batches(ids: Sequence[str], shards: int) -> Iterator[list[str]]:
    """Orders of one shard at a time."""
    by_shard: dict[str, list[str]] = {}
    for id_ in ids:
        if is_order_id(id_) and int(id_[4:7], 16) < shards:
            by_shard.setdefault(id_[4:7], []).append(id_)
    for found in by_shard.values():
        for first in range(0, len(found), ORDERS_AT_A_TIME):
            yield found[first : first + ORDERS_AT_A_TIME]


def _audit_order(  # noqa: PLR0917 - one order with all that is known about it
    result: PartResult, context: Context, id_: str, evidence: Evidence, record: archived.Whole, twice: set[str]
) -> None:
    found = result.findings
    found.checked["A1"] += 1
    if record.lost:
        result.unread += 1
        return
    if not record.order:
        _missing(result, context, id_, evidence)
        if record.saga:
            found.add([Finding("A7", id_, "has no record, and its orchestrator has one", id_)])
        return
    result.orders += 1
    if len(result.sample) < SAMPLE_MAX:
        result.sample.append(id_)
    for name in ("A2", "A4", "A5", "A6", "A7", "A9"):
        found.checked[name] += 1
    try:
        own, steps = events.read(record.order), events.read(record.saga)
    except events.Unreadable as error:
        found.add([Finding("A9", id_, str(error), id_)])
        result.unread += 1
        return
    gaps = _gaps(id_, own, steps, evidence)
    found.add(gaps)
    result.latest = max(result.latest, own[-1].fields["at"])
    found.add(_answered_twice(id_, own))
    if own[0].name != "order.placed/1":
        result.unread += 1
        return
    found.add(_receipts(result, context, id_, own[0], evidence, twice))
    book, saga_book = OrderBook(id_, own), SagaBook(steps)
    case = Case(
        id_, book, saga_book, _bank(evidence), evidence, context.ledger, _frozen(own, book), context.exact_skus
    )  # fmt: skip
    found.add(judge(case))
    if saga_book.pending:
        result.unsettled.update(line["sku"] for line in book.lines)
    for sku, units in book.sold_units().items():
        result.sold[sku] += units


def _bank(evidence: Evidence) -> bank.BankBook:
    books = [bank.of_simulated(evidence.simulated)] if evidence.simulated else []
    books += [bank.of_sandbox(evidence.sandbox.values())] if evidence.sandbox else []
    return books[0] if len(books) == 1 else bank.merged(books)


def _frozen(own: Sequence[Happened], book: OrderBook) -> bool:
    """A dispute is open, or a refund was refused: money stays with the platform."""
    disputes = Counter(happened.name for happened in own if happened.name.startswith("order.dispute_"))
    is_open = disputes["order.dispute_opened/1"] > disputes["order.dispute_resolved/1"]
    return is_open or any(refund["status"] == "failed" for refund in book.refunds.values())


# --- A1, A7, A8 ------------------------------------------------------------------------------------------------------


def _missing(result: PartResult, context: Context, id_: str, evidence: Evidence) -> None:
    """An order that somebody speaks of and that has no record."""
    promised = {receipt.key for receipt in evidence.receipts if receipt.status < 300}
    found = [Finding("A1", id_, f"was accepted under {key} and does not exist", id_) for key in sorted(promised)]
    if not promised and evidence.guards:
        found = [Finding("A1", id_, f"is what {evidence.guards[0]} stands for, and does not exist", id_)]
    result.findings.add(found)
    result.unread += bool(found)
    if not found:
        result.findings.add(orphans(id_, _bank(evidence), evidence))


def _gaps(id_: str, own: Sequence[Happened], steps: Sequence[Happened], evidence: Evidence) -> list[Finding]:
    found = []
    if own[0].name != "order.placed/1":
        found.append(f"its record begins with {own[0].name}: what was before is missing")
    if not steps:
        found.append("its orchestrator has no record")
    elif steps[0].name != "saga.advanced/1" or not steps[0].fields["learnt"].get("order"):
        found.append("its orchestrator's record does not begin at the beginning")
    told = max((receipt.version for receipt in evidence.receipts), default=0)
    if told > len(own):
        found.append(f"a client was shown version {told}, and the record has {len(own)}")
    return [Finding("A7", id_, text, id_) for text in found]


def _answered_twice(id_: str, own: Sequence[Happened]) -> list[Finding]:
    answered = Counter(happened.fields["command_id"] for happened in own if happened.name == "actor.answered/1")
    return [
        Finding("A8", id_, f"has answered command {command} {count} times", id_)
        for command, count in answered.items()
        if count > 1
    ]


def _receipts(  # noqa: PLR0917
    result: PartResult, context: Context, id_: str, placed: Happened, evidence: Evidence, twice: set[str]
) -> list[Finding]:
    """Was this order given to whoever posted it?"""
    own_key = placed.fields["metadata"].get("load", "")
    given = {receipt.key for receipt in evidence.receipts if receipt.what == "place"}
    found = [
        Finding("A1", id_, f"was given for {key}, and was posted under {own_key}", id_)
        for key in sorted(given - {own_key} - twice)
        if own_key and _run_of(key) in context.runs
    ]
    if given or not context.receipts:
        return found
    if own_key in context.unknown:
        result.claimed.append((own_key, id_))
    elif _run_of(own_key) in context.runs or "" in context.runs:
        found.append(Finding("A1", id_, "exists, and no client was told so", id_))
    return found


def _run_of(key: str) -> str:
    """Keys of `dray load` begin with their run; other clients' receipts are of no run, which claims all orders."""
    run, dash, _ = key.partition("-")
    return run if dash else key


def is_unknown(receipt: Receipt) -> bool:
    """Nobody knows what became of the post."""
    return receipt.what == "place" and not receipt.order and (receipt.status == 0 or receipt.status >= 500)


def by_sku(rows: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str, int]]:
    """`{sku: {order: units}}` as (order, sku, units)."""
    for sku, orders in rows.items():
        for order, units in orders.items():
            yield order, sku, units
