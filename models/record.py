"""Immutable records: how to make them and how to change them cheaply.

Use `from models.record import dataclass` for frozen dataclasses on a hot path; to type checkers it is the standard one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # mypy knows these two by heart, field names and types included; at run time the faster twins below are used.
    from dataclasses import dataclass
    from dataclasses import replace as changed
else:

    def dataclass(*, frozen: bool, eq: bool = True) -> Any:
        """The standard frozen dataclass without its guard at run time: mypy alone sees to it that nobody assigns.

        The guard makes the standard one pay `object.__setattr__` for every field it sets, and keeps CPython from
        storing the fields inline, where reading one costs a third. The price is the rule that records have neither
        `slots` nor `__post_init__`.
        """
        assert frozen

        def decorate(cls: type) -> type:
            cls = dataclasses.dataclass(frozen=True, eq=eq)(cls)
            del cls.__setattr__, cls.__delattr__
            for name in cls.__dataclass_fields__.keys() & cls.__dict__.keys():
                delattr(cls, name)  # a default of the same name in the class would make every read look there first
            cls.__init__ = _fast_init(cls)
            cls._copied = _fast_copy(cls)
            cls._changed = changed  # what compiled code calls
            cls._plain = _fields_by_name
            return cls

        return decorate

    def changed(record: Any, /, **fields: Any) -> Any:
        """Return a copy of a record with `fields` replaced: many times as fast as `dataclasses.replace`, which looks
        at every field's definition and runs `__init__`."""
        copy = record._copied()
        for name, value in fields.items():
            setattr(copy, name, value)
        return copy


def reader(record_class: type) -> Callable[[Any], Any] | None:
    """What makes such a record of the values that JSON knows, where it is compiled (`scripts.compiling.shapes`).

    It raises KeyError, TypeError or ValueError for whatever is not exactly as it was stored: pydantic may read it yet.
    """
    own = "_read" in vars(record_class)  # and not that of a base
    return getattr(record_class, "_read") if own else None  # noqa: B009


def _fields_by_name(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _fast_init(cls: Any) -> Any:
    """Write the `__init__` of a dataclass, as `dataclasses` itself does: from its fields, as source text."""
    assert not hasattr(cls, "__post_init__"), f"{cls.__name__} is a record: it has no __post_init__"
    positional, body = ["self"], []
    keywords: list[str] = []
    names: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        value = parameter = field.name
        if field.default is not dataclasses.MISSING:
            names[f"default_{field.name}"] = field.default
            parameter = f"{field.name}=default_{field.name}"
        elif field.default_factory is not dataclasses.MISSING:
            names[f"make_{field.name}"] = field.default_factory
            parameter = f"{field.name}=absent"
            value = f"make_{field.name}() if {field.name} is absent else {field.name}"
        (keywords if field.kw_only else positional).append(parameter)
        body.append(f"    self.{field.name} = {value}")
    names["absent"] = dataclasses.MISSING
    parameters = ", ".join([*positional, "*", *keywords] if keywords else positional)
    source = f"def __init__({parameters}):\n" + "\n".join(body or ["    pass"])
    exec(source, names)  # noqa: S102 - field names are identifiers of ours, checked by dataclasses
    names["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return names["__init__"]


def _fast_copy(cls: Any) -> Any:
    """Write the method that copies a record of this class field by field."""
    body = [f"    copy.{field.name} = self.{field.name}" for field in dataclasses.fields(cls)]
    source = "\n".join(["def _copied(self):", "    copy = new(cls)", *body, "    return copy"])
    names: dict[str, Any] = {"new": cls.__new__, "cls": cls}
    exec(source, names)  # noqa: S102 - as above
    return names["_copied"]


__all__ = ["changed", "dataclass", "reader"]
