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
from tests.gateway.shop import SHARDS
from tests.integration.audited_world import RUN, World, copied, make
from tests.integration.planted_faults import PLANTED, lost_order


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
    world.redis.rpush("{s2}:stream", "order:x 0 0")
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
