"""What a load test has measured, interval by interval and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.load.cpu import CLIENT
from scripts.load.latencies import Latencies
from scripts.load.plan import Plan

COUNTS = ("sent", "accepted", "confirmed", "unfinished", "requests", "errors")


@dataclass
class Counts:
    """Everything that was counted in one interval, or in all of them."""

    sent: int = 0
    accepted: int = 0
    confirmed: int = 0
    unfinished: int = 0
    requests: int = 0
    errors: int = 0
    cancelled: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    acceptance: Latencies = field(default_factory=Latencies)
    completion: Latencies = field(default_factory=Latencies)
    send_lag: Latencies = field(default_factory=Latencies)

    def add(self, tally: Mapping[str, Any]) -> None:
        """What a client has reported."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + tally[name])
        self.cancelled.update(tally["cancelled"])
        self.refused.update(tally["refused"])
        for name in ("acceptance", "completion", "send_lag"):
            getattr(self, name).add(Latencies.from_json(tally[name]))

    @property
    def ended(self) -> int:
        return self.confirmed + self.cancelled.total()


@dataclass
class Diary:
    """What happened when, for who wants to lay it beside something else. Times are those of `time.monotonic`.

    lives:    of each order that was accepted: when it was due, when its end was seen (or waited for no longer), and
              which it is; those apart that the client accepts as a supplier.
    troubles: answers that made the client ask again or give up: when, and the status (0: there was no answer).
    """

    lives: list[tuple[float, float, str]] = field(default_factory=list)
    troubles: list[tuple[float, int]] = field(default_factory=list)

    def add(self, tally: Mapping[str, Any]) -> None:
        """What a client has reported."""
        self.lives += (tuple(life) for life in tally.get("lives", ()))
        self.troubles += (tuple(trouble) for trouble in tally.get("troubles", ()))

    def longest(self, since: float, until: float) -> tuple[float, str]:
        """The longest life, in seconds, of an order of which some part lay between `since` and `until`, and which order
        that is; (0, '') if there was none."""
        lives = ((ended - began, order) for began, ended, order in self.lives if began <= until and ended >= since)
        return max(lives, default=(0.0, ""))


@dataclass(frozen=True)
class Interval:
    """One interval of the test. at_s: its end, from the start. queued, pending: of all hosts; -1 if unknown."""

    at_s: float
    length_s: float
    counts: Counts
    in_flight: int
    cpu_s: Mapping[str, float]
    resident_bytes: Mapping[str, int]
    queued: int
    pending: int
    redis_bytes: int


@dataclass
class Measured:
    """A test's result. begun_at: when the first order was due, by `time.monotonic`."""

    plan: Plan
    run: str
    payments: str
    cores: int
    began_at: str
    receipts: str
    total: Counts = field(default_factory=Counts)
    intervals: list[Interval] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)
    diary: Diary = field(default_factory=Diary)
    begun_at: float | None = None
    interrupted: bool = False
    audit: dict[str, Any] = field(default_factory=dict)

    @property
    def orders_per_second(self) -> float:
        return self.total.confirmed / self.seconds if self.seconds else 0.0

    @property
    def ended_per_second(self) -> float:
        return self.total.ended / self.seconds if self.seconds else 0.0

    def cpu_ms_per_order(self) -> dict[str, float]:
        """By process, the client apart; an order counts once it has ended."""
        orders = max(1, self.total.ended)
        return {role: spent * 1000 / orders for role, spent in sorted(self.cpu_s.items()) if role != CLIENT}

    @property
    def client_cpu_share(self) -> float:
        """Of all CPU spent."""
        spent = sum(self.cpu_s.values())
        return self.cpu_s.get(CLIENT, 0.0) / spent if spent else 0.0

    def lost(self) -> int:
        """Orders that were accepted and whose end nobody has seen."""
        return self.total.accepted - self.total.ended

    def to_json(self) -> dict[str, Any]:
        """As `load --json` writes it."""
        by_process = {role: round(ms, 4) for role, ms in self.cpu_ms_per_order().items()}
        total = self.total
        return {
            "accepted": total.accepted,
            "confirmed": total.confirmed,
            "cancelled": dict(total.cancelled),
            "refused": dict(total.refused),
            "seconds": round(self.seconds, 3),
            "orders_per_second": round(self.orders_per_second, 1),
            "acceptance_ms": total.acceptance.summary_ms(),
            "completion_ms": total.completion.summary_ms(),
            "cpu_ms_per_order": {"total": round(sum(by_process.values()), 4), "by_process": by_process},
            "client_cpu_share": round(self.client_cpu_share, 4),
            "audit": self.audit,
        }
