"""Whatever goes wrong on the way to Stripe, each request takes effect exactly once, or provably never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.adapters.pacing import PaceLimits
from actors.adapters.stripe_intents import APPEARS_WITHIN_MS
from actors.adapters.stripe_payments import StripePayments
from actors.runtime.ports import EffectRunner
from models.payments import Done, Throttled, Unknown, Void
from models.record import changed
from tests.contract.payment_vendors import Order, Payments, R, answered, payments_at, tell
from tests.contract.sandbox_process import API_KEY, Sandbox, sandbox_process

CREATE = "POST /v1/payment_intents"
ENDPOINTS = {
    "authorise": CREATE,
    "capture": "POST /v1/payment_intents/{}/capture",
    "void": "POST /v1/payment_intents/{}/cancel",
    "refund": "POST /v1/refunds",
    "transfer": "POST /v1/transfers",
    "reverse": "POST /v1/transfers/{}/reversals",
}
FAULTS = ["closed_before", "closed_after", "error_500_before", "error_500_after", "rate_limit", "lock_timeout"]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with sandbox_process() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset_faults()
    return running


class Configured(Sandbox):
    """The same sandbox, met by an adapter with other settings."""

    def __init__(self, address: str, **settings: Any) -> None:
        super().__init__(address)
        self._settings = settings

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[EffectRunner]:
        runner = StripePayments(answered, API_KEY, self.address, **self._settings)
        try:
            yield runner
        finally:
            await runner.close()


def effects(sandbox: Sandbox, order: Order) -> dict[str, Any]:
    """What Stripe's own records say of an order."""
    charges = sandbox.get(f"/v1/charges?transfer_group={order.id}&limit=100")["data"]
    transfers = sandbox.get(f"/v1/transfers?transfer_group={order.id}&limit=100")["data"]
    refunds = [sandbox.get(f"/v1/refunds?charge={charge['id']}&limit=100")["data"] for charge in charges]
    intents = [sandbox.get(f"/v1/payment_intents/{charge['payment_intent']}") for charge in charges]
    return {
        "held": [intent["amount_capturable"] for intent in intents if intent["status"] == "requires_capture"],
        "captured": [charge["amount_captured"] for charge in charges if charge["captured"]],
        "refunded": sum(refund["amount"] for listed in refunds for refund in listed),
        "transferred": sorted(transfer["amount"] for transfer in transfers),
        "reversed": sum(transfer["amount_reversed"] for transfer in transfers),
    }


async def live(payments: Payments, sandbox: Sandbox, order: Order, step: str) -> None:
    """Take an order through `step`, insisting on each request."""
    hold = await payments.done(order.authorise())
    if step == "void":
        await payments.done(order.void(hold))
        return
    if step == "authorise":
        return
    captured = await payments.done(order.capture(hold, 1_500))
    if step == "capture":
        return
    if step == "refund":
        await payments.done(order.refund(hold, 400))
        return
    moved = await payments.done(order.transfer(captured, sandbox.destination, 900))
    if step == "reverse":
        await payments.done(order.reverse(moved, 300))


EXPECTED: dict[str, dict[str, Any]] = {
    "authorise": {"held": [2_000]},
    "void": {},
    "capture": {"captured": [1_500]},
    "refund": {"captured": [1_500], "refunded": 400},
    "transfer": {"captured": [1_500], "transferred": [900]},
    "reverse": {"captured": [1_500], "transferred": [900], "reversed": 300},
}
NOTHING: dict[str, Any] = {"held": [], "captured": [], "refunded": 0, "transferred": [], "reversed": 0}


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ENDPOINTS)
def test_a_fault_at_any_step_leaves_one_effect(sandbox: Sandbox, step: str, fault: str, times: int) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        sandbox.inject({"fault": fault, "times": times, "endpoints": [ENDPOINTS[step]]})
        await live(payments, sandbox, order, step)
        assert effects(sandbox, order) == NOTHING | EXPECTED[step]

    tell(sandbox, story)


@pytest.mark.parametrize("fault", ["error_500_before", "error_500_after"])
def test_a_replayed_500_is_stale_and_a_look_up_ends_it(sandbox: Sandbox, fault: str) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        request = order.authorise()
        sandbox.inject({"fault": fault, "times": 1, "endpoints": [CREATE]})
        first = await payments.ask(request)
        assert isinstance(first, Unknown)
        assert not first.stale
        second = await payments.ask(request)
        assert isinstance(second, Unknown)
        assert second.stale
        proven = await payments.ask(changed(request, lookup=True))
        assert isinstance(proven, Done)
        assert await payments.ask(changed(request, lookup=True)) == proven
        assert effects(sandbox, order) == NOTHING | {"held": [2_000]}

    tell(sandbox, story)


