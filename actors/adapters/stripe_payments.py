"""Payments over Stripe's own SDK. Nothing else in Dray imports `stripe`.

The SDK runs over aiohttp and through `raw_request_async`, its entry point for plain dictionaries. Measured against a
local server that answers at once (Python 3.11, one core, uvloop, 16 calls in flight, CPU per call): typed services
over httpx 2.0 ms, typed services over aiohttp 0.57 ms, raw requests over aiohttp 0.22 ms; one at a time 1.4, 0.68 and
0.28 ms. `python -m scripts.bench.payments` measures what is left.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import stripe

from actors.adapters.pacing import Backlogged, Pace, PaceLimits
from actors.adapters.stripe_errors import THROTTLED_MS, Refusal, outcome_of
from actors.adapters.stripe_objects import Json
from actors.adapters.stripe_steps import StripeSteps
from actors.runtime.limits import LIMITS
from actors.runtime.ports import Deliver, Wall
from models.decision import Address, Command, Effect
from models.payments import AnyRequest, Outcome, PaymentAnswer, PaymentRequest, Throttled, Unknown

log = logging.getLogger(__name__)

STRIPE_ADDRESS = "https://api.stripe.com"
CALLS_IN_FLIGHT_MAX = 64
CALL_TIMEOUT_S = 30
BACKLOG_WAIT_MS_MAX = 5_000
"""The longest that a call which its own pace has turned away waits before it comes again: how long the others will take
is told by a rate that grows many times over within a second once the service takes calls again."""
_STRIPE_KEY = re.compile(r"(sk|rk)_(live|test)_[A-Za-z0-9_]+\Z")


class StripePayments:
    """The Payments port over the real SDK, against Stripe or any compatible server.

    answer:  makes the command that carries an outcome back.
    address: of a Stripe-compatible server; empty means Stripe itself.

    Raises ValueError for a key and an address that must not meet (see `check_credentials`).
    """

    def __init__(
        self,
        answer: Callable[[PaymentAnswer], Command],
        api_key: str,
        address: str = "",
        *,
        pace: PaceLimits | None = None,
        calls_in_flight_max: int = CALLS_IN_FLIGHT_MAX,
        effects_in_flight_max: int = LIMITS.effects_in_flight_max,
        timeout_s: float = CALL_TIMEOUT_S,
        now: Wall = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        check_credentials(api_key, address)
        self._answer = answer
        self._calls = StripeCalls(
            api_key, address, pace or default_pace(api_key, address), calls_in_flight_max, timeout_s
        )
        self._steps = StripeSteps(self._calls, now)
        self._effects_in_flight_max = effects_in_flight_max
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, effect: Effect, deliver: Deliver) -> None:
        """One task per effect: these wait on a real network."""
        loop = asyncio.get_running_loop()
        if len(self._tasks) >= self._effects_in_flight_max:
            command = self._answer(PaymentAnswer(effect.request.key, Throttled(THROTTLED_MS)))
            loop.call_soon(deliver, effect.reply_to, command)
            return
        task = loop.create_task(self._run(effect.request, effect.reply_to, deliver))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Abandon what is under way: its intents are journalled and will be asked for again under the same keys."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._calls.close()

    def rates(self) -> dict[str, tuple[float, int]]:
        """Of each endpoint used so far: calls per second allowed now, and calls waiting for their turn."""
        return self._calls.rates()

    async def _run(self, request: AnyRequest, reply_to: Address, deliver: Deliver) -> None:
        outcome = await self.outcome(request)
        deliver(reply_to, self._answer(PaymentAnswer(request.key, outcome)))

    async def outcome(self, request: AnyRequest) -> Outcome:
        """What became of `request`. Never raises: what cannot be explained is Unknown."""
        try:
            outcome = await self._steps.run(request)
        except Refusal as refusal:
            if refusal.misconfigured:
                log.error("Stripe does not accept this key: %s", refusal.message)
            outcome = outcome_of(refusal)
        except Exception as error:
            log.exception("%s", request.key)
            outcome = Unknown(f"{type(error).__name__}: {error}")
        return _looked_up(request, outcome)


def _looked_up(request: PaymentRequest, outcome: Outcome) -> Outcome:
    """Once a key has gone stale it stays so: what is unknown after a look-up needs another look-up."""
    if request.lookup and isinstance(outcome, Unknown):
        return Unknown(outcome.detail, stale=True)
    return outcome


def check_credentials(api_key: str, address: str) -> None:
    """Refuse a live key for a server that is not Stripe, and a key that is not Stripe's for Stripe.

    Raises ValueError; the message never shows the key.
    """
    url = urlsplit(address or STRIPE_ADDRESS)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"the payment server's address must be http(s)://host[:port], not {address!r}")
    if not api_key:
        raise ValueError("STRIPE_API_KEY is not set")
    if not _STRIPE_KEY.match(api_key):
        raise ValueError("STRIPE_API_KEY must be a secret or restricted key: sk_test_, sk_live_, rk_test_ or rk_live_")
    stripe_itself = url.hostname == "stripe.com" or url.hostname.endswith(".stripe.com")
    if is_live(api_key) and not stripe_itself:
        raise ValueError(f"a live key must not be sent to {url.hostname}: it would move nobody's money, or be stolen")
    if stripe_itself and url.scheme != "https":
        raise ValueError("Stripe is spoken to over https only")
    if stripe_itself and "sandbox" in api_key:
        raise ValueError(
            "this key belongs to Dray's sandbox, not to Stripe: set STRIPE_API_KEY, or use a local address"
        )


def is_live(api_key: str) -> bool:
    """Whether the key moves real money."""
    return api_key.split("_")[1:2] == ["live"]


def default_pace(api_key: str, address: str) -> PaceLimits:
    """Where the pace starts: Stripe allows 25 calls per second in test mode and 100 live, and a local server more."""
    if address:
        return PaceLimits(rate_start_per_s=500.0, increase_per_s2=50.0)
    return PaceLimits(rate_start_per_s=80.0 if is_live(api_key) else 20.0, rate_max_per_s=500.0)


class StripeCalls:
    """Single calls: paced, bounded, and with the SDK's errors put into Dray's words."""

    def __init__(self, api_key: str, address: str, pace: PaceLimits, in_flight_max: int, timeout_s: float) -> None:
        stripe.enable_telemetry = False  # it writes an id into the user's home and reports the machine
        self._http = stripe.AIOHTTPClient(timeout=timeout_s)
        self._client = stripe.StripeClient(
            api_key,
            http_client=self._http,
            base_addresses={"api": address.rstrip("/")} if address else None,
            max_network_retries=0,  # the orchestrator retries, durably and with a look-up where one is needed
        )
        self._pace_limits = pace
        self._paces: dict[str, Pace] = {}  # bounded: one per endpoint named in `stripe_steps`
        self._slots = asyncio.Semaphore(in_flight_max)

    async def post(self, endpoint: str, path: str, params: Mapping[str, Any], key: str) -> Json:
        """Raises Refusal."""
        return await self._call("post", endpoint, path, {**params, "idempotency_key": key})

    async def get(self, endpoint: str, path: str, params: Mapping[str, Any]) -> Json:
        """Raises Refusal."""
        return await self._call("get", endpoint, path, params)

    def rates(self) -> dict[str, tuple[float, int]]:
        """Of each endpoint used so far: calls per second allowed now, and calls waiting for their turn."""
        return {endpoint: (pace.rate_per_s, pace.waiting) for endpoint, pace in self._paces.items()}

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def _call(self, method: str, endpoint: str, path: str, params: Mapping[str, Any]) -> Json:
        pace = self._paces.get(endpoint)
        if pace is None:
            pace = self._paces[endpoint] = Pace(self._pace_limits)
        try:
            await pace.turn()
        except Backlogged as backlog:
            wait_ms = min(int(backlog.wait_s * 1000), BACKLOG_WAIT_MS_MAX)
            raise Refusal(429, code="backlogged", message=str(backlog), retry_after_ms=wait_ms) from None
        try:
            async with self._slots:
                answer = await self._client.raw_request_async(method, f"/v1/{path}", **params)
        except stripe.StripeError as error:
            refusal = refusal_of(error)
            if refusal.status == 429 and refusal.code != "lock_timeout":  # contention on one object is no rate limit
                self._slow_down(endpoint, error, refusal)
            raise refusal from error
        except Exception as error:  # aiohttp's own, while the body was read
            raise Refusal(0, message=f"{type(error).__name__}: {error}") from error
        pace.succeeded()
        data: Json = answer.data
        return data

    def _slow_down(self, endpoint: str, error: stripe.StripeError, refusal: Refusal) -> None:
        """A limit on the whole account slows every endpoint, any other only the one that met it."""
        reason = str((error.headers or {}).get("Stripe-Rate-Limited-Reason", ""))
        paces = list(self._paces.values()) if reason.startswith("global") else [self._paces[endpoint]]
        for pace in paces:
            pace.refused(refusal.retry_after_ms / 1000)


def refusal_of(error: stripe.StripeError) -> Refusal:
    """The SDK's error in Dray's words."""
    body = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
    headers = error.headers or {}
    intent = fields.get("payment_intent")
    return Refusal(
        status=429 if isinstance(error, stripe.RateLimitError) else error.http_status or 0,
        kind=fields.get("type") or "",
        code=fields.get("code") or "",
        decline_code=fields.get("decline_code") or "",
        message=" ".join((error.user_message or type(error).__name__).split()),
        replayed=str(headers.get("Idempotent-Replayed", "")).lower() == "true",
        retry_after_ms=_milliseconds(headers.get("Retry-After")),
        payment_intent=intent.get("id", "") if isinstance(intent, dict) else intent or "",
    )


def verify_signature(payload: bytes, header: str, secret: str, tolerance_s: int) -> None:
    """Raises ValueError unless the Stripe-Signature `header` was made with `secret` for these bytes, and lately."""
    try:
        stripe.WebhookSignature.verify_header(payload, header, secret, tolerance_s)
    except stripe.SignatureVerificationError as error:
        raise ValueError(error.user_message or "the signature does not fit") from None


def _milliseconds(retry_after: str | None) -> int:
    try:
        return max(0, int(float(retry_after or 0) * 1000))
    except ValueError:  # a date: nobody sends one, and the default will do
        return 0
