"""What a load test does: how many orders of which kinds, and when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

SPIKE_FROM, SPIKE_UNTIL = 0.4, 0.6
"""The middle fifth of a run."""

RAMP_SHARE = 0.5
RAMP_FLOOR = 0.02
"""A ramp begins with a fiftieth of the rate: from nothing the first order would never come."""

STEP_S = 0.01

SAMPLE, OPEN_LOOP_SAMPLE = 20, 4
"""Of so many orders the acceptance of one is measured. That order is two requests: with every second one of them an
open loop of 500 a second would be one of 750."""


class BadPlan(ValueError):
    """A test that cannot be run; the message says why."""


@dataclass(frozen=True)
class Plan:
    """A load test.

    orders, duration_s: it ends after so many orders or seconds, whichever comes first; 0 means no such end.
    rate:          orders per second, open loop; 0 means closed loop with `in_flight` orders posted and not yet ended.
    ramp:          rise to the full rate (or number in flight) during the first half.
    spike:         so many times the rate (or number in flight) during the middle fifth; 1 means none.
    hot_units:     all orders want one unit of the same SKU, which has so many; -1 means no such SKU.
    one_supplier:  all lines of an order come from one supplier, so that it has one consignment.
    sample:        every so many orders are posted without `Prefer`, to measure acceptance; 0 means none.
    declines, shortages, rejections, cancellations, manual: per cent of the orders.
    diary:         also report when each order began and ended, and each answer that was none (see `measured.Diary`).
    """

    orders: int = 0
    duration_s: float = 0.0
    rate: float = 0.0
    in_flight: int = 64
    lines: int = 2
    skus: int = 100
    zipf: float = 1.1
    suppliers: int = 10
    ramp: bool = False
    spike: float = 1.0
    hot_units: int = -1
    one_supplier: bool = False
    sample: int = SAMPLE
    declines: float = 0.0
    shortages: float = 0.0
    rejections: float = 0.0
    cancellations: float = 0.0
    manual: float = 0.0
    clients: int = 1
    seed: int = 0
    diary: bool = False

    @property
    def open_loop(self) -> bool:
        return self.rate > 0

    @property
    def length_s(self) -> float:
        """How long it is going to take, as far as that is known; 0 if it is not."""
        if self.open_loop and self.orders:
            took = self.orders / (self.rate * self.mean_factor)
            return min(took, self.duration_s) if self.duration_s else took
        return self.duration_s

    @property
    def mean_factor(self) -> float:
        steps = [self.factor((step + 0.5) / 1000) for step in range(1000)]
        return sum(steps) / len(steps)

    def factor(self, done: float) -> float:
        """How much of the full rate there is when `done` (0 to 1) of the test is over."""
        factor = 1.0
        if self.ramp and done < RAMP_SHARE:
            factor = max(RAMP_FLOOR, done / RAMP_SHARE)
        if SPIKE_FROM <= done < SPIKE_UNTIL:
            factor *= self.spike
        return factor

    def schedule(self) -> Iterator[float]:
        """Intended send times of an open loop, in seconds from the start: they depend on nothing that happens."""
        assert self.open_loop
        length_s = self.length_s
        sent, due = 0, 0.0
        for step in itertools.count():
            at = step * STEP_S
            if length_s and at >= length_s and not self.orders:
                return
            if self.duration_s and at >= self.duration_s:
                return
            factor = self.factor(min(at / length_s, 1.0)) if length_s else 1.0
            step_orders = self.rate * factor * STEP_S
            first = due
            due += step_orders
            while sent + 1 <= due:
                yield at + (sent + 1 - first) / step_orders * STEP_S
                sent += 1
                if self.orders and sent >= self.orders:
                    return

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        return cls(**data)


def checked(plan: Plan) -> Plan:
    """Raises BadPlan for what cannot be done."""
    if not plan.orders and not plan.duration_s:
        raise BadPlan("say how long: --orders N or --duration S")
    if plan.lines < 1 or plan.skus < 1 or plan.suppliers < 1 or plan.in_flight < 1 or plan.clients < 1:
        raise BadPlan("lines, SKUs, suppliers, orders in flight and clients are at least 1")
    if plan.zipf < 0 or plan.rate < 0 or plan.spike <= 0:
        raise BadPlan("rate and Zipf's exponent are not negative, and a spike is a factor")
    shares = (plan.declines, plan.shortages, plan.rejections, plan.cancellations, plan.manual)
    if min(shares) < 0 or sum(shares) > 100:
        raise BadPlan("the shares of special orders are per cent, and at most 100 together")
    if (plan.ramp or plan.spike != 1) and not plan.open_loop and not plan.duration_s:
        raise BadPlan("a ramp or spike of a closed loop needs --duration S")
    return plan
