"""Immutable records and how to change them cheaply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # mypy checks the field names and types of `replace`; at run time the faster twin below is used.
    from dataclasses import replace as changed
else:

    def changed(record: Any, /, **fields: Any) -> Any:
        """Return a copy of a frozen dataclass with `fields` replaced.

        Four times as fast as `dataclasses.replace`, which runs `__init__` and pays `object.__setattr__` for each
        field. The price is the rule that records have neither `slots` nor `__post_init__`.
        """
        copy = object.__new__(type(record))
        attributes = copy.__dict__
        attributes.update(record.__dict__)
        attributes.update(fields)
        return copy


__all__ = ["changed"]
