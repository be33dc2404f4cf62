"""Runs an audit: gathers the evidence, has its parts judged, adds up what concerns no single order."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import orjson

from actors.adapters.redis_reader import Mark, RedisReader
from models.decision import Address, Millis
from scripts.audit import archived, events, ledgers, live
from scripts.audit.findings import Finding, Findings
from scripts.audit.partition import Context, PartResult, audit_part, is_unknown, unhurried_collector
from scripts.audit.shelves import ShelfBook, TaskBook
from scripts.audit.spool import (
    ANSWERED,
    GUARD,
    ORDER,
    RECEIPT,
    RESERVED,
    SOLD,
    TASK,
    Spool,
    parts_for,
)
from scripts.load.receipts import CLOSED, OPENED, read_receipts
from scripts.simulation.history import Happened

PROCESSES = 2
OVERDUE_MS = 60_000
LOOK_S = 0.25
ROUNDS_MAX = 4
ROUND_PAUSE_S = 1.0
SUSPECTS_MAX = 5_000
REST, BUSY, STALLED, STOPPED = "at rest", "busy", "stalled", "stopped"


@dataclass(frozen=True)
class Case:
    """What is to be audited.

    data:     where the payment ledgers and the marks of the last audit are.
    running:  somebody may be writing. gateway: where actors can be asked what they have in memory.
    archive:  where orders are that have left the journal; '' if nowhere.
    settle_s: how long to wait for intents to end. strict: then none may be left.
    """

    redis: str
    data: Path
    receipts: tuple[Path, ...] = ()
    running: bool = True
    settle_s: float = 10.0
    strict: bool = False
    gateway: live.Gateway | None = None
    archive: str = ""


@dataclass
class Gathered:
    """What one look at the evidence has brought, besides what is spooled by order."""

    findings: Findings = field(default_factory=Findings)
    shelves: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """SKU -> (units sold, whether its record goes back to the beginning)."""

    runs: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    ledger: bool = False


async def audit(case: Case) -> Findings:
    """Raises JournalUnavailable, JournalMismatch, ValueError (a damaged ledger or receipts file)."""
    reader = RedisReader(case.redis)
    await reader.open()
    try:
        shards = await reader.shards()
        state = await settle(reader, shards, case)
        before = await reader.marks(shards)
        result, gathered, findings = await _look(case, reader, shards, None)
        moved = await reader.marks(shards) != before
        suspects = _suspects(findings)
        for _ in range(ROUNDS_MAX):
            if not moved or not suspects:
                break
            await asyncio.sleep(ROUND_PAUSE_S)
            _, _, again = await _look(case, reader, shards, suspects)
            findings = _confirmed(findings, again)
            suspects = _suspects(findings)
        if not moved and not result.unread:
            findings.add(_totals(gathered, result))
        if moved and state == REST:
            state = BUSY
        if case.gateway is not None:
            compared, differing = await live.compare(case.gateway, reader, result.sample, case.archive)
            findings.add(differing)
            findings.notes["A9"] = f"{compared} orders compared with what their actors show"
        findings.add(await archived.compared(case.archive, await reader.archive()))
        findings.checked["A7"] += len(before)
        findings.add(_marks(case, before, await reader.marks(shards)))
        await _rest(reader, shards, state, case, result.latest, findings)
        return findings
    finally:
        await reader.close()


async def settle(reader: RedisReader, shards: int, case: Case) -> str:
    """Wait until nothing is under way any more, or nothing moves, or time is up."""
    if not case.running:
        return STOPPED
    give_up = time.monotonic() + case.settle_s
    seen, still_since = await _moving_parts(reader, shards), time.monotonic()
    while True:
        await asyncio.sleep(LOOK_S)
        now, last = await _moving_parts(reader, shards), seen
        if now != last:
            seen, still_since = now, time.monotonic()
        elif not now.pending and not now.unread:
            return REST
        elif time.monotonic() - still_since > case.settle_s:
            return STALLED
        if time.monotonic() > give_up and now != last:
            return BUSY


class _MovingParts(NamedTuple):
    """What changes as long as anything goes on."""

    marks: dict[str, Mark]
    pending: int
    unread: dict[int, int]


async def _moving_parts(reader: RedisReader, shards: int) -> _MovingParts:
    return _MovingParts(await reader.marks(shards), await reader.pending_count(shards), await reader.unread(shards))


# --- one look --------------------------------------------------------------------------------------------------------


async def _look(
    case: Case, reader: RedisReader, shards: int, only: frozenset[str] | None
) -> tuple[PartResult, Gathered, Findings]:
    """Gather and judge everything, or only what concerns some orders."""
    with tempfile.TemporaryDirectory(prefix="dray-audit-") as directory:
        keys = await reader.size() + 2 * await archived.size(case.archive)
        parts = parts_for(keys) if only is None else 1
        spool = Spool(Path(directory), parts, only)
        gathered = await _gather(case, reader, shards, spool, only)
        paths = spool.close()
        exact = frozenset(sku for sku, (_, exact) in gathered.shelves.items() if exact)
        context = Context(
            case.redis, case.archive, shards, gathered.ledger, bool(case.receipts), frozenset(gathered.runs),
            frozenset(gathered.unknown), exact,
        )  # fmt: skip
        result = await asyncio.to_thread(_judged, paths, context)
    findings = gathered.findings
    findings.merge(result.findings)
    claimed = Counter(key for key, _ in result.claimed)
    findings.add(
        Finding("A1", order, f"is one of {claimed[key]} orders that {key} has placed", order)
        for key, order in result.claimed
        if claimed[key] > 1
    )
    if not gathered.ledger:
        findings.notes["A5"] = "no payment ledger to compare with"
    return result, gathered, findings


def _judged(paths: Sequence[Path], context: Context) -> PartResult:
    whole = PartResult()
    processes = min(PROCESSES, len(paths))
    if processes == 1:
        parts = [audit_part(path, context) for path in paths]
    else:
        with ProcessPoolExecutor(processes, get_context("spawn"), initializer=unhurried_collector) as pool:
            parts = list(pool.map(audit_part, paths, [context] * len(paths)))
    for part in parts:
        whole.findings.merge(part.findings)
        whole.sold.update(part.sold)
        whole.unsettled |= part.unsettled
        whole.claimed += part.claimed
        whole.orders += part.orders
        whole.sample += part.sample
        whole.unread += part.unread
        whole.latest = max(whole.latest, part.latest)
    return whole


async def _gather(case: Case, reader: RedisReader, shards: int, spool: Spool, only: frozenset[str] | None) -> Gathered:
    """Spool everything that speaks of orders. What is written first is read first: stock and tasks, orders, ledgers."""
    gathered = Gathered()
    _read_receipts(case, spool, gathered)
    for order in only or ():
        spool.add(ORDER, order, None)
    await _scan(reader, shards, spool, gathered, whole=only is None)
    if only is None:  # after the journal, which they may leave meanwhile
        await archived.spool_all(case.archive, shards, spool)
    for vendor, path in ledgers.found_in(case.data):
        gathered.ledger = True
        if vendor == "simulated":
            ledgers.simulated(path, spool)
        else:
            _, unbalanced = ledgers.sandbox(path, spool)
            gathered.findings.add(unbalanced if only is None else ())
    return gathered


def _read_receipts(case: Case, spool: Spool, gathered: Gathered) -> None:
    """A run whose books were not all closed may have posted what is in none of them."""
    books: Counter[str] = Counter()
    answered: set[str] = set()
    for path in case.receipts:
        for receipt in read_receipts(path):
            if receipt.what in (OPENED, CLOSED):
                books[receipt.run] += 1 if receipt.what == OPENED else -1
            elif receipt.order:
                books[receipt.run] += 0
                spool.add(RECEIPT, receipt.order, tuple(receipt))
                spool.add(ANSWERED, receipt.key, receipt.order)
                if receipt.key in gathered.unknown:
                    gathered.unknown.discard(receipt.key)
                    answered.add(receipt.key)
            elif is_unknown(receipt) and receipt.key not in answered:
                gathered.unknown.add(receipt.key)
    gathered.runs = {run for run, unclosed in books.items() if not unclosed}


async def _scan(reader: RedisReader, shards: int, spool: Spool, gathered: Gathered, *, whole: bool) -> None:
    """Find every actor. Orders are spooled, stock and suppliers read at once: there are few of them."""
    others: dict[int, set[Address]] = {shard: set() for shard in range(shards)}
    async for names in reader.names():
        guards: dict[str, list[str]] = {}
        for name in names:
            tag, _, rest = name.partition("}:")
            if rest.startswith("e:order:") and whole:
                spool.add(ORDER, rest[8:], None)
            elif rest.startswith("e:orchestrator:"):
                if whole:
                    spool.add(ORDER, rest[15:], None)
            elif rest.startswith("e:"):
                kind, _, id_ = rest[2:].partition(":")
                others[int(tag[2:])].add(Address(kind, id_))
            elif rest.startswith("g:"):
                guards.setdefault(tag, []).append(name)
        for found in guards.values():
            for guarded in await reader.guards(found):
                spool.add(GUARD, guarded.order, guarded.key)
    for shard, actors in others.items():
        await _other_actors(reader, shard, actors, spool, gathered)


async def _other_actors(
    reader: RedisReader, shard: int, actors: set[Address], spool: Spool, gathered: Gathered
) -> None:
    bases, snapshots = await reader.based(shard)
    findings = gathered.findings
    actors |= {Address(*name.split(":", 1)) for name in {*bases, *snapshots}}
    for actor in sorted(actors):
        findings.checked["A7"] += 1
        findings.checked["A9"] += 1
        record = await reader.record(shard, actor)
        has_base = record.version > len(record.events)
        if has_base != (record.snapshot is not None):
            what = "a base and no snapshot" if has_base else "a snapshot and no base"
            findings.add([Finding("A7", str(actor), f"has {what}: events are missing")])
            continue
        try:
            own = events.read(record.events)
            if actor.kind == "sku":
                shelf = ShelfBook(actor.id, record.snapshot, own)
                _file_shelf(shelf, spool, gathered)
            elif actor.kind == "supplier":
                book = TaskBook(actor.id, record.snapshot, own)
                findings.add(book.found)
                for task, order in book.live.items():
                    spool.add(TASK, order, (task, actor.id))
            elif actor.kind == "parking":
                findings.add(_parked(record.snapshot, own))
        except events.Unreadable as error:
            findings.add([Finding("A9", str(actor), str(error))])
        except (KeyError, TypeError, orjson.JSONDecodeError) as error:
            findings.add([Finding("A9", str(actor), f"its snapshot cannot be read: {error!r}")])


def _file_shelf(shelf: ShelfBook, spool: Spool, gathered: Gathered) -> None:
    gathered.findings.checked["A3"] += 1
    gathered.findings.add(shelf.found)
    gathered.shelves[shelf.sku] = (shelf.sold, shelf.exact)
    for order, units in shelf.reserved.items():
        spool.add(RESERVED, order, (shelf.sku, units))
    if shelf.exact:
        for order, units in shelf.sold_to.items():
            spool.add(SOLD, order, (shelf.sku, units))


def _parked(snapshot: bytes | None, own: Sequence[Happened]) -> list[Finding]:
    entries = dict(orjson.loads(snapshot)["state"]["entries"]) if snapshot else {}
    for happened in own:
        if happened.name == "parking.parked/1":
            entries[happened.fields["parked"]["id"]] = happened.fields["parked"]
        else:
            entries.pop(happened.fields.get("parked", ""), None)
    return [
        Finding(
            "A10", id_, f"a {entry['command_name']} to {entry['kind']}:{entry['actor']} is parked: {entry['cause']}"
        )
        for id_, entry in entries.items()
    ]


# --- across orders ---------------------------------------------------------------------------------------------------


def _totals(gathered: Gathered, result: PartResult) -> list[Finding]:
    """What SKUs with a snapshot have sold in all, against what orders keep. Where an intent is under way, it is not
    certain."""
    return [
        Finding("A9", f"sku:{sku}", f"its stored state has {sold} units sold, and orders keep {result.sold[sku]}")
        for sku, (sold, exact) in gathered.shelves.items()
        if not exact and sku not in result.unsettled and sold != result.sold[sku]
    ]


def _suspects(findings: Findings) -> frozenset[str]:
    named = {finding.order for found in findings.named.values() for finding in found if finding.order}
    return frozenset(sorted(named)[:SUSPECTS_MAX])


def _confirmed(before: Findings, again: Findings) -> Findings:
    """What was wrong with orders counts only if it still is: a system that runs is never seen at one instant."""
    kept = Findings()
    kept.checked, kept.notes = before.checked, before.notes
    for found in before.named.values():
        kept.add(finding for finding in found if not finding.order)
    for found in again.named.values():
        kept.add(finding for finding in found if finding.order)
    return kept


def _marks(case: Case, before: dict[str, Mark], after: dict[str, Mark]) -> list[Finding]:
    """Epochs and commit numbers against those of the last audit and of the beginning of this one."""
    path = case.data / "audit-marks.json"
    found = []
    known = {cell: Mark(*mark) for cell, mark in json.loads(path.read_text()).items()} if path.exists() else {}
    for earlier, later in ((known, before), (before, after)):
        for cell, mark in earlier.items():
            now = later.get(cell)
            if now is None:
                continue  # an actor that has no host of its own any more
            if now.epoch < mark.epoch:
                found.append(Finding("A7", f"shard {cell}", f"its epoch went from {mark.epoch} back to {now.epoch}"))
            if now.number < mark.number:
                found.append(
                    Finding("A7", f"shard {cell}", f"its commits went from {mark.number} back to {now.number}")
                )
    if not found:
        path.write_text(json.dumps(after) + "\n")
    return found


async def _rest(  # noqa: PLR0917
    reader: RedisReader, shards: int, state: str, case: Case, latest: Millis, findings: Findings
) -> None:
    """A10. In a stopped system what was under way goes on at the next start, unless it was overdue before."""
    now = latest if state == STOPPED else time.time_ns() // 1_000_000
    pending = 0
    for shard in range(shards):
        async for entry in reader.due(shard, now - OVERDUE_MS):
            findings.checked["A10"] += 1
            late_ms = now - entry.due.at
            if not entry.due.pending:
                findings.add([Finding("A10", str(entry.address), f"its timer is {late_ms / 1000:.0f} s overdue")])
                continue
            pending += 1
            if case.strict or state in (REST, STALLED):
                findings.add([Finding("A10", str(entry.address), "has an intent under way, and nothing moves")])
            elif late_ms > OVERDUE_MS:
                findings.add([Finding("A10", str(entry.address), f"has an intent {late_ms / 1000:.0f} s overdue")])
    if state in (REST, STALLED):
        findings.add(
            Finding("A10", f"shard {shard}", f"{count} commits have not reached the read side, and nothing moves")
            for shard, count in (await reader.unread(shards)).items()
        )
    findings.notes["A10"] = f"{state}, {pending:,} actors have intents under way" if pending else state
