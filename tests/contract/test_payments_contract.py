"""The promises of the Payments port, kept by every adapter."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actors.adapters.simulated_payments import SimulatedPayments
from actors.runtime.ports import EffectRunner
from models.decision import Address, Command, Effect
from models.payments import AnyRequest, Done, Void
from models.record import changed
from tests.contract.payment_vendors import Answered, Order, Payments, Vendor, answered, payments_at, tell
from tests.contract.sandbox_process import Sandbox, sandbox_process

DAY_MS = 24 * 3600 * 1000

DECLINES = {
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_visa_chargeDeclinedLostCard": "lost_card",
    "pm_card_chargeDeclinedStolenCard": "stolen_card",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
    "pm_card_chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "pm_card_chargeDeclinedProcessingError": "processing_error",
    "pm_card_chargeDeclinedVelocityLimitExceeded": "card_velocity_exceeded",
    "pm_card_chargeDeclinedFraudulent": "fraudulent",
    "pm_card_radarBlock": "fraudulent",
    "pm_card_chargeCustomerFail": "generic_decline",
}
AUTHENTICATED = [
    "pm_card_authenticationRequired",
    "pm_card_authenticationRequiredOnSetup",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    "pm_card_threeDSecureRequired",
    "pm_card_threeDSecure2Required",
]


class Simulated:
    destination = "acct_simulated"

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[EffectRunner]:
        runner = SimulatedPayments(answered, latency_ms=1, ledger=self.ledger)
        try:
            yield runner
        finally:
            await runner.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with sandbox_process() as running:
        yield running


@pytest.fixture(params=["simulated", "sandbox"])
def vendor(request: pytest.FixtureRequest, tmp_path: Path) -> Vendor:
    if request.param == "simulated":
        return Simulated(tmp_path / "ledger.jsonl")
    running: Sandbox = request.getfixturevalue("sandbox")
    running.reset_faults()
    return running


def test_a_hold_is_taken_and_paid_out(vendor: Vendor) -> None:
    async def story(payments: Payments) -> None:
        order = Order(2_000)
        hold = await payments.done(order.authorise())
        assert hold.id == hold.payment_intent
        assert hold.id.startswith("pi_")
        assert hold.charge.startswith("ch_")
        minted_ms = int(order.id[7:19], 16)
        assert 6 * DAY_MS < hold.capture_before - minted_ms < 8 * DAY_MS

        captured = await payments.done(order.capture(hold))
        assert captured == Done(hold.charge, hold.payment_intent, hold.charge)

        brand = await payments.done(order.transfer(captured, vendor.destination, 300))
        supplier = await payments.done(order.transfer(captured, vendor.destination, 1_200, "supplier"))
        assert brand.id != supplier.id
        assert brand.id.startswith("tr_")

        refund = await payments.done(order.refund(hold, 500))
        assert refund.id.startswith("re_")
        assert refund.payment_intent == hold.payment_intent
        reversal = await payments.done(order.reverse(supplier, 300))
        assert reversal.id.startswith("trr_")

    tell(vendor, story)


def test_the_same_key_gets_the_same_answer_even_from_another_process(vendor: Vendor) -> None:
    async def main() -> None:
        order = Order()
        async with payments_at(vendor) as first:
            hold = await first.done(order.authorise_once)
            captured = await first.done(capture := order.capture(hold))
            moved = await first.done(transfer := order.transfer(captured, vendor.destination, 900))
            refunded = await first.done(refund := order.refund(hold, 700))
            taken_back = await first.done(reverse := order.reverse(moved, 200))
        async with payments_at(vendor) as second:
            answers: list[tuple[AnyRequest, Done]] = [
                (capture, captured), (transfer, moved), (refund, refunded), (reverse, taken_back),
            ]  # fmt: skip
            for request, outcome in answers:
                assert await second.ask(request) == outcome
                assert await second.ask(request) == outcome
                assert await second.ask(changed(request, lookup=True)) == outcome
            again = await second.ask(order.authorise_once)
            assert isinstance(again, Done)
            assert (again.id, again.charge) == (hold.id, hold.charge)

    asyncio.run(main())


def test_a_look_up_does_what_was_never_done(vendor: Vendor) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        hold = await payments.done(changed(order.authorise(), lookup=True))
        captured = await payments.done(changed(order.capture(hold), lookup=True))
        transfer = await payments.done(changed(order.transfer(captured, vendor.destination, 400), lookup=True))
        await payments.done(changed(order.refund(hold, 400), lookup=True))
        await payments.done(changed(order.reverse(transfer, 400), lookup=True))

    tell(vendor, story)


@pytest.mark.parametrize(("method", "code"), DECLINES.items())
def test_a_declined_card_says_why_and_holds_nothing(vendor: Vendor, method: str, code: str) -> None:
    async def story(payments: Payments) -> None:
        order = Order(method=method)
        request = order.authorise()
        outcome = await payments.declined(request)
        assert outcome.code == code
        assert await payments.ask(request) == outcome
        looked_up = await payments.declined(changed(request, lookup=True))
        assert (looked_up.code, looked_up.payment_intent) == (code, outcome.payment_intent)

    tell(vendor, story)


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_a_bank_that_asks_for_the_customer_is_a_decline(vendor: Vendor, method: str) -> None:
    async def story(payments: Payments) -> None:
        request = Order(method=method).authorise()
        outcome = await payments.declined(request)
        assert outcome.code == "authentication_required"
        assert (await payments.declined(request)).code == "authentication_required"
        assert (await payments.declined(changed(request, lookup=True))).code == "authentication_required"

    tell(vendor, story)


def test_an_unknown_payment_method_is_a_decline(vendor: Vendor) -> None:
    async def story(payments: Payments) -> None:
        assert (await payments.declined(Order(method="no_such_method").authorise())).code == "resource_missing"

    tell(vendor, story)


def test_a_hold_can_be_let_go_more_than_once(vendor: Vendor) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        hold = await payments.done(order.authorise())
        voided = await payments.done(void := order.void(hold))
        assert voided.payment_intent == hold.payment_intent
        assert await payments.ask(void) == voided
        assert (await payments.done(order.void(hold))).payment_intent == hold.payment_intent

    tell(vendor, story)


def test_a_hold_whose_id_was_never_learned_can_be_let_go(vendor: Vendor) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        authorise = order.authorise()
        hold = await payments.done(authorise)
        void = Void(order.key("void"), order.id, authorise=authorise)
        assert (await payments.done(void)).payment_intent == hold.payment_intent
        assert (await payments.done(void)).payment_intent == hold.payment_intent

    tell(vendor, story)


def test_a_part_of_the_hold_can_be_taken(vendor: Vendor) -> None:
    async def story(payments: Payments) -> None:
        order = Order(2_000)
        hold = await payments.done(order.authorise())
        captured = await payments.done(capture := order.capture(hold, 1_250))
        assert captured.charge == hold.charge
        assert await payments.ask(capture) == captured

    tell(vendor, story)


def test_two_refunds_of_one_order_are_two(vendor: Vendor) -> None:
    async def story(payments: Payments) -> None:
        order = Order(2_000)
        hold = await payments.done(order.authorise())
        await payments.done(order.capture(hold))
        first = await payments.done(order.refund(hold, 500, 1))
        second = await payments.done(order.refund(hold, 500, 2))
        assert first.id != second.id

    tell(vendor, story)


def test_each_effect_is_answered_exactly_once_to_whom_it_belongs(vendor: Vendor) -> None:
    async def main() -> None:
        heard: Counter[tuple[str, str]] = Counter()

        def deliver(to: Address, command: Command) -> None:
            assert isinstance(command, Answered)
            assert command.answer is not None
            heard[to.id, command.answer.key] += 1

        orders = [Order() for _ in range(40)]
        async with vendor.opened() as runner:
            for order in orders:
                request = order.authorise_once
                runner.start(Effect("payments", request, Address("orchestrator", order.id)), deliver)
            assert not heard, "start must return before it delivers"
            async with asyncio.timeout(20):
                while len(heard) < len(orders):
                    await asyncio.sleep(0.005)
        assert heard == Counter({(order.id, order.authorise_once.key): 1 for order in orders})

    asyncio.run(main())


def test_closing_abandons_what_is_under_way_without_a_word(vendor: Vendor) -> None:
    async def main() -> None:
        heard: list[Command] = []
        order = Order()
        async with vendor.opened() as runner:
            effect = Effect("payments", order.authorise_once, Address("orchestrator", order.id))
            runner.start(effect, lambda _to, command: heard.append(command))
        await asyncio.sleep(0.05)
        assert heard == []
        async with payments_at(vendor) as payments:
            await payments.done(order.authorise_once)

    asyncio.run(main())
