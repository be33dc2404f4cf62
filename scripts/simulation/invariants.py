"""The judge: invariants A1 to A10 of design section 6, from what is stored, what the bank did, and what clients were
told. It shares no code with the machines it judges, except where a stored record is replayed (A9)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from actors.runtime.archive import Damaged, opened
from actors.runtime.codec import replay
from actors.runtime.kind import Kinds
from actors.runtime.local_archive import MemoryArchive
from actors.runtime.local_journal import MemoryStore
from models.decision import Address, Millis
from scripts.simulation.bank import Bank, Hold
from scripts.simulation.client import Receipts
from scripts.simulation.history import Happened, History
from scripts.simulation.host import SimulatedHost
from scripts.simulation.order_book import OrderBook, Parcel
from scripts.simulation.scenario import Scenario

SOON_MS = 3600_000
DAY_MS = 86_400_000
PATIENCE_S = 60


class Evidence(NamedTuple):
    """All that the judge looks at, at rest."""

    history: History
    bank: Bank
    receipts: Receipts
    store: MemoryStore
    archive: MemoryArchive
    kinds: Kinds
    hosts: list[SimulatedHost]
    plan: Scenario
    now: Millis


def judge(evidence: Evidence) -> list[str]:
    """Every violation, each beginning with the invariant's name."""
    books = {id_: OrderBook(id_, events) for id_, events in evidence.history.kind("order").items()}
    held = list(evidence.bank.books.holds.values())
    holds = defaultdict(list)
    for hold in held:
        holds[hold.order].append(hold)
    found = [*evidence.history.violations, *(f"A5: {outrage}" for outrage in evidence.bank.outrages)]
    found += [f"A8: {broken}" for broken in evidence.receipts.broken]
    found += _existence(evidence, books)
    for id_, book in books.items():
        found += [f"A2: {id_}: {wrong}" for wrong in book.wrong]
        found += [f"A4: {id_}: {wrong}" for wrong in _ended(book)]
        found += [f"A4: {id_}: {wrong}" for wrong in _stock(evidence.history, book)]
        found += [f"A5: {id_}: {wrong}" for wrong in _charge(book, holds[id_])]
        found += [f"A5: {id_}: {wrong}" for wrong in _shares(evidence.bank, book)]
    found += [f"A6: {hold.id} of {hold.order}: {hold.status}" for hold in held if hold.order not in books]
    found += _orphans(evidence, books)
    found += _answers(evidence, books)
    found += _records(evidence)
    found += _archive(evidence)
    found += _rest(evidence, books)
    return found


# --- A1 --------------------------------------------------------------------------------------------------------------


def _existence(evidence: Evidence, books: dict[str, OrderBook]) -> Iterator[str]:
    receipts = evidence.receipts
    for id_ in books:
        if id_ not in receipts.minted:
            yield f"A1: nobody posted {id_}"
    for key, id_ in receipts.placed.items():
        if id_ not in books:
            yield f"A1: {id_} was accepted under {key} and does not exist"
        if receipts.minted.get(id_) != key:
            yield f"A1: {key} was answered with {id_}, which was not posted under it"
    for id_ in receipts.unkeyed:
        if id_ not in books:
            yield f"A1: {id_} was accepted and does not exist"
    of_key = Counter(receipts.minted[id_] for id_ in books if receipts.minted.get(id_))
    for key, count in of_key.items():
        if count > 1:
            yield f"A1: {key} placed {count} orders"


# --- A4 --------------------------------------------------------------------------------------------------------------


