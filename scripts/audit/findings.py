"""What an audit has found: per invariant how much was checked, and what is wrong, with names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

INVARIANTS: Mapping[str, str] = {
    "A1": "every accepted order exists exactly once, and none that nobody posted",
    "A2": "only legal transitions",
    "A3": "per SKU: received = available + reserved + sold, nothing negative",
    "A4": "confirmed: reserved and captured; cancelled: stock back, money never taken or returned",
    "A5": "captured once; captured - refunded = shares paid, owed and kept, as in the payment ledger",
    "A6": "no orphan reservation, hold, task or transfer",
    "A7": "versions without gaps, epochs only grow",
    "A8": "the same key gives the same answer",
    "A9": "replaying events gives what is stored",
    "A10": "nothing pending, overdue or undelivered",
}
NAMED_MAX = 100
"""Offending ids that are kept per invariant; the others are only counted."""


class Finding(NamedTuple):
    """One violation. offender: the id of what is wrong. order: the order to look at again, if it is about one."""

    invariant: str
    offender: str
    text: str
    order: str = ""

    def __str__(self) -> str:
        return f"{self.offender}: {self.text}"


class Findings:
    """Everything found so far. Findings of several processes can be added up."""

    def __init__(self) -> None:
        self.checked: Counter[str] = Counter()
        self.count: Counter[str] = Counter()
        self.named: dict[str, list[Finding]] = {name: [] for name in INVARIANTS}
        self.notes: dict[str, str] = {}

    def add(self, found: Iterable[Finding]) -> None:
        for finding in found:
            self.count[finding.invariant] += 1
            if len(self.named[finding.invariant]) < NAMED_MAX:
                self.named[finding.invariant].append(finding)

    def merge(self, other: Findings) -> None:
        self.checked.update(other.checked)
        self.count.update(other.count)
        for name, found in other.named.items():
            self.named[name] = (self.named[name] + found)[:NAMED_MAX]
        self.notes |= other.notes

    @property
    def passed(self) -> bool:
        return not self.count.total()

    def to_json(self) -> dict[str, Any]:
        """As `audit --json` writes it."""
        return {
            "passed": self.passed,
            "invariants": {
                name: {
                    "passed": not self.count[name],
                    "checked": self.checked[name],
                    "offending": [str(finding) for finding in self.named[name]],
                }
                for name in INVARIANTS
            },
        }

    def lines(self) -> list[str]:
        """One line for each invariant, and one for each offender that is kept."""
        shown = []
        for name, meaning in INVARIANTS.items():
            note = f" ({self.notes[name]})" if name in self.notes else ""
            verdict = f"FAILED {self.count[name]:,} times" if self.count[name] else "ok"
            shown.append(f"{name:<4} {verdict:<8} {self.checked[name]:>9,} checked  {meaning}{note}")
            shown += [f"       {finding}" for finding in self.named[name]]
            if self.count[name] > len(self.named[name]):
                shown.append(f"       and {self.count[name] - len(self.named[name]):,} more")
        return shown
