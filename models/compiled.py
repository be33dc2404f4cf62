"""Records that have been compiled: what `scripts.compiling` lets them use in place of `models.record`.

A compiled record is a class of the compiler's own, with a slot for each field and no `__dict__`. To everybody who asks
(pydantic, orjson, `dataclasses.fields`) it answers as the dataclass that it was written as. Nothing imports this module
where Dray runs as it is written.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic_core import core_schema

R = TypeVar("R")


def changed(record: R, fields: dict[str, Any]) -> R:
    """Return a copy of a record with `fields` replaced. Calls of the function that takes them as keywords are rewritten
    to this: the compiler can only make such calls as Python does."""
    made: Any = record
    copy: R = made._copied()
    for name, value in fields.items():
        setattr(copy, name, value)
    return copy


SAME: Any = object()
"""Of a field that is not to be changed."""


def record_field(**about: Any) -> Any:
    """A field's definition: `dataclasses.field`, out of sight of the compiler, which would take it for the value."""
    return dataclasses.field(**about)


def record_class(cls: Any, defined: Mapping[str, tuple[str, Any]]) -> None:
    """Let a compiled class pass for the dataclass that it was written as.

    defined: annotation and definition of the fields that the class itself defines, by name.
    """
    cls.__annotations__ = {name: annotation for name, (annotation, _) in defined.items()}
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(base.__dict__.get("__record_fields__", {}))
    for name, (annotation, field) in defined.items():
        field.name, field.type = name, annotation
        field._field_type = _PLAIN_FIELD
        if field.kw_only is dataclasses.MISSING:
            field.kw_only = False
        fields[name] = field
    cls.__record_fields__ = fields
    if not hasattr(cls, "__parameters__"):  # pydantic would take a generic dataclass for one that it can fill itself
        cls.__dataclass_fields__ = fields
        cls.__dataclass_params__ = _FROZEN
    setattr(cls, "__match_args__", tuple(name for name, field in fields.items() if not field.kw_only))  # noqa: B010
    cls.__get_pydantic_core_schema__ = classmethod(_schema)


def shown(record: Any) -> str:
    """What `repr` says, as that of a dataclass does."""
    values = ", ".join(f"{name}={getattr(record, name)!r}" for name in record.__record_fields__)
    return f"{type(record).__name__}({values})"


_FROZEN: Any = getattr(dataclasses.make_dataclass("_", [], frozen=True), "__dataclass_params__")  # noqa: B009
_PLAIN_FIELD: Any = getattr(dataclasses, "_FIELD")  # noqa: B009 - what tells fields from class variables there


def _schema(cls: Any, source: Any, handler: Any) -> Any:
    """How pydantic makes one: it reads the fields it is given as a dictionary, and the class fills in the defaults."""
    hints = typing.get_type_hints(cls)
    arguments = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(source), strict=False))
    own: Any = cls.__dict__.get("__record_fields__")  # None: it is not compiled, but inherits from one that is
    fields = {
        name: core_schema.typed_dict_field(
            handler.generate_schema(_argued(hints[name], arguments)), required=_is_required(field)
        )
        for name, field in (cls.__dataclass_fields__ if own is None else own).items()
    }
    return core_schema.no_info_after_validator_function(
        lambda values: cls(**values), core_schema.typed_dict_schema(fields)
    )


def _is_required(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _argued(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    """A field's type with the type arguments of its class filled in: of `Rows[int]`, `V` is `int`."""
    if isinstance(hint, TypeVar):
        return arguments.get(hint, Any)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(arguments.get(each, Any) for each in parameters)] if parameters else hint