def _ended(book: OrderBook) -> Iterator[str]:
    if any(parcel.status in ("pending", "offered", "accepted") for parcel in book.parcels):
        yield f"rests at {[parcel.status for parcel in book.parcels]} and {book.payment}"
    if book.live:
        if book.payment not in ("captured", "not_required", "voided"):
            yield f"is confirmed with a payment that is {book.payment}"
        for parcel in book.live:
            worth = sum(
                book.lines[n - 1]["quantity"] * book.lines[n - 1]["unit_amount"]
                for n in parcel.lines
                if n not in parcel.dropped
            )
            if parcel.captured != worth:
                yield f"consignment {parcel.number} is worth {worth}, and {parcel.captured} was captured"
        return
    if not book.cancel_reason:
        yield "has ended without a reason"
    if book.payment not in ("voided", "declined", "captured", "not_required"):
        yield f"is cancelled with a payment that is {book.payment}"
    if book.captured and book.refunded < book.captured - book.fees:
        yield f"is cancelled, and {book.refunded} of {book.captured} was refunded, less {book.fees}"


def _stock(history: History, book: OrderBook) -> Iterator[str]:
    wanted = book.sold_units()
    for sku, shelf in history.shelves.items():
        if shelf.reserved.get(book.id):
            yield f"A6: {shelf.reserved[book.id]} of {sku} are still reserved"
        if shelf.sold.get(book.id, 0) != wanted.get(sku, 0):
            yield f"keeps {wanted.get(sku, 0)} of {sku}, and {shelf.sold.get(book.id, 0)} are sold to it"


# --- A5 --------------------------------------------------------------------------------------------------------------


def _charge(book: OrderBook, holds: list[Hold]) -> Iterator[str]:
    """The order's payment against the bank's books."""
    for hold in holds:
        if hold.status == "held":
            yield f"A6: {hold.id} still holds {hold.amount}"
    charged = [hold for hold in holds if hold.status == "captured"]
    if len(charged) > 1:
        yield f"is charged {len(charged)} times"
    captured, refunded = sum(h.captured for h in charged), sum(h.refunded for h in charged)
    if captured != book.captured:
        yield f"says that {book.captured} was captured, and the bank {captured}"
    if refunded != book.refunded:
        yield f"says that {book.refunded} was refunded, and the bank {refunded}"
    if charged and charged[0].charge != book.charge:
        yield f"says that its charge is {book.charge}, and the bank {charged[0].charge}"
    for id_, refund in book.refunds.items():
        if refund["status"] == "pending":
            yield f"refund {id_} is pending at rest"


def _shares(bank: Bank, book: OrderBook) -> Iterator[str]:
    """Captured less refunded is what parties have, are owed or owe, per consignment, and as the bank has it."""
    digits = book.id[4:]
    for parcel in book.parcels:
        if not parcel.shares:
            if parcel.paid:
                yield f"consignment {parcel.number} was paid out and never captured"
            continue
        if len(parcel.shares) != len(parcel.parties):
            yield f"consignment {parcel.number} has {len(parcel.shares)} shares for {len(parcel.parties)} parties"
            continue
        payouts = [p for p in bank.books.payouts.values() if p.consignment == f"cns_{digits}_{parcel.number}"]
        total = 0
        for index, (role, name, account) in enumerate(parcel.parties):
            own = [p for p in payouts if p.party == f"{role}:{name}"]
            banked = sum(p.amount - p.reversed for p in own)
            debt = parcel.debts.get(index, 0)
            if banked != parcel.net_paid(index):
                yield f"{role} {name} of {parcel.number} has {banked}, the order says {parcel.net_paid(index)}"
            if account and role != "platform":
                if banked - debt != parcel.due(index):
                    yield f"{role} {name} of {parcel.number} has {banked}, owes {debt}, is due {parcel.due(index)}"
                total += banked - debt
            else:
                if banked:
                    yield f"{role} {name} of {parcel.number} has no account and got {banked}"
                total += parcel.due(index)
        if total != parcel.captured - parcel.refunded:
            yield f"consignment {parcel.number}: {total} is not {parcel.captured} less {parcel.refunded}"
        if len(payouts) != sum(1 for p in payouts if p.id in parcel.paid):
            yield f"A6: consignment {parcel.number} has transfers that the order does not know"


# --- A6 --------------------------------------------------------------------------------------------------------------


