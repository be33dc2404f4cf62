"""Everything that was ever stored, in order, read from the journal's streams as it is written, before any snapshot
replaces it. Knows events by their stored names and JSON alone, not by the classes that decide or fold them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from actors.runtime.local_journal import MemoryStore
from actors.runtime.ports import Cell
from models.decision import Address


class Happened(NamedTuple):
    name: str
    fields: dict[str, Any]
    stored: bytes


class Shelf:
    """One SKU's stock, counted independently of its machine. `rows` are units reserved or sold, by order."""

    def __init__(self) -> None:
        self.received = 0
        self.available = 0
        self.reserved: dict[str, int] = {}
        self.sold: dict[str, int] = {}

    def count(self, happened: Happened) -> str:
        """Take one event in; what it breaks, or ''."""
        fields = happened.fields
        order, quantity = fields.get("order", ""), fields.get("quantity", 0)
        match happened.name:
            case "sku.received/1":
                self.received += quantity
                self.available += quantity
            case "sku.reserved/1":
                if order in self.reserved or order in self.sold:
                    return f"{order} reserves twice"
                self.reserved[order] = quantity
                self.available -= quantity
            case "sku.released/1":
                self.available += self.reserved.pop(order, 0)
            case "sku.sold/1":
                if order not in self.reserved:
                    return f"{order} buys what it has not reserved"
                self.sold[order] = self.sold.get(order, 0) + self.reserved.pop(order)
            case "sku.restocked/1":
                self.sold[order] = self.sold.get(order, 0) - quantity
                self.available += quantity
                if self.sold[order] < 0:
                    return f"{order} returns more than it bought"
        if self.available < 0:
            return f"{self.available} units are available after {order} {happened.name}"
        if self.received != self.available + sum(self.reserved.values()) + sum(self.sold.values()):
            return f"received {self.received} is not available + reserved + sold after {happened.name}"
        return ""


EVENTS_MAX = 400
"""Of one actor. Several times what any good run has: whoever has more goes round in circles."""


class History:
    """Watches a store. Versions (A7), epochs (A7) and stock (A3) are checked at every commit.

    endless: called when an actor's events come to no end.
    """

    def __init__(self, store: MemoryStore, shards: int, endless: Callable[[], None]) -> None:
        self.of: defaultdict[Address, list[Happened]] = defaultdict(list)
        self.shelves: defaultdict[str, Shelf] = defaultdict(Shelf)
        self.violations: list[str] = []
        self._store = store
        self._endless = endless
        self._epochs: dict[Cell, int] = {}
        for number in range(shards):
            store.shard(number).streaming = True

    def witness(self, cell: Cell, _owner: str) -> None:
        """A commit or an acquisition has just been carried out."""
        shard = self._store.shard(cell.shard)
        epoch = shard.lock(cell).epoch
        if epoch < self._epochs.get(cell, 0):
            self.violations.append(f"A7: the epoch of {cell} went from {self._epochs[cell]} back to {epoch}")
        self._epochs[cell] = epoch
        entries, shard.stream[:] = list(shard.stream), []
        for entry in entries:
            for address, version, events in entry.appends:
                self._take_in(address, version, events)

    def _take_in(self, address: Address, version: int, events: Any) -> None:
        known = self.of[address]
        if version != len(known):
            self.violations.append(f"A7: {address} has {len(known)} events, and its next one is number {version + 1}")
        if len(known) > EVENTS_MAX:
            self._endless()
        for stored in events:
            name, _, body = stored.partition(b" ")
            happened = Happened(name.decode(), orjson.loads(body), stored)
            known.append(happened)
            if address.kind == "sku":
                wrong = self.shelves[address.id].count(happened)
                if wrong:
                    self.violations.append(f"A3: {address}: {wrong}")

    def kind(self, kind: str) -> dict[str, list[Happened]]:
        """Histories of one kind of actor, by id."""
        return {address.id: events for address, events in self.of.items() if address.kind == kind}
