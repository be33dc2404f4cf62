"""The Payments port of one simulated host: a bad line to the bank. Implements `ports.EffectRunner`."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from actors.runtime.ports import Deliver
from models.decision import Command, Effect
from models.payments import AnyRequest, Outcome, PaymentAnswer, Throttled, Unknown
from scripts.simulation.bank import Bank
from scripts.simulation.trace import Trace
from scripts.simulation.virtual_loop import Process, VirtualLoop
from scripts.simulation.weather import CALM, Weather

GIVEN_UP_S = (0.05, 3.0)


class Counter:
    """The bank's counter, shared by all hosts: carries requests out, or fails to.

    A 500 is saved under its key and replayed for ever, whether there was an effect or not; only a look-up can tell.
    """

    def __init__(self, loop: VirtualLoop, random: Random, trace: Trace, bank: Bank) -> None:
        self.weather: Weather = CALM
        self.loop = loop
        self.random = random
        self._trace = trace
        self._bank = bank
        self._spoilt: set[str] = set()  # keys that replay a 500

    def handle(self, request: AnyRequest) -> Outcome:
        """What the caller is told, had it stayed on the line."""
        outcome = self._outcome(request)
        self._trace.note("payment", request.key, request.order, type(outcome).__name__)
        return outcome

    def _outcome(self, request: AnyRequest) -> Outcome:
        weather, fate = self.weather, self.random.random()
        if request.key in self._spoilt and not request.lookup:
            return Unknown("a replayed 500", stale=True)
        if (fate := fate - weather.payment_throttled) < 0:
            return Throttled(self.random.randint(10, 2_000))
        if (fate := fate - weather.payment_error) < 0:
            return self._error(request)
        outcome = self._bank.request(request)
        if fate < weather.payment_error_after:
            return self._error(request)
        return outcome

    def _error(self, request: AnyRequest) -> Outcome:
        if request.lookup:
            return Unknown("500 in a look-up", stale=True)
        self._spoilt.add(request.key)
        return Unknown("500")


class LinePayments:
    """One host's line to the counter. Requests on their way go on when the host dies; nobody hears the answer then."""

    def __init__(self, counter: Counter, process: Process, answer: Callable[[PaymentAnswer], Command]) -> None:
        self._counter = counter
        self._process = process
        self._answer = answer

    def start(self, effect: Effect, deliver: Deliver) -> None:
        counter, random, weather = self._counter, self._counter.random, self._counter.weather
        request: AnyRequest = effect.request

        def tell(outcome: Outcome) -> None:
            command = self._answer(PaymentAnswer(request.key, outcome))
            self._process.call_soon(deliver, effect.reply_to, command)

        def arrive(heard: bool) -> None:
            outcome = counter.handle(request)
            if heard:
                counter.loop.later(random.uniform(*counter.weather.payment_s), tell, outcome)

        there_s = random.uniform(*weather.payment_s)
        if random.random() < weather.payment_slow:
            there_s += random.uniform(2.0, 6.0)
        lost = Unknown("the connection was closed", stale=request.lookup)
        fate = random.random()
        if (fate := fate - weather.payment_lost) < 0:
            counter.loop.later(random.uniform(*GIVEN_UP_S), tell, lost)
        elif (fate := fate - weather.payment_late) < 0:
            counter.loop.later(random.uniform(*GIVEN_UP_S), tell, lost)
            counter.loop.later(there_s + random.uniform(1.0, 4.0), arrive, False)
        elif fate < weather.payment_unanswered:
            counter.loop.later(there_s + random.uniform(*GIVEN_UP_S), tell, lost)
            counter.loop.later(there_s, arrive, False)
        else:
            counter.loop.later(there_s, arrive, True)

    async def close(self) -> None:
        """The line has no state of its own."""
