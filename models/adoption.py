"""The machine of one adoption: whose offer of a product a retailer sells, and at what price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models import catalogue
from models.decision import NOTHING, Accepted, Command, Decision, Event, Rejected
from models.identity import NAME
from models.product import AMOUNT_MAX
from models.record import changed, dataclass

# --- messages --------------------------------------------------------------------------------------------------------


@catalogue.command("adoption.put")
@dataclass(frozen=True)
class AdoptProduct(Command):
    """`retailer` sells `supplier`'s offer of `product`. `unit_amount` None means at the offer's own price. The gateway
    has checked that the offer exists; the same again changes nothing."""

    retailer: str = ""
    product: str = ""
    supplier: str = ""
    unit_amount: int | None = None


@catalogue.event("adoption.put/1")
@dataclass(frozen=True)
class ProductAdopted(Event):
    retailer: str
    product: str
    supplier: str
    unit_amount: int | None


# --- state -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Adoption:
    retailer: str = ""
    product: str = ""
    supplier: str = ""
    unit_amount: int | None = None

    @property
    def phase(self) -> str:
        """Where the adoption stands in `TRANSITIONS`."""
        return "adopted" if self.supplier else "unknown"


INITIAL = Adoption()


def adoption_id(retailer: str, product: str) -> str:
    """The id of the actor that holds this retailer's adoption of this product."""
    return f"{retailer}/{product}"


# --- transitions -----------------------------------------------------------------------------------------------------

TRANSITIONS: Mapping[tuple[str, type[Event]], str] = {
    ("unknown", ProductAdopted): "adopted",
    ("adopted", ProductAdopted): "adopted",
}

# --- decide ----------------------------------------------------------------------------------------------------------


def decide(state: Adoption, command: Command) -> Decision:
    """What the adoption says to a command. Rejects with `invalid_adoption`."""
    if not isinstance(command, AdoptProduct):
        return Rejected("unknown_command", f"an adoption does not know {type(command).__name__}")
    if not (command.retailer and command.product):
        return Rejected("invalid_adoption", "retailer and product must not be empty")
    if not NAME.match(command.supplier):
        return Rejected("invalid_adoption", "supplier must be an id")
    if command.unit_amount is not None and not 0 <= command.unit_amount <= AMOUNT_MAX:
        return Rejected("invalid_adoption", f"unit_amount must be from 0 to {AMOUNT_MAX}")
    content = (command.retailer, command.product, command.supplier, command.unit_amount)
    if content == (state.retailer, state.product, state.supplier, state.unit_amount):
        return NOTHING
    return Accepted(events=(ProductAdopted(command.at, *content),))


COMMANDS = frozenset({AdoptProduct})

# --- evolve ----------------------------------------------------------------------------------------------------------


def evolve(state: Adoption, event: Event) -> Adoption:
    """Fold one event. Raises AssertionError on a step that the table does not have: a broken record."""
    assert (state.phase, type(event)) in TRANSITIONS, f"{event} on an adoption that is {state.phase}"
    assert isinstance(event, ProductAdopted)
    return changed(
        state,
        retailer=event.retailer,
        product=event.product,
        supplier=event.supplier,
        unit_amount=event.unit_amount,
    )


# --- view ------------------------------------------------------------------------------------------------------------


def view(state: Adoption) -> dict[str, Any] | None:
    """The adoption as the API shows it; None until there is one."""
    if state.phase == "unknown":
        return None
    return {
        "retailer": state.retailer,
        "product": state.product,
        "supplier": state.supplier,
        "unit_amount": state.unit_amount,
    }
