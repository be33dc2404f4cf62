"""`run.json`: what `up` has started in a data directory, for every other command and for a later `up`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.settings import Settings
from scripts.supervision.processes import ProcessName


class NotRunning(Exception):
    """No system runs on this data directory."""


class AlreadyRunning(Exception):
    """Another `up` holds this data directory."""


@dataclass
class RunState:
    """A running system.

    supervisor: the `up` that looks after it. processes: what that has started, by role.
    url:        of the gateways. ready: orders have been accepted since the start.
    payments, redis, stripe_url, sandbox_data, ledger: where an audit finds the money and the journal.
    database:   where the read side is.
    compiled:   its processes run compiled code.
    """

    supervisor: ProcessName
    processes: dict[str, ProcessName] = field(default_factory=dict)
    url: str = ""
    ready: bool = False
    payments: str = ""
    redis: str = ""
    stripe_url: str = ""
    sandbox_data: str = ""
    ledger: str = ""
    database: str = ""
    ray: str = ""
    ray_dashboard: str = ""
    ray_directory: str = ""
    shards: int = 0
    compiled: bool = False
    failure: str = ""

    def write(self, settings: Settings) -> None:
        """Replace the file whole; only its owner can read it, for a Redis address may carry a password."""
        path = settings.run_file
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(path)


def read(settings: Settings) -> RunState | None:
    """What was started last on this data directory, whether it runs or not."""
    try:
        data: dict[str, Any] = json.loads(settings.run_file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    names: Mapping[str, Any] = data.pop("processes")
    supervisor = ProcessName.from_json(data.pop("supervisor"))
    return RunState(supervisor, {role: ProcessName.from_json(name) for role, name in names.items()}, **data)


def running(settings: Settings) -> RunState:
    """The system that runs on this data directory. Raises NotRunning."""
    state = read(settings)
    if state is None or not state.ready or not state.supervisor.alive():
        raise NotRunning(f"nothing runs on {settings.data}: start it with `dray up --data {settings.data}`")
    return state


def prepare(settings: Settings) -> None:
    """Make the data directory: only its owner may look into it."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.logs.mkdir(exist_ok=True)


@contextlib.contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Hold the data directory while supervising it. Raises AlreadyRunning."""
    prepare(settings)
    descriptor = os.open(settings.data / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"Dray is running on {settings.data} already") from None
        yield
    finally:
        os.close(descriptor)
