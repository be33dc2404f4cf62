"""Records as the values that JSON knows."""

from __future__ import annotations

from typing import Any


def plain(record: Any) -> dict[str, Any]:
    """The fields of a record by name, for encoders that cannot see those of a compiled one; records in them may be
    plain already. Raises TypeError for what is no record."""
    written = getattr(record, "_plain", None)
    if written is None:
        raise TypeError(f"{type(record).__name__} is not JSON")
    values: dict[str, Any] = written()
    return values
