"""What the outside is told of an order: public events, derived from the order's own events alone (tasks too).

`published` says which of them a stored event is, as compact entries that are kept; `shown_event` writes an entry out
for a reader. They hold ids, codes, amounts and times, never personal data or anybody's own words: they outlive an
erasure.
"""

from models.feed.publishing import Data, Entry, published
from models.feed.showing import Seen, shown_data, shown_event
from models.feed.types import EVENT_TYPES, OWNER, EventType, supplier_bit

__all__ = [
    "EVENT_TYPES",
    "OWNER",
    "Data",
    "Entry",
    "EventType",
    "Seen",
    "published",
    "shown_data",
    "shown_event",
    "supplier_bit",
]
