"""The machines of an order, each as ONE table: state x event -> state. A pair that is not in its table is refused.

Decisions, `allowed_actions`, the published `docs/state_machines.md` and the tests all read these tables. Run
`python -m models.order.tables` to print the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from models.decision import Rejected

Table = Mapping[str, Mapping[str, str]]

PAYMENT: Table = {
    "pending": {"authorise": "authorised", "decline": "declined", "give_up": "voiding"},
    "authorised": {"begin_capture": "capturing", "release": "voiding", "expire": "voided"},
    "capturing": {"capture": "captured", "fail_capture": "voiding"},
    "captured": {},
    "voiding": {"void": "voided", "expire": "voided"},
    "voided": {},
    "declined": {},
    "not_required": {},
}

CONSIGNMENT: Table = {
    "pending": {"offer": "offered", "cancel": "cancelled"},
    "offered": {"accept": "accepted", "reject": "rejected", "cancel": "cancelled"},
    "accepted": {"confirm": "confirmed", "cancel": "cancelled"},
    "confirmed": {"start": "in_production", "cancel": "cancelled"},
    "in_production": {"dispatch": "dispatched", "request_cancellation": "cancellation_requested"},
    "cancellation_requested": {
        "accept_cancellation": "cancelled",
        "refuse_cancellation": "in_production",
        "dispatch": "dispatched",
    },
    "dispatched": {"deliver": "delivered", "return": "dispatched"},
    "delivered": {"return": "delivered"},
    "rejected": {},
    "cancelled": {},
}

REFUND: Table = {
    "pending": {"succeed": "succeeded", "fail": "failed"},
    "succeeded": {},
    "failed": {},
}

RETURN: Table = {
    "requested": {"approve": "approved", "reject": "rejected"},
    "approved": {"receive": "received", "reject": "rejected"},
    "received": {"refund": "refunded"},
    "refunded": {},
    "rejected": {},
}

DISPUTE: Table = {
    "open": {"add_evidence": "open", "resolve": "resolved"},
    "resolved": {},
}


class RollUp(NamedTuple):
    """What a live consignment contributes to the headline; the least rank of all live consignments wins."""

    rank: int
    headline: str


HEADLINE: Mapping[str, RollUp] = {
    "pending": RollUp(1, "payment_authorised"),
    "offered": RollUp(1, "payment_authorised"),
    "accepted": RollUp(1, "payment_authorised"),
    "confirmed": RollUp(2, "confirmed"),
    "in_production": RollUp(3, "in_production"),
    "cancellation_requested": RollUp(3, "in_production"),
    "dispatched": RollUp(4, "dispatched"),
    "delivered": RollUp(5, "delivered"),
}
"""Live consignments. Those not listed (rejected, cancelled) have ended and count for nothing; with none left the
headline is `cancelled`. Before them come `pending`, while the payment is, and `refunded`."""

TASK: Mapping[str, str] = {
    "offered": "offered",
    "accepted": "accepted",
    "confirmed": "accepted",
    "in_production": "in_production",
    "cancellation_requested": "in_production",
    "dispatched": "dispatched",
    "delivered": "delivered",
    "rejected": "rejected",
    "cancelled": "withdrawn",
}
"""The supplier's word for its consignment. A pending consignment is no task yet."""

SHOWN: Mapping[str, str] = {**{status: status for status in CONSIGNMENT}, "cancellation_requested": "in_production"}
"""A consignment's status in the API, where a request to cancel is a field of its own."""

HEADLINES = (
    "pending",
    "payment_authorised",
    "confirmed",
    "in_production",
    "dispatched",
    "delivered",
    "cancelled",
    "refunded",
)

MACHINES: Mapping[str, Table] = {
    "payment": PAYMENT,
    "consignment": CONSIGNMENT,
    "refund": REFUND,
    "return": RETURN,
    "dispute": DISPUTE,
}


def allows(machine: str, status: str, event: str) -> bool:
    return event in MACHINES[machine][status]


def refused(machine: str, status: str, event: str) -> Rejected:
    """The no for a pair that is not in the table; its code says what stands in the way, such as
    `consignment_dispatched`."""
    words = event.replace("_", " ")
    may = ", ".join(MACHINES[machine][status]).replace("_", " ") or "nothing more"
    return Rejected(f"{machine}_{status}", f"{words}: not possible while the {machine} is {status}; possible: {may}")


def page() -> str:
    """The published page of all tables, in Markdown."""
    return "\n".join(_page_lines()) + "\n"


def _page_lines() -> Iterator[str]:
    yield "# State machines"
    yield ""
    yield "Generated from `models/order/tables.py` by `python -m models.order.tables`; a test keeps it current."
    yield "A pair of state and event that is not listed is refused with 409 and the code `machine_state`."
    for name, table in MACHINES.items():
        yield ""
        yield f"## {name.capitalize()}"
        yield ""
        yield "| state | event | next state |"
        yield "|---|---|---|"
        for status, row in table.items():
            for event, after in row.items():
                yield f"| {status} | {event} | {after} |"
            if not row:
                yield f"| {status} | *final* | |"
    yield ""
    yield "## Headline"
    yield ""
    yield "`pending` while the payment is pending; `cancelled` when no consignment is live; `refunded` when the whole"
    yield "captured sum of an order that was not cancelled has been returned; else that of the least advanced live"
    yield "consignment:"
    yield ""
    yield "| consignment | rank | headline | task |"
    yield "|---|---|---|---|"
    for status in CONSIGNMENT:
        roll_up = HEADLINE.get(status)
        rank, headline = (str(roll_up.rank), roll_up.headline) if roll_up else ("", "*not live*")
        yield f"| {status} | {rank} | {headline} | {TASK.get(status, '*none yet*')} |"


if __name__ == "__main__":
    print(page(), end="")
