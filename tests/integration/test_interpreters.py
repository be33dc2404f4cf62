"""Which build of Python is taken: among programs that really run, some of which only say what a build would."""

import json
import os
import sys
from pathlib import Path

import pytest

from scripts import interpreters

HERE = os.path.realpath(sys.executable)
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def only_these(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DRAY_PYTHON", raising=False)
    monkeypatch.setattr(interpreters, "USUAL_PLACES", ())


def build(directory: Path, **differs) -> Path:
    """Another build in that directory: a program that answers any trial with what is said here."""
    program = directory / VERSION
    says = {
        "executable": str(program),
        "version": [sys.implementation.name, *sys.version_info[:2]],
        "flags": sys.abiflags,
        "lacks": [],
        "headers": True,
        "seconds": 1e-6,
    }
    program.write_text(f"#!/bin/sh\necho '{json.dumps(says | differs)}'\n")
    program.chmod(0o755)
    return program


def chosen() -> tuple[str, list[str]]:
    said: list[str] = []
    return os.path.realpath(interpreters.fastest_build(said.append)), said


def test_a_faster_build_of_the_same_version_is_taken_and_said(tmp_path):
    faster = build(tmp_path)
    found, said = chosen()
    assert found == str(faster)
    assert len(said) == 1
    assert str(faster) in said[0]
    assert HERE in said[0]


@pytest.mark.parametrize(
    "differs",
    [
        {"seconds": 1e6},
        {"version": [sys.implementation.name, sys.version_info[0], sys.version_info[1] + 1]},
        {"version": ["other", *sys.version_info[:2]]},
        {"lacks": ["ensurepip"]},
        {"lacks": ["_ssl"]},
        {"flags": "d"},
        {"executable": "/nowhere/python"},
    ],
    ids=["slower", "another version", "another implementation", "no environments", "no TLS", "debug", "not there"],
)
def test_a_build_that_is_worse_in_anything_is_left_alone(tmp_path, differs):
    build(tmp_path, **differs)
    assert chosen() == (HERE, [])


def test_one_that_could_not_compile_is_no_match_for_one_that_can(tmp_path, monkeypatch):
    without_headers = build(tmp_path, headers=False)
    compiles = interpreters._tried(sys.executable)["headers"]
    assert chosen()[0] == (HERE if compiles else str(without_headers))


def test_what_is_no_interpreter_is_passed_over(tmp_path):
    build(tmp_path).write_text("#!/bin/sh\necho no\nexit 3\n")
    assert chosen() == (HERE, [])


def test_alone_it_is_the_one_that_was_called():
    assert chosen() == (HERE, [])


def test_the_user_has_the_last_word(tmp_path, monkeypatch):
    slower = build(tmp_path, seconds=1e6)
    monkeypatch.setenv("DRAY_PYTHON", str(slower))
    assert chosen() == (str(slower), [])


@pytest.mark.parametrize("named", ["/nowhere/python", "old"])
def test_what_the_user_names_has_to_be_a_python_that_will_do(tmp_path, monkeypatch, named):
    if named == "old":
        named = str(build(tmp_path, version=[sys.implementation.name, 3, 10]))
    monkeypatch.setenv("DRAY_PYTHON", named)
    with pytest.raises(SystemExit, match="DRAY_PYTHON"):
        interpreters.fastest_build(print)
