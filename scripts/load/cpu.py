"""What every process of a system has cost, read from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from scripts.run_state import RunState

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_RAY_ROLES = {"Host": "hosts", "Director": "director", "Projector": "projector"}
CLIENT = "client"


class Sample(NamedTuple):
    """One process at one moment."""

    role: str
    cpu_s: float
    resident_bytes: int


class _Process(NamedTuple):
    pid: int
    parent: int
    session: int
    started: int
    cpu_s: float
    resident_bytes: int


class Meter:
    """Charges CPU to roles: gateway, hosts, redis, ray, sandbox, client and what else `run.json` or Ray names.

    A process that ends is charged with what it had cost when last seen, so sample now and then.
    """

    def __init__(self, state: RunState, clients: Iterable[int]) -> None:
        self._roots: dict[int, str] = {name.pid: role.split("-")[0] for role, name in state.processes.items()}
        self._roots[state.supervisor.pid] = "supervisor"
        self._sessions = {name.pid for name in state.processes.values() if name.session}
        self._roots |= dict.fromkeys(clients, CLIENT)
        self._seen: dict[tuple[int, int], Sample] = {}
        self._resident: dict[str, int] = {}

    def add_client(self, pid: int) -> None:
        self._roots[pid] = CLIENT

    def sample(self) -> dict[str, float]:
        """CPU seconds by role since each process began, those that have ended meanwhile included."""
        processes = {process.pid: process for process in _processes()}
        resident: defaultdict[str, int] = defaultdict(int)
        for process in processes.values():
            role = self._role(process, processes)
            if role:
                resident[role] += process.resident_bytes
                self._seen[process.pid, process.started] = Sample(role, process.cpu_s, process.resident_bytes)
        self._resident = dict(resident)
        spent: defaultdict[str, float] = defaultdict(float)
        for sample in self._seen.values():
            spent[sample.role] += sample.cpu_s
        return dict(spent)

    @property
    def resident_bytes(self) -> Mapping[str, int]:
        """Memory by role at the last sample."""
        return self._resident

    def _role(self, process: _Process, processes: Mapping[int, _Process]) -> str:
        if process.session in self._sessions:
            return _ray_role(process.pid)
        while True:
            if process.pid in self._roots:
                return self._roots[process.pid]
            parent = processes.get(process.parent)
            if parent is None:
                return ""
            process = parent


def _ray_role(pid: int) -> str:
    """Ray names a worker's process after its actor."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return "ray"
    if not title.startswith("ray::"):
        return "ray"
    return next((role for name, role in _RAY_ROLES.items() if name in title), "ray")


def _processes() -> list[_Process]:
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a thousand Path objects a second are not free
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue  # it has just ended
            fields = stat.rpartition(")")[2].split()  # the third field of proc(5) comes first here
            cpu_s = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
            found.append(
                _Process(
                    int(entry), int(fields[1]), int(fields[3]), int(fields[19]), cpu_s, int(fields[21]) * PAGE_BYTES
                )
            )
    return found


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What each role has spent between two samples."""
    return {role: max(0.0, spent - before.get(role, 0.0)) for role, spent in after.items()}
