"""Stored events as the audit reads them: checked by the decoder, then used by name and fields alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import orjson

import actors.kinds  # noqa: F401 - names all the events there are
from models.catalogue import EVENT_NAMES, EVENTS, decode_event
from scripts.simulation.history import Happened


class Unreadable(Exception):
    """A stored event that the decoder does not take; the message says which and why."""


def read(stored: Iterable[bytes]) -> list[Happened]:
    """Raises Unreadable."""
    return [_happened(line) for line in stored]


def _happened(line: bytes) -> Happened:
    name_bytes, _, body = line.partition(b" ")
    name = name_bytes.decode(errors="replace")
    try:
        event = decode_event(line)
    except (KeyError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        raise Unreadable(f"{name}: {str(error).splitlines()[0]}") from error
    if name in EVENTS:
        return Happened(name, orjson.loads(body), line)
    return Happened(EVENT_NAMES[type(event)], _plain(event), line)  # an older shape, as it reads today


def _plain(event: Any) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(orjson.dumps(dataclasses.asdict(event)))
    return fields
