"""The processes of one running system that chaos may touch: those that its `run.json` names, and the members of the
session of its own Ray. Nobody else's."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Mapping

import psutil

from scripts import run_state
from scripts.run_state import RunState
from scripts.settings import Settings
from scripts.supervision.leftovers import RAY, REDIS

SANDBOX = "sandbox"
GATEWAY = "gateway-"
ENDS_WITHIN_S = 10.0
ENDS_LOOK_S = 0.005

_RAY_TITLES: Mapping[str, tuple[str, ...]] = {
    "host": ("ray::Host",), "pause": ("ray::Host",), "projector": ("ray::Projector",), "director": ("ray::Director",),
}  # fmt: skip
"""Ray names a worker's process after its actor."""

RAY_PROGRAMS = ("gcs_server", "raylet")


def possible(state: RunState) -> set[str]:
    """The faults that can be done to this system: what it has not started itself is left alone."""
    names = state.processes
    found = {"gateway"} if any(role.startswith(GATEWAY) for role in names) else set()
    found |= {"redis"} if REDIS in names else set()
    found |= {"sandbox", "stripe"} if SANDBOX in names else set()
    return found | ({*_RAY_TITLES, "node"} if RAY in names else set())


class Victims:
    """Finds processes by the kind of fault they are for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def all(self, fault: str) -> list[psutil.Process]:
        """Those that live now, in a stable order. Empty while they are being started anew."""
        state = run_state.read(self._settings)
        if state is None:
            return []
        if fault in _RAY_TITLES:
            return self._in_ray(state, lambda process: _title(process).startswith(_RAY_TITLES[fault]))
        if fault == "node":
            return self._in_ray(state, lambda process: process.name() in RAY_PROGRAMS)
        role = {"gateway": GATEWAY, "redis": REDIS, "sandbox": SANDBOX}[fault]
        return [
            process
            for name, named in sorted(state.processes.items())
            if name.startswith(role)
            for process in named.members()
        ]

    def pick(self, fault: str, share: float) -> psutil.Process | None:
        found = self.all(fault)
        return found[min(int(share * len(found)), len(found) - 1)] if found else None

    @staticmethod
    def _in_ray(state: RunState, wanted: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
        ray = state.processes.get(RAY)
        found = []
        for process in ray.members() if ray is not None else ():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if wanted(process):
                    found.append(process)
        return sorted(found, key=lambda process: (process.create_time(), process.pid))


def _title(process: psutil.Process) -> str:
    return " ".join(process.cmdline()[:1])


def await_end(process: psutil.Process) -> None:
    """Until a process that was killed runs no more, noticed by its parent or not."""
    _await(process, psutil.STATUS_ZOMBIE)


def _await(process: psutil.Process, status: str) -> None:
    """Until a process has this status or is gone: a signal only asks for it. Gives up after `ENDS_WITHIN_S`."""
    give_up = time.monotonic() + ENDS_WITHIN_S
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != status and time.monotonic() < give_up:
            time.sleep(ENDS_LOOK_S)


class Paused:
    """A process that is stopped (SIGSTOP) until `resume`, or until the process that stopped it is gone: then a shell
    that waits for its input to close lets it go on. So nothing stays stopped, even if chaos itself is killed."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._waker = subprocess.Popen(
            ["/bin/sh", "-c", f"read _; kill -CONT {process.pid}"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )  # fmt: skip
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
            _await(process, psutil.STATUS_STOPPED)

    def resume(self) -> None:
        """Safe to call again."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.resume()
        assert self._waker.stdin is not None
        self._waker.stdin.close()
        self._waker.wait()
