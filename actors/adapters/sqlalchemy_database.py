"""What a SQL database says of itself, for those who measure it."""

from __future__ import annotations

from sqlalchemy import func, inspect, select

from actors.adapters.sqlalchemy_tables import connect, translated


def is_empty(url: str) -> bool:
    """Whether there are no tables in it. Raises ReadModelUnavailable."""
    engine = connect(url, reading=True)
    try:
        with translated(), engine.connect() as connection:
            return not inspect(connection).get_table_names()
    finally:
        engine.dispose()


def size_bytes(url: str) -> int:
    """What a PostgreSQL database takes on disk, its indexes and all, but not the server's log of writes. Raises
    ReadModelUnavailable."""
    engine = connect(url, reading=True)
    try:
        with translated(), engine.connect() as connection:
            return int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())
    finally:
        engine.dispose()
