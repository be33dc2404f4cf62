"""Everything the sandbox knows, in memory, and the only way to change it: a `Work` that commits in one piece."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from sys import intern
from typing import Any, TypeVar, cast, get_type_hints

from scripts.sandbox.idempotency import Keys, Saved
from scripts.sandbox.ledger import Ledger
from scripts.sandbox.log import FORMAT, Log, LogUnusable
from scripts.sandbox.records import (
    KIND_OF,
    KINDS,
    Account,
    Charge,
    Dispute,
    Entry,
    Event,
    Json,
    PaymentIntent,
    PaymentMethod,
    Record,
    Refund,
    Reversal,
    Transfer,
    WebhookEndpoint,
)
from scripts.sandbox.tables import Table

R = TypeVar("R", bound=tuple[Any, ...])
Due = Callable[[Record], int]

_TUPLES: dict[str, tuple[int, ...]] = {
    kind: tuple(place for place, hint in enumerate(get_type_hints(row).values()) if "tuple[" in str(hint))
    for kind, row in KINDS.items()
}
_REQUIRED = object()
_DEFAULTS: dict[type[Any], tuple[Any, ...]] = {
    row: tuple(row._field_defaults.get(name, _REQUIRED) for name in row._fields) for row in KINDS.values()
}


@dataclass(frozen=True)
class Settings:
    """What a sandbox is started with. Money is in minor units, times in seconds unless the name says otherwise."""

    seed: str = "0"
    fee_bps: int = 0
    fee_fixed: int = 0
    dispute_fee: int = 0
    settlement_days: int = 2
    hold_s: int = 7 * 86_400
    dispute_answer_s: int = 7 * 86_400
    refund_settles_s: int = 60
    minimum_charge: bool = True
    events_kept: int = 100_000
    base_url: str = "http://127.0.0.1:12111"
    platform: str = "acct_sandboxplatform"


class Work:
    """The changes of one request: nothing of it is seen by anyone else before `Store.commit`."""

    def __init__(self, store: Store, now: int, request_id: str | None = None, key: str | None = None) -> None:
        self.store = store
        self.now = now
        self.request_id = request_id
        self.key = key
        self.written: dict[str, Record] = {}
        self.events: list[tuple[str, str, Json | None]] = []

    def put(self, record: Record) -> None:
        """Insert or replace a record."""
        self.written[record.id] = record

    def find(self, table: Table[R], id: str) -> R | None:
        """A record as this request sees it."""
        mine = self.written.get(id)
        return cast(R, mine) if mine is not None else table.rows.get(id)

    def post(self, entry: Entry) -> Entry:
        """Add an entry to the ledger. Raises LedgerImbalance if it does not balance."""
        Ledger.check(entry)
        self.put(entry)
        return entry

    def emit(self, type: str, object_id: str, previous: Json | None = None) -> None:
        """An event about an object; it shows the object as the request leaves it."""
        self.events.append((type, object_id, previous))


class Store:
    """All tables, the ledger, idempotency keys, timers and events of one sandbox."""

    def __init__(self, settings: Settings, due: Due, log: Log | None = None) -> None:
        self.settings = settings
        self.ordinal = 0
        self.suffix = _suffix(settings.seed)
        self.on_event: Callable[[Event], None] | None = None
        self._due = due
        self._log = log
        self.clear()

    def clear(self) -> None:
        """Forget everything but the ids given so far, which never come again."""
        self.payment_intents: Table[PaymentIntent] = Table(PaymentIntent)
        self.charges: Table[Charge] = Table(Charge, "payment_intent", "transfer_group")
        self.refunds: Table[Refund] = Table(Refund, "charge", "payment_intent")
        self.transfers: Table[Transfer] = Table(Transfer, "transfer_group", "destination")
        self.reversals: Table[Reversal] = Table(Reversal, "transfer")
        self.accounts: Table[Account] = Table(Account)
        self.payment_methods: Table[PaymentMethod] = Table(PaymentMethod)
        self.disputes: Table[Dispute] = Table(Dispute, "charge", "payment_intent")
        self.webhook_endpoints: Table[WebhookEndpoint] = Table(WebhookEndpoint)
        self.entries: Table[Entry] = Table(Entry)
        self.tables: dict[str, Table[Any]] = {
            "payment_intent": self.payment_intents, "charge": self.charges, "refund": self.refunds,
            "transfer": self.transfers, "transfer_reversal": self.reversals, "account": self.accounts,
            "payment_method": self.payment_methods, "dispute": self.disputes,
            "webhook_endpoint": self.webhook_endpoints, "entry": self.entries,
        }  # fmt: skip
        self.ledger = Ledger()
        self.keys = Keys()
        self.events: dict[str, Event] = {}
        self.undelivered: dict[str, set[str]] = {}  # event id -> endpoint ids that have not acknowledged it
        self.timers: list[tuple[int, str]] = []
        self.clock_offset_s = 0
        self._now = 0
        self.broken = ""

    @property
    def durable(self) -> bool:
        """Whether there is a log."""
        return self._log is not None

    @property
    def log_bytes(self) -> int:
        """How long the log is; 0 without one."""
        return self._log.size_bytes if self._log is not None else 0

    def now(self) -> int:
        """The sandbox's time in Unix seconds; it never goes back."""
        self._now = max(self._now, int(time.time()) + self.clock_offset_s)
        return self._now

    def new_id(self, prefix: str) -> str:
        """A fresh id. Ids count upwards, so that sorting them gives the order of creation."""
        self.ordinal += 1
        return f"{prefix}{self.ordinal:010d}{self.suffix}"

    def commit(self, work: Work, outcome: Callable[[], Saved] | None = None) -> None:
        """Make a request's changes real, in memory and then in the log; only then may it be answered. `outcome` is
        called in between, when the changes can be seen, and what it returns is kept under the work's key.

        Raises OSError if the log refuses, LedgerImbalance if the books do not balance: then the sandbox is broken and
        serves nothing more, because what it would answer might not be true.
        """
        if not work.written and not work.events and outcome is None:
            return
        events = [(self.new_id("evt_1"), *event) for event in work.events]
        try:
            self._apply(work, events)
            self.ledger.assert_balanced()
            saved = outcome() if outcome is not None else None
            if self._log is not None:
                self._log.append(_line(self.ordinal, work, events, saved))
            if saved is not None and work.key is not None:
                self.keys.save(work.key, saved)
        except Exception as error:
            self.stop(error)
            raise
        if self.on_event is not None:
            for event in events:
                if event[0] in self.undelivered:
                    self.on_event(self.events[event[0]])

    def stop(self, error: Exception) -> None:
        """Refuse everything from now on: `error` is a bug, or a disk that is full. The first one counts."""
        self.broken = self.broken or f"{type(error).__name__}: {error}"

    def _apply(self, work: Work, events: Iterable[tuple[str, str, str, Json | None]]) -> None:
        for id, record in work.written.items():
            table = self.tables[KIND_OF[type(record)]]
            old = table.rows.get(id)
            table.put(id, record)
            if type(record) is Entry:
                self.ledger.apply(record)
                continue
            due = self._due(record)
            if due and (old is None or self._due(old) != due):
                heapq.heappush(self.timers, (due, id))
        for event in events:
            self._occur(work, *event)

    def _occur(self, work: Work, id: str, type: str, object_id: str, previous: Json | None) -> None:
        event = Event(id, work.now, type, self.record(object_id, work), previous, work.request_id, work.key)
        self.events[id] = event
        wanted = {endpoint.id for endpoint in self.webhook_endpoints.rows.values() if wants(endpoint, type)}
        if wanted:
            self.undelivered[id] = wanted
        if len(self.events) > self.settings.events_kept:
            oldest = next(iter(self.events))
            del self.events[oldest]
            self.undelivered.pop(oldest, None)

    def record(self, id: str, work: Work | None = None) -> Record:
        """The record of any kind with this id. Raises KeyError."""
        if work is not None and id in work.written:
            return work.written[id]
        for table in self.tables.values():
            if id in table.rows:
                return cast(Record, table.rows[id])
        raise KeyError(id)

    def acknowledge(self, event_id: str, endpoint_id: str) -> None:
        """A webhook endpoint has taken an event, or nobody will try it any more."""
        waiting = self.undelivered.get(event_id)
        if waiting is None or endpoint_id not in waiting:
            return
        if self._log is not None:
            self._log.append({"a": [event_id, endpoint_id]})
        waiting.discard(endpoint_id)
        if not waiting:
            del self.undelivered[event_id]

    def advance(self, seconds: int) -> None:
        """Move the sandbox's clock forward for good."""
        self.clock_offset_s += seconds
        if self._log is not None:
            self._log.append({"c": self.clock_offset_s})

    def recover(self) -> int:
        """Read the log and rebuild the state; returns the number of items. Raises LogUnusable."""
        if self._log is None:
            return 0
        fields: dict[str, list[str]] = {kind: list(row._fields) for kind, row in KINDS.items()}
        count = 0
        for item in self._log.replay():
            if count == 0:
                fields = _header(item, self._log)
                self.suffix = item["suffix"]
            elif "w" in item:
                self._replay(item, fields)
            elif "a" in item:
                waiting = self.undelivered.get(item["a"][0], set())
                waiting.discard(item["a"][1])
                if not waiting:
                    self.undelivered.pop(item["a"][0], None)
            elif "c" in item:
                self.clock_offset_s = item["c"]
            count += 1
        if count == 0:
            self._log.append({"format": FORMAT, "suffix": self.suffix, "fields": fields})
        self.ledger.assert_balanced()
        return count

    def _replay(self, item: dict[str, Any], fields: dict[str, list[str]]) -> None:
        self.ordinal = item["n"]
        self._now = max(self._now, item["t"])
        key, *outcome = item["k"] or (None,)
        work = Work(self, item["t"], item["r"], key)  # what follows mirrors `commit`
        for kind, values in item["w"]:
            work.put(_record(kind, values, fields[kind]))
        self._apply(work, item["e"])
        if key is not None:
            endpoint, fingerprint, status, object_id, body = outcome
            endpoint = intern(endpoint)
            record = self.record(object_id) if object_id else None
            self.keys.save(key, Saved(work.now, endpoint, fingerprint, status, item["r"], record, body))


