"""One fault each, planted into the audited world; a function returns the id that the audit should name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from scripts.load.receipts import Receipt
from tests.integration.audited_world import RUN, World

NOBODY = "ord_000" + "0123456789abcdef" * 2
PENDING_SINCE = 1_700_000_000_000


def lost_order(world: World) -> str:
    lost = world.orders["confirmed"]
    world.redis.delete(world.events("order", lost), world.events("orchestrator", lost))
    return lost


def order_that_nobody_posted(world: World) -> str:
    foreign = world.orders["declined"]
    world.relist(f"receipts/{RUN}/0.jsonl", lambda line: None if line[4] == foreign else line)
    return foreign


def key_that_stands_for_nothing(world: World) -> str:
    world.redis.set("{s0}:g:made-up", f"{NOBODY} digest")
    return NOBODY


def placed_twice(world: World) -> str:
    """Two orders of one post, of which the client was told one."""
    twin, first = world.orders["short"], world.orders["declined"]
    (key,) = {load_key(world, first)}
    world.rewrite("order", twin, lambda name, f: f | {"metadata": {"load": key}} if name == "order.placed/1" else f)
    world.relist(f"receipts/{RUN}/0.jsonl", lambda line: None if line[4] == twin else line)
    return twin


def load_key(world: World, order: str) -> str:
    placed = world.redis.lindex(world.events("order", order), 0)
    key: str = json.loads(placed.split(b" ", 1)[1])["metadata"]["load"]
    return key


def illegal_transition(world: World) -> str:
    """Dispatched before it was made."""
    order = world.orders["confirmed"]
    tracking = {"carrier": "post", "number": "1", "url": "https://post.example/1"}
    world.append("order", order, "order.dispatched/1", consignment=1, by="supplier:north", tracking=tracking)
    return order


def oversold_sku(world: World) -> str:
    world.rewrite("sku", "MUG", lambda name, f: f | {"quantity": 2} if name == "sku.received/1" else f)
    return "sku:MUG"


def confirmed_without_capture(world: World) -> str:
    order = world.orders["confirmed"]
    of_it = ("capture", order)
    world.relist("simulated-ledger.jsonl", lambda line: None if (line[1], line[2]) == of_it else line)
    return order


def confirmed_without_reservation(world: World) -> str:
    order = world.orders["confirmed"]
    world.rewrite("sku", "HAT", lambda name, f: None if f.get("order") == order else f)
    return order


def cancelled_and_stock_not_back(world: World) -> str:
    world.rewrite("sku", "MUG", lambda name, f: None if name == "sku.restocked/1" else f)
    return world.orders["cancelled"]


def captured_twice(world: World) -> str:
    order = world.orders["confirmed"]
    again = [f"{order}:capture:pi:2", "capture", order, 2_500, "ch_sim_again", "pi_sim_again", "", ""]
    world.ledger(again)
    return order


def captured_twice_on_one_hold(world: World) -> str:
    order = world.orders["refunded"]
    lines = (world.data / "simulated-ledger.jsonl").read_text().splitlines()
    capture = next(line for line in map(json.loads, lines) if line[1:3] == ["capture", order])
    world.ledger([f"{order}:capture:pi:2", *capture[1:]])
    return order


def a_penny_too_much_paid_out(world: World) -> str:
    order = world.orders["confirmed"]

    def change(line: list[Any]) -> list[Any]:
        if line[1:3] == ["transfer", order] and "supplier:" in line[6]:
            line[3] += 1
        return line

    world.relist("simulated-ledger.jsonl", change)
    return order


def a_penny_from_one_party_to_another(world: World) -> str:
    order = world.orders["pin-0"]

    def change(name: str, fields: dict[str, Any]) -> dict[str, Any]:
        if name != "order.captured/1":
            return fields
        (first, second, *rest), *others = fields["shares"]
        return fields | {"shares": [[first - 1, second + 1, *rest], *others]}

    world.rewrite("order", order, change)
    return order


def refund_that_the_bank_never_made(world: World) -> str:
    order = world.orders["refunded"]
    of_it = ("refund", order)
    world.relist("simulated-ledger.jsonl", lambda line: None if (line[1], line[2]) == of_it else line)
    return order


def orphan_reservation(world: World) -> str:
    world.append("sku", "MUG", "sku.reserved/1", order=NOBODY, quantity=1)
    return NOBODY


def reservation_of_an_ended_order(world: World) -> str:
    order = world.orders["declined"]
    world.append("sku", "MUG", "sku.reserved/1", order=order, quantity=1)
    return order


def orphan_hold(world: World) -> str:
    world.ledger([f"{NOBODY}:authorise:pi:1", "authorise", NOBODY, 500, "pi_sim_x", "pm_card_visa", "", ""])
    return NOBODY


def hold_of_an_ended_order(world: World) -> str:
    order = world.orders["short"]
    world.relist("simulated-ledger.jsonl", lambda line: None if line[1:3] == ["void", order] else line)
    return order


def orphan_task(world: World) -> str:
    world.append("supplier", "south", "supplier.task_accepted/1", task=f"tsk_{NOBODY[4:]}_1", order=NOBODY)
    return NOBODY


def task_of_an_ended_order(world: World) -> str:
    order = world.orders["short"]
    world.append("supplier", "south", "supplier.task_accepted/1", task=f"tsk_{order[4:]}_1", order=order)
    return order


def orphan_transfer(world: World) -> str:
    to = f"acct_brio cns_{NOBODY[4:]}_1 brand:brio"
    world.ledger([f"{NOBODY}:transfer:1-0-1:1", "transfer", NOBODY, 5, "tr_sim_x", "ch_sim_x", to, ""])
    return NOBODY


def missing_first_event(world: World) -> str:
    order = world.orders["pin-1"]
    world.redis.lpop(world.events("order", order))
    return order


def missing_last_event(world: World) -> str:
    """An event that a client has been shown is gone."""
    order = world.orders["offered"]
    version = world.redis.llen(world.events("order", order))
    key = load_key(world, order)
    world.receipt(Receipt(RUN, key, "place", 202, order, "payment_authorised", "", version + 1))
    return order


def base_without_snapshot(world: World) -> str:
    shard = world.events("sku", "HAT").split(":")[0]
    world.redis.hset(f"{shard}:bases", "sku:HAT", 3)
    return "sku:HAT"


def epoch_that_goes_back(world: World) -> str:
    world.redis.hset("{s1}:owner", "epoch", 9)
    assert world.audit().passed
    world.redis.hset("{s1}:owner", "epoch", 8)
    return "shard 1"


def another_answer_for_the_same_key(world: World) -> str:
    key = load_key(world, world.orders["confirmed"])
    world.receipt(Receipt(RUN, key, "place", 202, world.orders["declined"], "cancelled", "payment_declined", 1))
    return key


def payment_key_with_other_parameters(world: World) -> str:
    order = world.orders["confirmed"]
    lines = (world.data / "simulated-ledger.jsonl").read_text().splitlines()
    capture = next(line for line in map(json.loads, lines) if line[1:3] == ["capture", order])
    world.ledger([*capture[:3], capture[3] + 1, *capture[4:]])
    return order


def command_answered_twice(world: World) -> str:
    order = world.orders["confirmed"]
    for _ in range(2):
        world.append("order", order, "actor.answered/1", command_id="c1", digest="d")
    return order


def with_other_state(world: World, change: Callable[[dict[str, Any]], None]) -> str:
    shard = world.events("sku", "PIN").split(":")[0]
    snapshot = json.loads(world.redis.hget(f"{shard}:snapshots", "sku:PIN") or b"")
    change(snapshot["state"])
    world.redis.hset(f"{shard}:snapshots", "sku:PIN", json.dumps(snapshot))
    return "sku:PIN"


def snapshot_that_differs(world: World) -> str:
    def sell_one(state: dict[str, Any]) -> None:
        state["sold"] += 1
        state["available"] -= 1

    return with_other_state(world, sell_one)


def snapshot_without_rows(world: World) -> str:
    return with_other_state(world, lambda state: state.update(live=None))


def unreadable_event(world: World) -> str:
    order = world.orders["confirmed"]
    world.append("order", order, "order.beamed_up/1")
    return order


def overdue_timer(world: World) -> str:
    order = world.orders["offered"]
    world.redis.zadd(f"{{s{int(order[4:7], 16)}}}:due", {f"orchestrator:{order}": 2**50 + PENDING_SINCE})
    return f"orchestrator:{order}"


def parked_command(world: World) -> str:
    parked = {
        "id": "prk_1", "at": 1, "kind": "order", "actor": NOBODY, "command_name": "order.cancel", "command": "{}",
        "cause": "a bug",
    }  # fmt: skip
    world.append("parking", "parking", "parking.parked/1", parked=parked)
    return "prk_1"


PLANTED: list[tuple[str, Callable[[World], str]]] = [
    ("A1", lost_order),
    ("A1", order_that_nobody_posted),
    ("A1", key_that_stands_for_nothing),
    ("A1", placed_twice),
    ("A2", illegal_transition),
    ("A3", oversold_sku),
    ("A4", confirmed_without_capture),
    ("A4", confirmed_without_reservation),
    ("A4", cancelled_and_stock_not_back),
    ("A5", captured_twice),
    ("A5", captured_twice_on_one_hold),
    ("A5", a_penny_too_much_paid_out),
    ("A5", a_penny_from_one_party_to_another),
    ("A5", refund_that_the_bank_never_made),
    ("A6", orphan_reservation),
    ("A6", reservation_of_an_ended_order),
    ("A6", orphan_hold),
    ("A6", hold_of_an_ended_order),
    ("A6", orphan_task),
    ("A6", task_of_an_ended_order),
    ("A6", orphan_transfer),
    ("A7", missing_first_event),
    ("A7", missing_last_event),
    ("A7", base_without_snapshot),
    ("A7", epoch_that_goes_back),
    ("A8", another_answer_for_the_same_key),
    ("A8", payment_key_with_other_parameters),
    ("A8", command_answered_twice),
    ("A9", snapshot_that_differs),
    ("A9", snapshot_without_rows),
    ("A9", unreadable_event),
    ("A10", overdue_timer),
    ("A10", parked_command),
]
"""Each with the invariant under which it is to be found, and under no other."""
