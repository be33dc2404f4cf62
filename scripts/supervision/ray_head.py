"""A Ray cluster of one machine, on the loopback interface alone, beside any other Ray on it.

It runs in a session of its own, which is how all of it is found again and ended: `ray stop` would end every Ray.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.supervision.processes import ProcessName, stop, tail

START_TIMEOUT_S = 60
OBJECT_STORE_BYTES = 80_000_000  # the least Ray takes; batches travel inline
ESSENTIAL = ("gcs_server", "raylet")
STOP_WITHIN_S = 4.0
DIRECTORY_PREFIX = "dray-"  # Ray's socket paths leave it 45 characters

ENVIRONMENT = {
    # Loopback only: see actors.adapters.ray_cluster.LOOPBACK_ONLY.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Hosts are the work itself, not a batch job behind it.
    "RAY_worker_niceness": "0",
    "RAY_enable_metrics_collection": "0",
    # The answers to a batch of new orders are twice as long as the batch. By Ray's own limit of 100 KiB they would go
    # through the object store, and cost the raylet 0.03 ms an order.
    "RAY_max_direct_call_object_size": str(2**20),
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


TOKEN_BYTES = 32


def environment(token: Path) -> dict[str, str]:
    """What every process of the cluster, and every driver, has in its environment. The token, made at the first call,
    keeps other users of this machine out: whoever can talk to Ray can run code."""
    if not token.exists():
        descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(TOKEN_BYTES))
    return {**ENVIRONMENT, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token.resolve())}


class RayHeadError(Exception):
    """Ray could not be started; the message carries what it said."""


@dataclass(frozen=True)
class RayHead:
    """A running head. dashboard: its address, or ''."""

    name: ProcessName
    address: str
    dashboard: str
    directory: Path

    def alive(self) -> bool:
        """True while the processes that everything hangs on run."""
        running = {process.name() for process in self.name.members()}
        return all(any(name.startswith(essential) for name in running) for essential in ESSENTIAL)

    def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        stop_session(self.name, self.directory, within_s)


def start(log: Path, surroundings: Mapping[str, str], *, dashboard: bool) -> RayHead:
    """Start a head and wait until it can be joined. Raises RayHeadError.

    surroundings: what it and its workers have in their environment beside ours, with what `environment` says.
    """
    directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir="/tmp"))  # private, and short enough
    port = free_port()
    command = [
        sys.executable, "-m", "actors.adapters.ray_start", "start", "--head", "--no-monitor", "--port=0",
        "--node-ip-address=127.0.0.1",
        f"--temp-dir={directory}", f"--object-store-memory={OBJECT_STORE_BYTES}", "--num-cpus=0", "--num-gpus=0",
        "--disable-usage-stats", "--include-log-monitor=false", "--min-worker-port=0", "--max-worker-port=0",
        "--dashboard-agent-listen-port=0", f"--include-dashboard={str(dashboard).lower()}",
        f"--dashboard-port={port}",
    ]  # fmt: skip
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        begins = output.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **surroundings}, start_new_session=True,
        )  # fmt: skip
    name = ProcessName.of(process.pid, session=True)
    try:
        code = process.wait(START_TIMEOUT_S)
    except BaseException:
        stop_session(name, directory)
        raise
    if code:
        stop_session(name, directory)
        raise RayHeadError(f"`ray start` ended with {code}:\n{tail(log, begins)}")
    address = (directory / "ray_current_cluster").read_text().strip()
    return RayHead(name, address, f"http://127.0.0.1:{port}" if dashboard else "", directory)


def stop_session(name: ProcessName, directory: Path, within_s: float = STOP_WITHIN_S) -> None:
    """End everything of a head, then its files. The raylet goes first and ends its workers in good order, if it can do
    so `within_s`."""
    raylets = [ProcessName.of(p.pid) for p in name.members() if p.name().startswith("raylet")]
    stop(raylets, within_s=within_s)
    stop([name], first=signal.SIGKILL)  # nothing that is left keeps anything
    stop([name], first=signal.SIGKILL)  # whatever was born meanwhile
    if directory.name.startswith(DIRECTORY_PREFIX):
        shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on, outside the range from which outgoing connections are made."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
