"""The audit finds nothing in a healthy world, and every planted fault under its own name."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from actors.adapters.redis_reader import RedisReader
from scripts.audit import live, spool
from scripts.audit.findings import Finding, Findings
from scripts.audit.live import Gateway
from scripts.load.receipts import Receipt
from tests.gateway.shop import SHARDS
from tests.integration.audited_world import RUN, World, copied, make

NOBODY = "ord_000" + "0123456789abcdef" * 2
PENDING_SINCE = 1_700_000_000_000


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    data = tmp_path_factory.mktemp("world")
    return data, make(data)


@pytest.fixture
def world(original: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[World]:
    data, orders = original
    with copied(data, tmp_path / "copy", orders) as found:
        yield found


def failed(findings: Findings) -> set[str]:
    return {name for name, count in findings.count.items() if count}


@pytest.mark.parametrize("running", [False, True])
def test_a_healthy_world_passes(world: World, running: bool) -> None:
    findings = world.audit(running=running)
    assert findings.passed, findings.lines()
    assert findings.to_json()["passed"]
    orders = len(world.orders)
    assert findings.checked["A1"] == findings.checked["A2"] == findings.checked["A5"] == orders
    assert findings.checked["A3"] == 4
    assert findings.checked["A8"] == orders


def test_it_passes_without_receipts_too(world: World) -> None:
    assert world.audit(receipts=False).passed


def test_many_parts_are_judged_by_several_processes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "KEYS_PER_PART", 40)
    findings = world.audit()
    assert findings.passed, findings.lines()
    assert findings.checked["A1"] == len(world.orders)
    lost = lost_order(world)
    findings = world.audit()
    assert [finding.offender for finding in findings.named["A1"]] == [lost]


# --- planted faults --------------------------------------------------------------------------------------------------


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


def snapshot_that_differs(world: World) -> str:
    shard = world.events("sku", "PIN").split(":")[0]
    snapshot = json.loads(world.redis.hget(f"{shard}:snapshots", "sku:PIN") or b"")
    snapshot["state"]["sold"] += 1
    snapshot["state"]["available"] -= 1
    world.redis.hset(f"{shard}:snapshots", "sku:PIN", json.dumps(snapshot))
    return "sku:PIN"


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
    ("A9", unreadable_event),
    ("A10", overdue_timer),
    ("A10", parked_command),
]


@pytest.mark.parametrize(("invariant", "plant"), PLANTED, ids=[plant.__name__ for _, plant in PLANTED])
def test_a_planted_fault_is_found_under_its_name_and_no_other(
    world: World, invariant: str, plant: Callable[[World], str]
) -> None:
    offender = plant(world)
    findings = world.audit()
    assert failed(findings) == {invariant}, findings.lines()
    assert offender in {finding.offender for finding in findings.named[invariant]}, findings.lines()
    assert not findings.to_json()["invariants"][invariant]["passed"]


def test_an_intent_that_nobody_works_on_is_found_in_a_running_system(world: World) -> None:
    order = world.orders["confirmed"]
    soon = time.time_ns() // 1_000_000 + 3_600_000
    world.redis.zadd(f"{{s{int(order[4:7], 16)}}}:due", {f"orchestrator:{order}": soon})
    findings = world.audit(running=True)
    assert failed(findings) == {"A10"}
    assert [finding.offender for finding in findings.named["A10"]] == [f"orchestrator:{order}"]


def test_events_that_never_reach_the_read_side_are_found_in_a_running_system(world: World) -> None:
    world.redis.xadd("{s2}:stream", {"order:x": "0"}, id="1-0")
    findings = world.audit(running=True)
    assert [finding.offender for finding in findings.named["A10"]] == ["shard 2"]
    assert world.audit(running=False).passed, "they are read at the next start"


@contextmanager
def actors_that_show(captured_amount: int, world: World, order: str) -> Iterator[Gateway]:
    """A gateway that shows `order`, confirmed, as its actor would have it."""
    version = world.redis.llen(world.events("order", order))
    view = {
        "version": version, "captured_amount": captured_amount, "refunded_amount": 0,
        "payment": {"status": "captured"}, "consignments": [{"status": "confirmed"}],
    }  # fmt: skip

    class Shown(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Authorization"] == "Bearer key"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(view).encode())

        def log_message(self, *_: object) -> None:
            """Not in a test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Shown) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Gateway(f"http://127.0.0.1:{server.server_port}", "key")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("captured_amount", "differing"), [(2_500, 0), (2_499, 1)])
def test_an_actor_that_shows_something_else_than_is_stored_is_found(
    world: World, captured_amount: int, differing: int
) -> None:
    order = world.orders["confirmed"]

    async def compare(gateway: Gateway) -> tuple[int, list[Finding]]:
        reader = RedisReader(world.url)
        try:
            return await live.compare(gateway, reader, [order])
        finally:
            await reader.close()

    with actors_that_show(captured_amount, world, order) as gateway:
        compared, found = asyncio.run(compare(gateway))
    assert compared == 1
    assert [finding.offender for finding in found] == [order] * differing


def test_what_was_under_way_when_a_system_stopped_explains_itself(world: World) -> None:
    """The transfers of an order are under way: the ledger may have them or not."""
    order = world.orders["pin-2"]
    undone = {"done": 0}

    def not_yet_settled(name: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        settled = [key for key in fields.get("settled", ()) if key.startswith(("transfer:", "confirm:"))]
        undone["done"] += len(settled)
        return None if settled else fields

    world.rewrite("orchestrator", order, not_yet_settled)
    world.rewrite("order", order, lambda name, f: None if name == "order.transferred/1" else f)
    world.relist(f"receipts/{RUN}/0.jsonl", lambda line: [*line[:7], 0] if line[4] == order else line)
    assert undone["done"]
    assert failed(findings := world.audit()) == set(), findings.lines()
    world.relist("simulated-ledger.jsonl", lambda line: None if line[1:3] == ["transfer", order] else line)
    assert failed(findings := world.audit()) == set(), findings.lines()


def test_shards_are_all_looked_at(world: World) -> None:
    assert {int(order[4:7], 16) for order in world.orders.values()} == set(range(SHARDS))
