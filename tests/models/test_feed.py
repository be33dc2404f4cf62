"""The public events: told of every life that an order can have, nothing amiss, nothing that is nobody's business."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from models.catalogue import EVENTS, decode_event
from models.decision import Address
from models.feed import EVENT_TYPES, OWNER, Entry, Seen, published, shown_event, supplier_bit
from models.feed.page import page
from models.feed.publishing import _TELLS
from models.order import messages as m
from models.order.evolve import evolve
from models.order.state import Order, headline, task_status
from models.order.tables import HEADLINES
from models.order.values import Tracking
from tests.models.order_world import ORDER_ID
from tests.models.orders import ACCEPTED_1, ACME, CONFIRMED, NORTH, OPS, SOUTH, order, placed
from tests.models.test_order_aftercare import AWAY
from tests.models.test_order_whole_life import run

ROOT = Path(__file__).parents[2]
SEEDS = 150


def told(before: Order, *events: m.Event) -> list[Entry]:
    """What is published while these events happen."""
    entries: list[Entry] = []
    for event in events:
        after = evolve(before, event)
        entries += published(before, event, after)
        before = after
    return entries


@cache
def lives() -> list[tuple[Order, list[Entry]]]:
    """Whole lives of orders, with all that was published of them."""
    found = []
    for seed in range(SEEDS):
        world = run(seed)
        stored = world.journal[Address("order", ORDER_ID)]
        found.append((world.order, told(Order(), *map(decode_event, stored))))
    return found


def seen_by(order: Order, entries: list[Entry], bit: int, role: str) -> Iterator[dict[str, Any]]:
    suppliers = [consignment.supplier for consignment in order.consignments]
    sequence = 0
    for number, (type_, at, data, to) in enumerate(entries, 1):
        if role == "ops" or to & bit:
            sequence += 1
            yield shown_event(order.id, suppliers, Seen(number, sequence, type_, at, data), role=role)


def types(entries: list[Entry]) -> list[str]:
    return [entry[0] for entry in entries]


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_event_of_an_order_has_been_thought_of() -> None:
    assert set(_TELLS) == {codec.type for name, codec in EVENTS.items() if name.startswith("order.")}


def test_the_page_is_current() -> None:
    assert (ROOT / "docs/events.md").read_text() == page()


def test_every_type_is_published_and_every_field_told() -> None:
    found: dict[str, set[str]] = {}
    for life, entries in [*lives(), *rare_lives()]:
        for event in seen_by(life, entries, OWNER, "ops"):
            found.setdefault(event["type"], set()).add(",".join(sorted(event["data"])))
    assert found == {name: {",".join(sorted(known.fields))} for name, known in EVENT_TYPES.items()}


def rare_lives() -> Iterator[tuple[Order, list[Entry]]]:
    """What the dice hardly ever throw."""
    events = (
        *AWAY,
        m.ReturnRequested(9, "ret_1", 1, (("1", 1),), "torn", ACME),
        m.ReturnApproved(10, "ret_1", NORTH),
        m.ReturnReceived(11, "ret_1", NORTH, restock=True),
        m.RefundRequested(11, "rfd_1", 1250, ((1, 1250),), (("1", 1),), "torn", NORTH, "ret_1"),
        m.RefundSucceeded(12, "rfd_1", "re_1", tuple(c.shares for c in order(*AWAY).state.consignments)),
        m.ReturnRequested(13, "ret_2", 1, (("1", 1),), "torn", ACME),
        m.ReturnRejected(14, "ret_2", NORTH, "worn"),
        m.DisputeOpened(15, "dsp_1", "stripe", "fraudulent", 5, ((1, 5),), 99, "dp_1"),
        m.EvidenceAdded(16, "dsp_1", "evi_1", NORTH, "SEALED"),
        m.DisputeResolved(17, "dsp_1", OPS, "upheld"),
        m.MessagePosted(18, "msg_1", ACME, "supplier", "SEALED"),
        m.AttentionRaised(19, "disputed", "dp_1"),
        m.AttentionCleared(20, "disputed", OPS),
        m.DebtRecorded(21, 1, 0, 3, "insufficient_funds"),
        m.ShareReversed(22, 1, 0, "tr_1", 3),
    )
    yield order(*events).state, told(order().state, *events)


# --- whole lives -----------------------------------------------------------------------------------------------------


def test_who_follows_the_events_knows_the_status() -> None:
    """The headline, and every task's status, can be told from the events alone."""
    for life, entries in lives():
        status, tasks = "", {}
        for type_, _, data, _ in entries:
            family, _, word = type_.partition(".")
            if type_ == "order.placed":
                status = data["status"]
            elif family == "order" and word in HEADLINES:
                status = word
            elif family == "task":
                tasks[data["consignment"]] = word
        assert status == headline(life)
        for number, word in tasks.items():
            known = {"confirmed": "accepted", "cancellation_requested": "in_production"}
            known["cancellation_refused"] = "in_production"
            assert known.get(word, word) == task_status(life.consignments[number - 1])


def test_a_headline_is_told_once_each_time_it_comes() -> None:
    for _, entries in lives():
        headlines = [t for t in types(entries) if t.removeprefix("order.") in HEADLINES]
        assert all(one != another for one, another in pairwise(headlines))
        assert types(entries).count("order.placed") == 1 == types(entries).index("order.placed") + 1