def wants(endpoint: WebhookEndpoint, type: str) -> bool:
    """Whether an endpoint is enabled and subscribed to events of this type."""
    if endpoint.deleted or endpoint.status != "enabled":
        return False
    return "*" in endpoint.enabled_events or type in endpoint.enabled_events


def _line(ordinal: int, work: Work, events: list[tuple[str, str, str, Json | None]], saved: Saved | None) -> Json:
    outcome: list[Any] | None = None
    if saved is not None:
        object_id = saved.record.id if saved.record is not None else None
        outcome = [work.key, saved.endpoint, saved.digest, saved.status, object_id, saved.body]
    return {
        "n": ordinal,
        "t": work.now,
        "r": work.request_id,
        "w": [(KIND_OF[type(record)], _compact(record)) for record in work.written.values()],
        "e": events,
        "k": outcome,
    }


def _compact(record: Record) -> tuple[Any, ...]:
    """A record's fields without the trailing ones that have their default value: two thirds of the bytes."""
    defaults = _DEFAULTS[type(record)]
    used = len(record)
    while used and record[used - 1] == defaults[used - 1]:
        used -= 1
    return record[:used]


def _header(item: dict[str, Any], log: Log) -> dict[str, list[str]]:
    if item.get("format") != FORMAT:
        raise LogUnusable(f"{log.path} has format {item.get('format')}, this sandbox writes format {FORMAT}")
    fields: dict[str, list[str]] = item["fields"]
    return fields


def _record(kind: str, values: list[Any], fields: list[str]) -> Record:
    row = KINDS[kind]
    if fields != list(row._fields):
        known = set(row._fields)
        values = list(row(**{name: value for name, value in zip(fields, values, strict=False) if name in known}))
    shared = [intern(value) if type(value) is str else value for value in values]  # an id occurs in many records
    for place in _TUPLES[kind]:
        value = shared[place] if place < len(shared) else None
        if isinstance(value, list):
            shared[place] = tuple((intern(part[0]), part[1]) if isinstance(part, list) else part for part in value)
    return cast(Record, row(*shared))


def _suffix(seed: str) -> str:
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(alphabet[byte % len(alphabet)] for byte in blake2b(seed.encode(), digest_size=10).digest())
