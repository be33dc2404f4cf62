"""A system for one occasion: on a data directory of its own, gone afterwards."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from scripts import run_state
from scripts.settings import Settings, flag_of, resolve
from scripts.supervision import leftovers
from scripts.supervision.detached import detach

STOP_TIMEOUT_S = 60.0
OWN: Mapping[str, str] = {"port": "0", "sandbox_port": "0", "redis": "", "database": "", "address": ""}
"""What no environment variable changes here: a temporary system touches nothing of anybody else's."""


class DidNotStart(Exception):
    """The temporary system could not be started; its `up` has said why, and its logs are still there."""


@contextmanager
def temporary_system(flags: Mapping[str, str], purpose: str) -> Iterator[Settings]:
    """Start a system with these settings on top of the environment's, and stop it at the end, whatever happens. Its
    directory stays only if the body raises, for the logs in it. Raises DidNotStart."""
    directory = Path(tempfile.mkdtemp(prefix=f"dray-{purpose}-"))
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    told = {**flags, **OWN, "data": str(directory)}
    settings = resolve(told).settings
    try:
        if detach(settings, [part for name, text in told.items() for part in (flag_of(name), text)]):
            raise DidNotStart(f"the logs are in {settings.logs}")
        yield settings
    finally:
        state = run_state.read(settings)
        if state is not None:
            if state.supervisor.alive():
                leftovers.stop_supervisor(state, STOP_TIMEOUT_S)
            leftovers.stop_all(settings, run_state.read(settings))
        for number, handler in before.items():
            signal.signal(number, handler)
    shutil.rmtree(directory, ignore_errors=True)


class _Failed(Exception):
    """What the system has left behind is worth a look."""


def in_temporary_system(flags: Mapping[str, str], purpose: str, act: Callable[[Settings], int]) -> int:
    """Do something on a temporary system, for a command that found none running. Returns 0, or 1 if it could not be
    started or `act` returned another exit code; then its logs stay, and the user is told where."""
    print("nothing runs: starting a temporary system", flush=True)
    logs: Path | None = None
    try:
        with temporary_system(flags, purpose) as settings:
            logs = settings.logs
            if act(settings):
                raise _Failed
    except DidNotStart as error:
        print(f"dray: {error}", file=sys.stderr)
        return 1
    except _Failed:
        print(f"dray: the logs are in {logs}", file=sys.stderr)
        return 1
    return 0


def _end(number: int, _frame: FrameType | None) -> None:
    """Being told to end is no reason to leave a system behind: unwind."""
    raise SystemExit(128 + number)
