"""Order history and the demo against a running system, as an operator runs them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.system import ROOT, System

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
CELLS = {"title": "MUG", "at": "12/1/10 8:26", "country": "France"}
HISTORY = [
    # invoice, stock code, quantity, price, customer
    ("1", "85123A", "6", "2.55", "17850"),
    ("1", "85123A", "2", "2.10", "17850"),  # the same article at another price
    ("1", "BANK CHARGES", "1", "15.00", "17850"),  # no possible product id
    ("2", "85123A", "74215", "1.04", "12346"),  # more than an order line holds
    ("3", "22423", "3", "12.75", ""),  # nobody's
    ("2", "POST", "-1", "18.00", "12346"),  # flawed, line 7
    ("3", "22423", "1", "0.0", ""),  # flawed, line 8
    ("C4", "85123A", "-7", "2.55", "17850"),
    ("5", "85123A", "1", "2.55", "17850"),
    ("C6", "85123A", "-2", "2.55", "17850"),  # one of invoice 5, one of invoice 1
    ("C7", "85123A", "-74215", "1.04", "12346"),  # all of an order
    ("C8", "22423", "-1", "12.75", ""),  # nobody's, line 13
    ("C9", "22423", "-1", "12.75", "17850"),  # never bought, line 14
    ("10", "PADS", "1", "0.001", "13952"),  # less than a penny
]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = System(tmp_path_factory.mktemp("replay") / "data")
    running.up()
    yield running
    running.down()


def history(path: Path, rows: list[tuple[str, str, str, str, str]]) -> str:
    lines = (
        f"{invoice},{code},{CELLS['title']},{quantity},{CELLS['at']},{price},{customer},{CELLS['country']}\n"
        for invoice, code, quantity, price, customer in rows
    )
    path.write_text(HEADER + "".join(lines))
    return str(path)


def amounts(output: str) -> dict[str, str]:
    """The figures of the report by their label."""
    found = {}
    for line in output.splitlines():
        label, _, rest = line.partition(" ")
        if label in ("read", "posted", "captured", "refunded"):
            found[label] = rest.split()[-1]
    return found


def test_a_replay_reconciles_goes_on_and_doubles_nothing(system: System, tmp_path: Path) -> None:
    path = history(tmp_path / "history.csv", HISTORY)
    first = system.dray("replay", path, "--limit", "2")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "posted      2 orders: 2 in this run" in first.stdout

    second = system.dray("replay", path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "posted      5 orders: 3 in this run" in second.stdout
    assert "line 7: negative quantity on an invoice that is no cancellation: -1 on 2" in second.stdout
    assert "line 8: price of zero" in second.stdout
    assert "cancellation on line 13: 1 x 22423 of C8: it names no customer" in second.stdout
    assert "cancellation on line 14: 1 x 22423 of C9: the customer has no earlier order with it" in second.stdout
    assert "line 15: price rounded to 0.00" in second.stdout
    sold = 6 * 255 + 2 * 210 + 1500 + 74215 * 104 + 3 * 1275 + 255
    back = (6 * 255 + 210) + (255 + 210) + 74215 * 104
    figures = amounts(second.stdout)
    assert figures == {**dict.fromkeys(("read", "posted", "captured"), money(sold)), "refunded": money(back)}
    assert system.call("GET", "/v1/inventory/85123A")[1]["sold"] == 6 + 2 + 74215 + 1

    third = system.dray("replay", path, "--limit", "1")
    assert third.returncode == 0, third.stdout + third.stderr
    assert "posted      5 orders: 0 in this run" in third.stdout
    assert amounts(third.stdout) == figures


def money(pence: int) -> str:
    return f"{pence // 100:,}.{pence % 100:02d}"


def test_another_history_of_the_same_stock_reconciles_too(system: System, tmp_path: Path) -> None:
    path = history(
        tmp_path / "other.csv", [("1", "85123A", "6", "2.55", "17850"), ("2", "10002", "1", "0.85", "17850")]
    )
    done = system.dray("replay", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_order_that_somebody_else_cancelled_does_not_pass_unnoticed(system: System, tmp_path: Path) -> None:
    path = history(tmp_path / "cancelled.csv", [("1", "20725", "6", "1.65", "1"), ("2", "20725", "2", "1.65", "2")])
    assert system.dray("replay", path).returncode == 0
    progress = next(file for file in (system.data / "replays").iterdir() if '"20725"' in file.read_text())
    order = progress.read_text().rpartition('"order": "')[2].partition('"')[0]
    acme = system.keys["retailers"]["acme"]
    assert system.call("POST", f"/v1/orders/{order}/refunds", {"amount": 100}, key=acme)[0] == 201
    done = system.dray("replay", path)
    assert done.returncode == 1
    assert f"{order}: refunded 100, cancelled 0" in done.stdout


def test_an_invoice_that_is_no_possible_order_is_listed_and_left_out(system: System, tmp_path: Path) -> None:
    rows = [("1", "71053", "1", "3.39", "17850")] * 1001 + [("2", "71053", "2", "3.39", "17850")]
    done = system.dray("replay", history(tmp_path / "wide.csv", rows))
    assert done.returncode == 1
    assert "line 2: invoice 1 was refused: POST /v1/orders: 422 invalid" in done.stdout
    assert "posted      1 orders" in done.stdout
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert wrong == ["WRONG  1 orders for 2 invoices"]


def test_progress_of_a_journal_that_is_gone_is_forgotten(system: System, tmp_path: Path) -> None:
    path = history(tmp_path / "gone.csv", [("1", "20685", "1", "7.95", "1")])
    assert system.dray("replay", path).returncode == 0
    progress = next(file for file in (system.data / "replays").iterdir() if '"20685"' in file.read_text())
    stocked, _, _ = progress.read_text().partition("\n")
    progress.write_text(f'{stocked}\n{{"invoice": "1", "order": "ord_000{"0" * 32}"}}\n')
    done = system.dray("replay", path)
    assert "beginning anew" in done.stdout
    assert "posted      1 orders" in done.stdout
    assert done.returncode == 0, done.stdout  # the key has found the order that there was


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(system: System, tmp_path: Path) -> None:
    path = history(tmp_path / "long.csv", [(str(n), "21730", "1", "4.25", "17850") for n in range(1, 61)])
    command = [sys.executable, "-m", "scripts.cli", "replay", "--data", str(system.data), path, "--rate", "20"]
    running = subprocess.Popen(
        command, env=system.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    before = set((system.data / "replays").iterdir())
    while not any(file.read_text().count('"order"') >= 5 for file in set((system.data / "replays").iterdir()) - before):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 130, output + errors
    assert "stopped after" in output
    assert "The same command goes on from here." in errors
    done = system.dray("replay", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "posted      60 orders" in done.stdout


def test_what_cannot_be_replayed_is_said(system: System, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    done = system.dray("replay", str(tmp_path / "other.csv"))
    assert (done.returncode, "has no column InvoiceNo" in done.stderr) == (2, True)
    assert system.dray("replay", str(tmp_path / "absent.csv")).returncode == 2
    nowhere = System(tmp_path / "nothing")
    done = nowhere.dray("replay", str(tmp_path / "other.csv"))
    assert (done.returncode, "nothing runs on" in done.stderr) == (1, True)


def test_the_demo_on_a_running_system_leaves_nothing_of_others_touched(system: System) -> None:
    before = [system.call("GET", f"/v1/{path}")[1] for path in ("suppliers/south", "retailers/acme")]
    done = system.dray("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "21 of 21 orders ended as they should" in done.stdout
    assert [system.call("GET", f"/v1/{path}")[1] for path in ("suppliers/south", "retailers/acme")] == before
    keys = system.call("GET", "/v1/api_keys")[1]["data"]
    assert all(key["revoked_at"] for key in keys if key["name"].startswith("demo"))


def test_the_demo_with_nothing_running_brings_and_removes_a_system(tmp_path: Path) -> None:
    alone = System(tmp_path / "data", TMPDIR=str(tmp_path))
    done = alone.dray("demo", "--payments", "simulated")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stock and money agree with them" in done.stdout
    assert not list(tmp_path.glob("dray-demo-*"))


@pytest.mark.parametrize("after_s", [0.5, 4.0])
def test_a_demo_that_is_told_to_end_leaves_nothing_running(tmp_path: Path, after_s: float) -> None:
    """While its system is starting, and later."""
    alone = System(tmp_path / "data", TMPDIR=str(tmp_path))
    command = [sys.executable, "-m", "scripts.cli", "demo", "--data", str(alone.data), "--payments", "simulated"]
    running = subprocess.Popen(command, env=alone.environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    time.sleep(after_s)
    running.terminate()
    assert running.wait(timeout=60) in (128 + signal.SIGTERM, -signal.SIGTERM)  # the latter before it has begun
    named = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or ())
    ]
    assert [process for process in named if process.status() != psutil.STATUS_ZOMBIE] == []
