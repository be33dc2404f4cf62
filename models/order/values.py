"""The values that an order's commands and events are made of."""

from __future__ import annotations

from typing import NamedTuple

from models.record import dataclass

Quantities = tuple[tuple[str, int], ...]
"""Pairs of (line id, quantity)."""

Amounts = tuple[int, ...]
"""Minor units, one per party of a consignment, in the fixed party order."""


Allocation = tuple[tuple[int, int], ...]
"""Pairs of (consignment, its part of an amount)."""


@dataclass(frozen=True)
class LineTerms:
    """One line as it was frozen at placing. `split` is basis points for (brand, supplier, retailer); the platform keeps
    the rest of 10,000."""

    product: str
    sku: str
    quantity: int
    unit_amount: int
    supplier: str
    brand: str
    split: tuple[int, int, int]


@dataclass(frozen=True)
class Tracking:
    carrier: str = ""
    tracking_number: str = ""
    tracking_url: str = ""


class Made(NamedTuple):
    """One transfer that was made to a party: `party` counts the parties of the consignment from 0. Stored as an array,
    because there are many."""

    consignment: int
    party: int
    amount: int
    id: str
