"""Run every check: ruff, mypy, import-linter, then all the tests.

Further arguments go to pytest (`dray test -k orders -x`), which then runs alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from scripts.settings import Resolved

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS = (
    ("ruff", ["-m", "ruff", "check", "."]),
    ("mypy", ["-m", "mypy"]),
    ("import-linter", ["-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"]),
    ("pytest", ["-m", "pytest", "-q"]),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("options", nargs=argparse.REMAINDER, help="for pytest")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    checks = [("pytest", ["-m", "pytest", *arguments.options])] if arguments.options else list(CHECKS)
    failed = []
    for name, command in checks:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=False).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0
