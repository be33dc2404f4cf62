"""Public events: what is shown."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from gateway.schemas.common import Shown, Time
from models.feed import EVENT_TYPES

EventType = Annotated[str, WithJsonSchema({"type": "string", "enum": list(EVENT_TYPES)})]

FIELDS = "What `data` has:\n\n" + "\n".join(
    f"- `{name}`: {' '.join(f'`{field}`' for field in known.fields) or 'nothing'}"
    + (f" (suppliers are not shown {' '.join(f'`{field}`' for field in known.withheld)})" if known.withheld else "")
    for name, known in EVENT_TYPES.items()
)


class Event(Shown):
    """Something that has happened to an order.

    `sequence` counts the events of the order that the reader sees, from 1 and without gaps; `id` is the same for all
    readers. Clients ignore types and fields that they do not know.
    """

    id: str = Field(examples=["evt_00001f8a7c2b4d07000800000000000000a_7"])
    order: str
    sequence: int = Field(ge=1)
    type: EventType
    at: Time
    data: dict[str, Any] = Field(description=FIELDS)


class Events(Shown):
    """A page of events; `next_cursor` is always there, also when nothing new is."""

    data: list[Event]
    next_cursor: str
