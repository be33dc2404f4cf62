"""Payments without a vendor: fixed latency, answers derived from the request alone, for capacity tests.

No account is kept: ids are made of the request's order and idempotency key, so the same key gets the same answer
before and after a restart, and memory stays flat whatever the number of orders. What only a memory could know (a
capture above the hold, a refund above the capture) is trusted to the caller and checked afterwards by the audit, from
the ledger file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import orjson

from actors.runtime.ports import Deliver, Wall
from models.decision import Address, Command, Effect, Millis
from models.identity import is_order_id, minted_at
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
    Transfer,
    Unknown,
    Void,
)

log = logging.getLogger(__name__)

HOLD_MS = 7 * 24 * 3600 * 1000
"""How long a card hold lasts (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""

DECLINE_CODES = {
    "": "generic_decline",
    "InsufficientFunds": "insufficient_funds",
    "LostCard": "lost_card",
    "StolenCard": "stolen_card",
    "ExpiredCard": "expired_card",
    "IncorrectCvc": "incorrect_cvc",
    "ProcessingError": "processing_error",
    "VelocityLimitExceeded": "card_velocity_exceeded",
    "Fraudulent": "fraudulent",
}
"""The decline code of each of Stripe's test payment methods `pm_card_[visa_]chargeDeclined<suffix>`
(https://docs.stripe.com/testing#declined-payments)."""

_OTHER_DECLINES = {"pm_card_chargeCustomerFail": "generic_decline", "pm_card_radarBlock": "fraudulent"}
_AUTHENTICATION = ("pm_card_authenticationRequired", "pm_card_threeDSecureRequired", "pm_card_threeDSecure2Required")
_ANSWERS_PER_SLICE_MAX = 512  # then the event loop gets a breath


class _Started(NamedTuple):
    request: AnyRequest
    reply_to: Address
    deliver: Deliver


class SimulatedPayments:
    """The Payments port in process: every request answers after `latency_ms`.

    answer:  makes the command that carries an outcome back.
    ledger:  a file to append every effect to, as `LedgerLine` reads it; each batch is handed to the operating system
             before its outcomes are delivered, so a killed process never leaves an outcome without its line.
    """

    def __init__(
        self,
        answer: Callable[[PaymentAnswer], Command],
        latency_ms: float = 20.0,
        ledger: Path | None = None,
        now: Wall = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        assert latency_ms >= 0
        self._answer = answer
        self._latency_s = latency_ms / 1000
        self._now = now
        self._batch: list[_Started] = []
        self._batch_closes = float("-inf")
        self._ripe: deque[_Started] = deque()
        self._draining = False
        self._timers: set[asyncio.TimerHandle] = set()
        self._ledger = None if ledger is None else _LedgerFile(ledger)
        self._closed = False

    def start(self, effect: Effect, deliver: Deliver) -> None:
        """Effects that start within a twentieth of the latency, at most a millisecond, share one timer; the last of
        them answers after exactly the latency, the first a little later."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now > self._batch_closes:
            assert not self._closed, "an effect was started on closed payments"
            window_s = min(self._latency_s / 20, 0.001)
            self._batch, self._batch_closes = [], now + window_s
            self._set_timer(loop, self._batch, self._latency_s + window_s)
        self._batch.append(_Started(effect.request, effect.reply_to, deliver))

    def _set_timer(self, loop: asyncio.AbstractEventLoop, batch: list[_Started], delay_s: float) -> None:
        timer: asyncio.TimerHandle = loop.call_later(delay_s, lambda: self._ripen(batch, timer))
        self._timers.add(timer)

    async def close(self) -> None:
        """Drop what is under way: its intents are journalled and will be asked for again."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._ripe.clear()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _ripen(self, batch: list[_Started], timer: asyncio.TimerHandle) -> None:
        self._timers.discard(timer)
        if batch is self._batch:
            self._batch, self._batch_closes = [], float("-inf")
        self._ripe.extend(batch)
        if not self._draining:
            self._draining = True
            self._drain()

    def _drain(self) -> None:
        ripe = self._ripe
        slice_ = [ripe.popleft() for _ in range(min(len(ripe), _ANSWERS_PER_SLICE_MAX))]
        outcomes = self._account([started.request for started in slice_])
        if ripe:
            asyncio.get_running_loop().call_soon(self._drain)
        else:
            self._draining = False
        for started, outcome in zip(slice_, outcomes, strict=True):
            try:
                started.deliver(started.reply_to, self._answer(PaymentAnswer(started.request.key, outcome)))
            except Exception:  # one receiver's bug must not swallow the answers of the others
                log.exception("the outcome of %s could not be delivered", started.request.key)

    def _account(self, requests: list[AnyRequest]) -> list[Outcome]:
        """An effect that cannot be entered in the ledger is not answered for: a full disk makes it Unknown."""
        outcomes: list[Outcome] = [outcome_of(request, self._now) for request in requests]
        if self._ledger is not None:
            try:
                self._ledger.append(requests, outcomes)
            except OSError as error:
                return [Unknown(f"the ledger cannot be written: {error}")] * len(requests)
        return outcomes


def outcome_of(request: AnyRequest, now: Wall) -> Outcome:
    """What the simulated vendor says to `request`: a function of the request, except that the hold of an order whose
    id tells no time counts from `now`."""
    match request:
        case Authorise():
            return _authorised(request, now)
        case Capture(payment_intent=intent):
            charge = charge_of(intent)
            return Done(charge, intent, charge)
        case Void(payment_intent=intent, authorise=authorise):
            if not intent and authorise is not None:
                intent = _id("pi_sim_", authorise)
            return Done(intent, intent)
        case Refund(payment_intent=intent):
            return Done(_id("re_sim_", request), intent, charge_of(intent))
        case Transfer():
            return Done(_id("tr_sim_", request), charge=request.charge)
        case Reverse():
            return Done(_id("trr_sim_", request))


def charge_of(payment_intent: str) -> str:
    """The simulated charge of a simulated PaymentIntent."""
    return "ch_sim_" + payment_intent.rpartition("_")[2]


def _authorised(request: Authorise, now: Wall) -> Outcome:
    method = request.payment_method
    intent = _id("pi_sim_", request)
    brand, declines, suffix = method.partition("chargeDeclined")
    if not brand.startswith("pm_"):
        return Declined("resource_missing", f"No such PaymentMethod: '{method}'")
    if declines or method in _OTHER_DECLINES:
        code = _OTHER_DECLINES.get(method) or DECLINE_CODES.get(suffix, "generic_decline")
        return Declined(code, "the simulated bank declined", intent)
    if method.startswith(_AUTHENTICATION):
        return Declined("authentication_required", "the simulated bank asks for the customer", intent)
    return Done(intent, intent, charge_of(intent), _minted(request.order, now) + HOLD_MS)


def _minted(order: str, now: Wall) -> Millis:
    """When the order's id was made, so that a restart computes the same end of the hold."""
    return minted_at(order) if is_order_id(order) else now()


def _id(prefix: str, request: AnyRequest) -> str:
    """Begins with the time of the order's own id: Stripe's ids, too, begin with their time, and so an index over them
    grows at its end, which is cheap."""
    return prefix + _made(request.order) + blake2b(request.key.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=128)  # the transfers of an order come together
def _made(order: str) -> str:
    return f"{minted_at(order):012x}"


class LedgerLine(NamedTuple):
    """One effect of the simulated vendor. `outcome` is empty for Done, else the decline code."""

    key: str
    kind: str  # authorise, capture, void, refund, transfer, reverse
    order: str
    amount: int  # minor units; 0 for a void
    id: str
    of: str  # the object it acts on: payment method, intent, charge or transfer
    to: str  # `<account> <consignment> <party>` for a transfer, Dray's refund for refunds and reversals
    outcome: str


class _LedgerFile:
    """Appends batches with one `write` each: O_APPEND keeps the lines of several processes whole."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def append(self, requests: list[AnyRequest], outcomes: list[Outcome]) -> None:
        """Raises OSError, for instance when the disk is full."""
        lines = bytearray()
        for request, outcome in zip(requests, outcomes, strict=True):
            lines += orjson.dumps(_line(request, outcome))
            lines += b"\n"
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def close(self) -> None:
        os.close(self._file)


def _line(request: AnyRequest, outcome: Outcome) -> tuple[Any, ...]:
    kind = type(request).__name__.lower()
    name = outcome.id if isinstance(outcome, Done) else getattr(outcome, "payment_intent", "")
    said = outcome.code if isinstance(outcome, Declined) else ""
    match request:
        case Authorise(amount=amount, payment_method=of):
            to = ""
        case Capture(amount=amount, payment_intent=of):
            to = ""
        case Void(payment_intent=of):
            amount, to = 0, ""
        case Refund(amount=amount, payment_intent=of, refund=to):
            pass
        case Transfer(amount=amount, charge=of, destination=account, consignment=consignment, party=party):
            to = f"{account} {consignment} {party}"
        case Reverse(amount=amount, transfer=of, refund=to):
            pass
        case _:
            assert_never(request)
    return request.key, kind, request.order, amount, name, of, to, said


def read_ledger(path: Path) -> Iterator[LedgerLine]:
    """The effects in a ledger file, each once: a line that repeats its key and contents is a retry and is skipped. A
    key that comes back with other contents is yielded again, for the audit to find. Raises ValueError on a damaged
    line, except a last line that was cut short."""
    seen: dict[bytes, int] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = LedgerLine(*orjson.loads(line))
            except (orjson.JSONDecodeError, TypeError) as error:
                if not line.endswith(b"\n"):
                    return
                raise ValueError(f"{path}, line {number}: {error}") from error
            digest, contents = blake2b(entry.key.encode(), digest_size=12).digest(), hash(entry)
            if seen.get(digest) != contents:
                seen[digest] = contents
                yield entry
