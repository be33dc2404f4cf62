"""What a SKU decides, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from models.decision import Address, Event
from models.orchestrator.messages import Nudge, StockAnswered
from models.sku import (
    ClaimSku,
    ConfirmReservation,
    ReceiveStock,
    ReleaseReservation,
    ReservationReleased,
    Reserve,
    Restock,
    SkuClaimed,
    StockReceived,
    StockRefused,
    StockReserved,
    StockRestocked,
    StockSold,
    machine,
)
from models.sku.machine import RowStatus
from tests.models.given import Given, given

ORDER = "ord_00000000000000000000000000000000001"
SAGA = Address("orchestrator", ORDER)
CLAIMED = SkuClaimed(1, "MUG", "north")
RECEIVED = StockReceived(2, 10)
RESERVED = StockReserved(3, ORDER, 4)
ASKED: dict[str, Any] = {"at": 9, "sku": "MUG", "order": ORDER, "reply_to": SAGA}


def sku(*events: Event) -> Given:
    return given(machine, CLAIMED, RECEIVED, *events)


def answer(status: str, restocked: int = 0, key: str = "") -> StockAnswered:
    return StockAnswered(sku="MUG", status=status, restocked=restocked, key=key)


def test_the_first_supplier_to_claim_a_sku_owns_it() -> None:
    claim = ClaimSku(at=9, sku="MUG", supplier="north")
    given(machine).when(claim).then(SkuClaimed(9, "MUG", "north")).and_again()
    given(machine, CLAIMED).when(ClaimSku(at=9, sku="MUG", supplier="south")).then_rejected("sku_taken")


def test_receipts_add_up_for_the_owner_and_for_ops() -> None:
    for supplier in ("north", ""):
        receipt = ReceiveStock(at=9, sku="MUG", quantity=5, supplier=supplier)
        state = sku().when(receipt).then(StockReceived(9, 5)).state
        assert (state.received, state.available) == (15, 15)


@pytest.mark.parametrize("quantity", [0, -1, machine.QUANTITY_MAX + 1])
def test_receipts_of_impossible_quantities_are_rejected(quantity: int) -> None:
    sku().when(ReceiveStock(sku="MUG", quantity=quantity)).then_rejected("invalid_quantity")


def test_receipts_by_another_supplier_or_for_an_unclaimed_sku_find_nothing() -> None:
    sku().when(ReceiveStock(sku="MUG", quantity=1, supplier="south")).then_rejected("not_found")
    given(machine).when(ReceiveStock(sku="MUG", quantity=1)).then_rejected("not_found")


def test_a_reservation_sets_units_aside() -> None:
    outcome = sku().when(Reserve(**ASKED, quantity=4))
    state = outcome.then(StockReserved(9, ORDER, 4)).then_sends(answer("reserved")).and_again().state
    assert machine.view(state) == {
        "sku": "MUG",
        "supplier": "north",
        "received": 10,
        "available": 6,
        "reserved": 4,
        "sold": 0,
    }


def test_all_that_is_available_can_be_reserved_and_not_one_more() -> None:
    sku().when(Reserve(**ASKED, quantity=10)).then(StockReserved(9, ORDER, 10))
    sku().when(Reserve(**ASKED, quantity=11)).then(StockRefused(9, ORDER, 11)).then_sends(answer("refused")).and_again()


def test_a_sku_that_nobody_has_offered_refuses() -> None:
    given(machine).when(Reserve(**ASKED, quantity=1)).then(StockRefused(9, ORDER, 1)).then_sends(answer("refused"))


def test_a_refused_order_stays_refused_when_stock_arrives() -> None:
    after = sku(StockRefused(3, ORDER, 11), StockReceived(4, 100))
    after.when(Reserve(**ASKED, quantity=11)).then().then_sends(answer("refused"))


def test_a_reservation_of_nothing_is_rejected() -> None:
    sku().when(Reserve(**ASKED, quantity=0)).then_rejected("invalid_quantity")


def test_a_confirmed_reservation_is_sold() -> None:
    outcome = sku(RESERVED).when(ConfirmReservation(**ASKED))
    state = outcome.then(StockSold(9, ORDER)).then_sends(answer("sold")).and_again().state
    assert (state.available, state.reserved, state.sold) == (6, 0, 4)


def test_a_confirmation_without_a_row_was_confirmed_before() -> None:
    sku().when(ConfirmReservation(**ASKED)).then().then_sends(answer("sold"))


def test_a_confirmation_cannot_revive_a_released_row() -> None:
    released = sku(RESERVED, ReservationReleased(4, ORDER))
    released.when(ConfirmReservation(**ASKED)).then().then_sends(answer("released"))


def test_a_released_reservation_is_available_again() -> None:
    outcome = sku(RESERVED).when(ReleaseReservation(**ASKED))
    state = outcome.then(ReservationReleased(9, ORDER)).then_sends(answer("released")).and_again().state
    assert (state.available, state.reserved, state.sold) == (10, 0, 0)


def test_a_release_that_overtakes_its_reservation_refuses_it() -> None:
    early = sku().when(ReleaseReservation(**ASKED)).then(ReservationReleased(9, ORDER)).and_again()
    late = Given(machine, early.state).when(Reserve(**ASKED, quantity=4))
    late.then().then_sends(answer("released"))


def test_a_release_after_the_sale_is_told_so() -> None:
    sku(RESERVED, StockSold(4, ORDER)).when(ReleaseReservation(**ASKED)).then().then_sends(answer("sold"))


def test_a_reservation_that_comes_again_after_the_sale_changes_nothing() -> None:
    sku(RESERVED, StockSold(4, ORDER)).when(Reserve(**ASKED, quantity=4)).then().then_sends(answer("sold"))


def test_sold_units_come_back_in_parts_and_each_part_counts_once() -> None:
    sold = sku(RESERVED, StockSold(4, ORDER))
    first = sold.when(Restock(**ASKED, quantity=1, key="ret_1"))
    first.then(StockRestocked(9, ORDER, 1, "ret_1")).then_sends(answer("sold", 1, "ret_1")).and_again()
    second = Given(machine, first.state).when(Restock(**ASKED, quantity=3, key="ret_2"))
    second.then(StockRestocked(9, ORDER, 3, "ret_2")).then_sends(answer("sold", 4, "ret_2")).and_again()
    state = second.state
    assert (state.available, state.reserved, state.sold) == (10, 0, 0)
    Given(machine, state).when(Restock(**ASKED, quantity=1, key="ret_3")).then_rejected("restock_exceeds_sold")


def test_a_restock_waits_for_the_confirmation_that_it_overtook() -> None:
    sku(RESERVED).when(Restock(**ASKED, quantity=4, key="cancel")).then().then_sends(answer("reserved"))


@pytest.mark.parametrize("events", [(StockRefused(3, ORDER, 11),), (ReservationReleased(3, ORDER),)])
def test_what_was_never_sold_cannot_come_back(events: tuple[Event, ...]) -> None:
    outcome = sku(*events).when(Restock(**ASKED, quantity=1, key="cancel"))
    assert outcome.then().state == sku(*events).state


def test_a_restock_of_nothing_is_rejected() -> None:
    sku(RESERVED, StockSold(4, ORDER)).when(Restock(**ASKED, quantity=0, key="k")).then_rejected("invalid_quantity")


def busy(minutes: int, start: int) -> list[Event]:
    """One refused order every half minute: what makes time pass for a SKU."""
    return [StockRefused(start + i * 30_000, f"other-{i}", 99) for i in range(minutes * 2)]


def test_settled_rows_are_forgotten_after_ten_to_fifteen_minutes() -> None:
    sold = [RESERVED, StockSold(4, ORDER)]
    assert machine.row_of(sku(*sold, *busy(10, 4)).state, ORDER).status is RowStatus.SOLD
    assert machine.row_of(sku(*sold, *busy(16, 4)).state, ORDER).status is RowStatus.ABSENT


def test_reserved_rows_are_never_forgotten() -> None:
    assert machine.row_of(sku(RESERVED, *busy(60, 4)).state, ORDER) == machine.Row(RowStatus.RESERVED, 4)


def test_an_outage_makes_nothing_forgotten() -> None:
    day = 86_400_000
    events = [RESERVED, StockSold(4, ORDER), *(StockRefused(day * i, f"other-{i}", 99) for i in range(1, 10))]
    assert machine.row_of(sku(*events).state, ORDER).status is RowStatus.SOLD


def test_units_of_a_forgotten_sale_come_back_once_each() -> None:
    forgotten = sku(RESERVED, StockSold(4, ORDER), *busy(16, 4))
    back = forgotten.when(Restock(**ASKED, quantity=3, key="ret_1"))
    back.then(StockRestocked(9, ORDER, 3, "ret_1")).then_sends(answer("sold", 3, "ret_1")).and_again()
    Given(machine, back.state).when(Restock(**ASKED, quantity=2, key="ret_2")).then_rejected("restock_exceeds_sold")


def test_restocks_are_remembered_much_longer_than_sales() -> None:
    restocked = [RESERVED, StockSold(4, ORDER), StockRestocked(5, ORDER, 1, "ret_1")]
    sku(*restocked, *busy(120, 6)).when(Restock(**ASKED, quantity=1, key="ret_1")).then().then_sends(
        answer("sold", 1, "ret_1")
    )


ROWS: dict[RowStatus, tuple[Event, ...]] = {
    RowStatus.ABSENT: (),
    RowStatus.RESERVED: (RESERVED,),
    RowStatus.REFUSED: (StockRefused(3, ORDER, 11),),
    RowStatus.RELEASED: (ReservationReleased(3, ORDER),),
    RowStatus.SOLD: (RESERVED, StockSold(4, ORDER)),
}
STEPS: dict[type[Event], Event] = {
    StockReserved: StockReserved(9, ORDER, 4),
    StockRefused: StockRefused(9, ORDER, 11),
    ReservationReleased: ReservationReleased(9, ORDER),
    StockSold: StockSold(9, ORDER),
    StockRestocked: StockRestocked(9, ORDER, 1, "k"),
}


def test_the_walk_covers_the_whole_table() -> None:
    assert set(ROWS) == set(RowStatus)
    assert set(STEPS) == machine.ROW_EVENTS
    assert set(machine.TRANSITIONS) <= {(status, step) for status in ROWS for step in STEPS}


@pytest.mark.parametrize("status", ROWS)
@pytest.mark.parametrize("step", STEPS)
def test_rows_take_the_steps_of_the_table_and_no_others(status: RowStatus, step: type[Event]) -> None:
    stock = (StockReceived(2, 100), StockReserved(2, "other", 5), StockSold(2, "other"))
    state = sku(*stock, *ROWS[status]).state
    assert machine.row_of(state, ORDER).status is status
    after = machine.TRANSITIONS.get((status, step))
    if after is None:
        with pytest.raises(AssertionError):
            machine.evolve(state, STEPS[step])
        return
    evolved = machine.evolve(state, STEPS[step])
    assert machine.row_of(evolved, ORDER).status is after
    assert evolved.received == evolved.available + evolved.reserved + evolved.sold


@pytest.mark.parametrize("status", ROWS)
@pytest.mark.parametrize(
    "command",
    [
        Reserve(**ASKED, quantity=4),
        ConfirmReservation(**ASKED),
        ReleaseReservation(**ASKED),
        Restock(**ASKED, quantity=1, key="k"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_every_question_is_answered_and_every_decision_is_in_the_table(status: RowStatus, command: Any) -> None:
    state = sku(StockReserved(2, "other", 5), StockSold(2, "other"), *ROWS[status]).state
    outcome = Given(machine, state).when(command)
    assert [send.to for send in outcome.decision.sends] == [SAGA]  # type: ignore[union-attr]
    assert outcome.and_again().state.supplier == "north"


def test_an_unclaimed_sku_has_no_view_and_strange_commands_are_rejected() -> None:
    assert machine.view(machine.INITIAL) is None
    sku().when(Nudge()).then_rejected("unknown_command")
