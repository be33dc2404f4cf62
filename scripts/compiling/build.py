"""The compiled twin of this checkout: a directory that comes before it on the path of the processes that serve orders.

It is named by what it was made from, so it is never out of date; it is made once, in a minute, and found again. Where
it cannot be made, Dray runs as it is written, and an order costs half as much again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scripts.compiling.constants import with_constants
from scripts.compiling.modules import PACKAGES, compiled_modules
from scripts.compiling.records import Rewriter

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = 3  # twins of what the checkout was before: running systems may use them
MODES = ("auto", "yes", "no")
COMPILERS = ("cc", "gcc", "clang")
POLL_S = 0.1

Say = Callable[[str], None]
Meanwhile = Callable[[], None]
"""Called some ten times a second while the compiler runs. What it raises ends the compiler."""


class CannotCompile(Exception):
    """The message says what is missing, or what the compiler said."""


def path_of_processes(mode: str, say: Say, meanwhile: Meanwhile = lambda: None) -> str:
    """The PYTHONPATH of the processes that serve orders. With `auto` it is the checkout's alone where it cannot be
    compiled, and `say` is told why; with `yes` that raises CannotCompile."""
    if mode == "no":
        return str(ROOT)
    try:
        return os.pathsep.join((str(twin(say, meanwhile)), str(ROOT)))
    except CannotCompile as error:
        if mode == "yes":
            raise
        say(f"not compiled, which costs half as much CPU again: {error}")
        return str(ROOT)


def twin(say: Say, meanwhile: Meanwhile = lambda: None) -> Path:
    """The compiled twin of this checkout, made now if need be. Raises CannotCompile; what has failed once is not tried
    again until something changes, or somebody removes what the compiler said."""
    home = Path(sys.prefix) / "compiled"
    target = home / fingerprint()
    if target.is_dir():
        return target
    require_tools()
    try:
        home.mkdir(exist_ok=True)
        with _alone(home / "lock", say, meanwhile):
            if not target.is_dir():
                _make(target, say, meanwhile)
                _forget_old(home)
    except OSError as error:
        raise CannotCompile(f"{home}: {error.strerror}") from error
    return target


def fingerprint() -> str:
    """Names everything that a twin is made from: sources, this compiler's code, versions."""
    digest = hashlib.sha256(f"{sys.version} {sysconfig.get_platform()} {_version('mypy')}".encode())
    for path in _sources():
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    for package in (*PACKAGES, "scripts/compiling"):
        yield from sorted(p for p in (ROOT / package).rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def require_tools() -> None:
    """Raises CannotCompile, with what to do about it."""
    if not _version("mypy") or not _version("setuptools"):
        raise CannotCompile("mypy and setuptools are not installed")
    if not os.environ.get("CC") and not any(map(shutil.which, COMPILERS)):
        raise CannotCompile("there is no C compiler (Debian: apt-get install gcc libc6-dev)")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        raise CannotCompile("Python's headers are not installed (Debian: apt-get install python3-dev)")


def _make(target: Path, say: Say, meanwhile: Meanwhile) -> None:
    """Raises CannotCompile. Nothing is found under the target's name before it is whole."""
    partial, failed = target.with_suffix(".partial"), target.with_suffix(".log")
    if failed.exists():
        raise CannotCompile(f"the compiler has failed before; what it said is in {failed} (remove it to try again)")
    say("compiling what orders go through (once, a minute or two)")
    shutil.rmtree(partial, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, partial / package, ignore=shutil.ignore_patterns("__pycache__"))
    modules = {name.removesuffix(".py").replace("/", "."): partial / name for name in compiled_modules(partial)}
    rewriter = Rewriter({module: path.read_text() for module, path in modules.items()})
    for module, source in rewriter.rewritten().items():
        modules[module].write_text(source)
    for path in modules.values():
        path.write_text(with_constants(path.read_text()))
    log = target.with_suffix(".partial.log")
    if _run([sys.executable, "-m", "scripts.compiling.compiler", str(partial)], log, meanwhile):
        log.rename(failed)
        raise CannotCompile(f"the compiler failed; what it said is in {failed}")
    log.unlink()
    shutil.rmtree(partial / "build")
    partial.rename(target)


def _run(command: list[str], log: Path, meanwhile: Meanwhile) -> int:
    """The exit code. The command ends with whatever `meanwhile` raises, and with us."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            while True:
                try:
                    return process.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    meanwhile()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _forget_old(home: Path) -> None:
    twins = sorted((p for p in home.iterdir() if p.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in twins[: -KEPT - 1]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(lock: Path, say: Say, meanwhile: Meanwhile) -> Iterator[None]:
    with lock.open("w") as file:
        waits = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waits:
                    say("another call is compiling; waiting for it")
                waits = True
                meanwhile()
                time.sleep(POLL_S)
        yield
