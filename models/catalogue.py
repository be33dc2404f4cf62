"""Permanent names of stored events and of commands on the wire, and their codecs.

A stored name (`order.placed/1`) outlives every refactoring: it never changes meaning and is never reused. A changed
shape is a new version, and `upcast` says how the older one reads today.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import from_json

from models.decision import Command, Event
from models.record import reader

E = TypeVar("E", bound=Event)
C = TypeVar("C", bound=Command)
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Codec(Generic[E]):
    """Decodes one named shape, strictly: unknown types are refused by pydantic with a `ValidationError`.

    A compiled record reads itself, faster, but only what is exactly as it was stored: pydantic is asked about the rest.
    """

    name: str
    type: type[E]

    @cached_property
    def _adapter(self) -> TypeAdapter[E]:
        return TypeAdapter(self.type)

    @cached_property
    def from_json(self) -> Callable[[bytes], E]:
        """Pydantic's own function: the adapter's around it costs as much as reading a short event."""
        by_pydantic: Callable[[bytes], E] = self._adapter.validator.validate_json
        read = reader(self.type)
        return by_pydantic if read is None else _exactly(lambda body: read(from_json(body)), by_pydantic)

    @cached_property
    def from_python(self) -> Callable[[Any], E]:
        """Reads the values that JSON knows."""
        read = reader(self.type)
        return self._adapter.validate_python if read is None else _exactly(read, self._adapter.validate_python)


def _exactly(read: Callable[[Any], E], by_pydantic: Callable[[Any], E]) -> Callable[[Any], E]:
    def read_either_way(data: Any) -> E:
        try:
            return read(data)
        except (KeyError, TypeError, ValueError):
            return by_pydantic(data)

    return read_either_way


EVENTS: dict[str, Codec[Any]] = {}
COMMANDS: dict[str, Codec[Any]] = {}
EVENT_NAMES: dict[type, str] = {}
COMMAND_NAMES: dict[type, str] = {}
_UPCASTERS: dict[str, tuple[str, Upcaster]] = {}
_READERS: dict[bytes, Callable[[bytes], Event]] = {}
"""How the events that have been met are read, by their names as stored."""


def event(name: str) -> Callable[[type[E]], type[E]]:
    """Class decorator: this event is stored as `name`, of the form `machine.happened/version`."""

    def register(cls: type[E]) -> type[E]:
        assert name not in EVENTS, f"{name} is taken"
        EVENTS[name] = Codec(name, cls)
        EVENT_NAMES[cls] = name
        return cls

    return register


def command(name: str) -> Callable[[type[C]], type[C]]:
    """Class decorator: this command travels between processes as `name`. Joint commands need no name."""

    def register(cls: type[C]) -> type[C]:
        assert name not in COMMANDS, f"{name} is taken"
        COMMANDS[name] = Codec(name, cls)
        COMMAND_NAMES[cls] = name
        return cls

    return register


def upcast(old: str, new: str) -> Callable[[Upcaster], Upcaster]:
    """Decorator: read a stored `old` as `new` after the function has reshaped its fields. Chains (1 -> 2 -> 3) work."""

    def register(reshape: Upcaster) -> Upcaster:
        assert old not in EVENTS and old not in _UPCASTERS, f"{old} is still current"
        _UPCASTERS[old] = (new, reshape)
        return reshape

    return register


def decode_event(stored: bytes) -> Event:
    """Read `name SPACE json` as the event it is today.

    Raises KeyError for a name this version does not know (a journal written by a newer Dray) and pydantic's
    ValidationError for a body that does not fit its name.
    """
    name_bytes, _, body = stored.partition(b" ")
    read = _READERS.get(name_bytes)
    if read is not None:
        return read(body)
    name = name_bytes.decode()
    codec = EVENTS.get(name)
    if codec is not None:
        read_first: Callable[[bytes], Event] = codec.from_json
        _READERS[name_bytes] = read_first
        return read_first(body)
    fields = json.loads(body)
    while name in _UPCASTERS:
        name, reshape = _UPCASTERS[name]
        fields = reshape(fields)
    upcasted: Event = EVENTS[name].from_python(fields)
    return upcasted
