"""SKUs and suppliers as their stored records tell: a snapshot, if there is one, and the events after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from models.identity import order_of
from scripts.audit.findings import Finding
from scripts.simulation.history import Happened


def rows_in(stored: Any) -> dict[str, Any]:
    """The rows of a stored `models.rows.Rows`; older records have them in two levels, and their number.
    Raises TypeError if it is none."""
    if not isinstance(stored, dict):
        raise TypeError(f"rows are stored as an object, not as {stored!r}")
    if stored.keys() != {"size", "branches"}:
        return stored
    leaves = [leaf for branch in stored["branches"].values() for leaf in branch.values()]
    return {key: row for leaf in leaves for key, row in leaf.items()}


class ShelfBook:
    """One SKU. reserved: units by order. sold_to: units by order, as far as the record goes back; exact if it has no
    snapshot, so that it goes back to the beginning."""

    def __init__(self, sku: str, snapshot: bytes | None, events: Sequence[Happened]) -> None:
        self.sku = sku
        self.received = self.available = self.reserved_units = self.sold = 0
        self.reserved: dict[str, int] = {}
        self.sold_to: dict[str, int] = {}
        self.exact = snapshot is None
        self.found: list[Finding] = []
        self._balanced = True
        if snapshot is not None:
            self._begin(orjson.loads(snapshot)["state"])
        for happened in events:
            self._count(happened)

    def _wrong(self, invariant: str, text: str) -> None:
        self.found.append(Finding(invariant, f"sku:{self.sku}", text))

    def _begin(self, state: dict[str, Any]) -> None:
        self.received, self.available, self.sold = state["received"], state["available"], state["sold"]
        self.reserved, self.reserved_units = dict(rows_in(state["live"])), state["reserved"]
        self._balance("its snapshot")
        if sum(self.reserved.values()) != self.reserved_units:
            self._wrong("A9", f"its snapshot has {state['reserved']} reserved, its rows {sum(self.reserved.values())}")

    def _count(self, happened: Happened) -> None:
        fields = happened.fields
        order, quantity = fields.get("order", ""), fields.get("quantity", 0)
        match happened.name:
            case "sku.received/1":
                self.received += quantity
                self.available += quantity
            case "sku.reserved/1":
                if order in self.reserved or order in self.sold_to:
                    self._wrong("A2", f"{order} reserves twice")
                self.reserved[order] = self.reserved.get(order, 0) + quantity
                self.reserved_units += quantity
                self.available -= quantity
            case "sku.released/1":
                units = self.reserved.pop(order, 0)
                self.reserved_units -= units
                self.available += units
            case "sku.sold/1":
                if order not in self.reserved:
                    self._wrong("A2", f"{order} buys what it has not reserved")
                units = self.reserved.pop(order, 0)
                self.reserved_units -= units
                self.sold += units
                self.sold_to[order] = self.sold_to.get(order, 0) + units
            case "sku.restocked/1":
                self.sold_to[order] = self.sold_to.get(order, 0) - quantity
                self.sold -= quantity
                self.available += quantity
        self._balance(f"{happened.name} {order}")

    def _balance(self, after: str) -> None:
        """The first imbalance is reported; all that follow from it are not."""
        counts = (self.received, self.available, self.reserved_units, self.sold)
        if self._balanced and (min(counts) < 0 or self.received != sum(counts[1:])):
            self._balanced = False
            text = "received {}, available {}, reserved {}, sold {}".format(*counts)
            self._wrong("A3", f"{text} after {after.strip()}")


class TaskBook:
    """One supplier: its live tasks, with the order of each."""

    def __init__(self, supplier: str, snapshot: bytes | None, events: Sequence[Happened]) -> None:
        self.supplier = supplier
        self.live: dict[str, str] = {}
        self.found: list[Finding] = []
        if snapshot is not None:
            state = orjson.loads(snapshot)["state"]
            self.live = {task: order_of(task) or task for task in rows_in(state["live"])}
        for happened in events:
            task = happened.fields.get("task", "")
            match happened.name:
                case "supplier.task_offered/1" | "supplier.task_accepted/1":
                    if task in self.live:
                        self.found.append(Finding("A2", f"supplier:{supplier}", f"{task} is offered twice"))
                    self.live[task] = happened.fields["order"]
                case "supplier.task_withdrawn/1" | "supplier.task_closed/1":
                    self.live.pop(task, None)