def test_a_refusal_for_the_rate_has_no_effect_and_says_so(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        sandbox.inject({"fault": "rate_limit", "times": 1, "endpoints": [CREATE]})
        assert isinstance(await payments.ask(order.authorise()), Throttled)
        assert effects(sandbox, order) == NOTHING

    tell(sandbox, story)


def test_a_storm_of_refusals_slows_the_transfers_down_and_loses_none(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        orders = [Order() for _ in range(4)]
        holds = await asyncio.gather(*[payments.done(order.authorise()) for order in orders])
        captures = await asyncio.gather(
            *[payments.done(order.capture(hold)) for order, hold in zip(orders, holds, strict=True)]
        )
        sandbox.inject(rate_limit="1000/20")
        await asyncio.gather(
            *[
                payments.done(order.transfer(captured, sandbox.destination, 100 + number, f"party{number}"))
                for order, captured in zip(orders, captures, strict=True)
                for number in range(15)
            ]
        )
        sandbox.reset_faults()
        for order in orders:
            assert effects(sandbox, order)["transferred"] == [100 + number for number in range(15)]

    tell(sandbox, story)


def test_many_orders_in_bad_weather(sandbox: Sandbox) -> None:
    """Every kind of fault on every endpoint, look-ups included, and two adapters that retry the same requests."""

    async def main() -> None:
        orders = [Order() for _ in range(12)]
        rules = [{"fault": fault, "probability": 0.08} for fault in FAULTS]
        sandbox.inject(*rules, seed="weather", latency={"distribution": "uniform", "min_ms": 0, "max_ms": 20})
        async with payments_at(sandbox) as one, payments_at(sandbox) as two:

            async def both(request: R) -> Done:
                first, second = await asyncio.gather(one.done(request), two.done(request))
                assert first.id == second.id
                return first

            async def through(order: Order) -> None:
                hold = await both(order.authorise())
                captured = await both(order.capture(hold, 1_500))
                moved = await both(order.transfer(captured, sandbox.destination, 900))
                await asyncio.gather(both(order.refund(hold, 400)), both(order.reverse(moved, 300)))

            await asyncio.gather(*[through(order) for order in orders])
        sandbox.reset_faults()
        for order in orders:
            assert effects(sandbox, order) == NOTHING | EXPECTED["reverse"] | {"refunded": 400}

    asyncio.run(main())


def test_a_void_ends_an_authorisation_that_never_left(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        authorise = order.authorise()
        await payments.done(Void(order.key("void"), order.id, authorise=authorise))
        assert (await payments.declined(authorise)).code == "payment_intent_canceled"
        assert effects(sandbox, order) == NOTHING

    tell(sandbox, story)


@pytest.mark.parametrize("fault", ["closed_after", "error_500_before", "error_500_after"])
def test_a_void_ends_an_authorisation_whose_answer_was_lost(sandbox: Sandbox, fault: str) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        authorise = order.authorise()
        sandbox.inject({"fault": fault, "times": 1, "endpoints": [CREATE]})
        assert isinstance(await payments.ask(authorise), Unknown)
        await payments.done(Void(order.key("void"), order.id, authorise=authorise))
        assert effects(sandbox, order) == NOTHING
        await payments.settle(authorise)
        await payments.settle(changed(authorise, lookup=True))
        assert effects(sandbox, order) == NOTHING | {"held": []}

    tell(sandbox, story)


@pytest.mark.parametrize("lead_ms", [0, 20, 60, 120])
def test_a_void_ends_an_authorisation_that_is_under_way(sandbox: Sandbox, lead_ms: int) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        authorise = order.authorise()
        sandbox.inject(latency={"distribution": "constant", "ms": 60})
        holding = asyncio.ensure_future(payments.settle(authorise))
        await asyncio.sleep(lead_ms / 1000)
        await payments.done(Void(order.key("void"), order.id, authorise=authorise))
        await holding
        assert effects(sandbox, order) == NOTHING

    tell(sandbox, story)


def test_a_void_without_a_trace_waits_before_it_believes_in_nothing(sandbox: Sandbox) -> None:
    order = Order()
    minted_ms = int(order.id[7:19], 16)

    async def early(payments: Payments) -> None:
        outcome = await payments.ask(Void(order.key("void"), order.id))
        assert isinstance(outcome, Unknown)
        assert outcome.stale

    async def late(payments: Payments) -> None:
        assert await payments.ask(Void(order.key("void"), order.id)) == Done("")

    tell(sandbox, early)
    tell(Configured(sandbox.address, now=lambda: minted_ms + APPEARS_WITHIN_MS), late)


def test_a_void_finds_the_hold_by_the_order_alone(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        hold = await payments.done(order.authorise())
        voided = await payments.done(Void(order.key("void"), order.id))
        assert voided.payment_intent == hold.payment_intent
        assert effects(sandbox, order) == NOTHING

    tell(sandbox, story)


def test_a_call_that_hangs_is_unknown_and_its_effect_is_found(sandbox: Sandbox) -> None:
    order = Order()
    authorise = order.authorise()

    async def impatient(payments: Payments) -> None:
        sandbox.inject(latency={"distribution": "constant", "ms": 700})
        outcome = await payments.ask(authorise)
        assert isinstance(outcome, Unknown)
        assert not outcome.stale
        assert isinstance(await payments.ask(authorise), Throttled), "the first request is still under way"

    async def patient(payments: Payments) -> None:
        sandbox.reset_faults()
        await payments.done(authorise)
        assert effects(sandbox, order) == NOTHING | {"held": [2_000]}

    tell(Configured(sandbox.address, timeout_s=0.2), impatient)
    tell(sandbox, patient)


def test_more_effects_than_may_be_in_flight_are_put_off(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        outcomes = await asyncio.gather(*[payments.ask(Order().authorise()) for _ in range(5)])
        assert [type(outcome) for outcome in outcomes] == [Done, Done, Throttled, Throttled, Throttled]

    tell(Configured(sandbox.address, effects_in_flight_max=2), story)


def test_what_would_wait_too_long_is_told_how_long(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        outcomes = await asyncio.gather(*[payments.ask(Order().authorise()) for _ in range(4)])
        assert isinstance(outcomes[0], Done)
        assert isinstance(outcomes[1], Done)
        for outcome in outcomes[2:]:
            assert isinstance(outcome, Throttled)
            assert outcome.retry_after_ms > 150

    slow = PaceLimits(rate_start_per_s=10, increase_per_s2=0.0, wait_max_s=0.15)
    tell(Configured(sandbox.address, pace=slow), story)


def test_a_hold_that_waits_for_the_customer_is_cancelled(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        order = Order(method="pm_card_authenticationRequired")
        declined = await payments.declined(order.authorise())
        intent = sandbox.get(f"/v1/payment_intents/{declined.payment_intent}")
        assert intent["status"] == "canceled"
        assert effects(sandbox, order) == NOTHING

    tell(sandbox, story)


def test_what_has_happened_already_is_success_by_meaning(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        order = Order(2_000)
        hold = await payments.done(order.authorise())
        first = await payments.done(order.capture(hold, 1_500))
        assert await payments.done(order.capture(hold, 1_500)) == first, "another key, the same capture"
        assert (await payments.declined(order.capture(hold, 1_600))).code == "charge_already_captured"
        assert (await payments.declined(order.void(hold))).code == "charge_already_captured"
        await payments.done(refund := order.refund(hold, 1_500))
        assert (await payments.declined(order.refund(hold, 1_500, 2))).code == "charge_already_refunded"
        assert isinstance(await payments.ask(changed(refund, lookup=True)), Done)
        assert effects(sandbox, order) == NOTHING | {"captured": [1_500], "refunded": 1_500}

    tell(sandbox, story)


def test_a_voided_hold_cannot_be_captured(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        order = Order()
        hold = await payments.done(order.authorise())
        await payments.done(order.void(hold))
        assert (await payments.declined(order.capture(hold))).code == "payment_intent_canceled"
        assert (await payments.declined(changed(order.capture(hold), lookup=True))).code == "payment_intent_canceled"

    tell(sandbox, story)


def test_what_goes_beyond_the_charge_is_declined(sandbox: Sandbox) -> None:
    async def story(payments: Payments) -> None:
        order = Order(2_000)
        hold = await payments.done(order.authorise())
        assert (await payments.declined(order.capture(hold, 2_001))).code == "amount_too_large"
        captured = await payments.done(order.capture(hold))
        moved = await payments.done(order.transfer(captured, sandbox.destination, 1_000))
        await payments.declined(order.transfer(captured, sandbox.destination, 1_001, "supplier"))
        await payments.declined(order.transfer(captured, "acct_nobody", 10, "retailer"))
        await payments.declined(order.reverse(moved, 1_001))
        await payments.declined(order.refund(hold, 2_001))
        assert effects(sandbox, order) == NOTHING | {"captured": [2_000], "transferred": [1_000]}

    tell(sandbox, story)


def test_a_key_that_stripe_has_forgotten_is_looked_up() -> None:
    with sandbox_process() as sandbox:

        async def story(payments: Payments) -> None:
            order = Order()
            hold = await payments.done(authorise := order.authorise())
            captured = await payments.done(order.capture(hold, 1_500))
            moved = await payments.done(transfer := order.transfer(captured, sandbox.destination, 900))
            refunded = await payments.done(refund := order.refund(hold, 400))
            taken_back = await payments.done(reverse := order.reverse(moved, 300))
            sandbox.control("clock", {"advance_s": 25 * 3600})
            assert (await payments.done(changed(authorise, lookup=True))).id == hold.id
            assert await payments.done(changed(transfer, lookup=True)) == moved
            assert await payments.done(changed(refund, lookup=True)) == refunded
            assert await payments.done(changed(reverse, lookup=True)) == taken_back
            assert effects(sandbox, order) == NOTHING | EXPECTED["reverse"] | {"refunded": 400}

            late = Order()
            expiring = await payments.done(late.authorise())
            sandbox.control("clock", {"advance_s": 8 * 24 * 3600})
            assert (await payments.declined(late.capture(expiring))).code == "charge_expired_for_capture"

        tell(sandbox, story)
