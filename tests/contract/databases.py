"""The databases that must pass the read model's contract, and how a test gets an empty one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from scripts.bench.postgresql import NotInstalled, postgresql

NAMES = ["sqlite", "postgresql"]


@contextmanager
def postgres() -> Iterator[str]:
    """A server; its URL with a place for the database's name."""
    try:
        with postgresql("fsync=off") as server:
            yield server.url
    except NotInstalled as error:
        pytest.skip(str(error))


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
