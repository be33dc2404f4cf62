"""One system, as its operator uses it: up, orders, deaths of all kinds, up again, down."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.system import System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """With two gateways, and one SKU in a Ray actor of its own."""
    found = System(tmp_path_factory.mktemp("e2e") / "data", DRAY_DEDICATED="sku:HOT-1", DRAY_PAYMENTS="simulated")
    found.up("--gateways", "2")
    try:
        found.stock("mug", "MUG-1")
        found.stock("hat", "HOT-1")
        yield found
    finally:
        found.down()


def test_it_keeps_its_secrets_to_itself(system: System) -> None:
    for name in ("keys.json", "master.key", "run.json", "ray.token", "director.json"):
        assert stat.S_IMODE((system.data / name).stat().st_mode) == 0o600, name
    assert set(system.keys) == {"ops", "retailers", "suppliers"}
    assert set(system.keys["suppliers"]) == {"north", "south"}


def test_it_listens_on_the_loopback_interface_alone(system: System) -> None:
    for process in system.processes():
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1"), process.cmdline()


def test_an_order_is_confirmed(system: System) -> None:
    assert system.place("mug", Prefer="wait=10")["status"] == "confirmed"


def test_a_second_up_says_that_it_runs(system: System) -> None:
    again = system.dray("up", "--detach", "--port", "0")
    assert again.returncode == 1
    assert system.url in again.stderr


def test_a_dedicated_actor_has_a_ray_actor_of_its_own_name(system: System) -> None:
    assert system.place("hat", Prefer="wait=10")["status"] == "confirmed"
    listed = system.dray("ray", "list", "actors")
    assert listed.returncode == 0, listed.stderr
    assert "sku:HOT-1" in listed.stdout and "dray:host:0" in listed.stdout
    hosts = json.loads(system.dray("status", "--json").stdout)["hosts"]
    assert [cell["actor"] for cell in hosts["sku:HOT-1"]["cells"]] == ["sku:HOT-1"]


def test_keys_are_made_listed_and_revoked(system: System) -> None:
    made = system.dray("keys", "create", "--role", "supplier", "--name", "north")
    key, described = made.stdout.splitlines()
    key_id = described.partition(":")[0]
    assert system.call("GET", "/v1/tasks", key=key)[0] == 200
    assert key_id in system.dray("keys", "list").stdout
    assert key not in system.dray("keys", "list").stdout
    assert system.dray("keys", "revoke", key_id).returncode == 0
    assert "revoked" in next(line for line in system.dray("keys", "list").stdout.splitlines() if key_id in line)


def test_a_killed_host_costs_no_order(system: System) -> None:
    placed = [system.place("mug")["id"] for _ in range(20)]
    system.busy_host().kill()
    placed += [system.place("mug")["id"] for _ in range(20)]
    assert {system.settled(order) for order in placed} == {"confirmed"}


def test_a_killed_gateway_is_started_again(system: System) -> None:
    before = system.run["processes"]["gateway-0"]
    killed = psutil.Process(before["pid"])
    killed.kill()
    while killed.is_running() and killed.status() != psutil.STATUS_ZOMBIE:  # until then connections may still reach it
        time.sleep(0.01)
    assert system.place("mug", Prefer="wait=10")["status"] == "confirmed"  # the other one serves
    while system.run["processes"]["gateway-0"] == before:
        time.sleep(0.05)
    assert system.place("mug", Prefer="wait=10")["status"] == "confirmed"


def test_after_a_kill_of_everything_every_accepted_order_goes_on(system: System) -> None:
    keys = system.keys
    placed = [system.place("mug" if n % 2 else "hat")["id"] for n in range(20)]
    system.kill_everything()
    system.up("--gateways", "2")
    assert system.keys == keys
    assert {system.settled(order) for order in placed} == {"confirmed"}
    status, sku = system.call("GET", "/v1/inventory/HOT-1")
    assert status == 200
    assert sku["received"] == sku["available"] + sku["reserved"] + sku["sold"]


def test_down_ends_all_of_it_and_nothing_else(tmp_path: Path, system: System) -> None:
    ours = system.processes()
    bystander = System(tmp_path / "nothing")
    done = bystander.dray("down")
    assert (done.returncode, "nothing runs" in done.stdout) == (0, True)
    assert all(process.is_running() for process in ours)
    system.down()
    assert [process for process in ours if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert not Path(system.run["ray_directory"]).exists()
    after = system.dray("status")
    assert (after.returncode, "nothing runs" in after.stderr) == (1, True)
