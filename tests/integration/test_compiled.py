"""What is compiled passes the same tests as what is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.compiling import build
from scripts.compiling.build import ROOT, CannotCompile

SEEDS = "tests/simulation/test_seeds.py::test_every_invariant_holds"
SUITES = ("tests/models", "tests/runtime", f"{SEEDS}[from 0]", f"{SEEDS}[from 25]")
TIMEOUT_S = 600


@pytest.fixture(name="twin", scope="module")
def twin_fixture() -> Path:
    """Skips where there is nothing to compile with. A compiler that fails is a failure."""
    try:
        build.require_tools()
    except CannotCompile as error:
        pytest.skip(str(error))
    return build.twin(print)


def test_the_machines_and_the_runtime_are_what_they_were(twin: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{twin}{os.pathsep}{ROOT}", "PYTHONSAFEPATH": "1"}
    command = ["-m", "pytest", "-q", "-o", f"pythonpath={twin} .", "-m", "not as_written", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, *command, *SUITES], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


def test_it_is_compiled_and_the_rest_is_ours(twin: Path) -> None:
    asked = "import models.order.decide, actors.runtime.turn, scripts; print(models.order.decide, actors.runtime.turn)"
    environment = {**os.environ, "PYTHONPATH": f"{twin}{os.pathsep}{ROOT}", "PYTHONSAFEPATH": "1"}
    said = subprocess.run(
        [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.count(".so") == 2
    assert said.count(str(twin)) == 2


def test_a_twin_is_found_again_until_something_changes(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    assert build.twin(said.append) == twin
    assert not said
    before = build.fingerprint()
    monkeypatch.setattr(build, "PACKAGES", (*build.PACKAGES, "gateway"))
    assert build.fingerprint() != before


def test_without_a_compiler_dray_runs_as_it_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # where twins are
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.delenv("CC", raising=False)
    said: list[str] = []
    assert build.path_of_processes("auto", said.append) == str(ROOT)
    assert "no C compiler" in said[0] and "apt-get install" in said[0]
    with pytest.raises(CannotCompile, match="no C compiler"):
        build.path_of_processes("yes", said.append)
    assert build.path_of_processes("no", said.append) == str(ROOT)


def test_a_compiler_that_fails_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, twin: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("CC", "false")
    monkeypatch.setattr(build, "_run", lambda _command, log, _meanwhile: log.write_text("no such thing"))
    with pytest.raises(CannotCompile, match="the compiler failed; what it said is in"):
        build.twin(print)
    log = tmp_path / "compiled" / f"{build.fingerprint()}.log"
    assert log.read_text() == "no such thing"
    with pytest.raises(CannotCompile, match="has failed before"):
        build.twin(print)


def test_where_nothing_can_be_written_dray_runs_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, twin: Path
) -> None:
    (tmp_path / "compiled").write_text("a file where the directory should be")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    said: list[str] = []
    assert build.path_of_processes("auto", said.append) == str(ROOT)
    assert str(tmp_path) in said[0]


def test_who_is_told_to_stop_waits_for_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, twin: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))

    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        build.twin(print, stop)
    assert not (tmp_path / "compiled" / build.fingerprint()).exists()
