"""Statements for many rows, compiled once. SQLAlchemy's own way with many rows costs four times what SQLite takes to
carry it out (measured: 0.13 ms of an order's 0.17 ms)."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import ClauseElement, Connection, Engine
from sqlalchemy.sql.dml import UpdateBase

from actors.adapters.sqlalchemy_rows import Values


class Prepared:
    """A statement whose rows are tuples of values for `names`."""

    def __init__(self, engine: Engine, statement: ClauseElement, names: Sequence[str]) -> None:
        keys: dict[str, Any] = {"column_keys": list(names)} if isinstance(statement, UpdateBase) else {}
        compiled = statement.compile(dialect=engine.dialect, **keys)
        self._sql = str(compiled)
        self._names = tuple(names)
        positions = getattr(compiled, "positiontup", None) if engine.dialect.positional else None
        self._named = positions is None
        order = [self._names.index(name) for name in positions or ()]
        self._arranged = itemgetter(*order) if order and order != list(range(len(names))) else None

    def run(self, connection: Connection, rows: Sequence[Values]) -> int:
        """Carry it out for all rows; how many rows it has changed in all."""
        if not rows:
            return 0
        arguments: Any = rows
        if self._named:
            arguments = [dict(zip(self._names, row, strict=True)) for row in rows]
        elif self._arranged:
            arguments = list(map(self._arranged, rows))
        return connection.exec_driver_sql(self._sql, list(arguments)).rowcount
