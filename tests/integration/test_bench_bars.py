"""What benchmarks say of their figures."""

from __future__ import annotations

import importlib
import inspect
import json
from dataclasses import dataclass

import pytest

from scripts.bench.measuring import Bar, at_most, show
from scripts.bench.overload import well_after_s
from scripts.cli.bench import NAMES
from scripts.load.measured import Diary, Measured
from scripts.load.plan import Plan


@dataclass(frozen=True)
class Row:
    what: str
    per_second: float


@pytest.mark.parametrize(
    ("bar", "verdict"),
    [
        (Bar("rate", 2_000, 2_000, undone=1_300), "reached"),
        (Bar("rate", 1_999, 2_000, undone=1_300), "passable"),
        (Bar("rate", 1_299, 2_000, undone=1_300), "MISSED"),
        (Bar("rate", 1_999, 2_000), "MISSED"),
        (at_most("ms", 1.0, 1.0, undone=1.6), "reached"),
        (at_most("ms", 1.1, 1.0, undone=1.6), "passable"),
        (at_most("ms", 1.7, 1.0, undone=1.6), "MISSED"),
        (at_most("lost", 0, 0), "reached"),
        (at_most("lost", 1, 0), "MISSED"),
    ],
)
def test_a_bar_is_reached_passable_or_missed(bar: Bar, verdict: str) -> None:
    assert bar.verdict == verdict == bar.to_json()["verdict"]


def test_figures_stand_beside_their_bars_and_in_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    bars = show("toy", [Row("a", 1_234.5)], [at_most("CPU ms", 1.25, 1.0, undone=1.6)])
    table, _, line = capsys.readouterr().out.strip().rpartition("\n")
    assert "1,234" in table and "at most 1 (not done above 1.6)" in table and "passable" in table
    found = json.loads(line)
    assert (found["benchmark"], found["rows"]) == ("toy", [{"what": "a", "per_second": 1_234.5}])
    assert [bar["verdict"] for bar in found["bars"]] == [bar.verdict for bar in bars] == ["passable"]
    assert found["cores"] >= 1


def test_every_benchmark_exists_and_takes_one_size() -> None:
    for name, bench in NAMES.items():
        parameters = list(inspect.signature(importlib.import_module(f"scripts.bench.{name}").run).parameters.values())
        assert isinstance(parameters[0].default, int), name
        assert (parameters[0].name == "seconds") is bench.timed, name
        assert 0 < bench.quick < parameters[0].default, name


def test_a_system_is_well_again_when_a_modest_client_sees_nothing_bad_any_more() -> None:
    flood = Measured(Plan(duration_s=10, rate=1), "r", "simulated", 2, "", "", begun_at=100.0)
    assert well_after_s(Diary(), flood) == 0.0
    assert well_after_s(Diary([(105.0, 108.0, "slow, but before the end"), (111.0, 111.9, "quick")]), flood) == 0.0
    assert well_after_s(Diary([(109.0, 112.0, "slow")]), flood) == 2.0
    assert well_after_s(Diary([(109.0, 112.0, "slow")], [(113.5, 429)]), flood) == 3.5
