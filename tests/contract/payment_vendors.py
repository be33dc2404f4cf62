"""What the payments contract needs to talk to a vendor: one way to ask, one way to insist, one way to look."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

from actors.runtime.ports import EffectRunner
from models.decision import Address, Command, Effect
from models.identity import order_id
from models.payments import (
    AnyRequest,
    Authorise,
    Capture,
    Declined,
    Done,
    Outcome,
    PaymentAnswer,
    Refund,
    Reverse,
    Throttled,
    Transfer,
    Unknown,
    Void,
)
from models.record import changed, dataclass

R = TypeVar("R", Authorise, Capture, Void, Refund, Transfer, Reverse)

ATTEMPTS_MAX = 60


@dataclass(frozen=True)
class Answered(Command):
    """Stands for the command that the orchestrator's kind makes of an outcome."""

    answer: PaymentAnswer | None = None


def answered(answer: PaymentAnswer) -> Command:
    return Answered(0, answer)


class Vendor(Protocol):
    """One implementation of the port, ready for a test."""

    destination: str  # a connected account that can receive transfers

    def opened(self) -> AbstractAsyncContextManager[EffectRunner]:
        """A new adapter, as after a restart of the host; what the vendor knows stays."""
        ...


class Payments:
    """An adapter under test, asked as the orchestrator would ask it."""

    def __init__(self, runner: EffectRunner) -> None:
        self.runner = runner

    async def ask(self, request: AnyRequest) -> Outcome:
        """One effect, one outcome."""
        to = Address("orchestrator", request.order)
        heard: asyncio.Future[tuple[Address, Command]] = asyncio.get_running_loop().create_future()
        self.runner.start(Effect("payments", request, to), lambda at, command: heard.set_result((at, command)))
        async with asyncio.timeout(20):
            at, command = await heard
        assert at == to
        assert isinstance(command, Answered)
        assert command.answer is not None
        assert command.answer.key == request.key
        return command.answer.outcome

    async def settle(self, request: R) -> Done | Declined:
        """Insist as the orchestrator does: the same key and parameters until the outcome is definite, with a look-up
        once the key is stale."""
        for _ in range(ATTEMPTS_MAX):
            match await self.ask(request):
                case Unknown(stale=True):
                    request = changed(request, lookup=True)
                case Unknown():
                    pass
                case Throttled():
                    await asyncio.sleep(0.02)
                case definite:
                    return definite
        raise AssertionError(f"{request.key} has no definite outcome after {ATTEMPTS_MAX} attempts")

    async def done(self, request: R) -> Done:
        outcome = await self.settle(request)
        assert isinstance(outcome, Done), outcome
        return outcome

    async def declined(self, request: R) -> Declined:
        outcome = await self.settle(request)
        assert isinstance(outcome, Declined), outcome
        return outcome


@asynccontextmanager
async def payments_at(vendor: Vendor) -> AsyncIterator[Payments]:
    async with vendor.opened() as runner:
        yield Payments(runner)


def tell(vendor: Vendor, story: Callable[[Payments], Awaitable[None]]) -> None:
    """Run one story with a new adapter on a loop of its own."""

    async def main() -> None:
        async with payments_at(vendor) as payments:
            await story(payments)

    asyncio.run(main())


class Order:
    """An order's requests, with the keys that Dray would give them."""

    def __init__(self, amount: int = 2_000, method: str = "pm_card_visa") -> None:
        self.id = order_id(17, time.time_ns() // 1_000_000, os.urandom(10))
        self.amount = amount
        self.method = method
        self._attempts = itertools.count(1)
        self.authorise_once = self.authorise()

    def key(self, step: str, object_: str = "payment") -> str:
        return f"{self.id}:{step}:{object_}:{next(self._attempts)}"

    def authorise(self) -> Authorise:
        return Authorise(self.key("authorise"), self.id, False, self.amount, "gbp", self.method)

    def capture(self, hold: Done, amount: int | None = None) -> Capture:
        return Capture(self.key("capture"), self.id, False, hold.payment_intent, amount or self.amount)

    def void(self, hold: Done) -> Void:
        return Void(self.key("void"), self.id, False, hold.payment_intent)

    def refund(self, hold: Done, amount: int, number: int = 1) -> Refund:
        refund = f"rfd_{self.id[4:]}_{number}"
        return Refund(self.key("refund", refund), self.id, False, hold.payment_intent, amount, refund)

    def transfer(self, captured: Done, destination: str, amount: int, party: str = "brand") -> Transfer:
        consignment = f"cns_{self.id[4:]}_1"
        key = self.key("transfer", f"{consignment}.{party}")
        return Transfer(key, self.id, False, amount, "gbp", destination, captured.charge, consignment, party)

    def reverse(self, transfer: Done, amount: int, number: int = 1) -> Reverse:
        refund = f"rfd_{self.id[4:]}_{number}"
        return Reverse(self.key("reverse", refund), self.id, False, transfer.id, amount, refund)