def test_sequences_have_no_gaps_for_any_reader() -> None:
    for life, entries in lives():
        readers = [(OWNER, "retailer"), (0, "ops")]
        readers += [(supplier_bit(c.number), "supplier") for c in life.consignments]
        for bit, role in readers:
            events = list(seen_by(life, entries, bit, role))
            assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
            assert len({event["id"] for event in events}) == len(events)


def test_a_supplier_hears_of_its_own_task_and_nothing_before_it_is_one() -> None:
    for life, entries in lives():
        for consignment in life.consignments:
            events = list(seen_by(life, entries, supplier_bit(consignment.number), "supplier"))
            assert all(EVENT_TYPES[event["type"]].suppliers for event in events)
            assert not events or events[0]["type"] in ("task.offered", "task.accepted", "task.rejected")
            named = {event["data"]["supplier"] for event in events if event["type"].startswith("task.")}
            assert named <= {consignment.supplier}


def test_nothing_personal_and_nobodys_own_words_are_told() -> None:
    events = (
        *CONFIRMED,
        m.CancellationRequested(9, 1, "customer_request", ACME, "WORDS"),
        m.CancellationAnswered(10, 1, NORTH, accepted=False, fee=0),
        m.RefundRequested(11, "rfd_1", 5, ((1, 5),), (), "WORDS", "ops:olga", "request"),
        m.RefundFailed(12, "rfd_1", "lost_or_stolen_card"),
        m.DisputeOpened(13, "dsp_1", ACME, "WORDS", 5, ((1, 5),), 0, ""),
        m.EvidenceAdded(14, "dsp_1", "evi_1", NORTH, "SEALED"),
        m.MessagePosted(15, "msg_1", "ops:olga", "supplier", "SEALED"),
        m.AttentionRaised(16, "disputed", "WORDS"),
        m.OrderCancelled(17, "customer_request", ACME, "WORDS", ()),
    )
    start = m.ConsignmentStarted(8, 1, NORTH)
    text = json.dumps(told(order().state, *CONFIRMED, start, *events[len(CONFIRMED) :]))
    assert "WORDS" not in text
    assert "SEALED" not in text
    assert "olga" not in text
    assert text.count('"msg_1"') == 1


# --- particular ones -------------------------------------------------------------------------------------------------


def test_a_task_is_confirmed_to_its_supplier_once_it_is_paid_for() -> None:
    entries = told(order().state, *CONFIRMED)
    confirmed = [(data["consignment"], to) for type_, _, data, to in entries if type_ == "task.confirmed"]
    assert confirmed == [(1, OWNER | supplier_bit(1)), (2, OWNER | supplier_bit(2))]
    assert types(entries).count("order.confirmed") == 1


def test_a_supplier_that_was_never_asked_is_not_told_that_it_is_off() -> None:
    declined = (
        m.PaymentDeclined(5, "card_declined", "pi_1", unsure=False),
        m.OrderCancelled(5, "payment_declined", "dray", "", (1, 2)),
    )
    assert types(told(order(placed()).state, *declined)) == ["payment.declined", "order.cancelled"]


def test_one_that_has_answered_is() -> None:
    before = order(*CONFIRMED[:3], ACCEPTED_1).state
    entries = told(before, m.OrderCancelled(9, "customer_request", ACME, "", (1, 2)))
    assert types(entries) == ["order.cancelled", "task.withdrawn"]
    assert entries[1][3] == OWNER | supplier_bit(1)


def test_messages_are_told_to_whom_they_are_for() -> None:
    before = order(*CONFIRMED).state

    def readers(by: str, to: str) -> int:
        return told(before, m.MessagePosted(9, "msg_1", by, to, "SEALED"))[0][3]

    both = supplier_bit(1) | supplier_bit(2)
    assert readers(ACME, "supplier") == OWNER | both
    assert readers(NORTH, "retailer") == OWNER | supplier_bit(1)
    assert readers(SOUTH, "ops") == supplier_bit(2)
    assert readers(OPS, "supplier") == both


def test_what_suppliers_are_not_shown_is_left_out() -> None:
    answered = (
        m.ConsignmentStarted(8, 1, NORTH),
        m.CancellationRequested(9, 1, "customer_request", ACME, ""),
        m.CancellationAnswered(10, 1, NORTH, accepted=True, fee=7),
    )
    life = order(*CONFIRMED, *answered).state
    entries = told(order(*CONFIRMED).state, *answered)
    own = list(seen_by(life, entries, supplier_bit(1), "supplier"))[-1]
    owners = next(event for event in seen_by(life, entries, OWNER, "retailer") if event["type"] == own["type"])
    assert owners["data"] == {**own["data"], "cancellation_fee": 7}


def test_an_event_is_shown_with_ids_and_times_written_out() -> None:
    entry = ("task.dispatched", 1_763_840_000_000, {"consignment": 2, "tracking": asdict(Tracking())}, 5)
    seen = Seen(9, 4, *entry[:3])
    assert shown_event(ORDER_ID, ["north", "south"], seen, role="supplier") == {
        "id": f"evt_{ORDER_ID[4:]}_9",
        "order": ORDER_ID,
        "sequence": 4,
        "type": "task.dispatched",
        "at": "2025-11-22T19:33:20.000Z",
        "data": {
            "task": f"tsk_{ORDER_ID[4:]}_2",
            "consignment": f"cns_{ORDER_ID[4:]}_2",
            "supplier": "south",
            "tracking": {"carrier": "", "tracking_number": "", "tracking_url": ""},
        },
    }
