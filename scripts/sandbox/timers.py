"""What happens by itself when sandbox time passes: holds run out, refunds settle, disputes are lost unanswered, and
the charges of dispute-prone test cards are disputed."""

from __future__ import annotations

import heapq

from scripts.sandbox import disputes, payment_intents, refunds
from scripts.sandbox.calls import Call
from scripts.sandbox.cards import CARDS
from scripts.sandbox.records import Charge, Dispute, PaymentIntent, Record, Refund
from scripts.sandbox.store import Store, Work


def due(record: Record) -> int:
    """When the record must be looked at again, in Unix seconds; 0 for never."""
    kind = type(record)
    if kind is PaymentIntent:
        assert isinstance(record, PaymentIntent)
        return record.capture_before if record.status == "requires_capture" else 0
    if kind is Charge:
        assert isinstance(record, Charge)
        return record.created if record.captured and not record.disputed and CARDS[record.card].dispute else 0
    if kind is Refund:
        assert isinstance(record, Refund)
        return record.settles_at if record.outcome else 0
    if kind is Dispute:
        assert isinstance(record, Dispute)
        return record.due_by if record.status in disputes.OPEN else 0
    return 0


def run(store: Store, now: int) -> int:
    """Do everything that is due at `now`; returns how many timers rang."""
    timers = store.timers
    rang = 0
    while timers and timers[0][0] <= now:
        _, id = heapq.heappop(timers)
        rang += 1
        work = Work(store, now)
        _ring(Call(store, work, {}), store.record(id))
        store.commit(work)
    return rang


def _ring(call: Call, record: Record) -> None:
    if isinstance(record, PaymentIntent):
        payment_intents.expire(call, record)
    elif isinstance(record, Refund):
        refunds.settle(call, record)
    elif isinstance(record, Dispute):
        disputes.expire(call, record)
    elif isinstance(record, Charge) and due(record):
        reason = CARDS[record.card].dispute
        already = call.store.disputes.where("charge", record.id)
        left = record.amount - record.amount_refunded
        if not already and left:
            inquiry = reason == "inquiry"
            disputes.open_dispute(call, record, "fraudulent" if inquiry else reason, left, inquiry)