def _orphans(evidence: Evidence, books: dict[str, OrderBook]) -> Iterator[str]:
    for sku, shelf in evidence.history.shelves.items():
        for id_ in [*shelf.reserved, *shelf.sold]:
            if id_ not in books:
                yield f"A6: {sku} keeps stock for {id_}, which does not exist"
    for payout in evidence.bank.books.payouts.values():
        if payout.order not in books:
            yield f"A6: {payout.id} was paid for {payout.order}, which does not exist"
    for supplier, events in evidence.history.kind("supplier").items():
        yield from _tasks(supplier, events, books, evidence.plan)


def _tasks(supplier: str, events: list[Any], books: dict[str, OrderBook], plan: Scenario) -> Iterator[str]:
    live: dict[str, Parcel | None] = {}
    taken: Counter[int] = Counter()
    day_of: dict[str, int] = {}
    capacity = next(s.daily_capacity for s in plan.suppliers if s.supplier == supplier)
    for happened in events:
        task = happened.fields.get("task", "")
        day = happened.fields["at"] // DAY_MS
        match happened.name:
            case "supplier.task_offered/1" | "supplier.task_accepted/1":
                book = books.get(happened.fields["order"])
                number = int(task.rpartition("_")[2])
                live[task] = book.parcels[number - 1] if book and number <= len(book.parcels) else None
                day_of[task] = day
                taken[day] += 1
                if capacity is not None and taken[day] > capacity:
                    yield f"A6: {supplier} has {taken[day]} tasks on one day, and room for {capacity}"
            case "supplier.task_withdrawn/1" | "supplier.task_closed/1":
                if live.pop(task, None) is not None and happened.name.endswith("withdrawn/1"):
                    taken[day_of[task]] -= 1
    for task, parcel in live.items():
        if parcel is None:
            yield f"A6: {supplier} has {task}, which no order knows"
        elif parcel.status not in ("confirmed", "in_production", "asked", "dispatched"):
            yield f"A6: {supplier} still has {task}, which is {parcel.status}"


# --- A8 --------------------------------------------------------------------------------------------------------------


def _answers(evidence: Evidence, books: dict[str, OrderBook]) -> Iterator[str]:
    """What was answered OK under a command id has happened once."""
    received: Counter[str] = Counter()
    refunds: Counter[tuple[str, str]] = Counter()
    for id_, book in books.items():
        refunds.update((id_, reason) for reason in book.requests)
    for command_id, (to, command) in evidence.receipts.applied.items():
        if type(command).__name__ == "ReceiveStock":
            received[to.id] += command.quantity  # type: ignore[attr-defined]
        if type(command).__name__ == "RefundOrder" and not refunds[to.id, command_id]:
            yield f"A8: {to} has no refund for {command_id}"
    for (id_, reason), count in refunds.items():
        if count > 1:
            yield f"A8: {id_} has {count} refunds for {reason}"
    for sku, shelf in evidence.history.shelves.items():
        if shelf.received != received[sku]:
            yield f"A8: {sku} received {shelf.received}, and {received[sku]} was delivered"
    for address, events in evidence.history.of.items():
        answered = Counter(h.fields["command_id"] for h in events if h.name == "actor.answered/1")
        for command_id, count in answered.items():
            if count > 1:
                yield f"A8: {address} has answered {command_id} {count} times"
        yield from _matches(address, events, evidence.receipts.matched)


def _matches(address: Address, events: list[Happened], matched: dict[str, int]) -> Iterator[str]:
    """What was asked of one version only (`If-Match`) was decided at it: one turn leads from there to its answer."""
    for number, happened in enumerate(events):
        if happened.name == "actor.answered/1" and happened.fields["command_id"] in matched:
            version = matched[happened.fields["command_id"]]
            turn = events[version : number + 1]
            if not turn or any(one.fields["at"] != happened.fields["at"] for one in turn):
                yield f"A8: {address} decided at another version than {version}, which it was asked of"


# --- A7, A9 ----------------------------------------------------------------------------------------------------------


