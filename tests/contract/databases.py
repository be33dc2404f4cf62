"""The databases that must pass the read model's contract, and how a test gets an empty one."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

NAMES = ["sqlite", "postgresql"]


def server_programs() -> Path | None:
    """Where this machine keeps PostgreSQL's server, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _unprivileged() -> dict[str, int]:
    """PostgreSQL refuses to run as root: whom to run it as instead."""
    if os.getuid():
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid}


@contextmanager
def postgres() -> Iterator[str]:
    """A server on a socket of its own, without a port; its URL with a place for the database's name."""
    programs = server_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed here")
    who = _unprivileged()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if who:
            os.chown(directory, who["user"], who["group"])

        def run(*command: str | Path) -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=directory, **who)

        data = directory / "data"
        run(programs / "initdb", "-D", data, "-U", "dray", "-A", "trust", "-N")
        settings = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off"
        run(programs / "pg_ctl", "-D", data, "-w", "-l", directory / "log", "-o", settings, "start")
        try:
            yield f"postgresql://dray@/{{}}?host={directory}"
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")


@contextmanager
def databases(name: str, directory: Path) -> Iterator[Callable[[], str]]:
    """Makes empty databases of one sort: each call gives the URL of another."""
    if name == "sqlite":
        yield lambda: f"sqlite:///{directory / secrets.token_hex(4)}.db"
        return
    with postgres() as url:

        def create() -> str:
            database = f"d{secrets.token_hex(4)}"
            with psycopg.connect(url.format("postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {database}")
            return url.format(database)

        yield create
