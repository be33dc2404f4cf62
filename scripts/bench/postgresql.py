"""A PostgreSQL server for as long as it is needed: on a socket of its own, without a port, in a temporary directory.
And what a benchmark asks of one that somebody else keeps."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class NotInstalled(Exception):
    """There is no PostgreSQL server on this machine."""


class Server(NamedTuple):
    """url: with `{}` for the database's name; the database `postgres` is there."""

    url: str
    directory: Path

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.directory / "data").rglob("*") if path.is_file())


@contextmanager
def postgresql(*settings: str) -> Iterator[Server]:
    """Started with these settings (`fsync=off`), and gone afterwards. Raises NotInstalled."""
    programs = _programs()
    user, group = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="dray-pg-") as name:
        directory = Path(name)
        if user is not None and group is not None:
            os.chown(directory, user, group)

        def run(*command: str | Path) -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=directory, user=user, group=group)

        data = directory / "data"
        run(programs / "initdb", "-D", data, "-U", "dray", "-A", "trust", "-N")
        every: Sequence[str] = ("listen_addresses=''", f"unix_socket_directories={directory}", *settings)
        options = " ".join(f"-c {setting}" for setting in every)
        run(programs / "pg_ctl", "-D", data, "-w", "-l", directory / "log", "-o", options, "start")
        try:
            yield Server(f"postgresql://dray@/{{}}?host={directory}", directory)
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def _programs() -> Path:
    """Where this machine keeps PostgreSQL's server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise NotInstalled("PostgreSQL is not installed here")
    return Path(on_path).parent


def _unprivileged() -> tuple[int | None, int | None]:
    """PostgreSQL refuses to run as root: whom and which group to run it as instead."""
    if os.getuid():
        return None, None
    account = pwd.getpwnam("postgres")
    return account.pw_uid, account.pw_gid
