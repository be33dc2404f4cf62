"""The demo's orders: what happens to each, and how each must end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from scripts.demo.catalogue import FEE_BPS
from scripts.demo.desk import Desk, price_of

Play = Callable[[Desk], Awaitable[None]]


@dataclass(frozen=True)
class Ending:
    """How an order must end. Amounts in minor units; sold: units that stay sold, by product."""

    status: str
    payment: str = "captured"
    captured: int = 0
    refunded: int = 0
    refund_status: str = "none"
    cancel_reason: str | None = None
    decline_code: str | None = None
    sold: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    title: str
    play: Play
    ending: Ending


STORIES: list[Story] = []


def _story(title: str, ending: Ending) -> Callable[[Play], Play]:
    def register(play: Play) -> Play:
        STORIES.append(Story(title, play, ending))
        return play

    return register


def _cancelled(reason: str, payment: str = "voided", decline_code: str | None = None) -> Ending:
    """Cancelled before any money was taken."""
    return Ending("cancelled", payment, cancel_reason=reason, decline_code=decline_code)


# --- orders that are made --------------------------------------------------------------------------------------------


@_story("paid and confirmed", Ending("confirmed", captured=price_of("mug", 2), sold={"mug": 2}))
async def paid(desk: Desk) -> None:
    await desk.place(("mug", 2))
    await desk.until_status("confirmed")


@_story(
    "two suppliers, one of them asked by hand; delivered",
    Ending("delivered", captured=price_of("mug") + price_of("chair", 4), sold={"mug": 1, "chair": 4}),
)
async def delivered(desk: Desk) -> None:
    await desk.place(("mug", 1), ("chair", 4))
    await desk.until_offered("south")
    await desk.task("south", "accept")
    await desk.until_status("confirmed")
    for supplier in ("north", "south"):
        await desk.ship(supplier)
    await desk.task("north", "deliver")
    await desk.confirm_delivery()


@_story(
    "a brand without a Stripe account: its share is a payable",
    Ending("confirmed", captured=price_of("print", 3), sold={"print": 3}),
)
async def payable(desk: Desk) -> None:
    await desk.place(("print", 3))
    await desk.until_status("confirmed")


@_story("the same request twice, one order", Ending("confirmed", captured=price_of("mug"), sold={"mug": 1}))
async def repeated(desk: Desk) -> None:
    await desk.place(("mug", 1))
    first = desk.order["id"]
    await desk.place(("mug", 1))
    desk.claim(desk.order["id"] == first, "the second request made another order")
    await desk.until_status("confirmed")


# --- orders that cannot be made --------------------------------------------------------------------------------------


@_story("the card is declined", _cancelled("payment_declined", "declined", "generic_decline"))
async def declined(desk: Desk) -> None:
    await desk.place(("mug", 1), card="pm_card_visa_chargeDeclined")
    await desk.until_status("cancelled")


@_story("the card lacks funds", _cancelled("payment_declined", "declined", "insufficient_funds"))
async def lacks_funds(desk: Desk) -> None:
    await desk.place(("table", 1), card="pm_card_visa_chargeDeclinedInsufficientFunds")
    await desk.until_status("cancelled")


@_story(
    "the card needs authentication",
    _cancelled("payment_authentication_required", "declined", "authentication_required"),
)
async def needs_authentication(desk: Desk) -> None:
    await desk.place(("mug", 1), card="pm_card_authenticationRequired")
    await desk.until_status("cancelled")


@_story("one of two lines is out of stock", _cancelled("out_of_stock"))
async def out_of_stock(desk: Desk) -> None:
    await desk.place(("mug", 2), ("vase", 4))
    await desk.until_status("cancelled")


@_story("the supplier rejects", _cancelled("supplier_rejected"))
async def rejected(desk: Desk) -> None:
    await desk.place(("mug", 1), ("table", 1))
    await desk.until_offered("south")
    await desk.task("south", "reject", {"reason": "no oak left"})
    await desk.until_status("cancelled")


@_story("the supplier is fully booked", _cancelled("supplier_rejected"))
async def fully_booked(desk: Desk) -> None:
    await desk.place(("clock", 1))
    await desk.until_status("cancelled")


@_story("the supplier does not answer in time", _cancelled("supplier_timeout"))
async def timed_out(desk: Desk) -> None:
    await desk.place(("lamp", 1), ("mug", 1))
    await desk.until_status("cancelled")


# --- orders that are cancelled ---------------------------------------------------------------------------------------


@_story("cancelled while the supplier is thinking", _cancelled("customer_request"))
async def cancelled_early(desk: Desk) -> None:
    await desk.place(("table", 1))
    await desk.until_offered("south")
    await desk.cancel()


@_story(
    "cancelled before production: all of it back",
    Ending(
        "cancelled",
        captured=price_of("mug", 3),
        refunded=price_of("mug", 3),
        refund_status="full",
        cancel_reason="customer_request",
    ),
)
async def cancelled_before_production(desk: Desk) -> None:
    await desk.place(("mug", 3))
    await desk.until_status("confirmed")
    await desk.cancel()


_FEE = price_of("table") * FEE_BPS // 10_000


@_story(
    "cancelled in production: the supplier agrees, and keeps its fee",
    Ending(
        "cancelled",
        captured=price_of("table"),
        refunded=price_of("table") - _FEE,
        refund_status="partial",
        cancel_reason="customer_request",
    ),
)
async def cancelled_in_production(desk: Desk) -> None:
    await desk.place(("table", 1))
    await desk.until_offered("south")
    await desk.task("south", "accept")
    await desk.until_status("confirmed")
    await desk.task("south", "start")
    await desk.cancel()
    await desk.task("south", "cancellation", {"accept": True})


@_story(
    "cancelled in production: the supplier refuses, and dispatches",
    Ending("dispatched", captured=price_of("chair", 2), sold={"chair": 2}),
)
async def cancellation_refused(desk: Desk) -> None:
    await desk.place(("chair", 2))
    await desk.until_offered("south")
    await desk.task("south", "accept")
    await desk.until_status("confirmed")
    await desk.task("south", "start")
    await desk.cancel()
    await desk.task("south", "cancellation", {"accept": False})
    await desk.task("south", "dispatch", {"carrier": "Pallet Line", "tracking_number": "PL-20417"})


# --- orders that are made in part ------------------------------------------------------------------------------------


@_story(
    "one supplier of two accepts: that part is made",
    Ending("confirmed", captured=price_of("mug", 2), sold={"mug": 2}),
)
async def partly_accepted(desk: Desk) -> None:
    await desk.place(("mug", 2), ("table", 1), allow_partial=True)
    await desk.until_offered("south")
    await desk.task("south", "reject", {"reason": "no oak left"})
    await desk.until_status("confirmed")


@_story(
    "the supplier accepts one line of two",
    Ending("confirmed", captured=price_of("chair", 2), sold={"chair": 2}),
)
async def one_line_accepted(desk: Desk) -> None:
    await desk.place(("table", 1), ("chair", 2), allow_partial=True)
    await desk.until_offered("south")
    await desk.task("south", "accept", {"lines": [desk.line_of("chair")]})
    await desk.until_status("confirmed")


# --- money that goes back --------------------------------------------------------------------------------------------


@_story(
    "refunded in full",
    Ending("refunded", captured=price_of("mug", 2), refunded=price_of("mug", 2), refund_status="full", sold={"mug": 2}),
)
async def refunded(desk: Desk) -> None:
    await desk.place(("mug", 2))
    await desk.until_status("confirmed")
    await desk.refund(amount=price_of("mug", 2))


@_story(
    "refunded in part, three times",
    Ending("confirmed", captured=price_of("print"), refunded=1_001, refund_status="partial", sold={"print": 1}),
)
async def refunded_partly(desk: Desk) -> None:
    await desk.place(("print", 1))
    await desk.until_status("confirmed")
    for amount in (333, 667, 1):
        await desk.refund(amount=amount)


@_story(
    "one line refunded of two suppliers' lines: the other supplier pays nothing",
    Ending(
        "confirmed",
        captured=price_of("mug", 2) + price_of("chair", 2),
        refunded=price_of("chair"),
        refund_status="partial",
        sold={"mug": 2, "chair": 2},
    ),
)
async def line_refunded(desk: Desk) -> None:
    await desk.place(("mug", 2), ("chair", 2))
    await desk.until_offered("south")
    await desk.task("south", "accept")
    await desk.until_status("confirmed")
    await desk.refund(lines={desk.line_of("chair"): 1})
    await desk.until("refunded", lambda order: bool(order["refunded_amount"]))
    parts = {c["supplier"]: c["refunded_amount"] for c in desk.order["consignments"]}
    desk.claim(sorted(parts.values()) == [0, price_of("chair")], f"the refund went to {parts}")


@_story(
    "delivered, and one of two comes back",
    Ending(
        "delivered",
        captured=price_of("vase", 2),
        refunded=price_of("vase"),
        refund_status="partial",
        sold={"vase": 1},
    ),
)
async def returned(desk: Desk) -> None:
    await desk.place(("vase", 2))
    await desk.until_status("confirmed")
    await desk.ship("north")
    await desk.task("north", "deliver")
    return_id = await desk.ask_to_return({desk.line_of("vase"): 1})
    await desk.take_back("north", return_id, restock=True)