def _records(evidence: Evidence) -> Iterator[str]:
    """Stored records against the whole history, and against what hosts hold in memory."""
    states: dict[Address, Any] = {}
    for address, events in evidence.history.of.items():
        kind = evidence.kinds[address.kind]
        try:
            states[address], _ = replay(kind, None, [happened.stored for happened in events])
        except Exception as error:  # whatever a fold raises on a record that no decider can have made
            yield f"A9: {address} cannot be replayed: {error!r}"
    for shard in evidence.store.contents.shards.values():
        for address, actor in shard.actors.items():
            if actor.version != len(evidence.history.of[address]):
                yield f"A7: {address} is at {actor.version}, with {len(evidence.history.of[address])} events"
                continue
            if address not in states:
                continue
            stored, _ = replay(evidence.kinds[address.kind], actor.snapshot, actor.events)
            if stored != states[address]:
                yield f"A9: {address}: its record stands for another state than its history"
    for host in evidence.hosts:
        for owned in host.core.cells.values():
            if evidence.store.shard(owned.cell.shard).lock(owned.cell).owner != host.owner:
                continue  # fenced, and has not noticed yet
            for resident in owned.residents.values():
                for name, member in resident.members.items():
                    address = Address(name, resident.home.id)
                    if not resident.loading and member.state != states.get(address, member.kind.initial):
                        yield f"A9: {address} in {host.owner} is not what is stored"


def _archive(evidence: Evidence) -> Iterator[str]:
    """Whatever has happened is in the journal or in the archive; where it is in both, the journal's goes on from what
    was archived."""
    history = {address: [happened.stored for happened in own] for address, own in evidence.history.of.items()}
    stored = {address for shard in evidence.store.contents.shards.values() for address in shard.actors}
    archived: set[Address] = set()
    for rows in evidence.archive.rows.values():
        for kept in rows.values():
            record = opened(kept)
            if isinstance(record, Damaged):
                yield f"A9: the archive's record of {record.home} is damaged: {record.cause}"
                continue
            for kind, events in record.members.items():
                address = Address(kind, record.home.id)
                archived.add(address)
                all_of_them = history.get(address, [])
                if list(events) != all_of_them[: len(events)]:
                    yield f"A9: {address} is archived with events that it has not had"
                elif address not in stored and len(events) != len(all_of_them):
                    yield f"A1: {address} has {len(all_of_them)} events, and in the archive alone {len(events)}"
    for address in history:
        if address not in stored and address not in archived:
            yield f"A1: {address} is neither in the journal nor in the archive"


# --- A10 -------------------------------------------------------------------------------------------------------------


def _rest(evidence: Evidence, books: dict[str, OrderBook]) -> Iterator[str]:
    for id_, book in books.items():
        for reason in book.attention:
            if reason not in ("debt", "refund_failed"):
                yield f"A10: {id_} needs a person: {reason}"
    for address, due in pending(evidence.store, evidence.now):
        yield f"A10: {address} still has something to do at {due.at - evidence.now:+d} ms"
    for events in evidence.history.kind("parking").values():
        for happened in events:
            yield f"A10: parked: {happened.fields.get('parked')}"


def forgotten(evidence: Evidence) -> list[str]:
    """Intents that count as under way while nothing in the world is: nobody will ask again before they are overdue."""
    return [
        f"A10: {resident.home.id} waits for {name}, which nobody is doing"
        for host in evidence.hosts
        for owned in host.core.cells.values()
        for resident in owned.residents.values()
        if "orchestrator" in resident.members and not owned.unproven
        for saga in [resident.members["orchestrator"].state]
        for name, intent in saga.intents.items()
        if not intent.waiting and name not in saga.results and intent.again_at > evidence.now + 1000 * PATIENCE_S
    ]


def pending(store: MemoryStore, now: Millis) -> list[tuple[Address, Any]]:
    """Due entries that keep the world from being at rest: pending intents, and timers within the hour."""
    return [
        (address, due)
        for shard in store.contents.shards.values()
        for address, due in shard.due.items()
        if due.pending or due.at <= now + SOON_MS
    ]
