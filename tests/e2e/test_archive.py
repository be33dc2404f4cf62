"""A running system whose orders leave Redis: they are read, refunded, listed and audited as before."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.e2e.system import System
from tests.e2e.test_read_side import rebuilt_rows, rows

AFTER_S = "2"
ORDERS = 12


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    found = System(
        tmp_path_factory.mktemp("e2e") / "data", DRAY_PAYMENTS="simulated", DRAY_ARCHIVE_AFTER_S=AFTER_S
    )
    found.up()
    try:
        found.stock("mug", "MUG-1")
        yield found
    finally:
        found.down()


def in_redis(system: System, order: str) -> bool:
    client = redis.Redis(unix_socket_path=system.run["redis"].removeprefix("unix://").partition("?")[0])
    try:
        shard = int(order[4:7], 16)
        return bool(client.exists(*(f"{{s{shard}}}:e:{kind}:{order}" for kind in ("order", "orchestrator"))))
    finally:
        client.close()


def archived(system: System, *orders: str, within_s: float = 90.0) -> None:
    """Wait until none of them is in Redis any more."""
    deadline = time.monotonic() + within_s
    while any(in_redis(system, order) for order in orders):
        assert time.monotonic() < deadline, system.dray("status").stdout
        time.sleep(0.2)


def audited(system: System) -> dict[str, Any]:
    path = system.data / "audit.json"
    done = system.dray("audit", "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_archived_orders_are_as_they_were(system: System) -> None:
    placed = [system.place("mug")["id"] for _ in range(ORDERS)]
    assert {system.settled(order) for order in placed} == {"confirmed"}
    before = {order: system.order(order) for order in placed}
    archived(system, *placed)
    status = system.dray("status").stdout
    assert f"{ORDERS} orders left Redis" in status, status
    assert {order: system.order(order) for order in placed} == before
    assert not any(in_redis(system, order) for order in placed), "reading puts nothing back"
    _, page = system.call("GET", "/v1/orders?limit=200")
    assert {order["id"] for order in page["data"]} == set(placed)

    # A refund restores the order at its version, with all it has been through.
    order = placed[0]
    status_code, refund = system.call("POST", f"/v1/orders/{order}/refunds", {"amount": 100})
    assert status_code == 201, refund
    deadline = time.monotonic() + 30
    while (now := system.order(order))["refunded_amount"] != 100:
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    events = [entry["event"] for entry in now["timeline"]]
    assert events[: len(before[order]["timeline"])] == [entry["event"] for entry in before[order]["timeline"]]
    assert now["version"] > before[order]["version"]
    assert audited(system)["invariants"]["A1"]["checked"] == ORDERS
    archived(system, order)
    assert system.order(order) == system.order(order) and system.order(order)["refunded_amount"] == 100

    # A rebuild keeps the rows of those that have left.
    was = rows(system.data)
    assert len(was["orders"]) == ORDERS
    assert rebuilt_rows(system) == was
    assert audited(system)["passed"]


def test_hosts_that_die_while_they_archive_lose_and_double_nothing(system: System) -> None:
    placed = []
    for _ in range(3):
        placed += [system.place("mug")["id"] for _ in range(4)]
        for host in system.hosts():
            host.kill()
            time.sleep(1.5)
    assert {system.settled(order) for order in placed} == {"confirmed"}
    archived(system, *placed)
    assert {system.order(order)["status"] for order in placed} == {"confirmed"}
    assert audited(system)["passed"]


def test_the_archive_outlives_the_system(system: System) -> None:
    order = system.place("mug")["id"]
    system.settled(order)
    archived(system, order)
    before = system.order(order)
    system.kill_everything()
    assert system.dray("audit").returncode == 0, "a stopped system is audited with its archive"
    system.up()
    assert system.order(order) == before
    status, answer = system.call("POST", f"/v1/orders/{order}/cancel", {"reason": "too late?"})
    assert status == 202, answer
    assert system.settled(order) == "cancelled"
