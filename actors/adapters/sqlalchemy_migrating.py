"""Brings a database's tables up to date: whole or not at all, and by one process at a time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select, text


def begin_alone(connection: Connection, lock: int) -> None:
    """Begin the transaction that `migrate` is to be part of, once nobody else is in one under the same lock.

    lock: the number of PostgreSQL's advisory lock. SQLite's driver would begin only before the first row that is
    written, after tables have been made, each for good: who dies between two would leave what nobody can go on with.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(select(text(f"pg_advisory_xact_lock({lock})")))


def migrate(connection: Connection, migrations: Path) -> None:
    """Run those migrations of a directory that this database has not had yet.

    Alembic is loaded only here: it costs a process a tenth of a second.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
