"""Chaos with real processes, as an operator runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from scripts.chaos.schedule import schedule
from tests.e2e.system import ROOT, System

KINDS = ("host", "redis", "gateway", "stripe")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path / "data")


def test_a_short_run_loses_no_order(tmp_path: Path, system: System) -> None:
    """With nothing running it starts a system of its own, and leaves nothing behind."""
    report = tmp_path / "chaos.json"
    options = ("--duration", "20", "--seed", "0", "--rate", "30", "--faults", ",".join(KINDS))
    done = system.dray("chaos", *options, "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(report.read_text())
    assert result["passed"] and result["load"]["audit"]["passed"]
    assert result["orders"]["lost"] == 0
    assert result["orders"]["accepted"] == result["orders"]["ended"] > 300
    planned = [(strike.fault, strike.at_s) for strike in schedule(0, 20, KINDS)]
    assert [(fault["fault"], fault["at_s"]) for fault in result["faults"]] == planned
    assert {fault for fault, _ in planned} == set(KINDS)
    assert all(fault["target"] and fault["recovery_s"] is not None for fault in result["faults"])
    assert not system.data.exists()


def test_ctrl_c_lets_a_paused_process_go_on(system: System) -> None:
    """On a system that runs already, which it leaves as it was."""
    system.up("--payments", "simulated")
    try:
        command = [sys.executable, "-m", "scripts.cli", "chaos", "--data", str(system.data)]
        command += ["--duration", "60", "--faults", "pause", "--rate", "20"]
        with subprocess.Popen(
            command, cwd=system.data.parent, env=system.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        ) as chaos:  # fmt: skip
            try:
                while not _stopped(system):
                    assert chaos.poll() is None, chaos.stdout and chaos.stdout.read()
                    time.sleep(0.02)
                os.kill(chaos.pid, signal.SIGINT)
                said, _ = chaos.communicate(timeout=100)
            finally:
                chaos.kill()
        assert (chaos.returncode, "(interrupted)" in said) == (0, True), said
        assert not _stopped(system)
        system.stock("mug", "MUG-1")
        assert system.place("mug", Prefer="wait=10")["status"] == "confirmed"
    finally:
        system.down()


def test_what_dies_while_ray_is_being_started_again_is_started_again_too(system: System) -> None:
    system.up("--payments", "simulated")
    try:
        system.stock("mug", "MUG-1")
        placed = [system.place("mug")["id"] for _ in range(10)]
        before = system.run["processes"]["redis"]
        next(process for process in system.processes() if process.name() == "gcs_server").kill()
        while "deploy" not in system.run["processes"]:  # Ray's death has been noticed
            time.sleep(0.02)
        psutil.Process(before["pid"]).kill()
        placed += [system.place("mug")["id"] for _ in range(10)]
        assert {system.settled(order) for order in placed} == {"confirmed"}
        assert system.run["processes"]["redis"] != before
    finally:
        system.down()


def test_even_a_killed_chaos_leaves_nothing_stopped() -> None:
    """What it has stopped goes on once its own process is gone."""
    with subprocess.Popen(["/bin/sleep", "60"]) as victim:
        script = (
            "import psutil, sys, time; from scripts.chaos.victims import Paused;"
            "kept = Paused(psutil.Process(int(sys.argv[1]))); print('stopped', flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, str(victim.pid)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, text=True,
        ) as chaos:  # fmt: skip
            assert chaos.stdout is not None
            assert chaos.stdout.readline() == "stopped\n"
            stopped = psutil.Process(victim.pid)
            assert stopped.status() == psutil.STATUS_STOPPED
            chaos.kill()
        while stopped.status() == psutil.STATUS_STOPPED:
            time.sleep(0.01)
        victim.kill()


@pytest.mark.parametrize(
    "options",
    [("--faults", "meteor"), ("--duration", "1"), ("--rate", "0")],
    ids=["an unknown fault", "too short", "no load"],
)
def test_what_makes_no_sense_is_refused(system: System, options: tuple[str, ...]) -> None:
    done = system.dray("chaos", *options)
    assert done.returncode == 2
    assert done.stderr.startswith("dray: ")


def test_only_what_the_system_has_started_itself_can_be_struck(system: System) -> None:
    system.up("--payments", "simulated", "--hosts", "1")
    try:
        done = system.dray("chaos", "--faults", "sandbox,host", "--duration", "10")
        assert (done.returncode, done.stderr) == (2, "dray: this system cannot have sandbox\n")
    finally:
        system.down()


def _stopped(system: System) -> list[psutil.Process]:
    return [process for process in system.processes() if process.status() == psutil.STATUS_STOPPED]
