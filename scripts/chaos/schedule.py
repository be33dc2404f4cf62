"""What goes wrong, and when: drawn from a seed, and from nothing that happens."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

QUIET_S = 2.0
"""Nothing happens at the beginning, so that the load is there, nor at the end, so that it still is."""

GAP_S = (2.0, 5.0)
BLOW_ON_BLOW = 0.2
"""So often the next fault does not wait until the system has got over the one before."""

BLOW_ON_BLOW_S = (0.0, 0.7)


@dataclass(frozen=True)
class Fault:
    """A kind of fault. lasts_s: from when to when it is taken back, drawn anew each time; (0, 0) for a death, which
    nobody takes back. over_s: about how long a system needs to get over it."""

    what: str
    lasts_s: tuple[float, float] = (0.0, 0.0)
    over_s: float = 0.0


FAULTS = {
    "host": Fault("kill -9 of a host"),
    "gateway": Fault("kill -9 of a gateway", over_s=2.0),
    "projector": Fault("kill -9 of the projector"),
    "director": Fault("kill -9 of the director"),
    "redis": Fault("kill -9 of the embedded Redis"),
    "sandbox": Fault("kill -9 of the Stripe sandbox"),
    "stripe": Fault("the sandbox fails, hangs up, refuses and dawdles", lasts_s=(3.0, 6.0)),
    "pause": Fault("a host is stopped for longer than its lease, then goes on", lasts_s=(6.0, 8.0)),
    "node": Fault("kill -9 of Ray's own processes, the raylet or the GCS", over_s=12.0),
}


@dataclass(frozen=True)
class Strike:
    """One fault. pick: which process of its sort, as a share (0 to 1) of all there are then."""

    at_s: float
    fault: str
    pick: float
    lasts_s: float = 0.0


def schedule(seed: int, duration_s: float, faults: Collection[str]) -> tuple[Strike, ...]:
    """The strikes of a run of so many seconds, in the order of their times. All kinds that fit come before any comes
    again. The same arguments give the same schedule, whatever order `faults` has."""
    draw = random.Random(seed)
    kinds = sorted(set(faults))
    deck: list[str] = []
    strikes: list[Strike] = []
    at, too_long = QUIET_S, 0
    while too_long < len(kinds):
        if not deck:
            deck = draw.sample(kinds, len(kinds))
        kind = deck.pop()
        fault = FAULTS[kind]
        strike = Strike(round(at, 3), kind, draw.random(), round(draw.uniform(*fault.lasts_s), 3))
        if strike.at_s + strike.lasts_s > duration_s - QUIET_S:
            too_long += 1
            continue
        too_long = 0
        strikes.append(strike)
        if draw.random() < BLOW_ON_BLOW:
            at += draw.uniform(*BLOW_ON_BLOW_S)
        else:
            at += strike.lasts_s + fault.over_s + draw.uniform(*GAP_S)
    return tuple(strikes)
