"""The read side of a running system: its projector is killed again and again, and its rows are those of a rebuild."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.system import System

KILLS = 4
ORDERS_BETWEEN = 5
OF_A_REBUILD = ("generation", "sequence", "fed_at")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    found = System(tmp_path_factory.mktemp("e2e") / "data", DRAY_PAYMENTS="simulated")
    found.up()
    try:
        found.stock("mug", "MUG-1")
        yield found
    finally:
        found.down()


def projector(system: System, within_s: float = 60.0) -> psutil.Process:
    """The process that the projector lives in, once Ray has (re)started it."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        for process in system.processes():
            try:
                if any("ProjectorActor" in word for word in process.cmdline()):
                    return process
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        time.sleep(0.1)
    raise AssertionError("there is no projector")


def rows(data: Path) -> dict[str, list[Any]]:
    """All rows, without what tells one rebuild from another."""
    with closing(sqlite3.connect(f"file:{data / 'read.db'}?mode=ro", uri=True)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(orders)") if row[1] not in OF_A_REBUILD]
        return {
            "orders": sorted(database.execute(f"SELECT {', '.join(columns)} FROM orders")),
            "terms": sorted(database.execute("SELECT * FROM terms")),
            "tasks": sorted(database.execute("SELECT * FROM tasks")),
        }


def listed(system: System, count: int, within_s: float = 60.0) -> list[dict[str, Any]]:
    """The retailer's list, once it shows `count` orders that have all ended up confirmed."""
    deadline = time.monotonic() + within_s
    page: Any = None
    while time.monotonic() < deadline:
        status, page = system.call("GET", "/v1/orders?limit=200&status=confirmed")
        if status == 200 and len(page["data"]) == count:
            found: list[dict[str, Any]] = page["data"]
            return found
        time.sleep(0.1)
    raise AssertionError(page)


def test_a_killed_projector_loses_and_doubles_nothing(system: System) -> None:
    placed: list[str] = []
    for _ in range(KILLS):
        victim = projector(system)
        placed += [system.place("mug")["id"] for _ in range(ORDERS_BETWEEN)]
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        placed += [system.place("mug")["id"] for _ in range(ORDERS_BETWEEN)]
    orders = listed(system, len(placed))
    assert sorted(order["id"] for order in orders) == sorted(placed)
    for order in orders[:3]:
        system.settled(order["id"])
    deadline = time.monotonic() + 30
    before = rows(system.data)
    while (rebuilt := rebuilt_rows(system)) != before and time.monotonic() < deadline:
        before = rows(system.data)  # transfers were still being made when we looked first
    assert before == rebuilt


def rebuilt_rows(system: System) -> dict[str, list[Any]]:
    made = system.dray("rebuild")
    assert made.returncode == 0, made.stderr
    assert "made anew" in made.stdout
    return rows(system.data)


def test_operators_see_how_far_it_is_behind(system: System) -> None:
    assert json.loads(system.dray("status", "--json").stdout)["read_side_lag_s"] < 60
    assert "read side" in system.dray("status").stdout


def test_reports_follow_the_orders_and_say_what_they_say(system: System) -> None:
    system.place("mug", Prefer="wait=10")
    deadline = time.monotonic() + 60
    told: Any = None
    while time.monotonic() < deadline:
        orders = system.call("GET", "/v1/orders?limit=200")[1]["data"]
        told = system.call("GET", "/v1/analytics/days")[1]
        figures = {
            "currency": orders[0]["currency"],
            "orders": len(orders),
            "units": sum(line["quantity"] for order in orders for line in order["lines"]),
            "revenue": sum(order["captured_amount"] for order in orders),
            "refunds": sum(order["refunded_amount"] for order in orders),
        }
        if told["totals"] == [{**figures, "net": figures["revenue"] - figures["refunds"]}]:
            return
        time.sleep(0.5)
    raise AssertionError(told)
