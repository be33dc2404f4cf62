"""The saga as two tables: the steps it can take, and the phases in which it takes them.

The pivot is the capture. Before it every step has a compensation; after it every step is repeated until it succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

KEY_LIFE_MS = 23 * HOUR_MS
"""Stripe forgets idempotency keys after 24 hours; a key older than this is looked up instead of sent again."""

GIVE_UP_AUTHORISING_MS = 15 * MINUTE_MS
"""After so long without a definite outcome the order is cancelled and whatever hold there may be is voided."""

HOLD_MARGIN_MS = HOUR_MS
"""How long before the hold expires suppliers who have not answered are taken for silent."""

COLLECT_EVERY_MS = DAY_MS
"""How often a debt is tried again: the party's later transfers fill its account, and the reversal takes its due."""


class Step(NamedTuple):
    """What a step asks of whom.

    to:          `payments`, or the kind of the actor that is told.
    undone_by:   the step that compensates it before the pivot; empty if nothing needs to be undone.
    patience_ms: how long to wait for an answer before asking again; doubles with every try, up to `patience_max_ms`.
    """

    to: str
    undone_by: str = ""
    patience_ms: int = 5_000
    patience_max_ms: int = 5 * MINUTE_MS


_PAYMENT = Step("payments", patience_ms=10 * MINUTE_MS, patience_max_ms=HOUR_MS)

STEPS: Mapping[str, Step] = {
    "authorise": _PAYMENT._replace(undone_by="void"),
    "reserve": Step("sku", undone_by="release"),
    "offer": Step("supplier", undone_by="withdraw"),
    "capture": _PAYMENT,
    "withdraw": Step("supplier"),
    "close": Step("supplier"),
    "release": Step("sku"),
    "void": _PAYMENT,
    "confirm": Step("sku"),
    "restock": Step("sku"),
    "transfer": _PAYMENT,
    "refund": _PAYMENT,
    "reverse": _PAYMENT,
}

REMEMBERED = frozenset(step for step, row in STEPS.items() if row.to != "payments")
"""Steps whose being done is nobody's fact but the saga's. What became of payments is in the order."""


class Phase(NamedTuple):
    """steps: what may newly be intended in this phase. then: the phases that may follow."""

    steps: frozenset[str]
    then: frozenset[str]


def _phase(steps: str, then: str) -> Phase:
    return Phase(frozenset(steps.split()), frozenset(then.split()))


PHASES: Mapping[str, Phase] = {
    "": _phase("", "authorising reserving"),
    "authorising": _phase("authorise", "reserving compensating ended"),
    "reserving": _phase("reserve", "offering compensating ended"),
    "offering": _phase("offer release withdraw close", "capturing settling fulfilling compensating"),
    "capturing": _phase("capture release withdraw close", "settling compensating"),
    "settling": _phase(
        "confirm restock release withdraw close void transfer refund reverse", "fulfilling compensating ended"
    ),
    "fulfilling": _phase("", "settling compensating ended"),
    "compensating": _phase("withdraw close release void restock refund reverse transfer", "ended"),
    "ended": _phase("", "settling compensating"),
}
"""`compensating`: the order has ended early, and what was done for it is being undone, newest first. `settling`: money
and stock follow a fact. `fulfilling` and `ended` are at rest."""

AT_REST = frozenset({"fulfilling", "ended"})


_INTRODUCTION = """# The saga

Generated from `models/orchestrator/tables.py` by `python -m models.orchestrator.tables`; a test keeps it current.

Every order has an orchestrator of the same id. After every turn of the order it compares the order's facts with what it
has under way, journals what is missing (`saga.advanced/1`), and sends it after the commit under the key
`order:step:object:attempt`. An outcome that is not definite is asked for again with the same key and the same
parameters; a definite one becomes a fact of the order, which brings the next comparison. The pivot is the capture:
before it every step is undone when the order ends early, after it every step is repeated until it succeeds.
"""


def page() -> str:
    """The published page of the saga, in Markdown."""
    return "\n".join(_page_lines()) + "\n"


def _page_lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Steps"
    yield ""
    yield "| step | asks | is undone by | asks again after |"
    yield "|---|---|---|---|"
    for name, step in STEPS.items():
        waits = f"{step.patience_ms // 1000} s, doubling up to {step.patience_max_ms // 1000} s"
        yield f"| {name} | {step.to} | {step.undone_by or '-'} | {waits} |"
    yield ""
    yield "## Phases"
    yield ""
    yield "| phase | may newly intend | may be followed by |"
    yield "|---|---|---|"
    for name, phase in PHASES.items():
        steps = " ".join(step for step in STEPS if step in phase.steps) or "-"
        following = " ".join(other for other in PHASES if other in phase.then)
        yield f"| {name or '*not begun*'} | {steps} | {following} |"


if __name__ == "__main__":
    print(page(), end="")
