"""Processes that outlive the one who started them, named so that nobody else's are ever touched.

A process id alone may have been given to a stranger since; together with the time the process was started it is unique.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

START_TIME_TOLERANCE_S = 0.05
STOP_TIMEOUT_S = 10.0
POLL_S = 0.02


@dataclass(frozen=True)
class ProcessName:
    """A process, for ever. session: stands for every process of the session that it began (a Ray head)."""

    pid: int
    started_at: float
    session: bool = False

    @classmethod
    def of(cls, pid: int, *, session: bool = False) -> ProcessName:
        return cls(pid, psutil.Process(pid).create_time(), session)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ProcessName:
        return cls(int(data["pid"]), float(data["started_at"]), bool(data.get("session")))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def members(self) -> list[psutil.Process]:
        """The live processes meant by this name."""
        if not self.session:
            process = _same(self.pid, self.started_at)
            return [process] if process is not None else []
        leader = _live(self.pid)
        if leader is not None and not _started_at(leader, self.started_at):
            return []  # the whole session ended long ago and its number belongs to a stranger
        return [process for process in psutil.process_iter() if _is_of_session(process, self.pid, self.started_at)]

    def alive(self) -> bool:
        return bool(self.members())


def stop(
    names: Iterable[ProcessName], *, first: signal.Signals = signal.SIGTERM, within_s: float = STOP_TIMEOUT_S
) -> None:
    """Ask processes to end, wait, and kill those that do not."""
    members = [process for name in names for process in name.members()]
    for process in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(first)
    left = _wait(members, within_s)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _wait(left, STOP_TIMEOUT_S)


def _wait(processes: Sequence[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run after `timeout_s`. One that has ended and waits for its parent to notice runs no more."""
    deadline = time.monotonic() + timeout_s
    while (left := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Child:
    """A program started by this process: its output goes to a log file, its input begins with a line of JSON."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("ab") as output:
            self._log_begins = output.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.name = ProcessName.of(self._process.pid)

    def tell(self, line: str) -> None:
        """Hand over what the program waits for on its input; nothing follows."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.close()

    def last_words(self) -> str:
        """The end of what it has written, for a message that explains a failure."""
        return tail(self._log, self._log_begins)

    def ended(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, within_s: float = STOP_TIMEOUT_S) -> None:
        if self.ended() is not None:
            return
        self._process.terminate()
        if self.wait(within_s) is None:
            self._process.kill()
            self._process.wait()


def tail(log: Path, begins: int, lines: int = 15) -> str:
    """The end of what a log file says from offset `begins` on."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(begins)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    return ""


def _live(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def _same(pid: int, started_at: float) -> psutil.Process | None:
    process = _live(pid)
    return process if process is not None and _started_at(process, started_at) else None


def _started_at(process: psutil.Process, started_at: float) -> bool:
    try:
        return bool(abs(process.create_time() - started_at) < START_TIME_TOLERANCE_S)
    except psutil.NoSuchProcess:
        return False


def _is_of_session(process: psutil.Process, session: int, since: float) -> bool:
    try:
        return (
            os.getsid(process.pid) == session
            and process.create_time() >= since - START_TIME_TOLERANCE_S
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        return False
