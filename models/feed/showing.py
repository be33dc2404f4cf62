"""Public events as they are read: by the feed, by streams and by webhooks alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from models.decision import Millis
from models.feed.publishing import Data
from models.feed.types import EVENT_TYPES
from models.identity import inner_id
from models.order.view import rfc3339

TIMES = frozenset({"accept_by", "evidence_due_at"})


class Seen(NamedTuple):
    """An entry as one reader sees it. `number`: its place among all events of its order, which its id is made of.
    `sequence`: its place among those that this reader sees; neither has gaps."""

    number: int
    sequence: int
    type: str
    at: Millis
    data: Data


def shown_event(order: str, suppliers: Sequence[str], seen: Seen, *, role: str) -> Data:
    """The event as `GET /v1/events` shows it to a reader of `role`. `suppliers`: of the order's consignments, in their
    order."""
    return {
        "id": inner_id("evt", order, seen.number),
        "order": order,
        "sequence": seen.sequence,
        "type": seen.type,
        "at": rfc3339(seen.at),
        "data": shown_data(order, suppliers, seen.type, seen.data, role=role),
    }


def shown_data(order: str, suppliers: Sequence[str], type_: str, data: dict[str, Any], *, role: str) -> dict[str, Any]:
    """An entry's data with ids and times written out, without what the reader's role is not shown."""
    known = EVENT_TYPES.get(type_)
    shown = {name: _shown(order, name, value) for name, value in data.items()}
    if "consignment" in data and type_.startswith("task."):
        number = data["consignment"]
        shown = {"task": inner_id("tsk", order, number), "supplier": suppliers[number - 1], **shown}
    if role == "supplier" and known is not None:
        for field in known.withheld:
            shown.pop(field, None)
    return shown


def _shown(order: str, name: str, value: Any) -> Any:
    if name == "consignment":
        return inner_id("cns", order, value)
    if name == "consignments":
        return [{**part, "consignment": inner_id("cns", order, part["consignment"])} for part in value]
    if name == "transfers":
        return [{**made, "consignment": inner_id("cns", order, made["consignment"])} for made in value]
    if name in TIMES:
        return rfc3339(value) if value else None
    return value
