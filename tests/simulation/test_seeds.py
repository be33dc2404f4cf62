"""The simulated cluster keeps A1 to A10 whatever happens to it, and a seed always tells the same story."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scripts import simulate as command
from scripts.simulation.run import simulate

SEEDS = int(os.environ.get("DRAY_SIM_SEEDS", "300"))
GROUP = 25


@pytest.mark.parametrize("first", range(0, SEEDS, GROUP), ids=lambda first: f"from {first}")
def test_every_invariant_holds(first: int) -> None:
    failed = {}
    for seed in range(first, min(first + GROUP, SEEDS)):
        verdict = simulate(seed)
        if not verdict.passed:
            failed[f"dray sim --seed {seed}"] = verdict.violations[:3]
    assert not failed


def test_a_seed_tells_the_same_story_again() -> None:
    first, again = simulate(7, keep_trace=True), simulate(7, keep_trace=True)
    assert first.events > 500
    assert (first.digest, first.trace, first.violations) == (again.digest, again.trace, again.violations)
    assert simulate(8).digest != first.digest


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_story_does_not_depend_on_the_process_that_tells_it(hash_seed: str) -> None:
    program = "from scripts.simulation.run import simulate; print([simulate(k).digest for k in (3, 7, 11)])"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str([simulate(k).digest for k in (3, 7, 11)])


def test_the_command_replays_a_seed_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seed", "7"]) == 0
    assert "trace " + simulate(7).digest in capsys.readouterr().out


def test_the_command_runs_seeds_in_several_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seeds", "4", "--jobs", "2"]) == 0
    assert "4 seeds" in capsys.readouterr().out


@pytest.mark.as_written
def test_the_command_names_a_failing_seed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from models.orchestrator import plan

    monkeypatch.setattr(plan, "_refunds", lambda *_: None)  # nobody is ever paid back
    assert command.main(["--seeds", "6", "--jobs", "1"]) == 1
    said = capsys.readouterr().out
    assert "replay: dray sim --seed" in said
