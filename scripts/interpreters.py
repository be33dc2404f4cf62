"""Which build of Python `.venv` is made from: the fastest that this machine has of the version that was called.

Three fifths of a host's CPU are spent in the interpreter itself, compiled code included, and builds of one version
differ: Debian's takes 0.66 of the time of one that was built without profile-guided optimisation (pyenv's default), and
an order 0.8 of its CPU. That is measured here by a small program, because what a build says of itself is not reliable
(Debian's does not mention its optimisations).

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

WORTH_IT = 0.88
"""Another build is taken only if it needs less than this share of the time; below that, noise would choose."""
ROUNDS = 11
TRIAL_TIMEOUT_S = 5
USUAL_PLACES = ("/usr/bin", "/usr/local/bin")

TRIAL = """
import json, os, sys, sysconfig, time
from importlib.util import find_spec
from pathlib import Path

NEEDED = "venv ensurepip _ssl _sqlite3 _ctypes zlib _bz2 _lzma".split()

class Line:
    __slots__ = ("sku", "quantity")
    def __init__(self, sku, quantity):
        self.sku = sku
        self.quantity = quantity
    def units(self, more):
        return self.quantity + more

def work():
    stock, total = {}, 0
    for number in range(20_000):
        line = Line(number % 97, number)
        total += line.units(1)
        stock[str(line.sku)] = (total, line)
        total += len([each for each in (1, 2, 3, number) if each]) + len("%s-%d" % ("sku", number))
    return total

def seconds():
    begun = time.process_time()
    work()
    return time.process_time() - begun

print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "version": [sys.implementation.name, *sys.version_info[:2]],
    "flags": sys.abiflags,
    "lacks": [name for name in NEEDED if not find_spec(name)],
    "headers": Path(sysconfig.get_path("include"), "Python.h").exists(),
    "seconds": min(seconds() for _ in range(3)),
}))
"""


def fastest_build(say: Callable[[str], None]) -> str:
    """The interpreter to make `.venv` with: the one that runs this, unless another build of the same version can do all
    that it can (make a virtual environment, and compile if there are headers) and is clearly faster, which `say` is
    told. `DRAY_PYTHON` names one and ends the search. Raises SystemExit if that is no such Python."""
    named = os.environ.get("DRAY_PYTHON", "")
    if named:
        found = _tried(shutil.which(named) or named)
        if found is None or found["version"][1:] < [3, 11]:
            raise SystemExit(f"dray: DRAY_PYTHON={named} is no Python of 3.11 or newer")
        return str(found["executable"])
    here = _tried(sys.executable)
    if here is None:
        return sys.executable
    builds = {here["executable"]: here}
    for path in _others():
        found = _tried(path)
        if found is not None and _as_able(found, here):
            builds.setdefault(found["executable"], found)
    if len(builds) == 1:
        return sys.executable
    shares = _shares(here["executable"], list(builds))
    best = min(shares, key=shares.__getitem__)
    if shares[best] > WORTH_IT:
        return sys.executable
    say(
        f"{best} needs {shares[best]:.2f} of the time of {here['executable']} for the same program, and is used"
        " (DRAY_PYTHON=... names another)"
    )
    return best


def _shares(here: str, builds: Sequence[str]) -> dict[str, float]:
    """The time that each build needs, as a share of that of the one that runs this: the median of turns. A machine that
    others use, too, is twice as fast at one moment as at another, so that only what is next to each other compares."""
    turns: dict[str, list[float]] = {build: [] for build in builds}
    for _ in range(ROUNDS):
        tried = {build: _tried(build) for build in builds}
        own = tried[here]
        for build, found in tried.items():
            if own is not None and found is not None:
                turns[build].append(found["seconds"] / own["seconds"])
    return {build: median(shares) for build, shares in turns.items() if shares} or {here: 1.0}


def _others() -> Iterator[str]:
    """Programs that may be other builds of this version, each file once."""
    seen = {os.path.realpath(sys.executable)}
    names = (f"python{sys.version_info[0]}.{sys.version_info[1]}", "python3")
    for place in (*os.environ.get("PATH", "").split(os.pathsep), *USUAL_PLACES):
        for name in names:
            found = shutil.which(name, path=place) if place else None
            if found and os.path.realpath(found) not in seen:
                seen.add(os.path.realpath(found))
                yield found


def _tried(python: str) -> dict[str, Any] | None:
    """What the trial says of a build; None if it is none, or does not come to an end."""
    try:
        ran = subprocess.run(
            [python, "-I", "-c", TRIAL], capture_output=True, text=True, timeout=TRIAL_TIMEOUT_S, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(ran.stdout)
        return found if Path(found["executable"]).exists() else None
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError):
        return None


def _as_able(other: dict[str, Any], here: dict[str, Any]) -> bool:
    return bool(
        (other["version"], other["flags"]) == (here["version"], here["flags"])
        and set(other["lacks"]) <= set(here["lacks"])
        and other["headers"] >= here["headers"]
    )
