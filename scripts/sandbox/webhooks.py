"""Delivery of events to webhook endpoints, signed as Stripe signs (https://docs.stripe.com/webhooks/signatures).

At least once: an event stays owed to an endpoint until it answers 2xx, across restarts, with growing delays between
attempts. Faults make deliveries late, double or out of order.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from hashlib import sha256

import aiohttp
import orjson

from scripts.sandbox.faults import Faults
from scripts.sandbox.records import Event
from scripts.sandbox.render import event as render_event
from scripts.sandbox.store import Store

WORKERS = 16
TIMEOUT_S = 10.0
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 3_600.0
ATTEMPTS_MAX = 80  # about three days
REORDER_MS = (20.0, 400.0)

_Delivery = tuple[str, str, int]  # event id, endpoint id, attempt


def signature(payload: bytes, secret: str, at: int) -> str:
    """The value of the Stripe-Signature header for a payload sent at Unix second `at`."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (at, payload), sha256).hexdigest()
    return f"t={at},v1={digest}"


class Dispatcher:
    """Owns the deliveries that are still to be made. `start` and `stop` frame its life inside an event loop."""

    def __init__(self, store: Store, faults: Callable[[], Faults]) -> None:
        self._store = store
        self._faults = faults
        self._ready: asyncio.Queue[_Delivery] = asyncio.Queue()  # bounded by what is owed, hence by events_kept
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self.delivered = 0
        self.failed = 0

    async def start(self) -> None:
        """Take up what a former process still owed, and begin delivering."""
        for event_id, endpoints in self._store.undelivered.items():
            for endpoint_id in endpoints:
                self._schedule(event_id, endpoint_id, 0.0)
        self._store.on_event = self._occurred
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        self._tasks = [asyncio.create_task(self._work()) for _ in range(WORKERS)]

    async def stop(self) -> None:
        """Stop delivering; what is owed stays owed."""
        self._store.on_event = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _occurred(self, event: Event) -> None:
        faults = self._faults()
        plan = faults.plan.webhooks
        for endpoint_id in self._store.undelivered.get(event.id, ()):
            identity = f"{event.id} {endpoint_id}"
            delay_s = 0.0
            if plan.late and faults.draw("late", identity) < plan.late:
                span = plan.late_max_ms - plan.late_min_ms
                delay_s = (plan.late_min_ms + span * faults.draw("lateness", identity)) / 1000
            elif plan.reorder and faults.draw("reorder", identity) < plan.reorder:
                low, high = REORDER_MS
                delay_s = (low + (high - low) * faults.draw("reordering", identity)) / 1000
            self._schedule(event.id, endpoint_id, delay_s)
            if plan.duplicate and faults.draw("duplicate", identity) < plan.duplicate:
                self._schedule(event.id, endpoint_id, delay_s + REORDER_MS[1] / 1000, attempt=-1)

    def _schedule(self, event_id: str, endpoint_id: str, delay_s: float, attempt: int = 0) -> None:
        delivery = (event_id, endpoint_id, attempt)
        if delay_s > 0:
            asyncio.get_running_loop().call_later(delay_s, self._ready.put_nowait, delivery)
        else:
            self._ready.put_nowait(delivery)

    async def _work(self) -> None:
        while True:
            await self._attempt(*await self._ready.get())

    async def _attempt(self, event_id: str, endpoint_id: str, attempt: int) -> None:
        """One attempt; attempt -1 is an injected duplicate, which is neither acknowledged nor retried."""
        event = self._store.events.get(event_id)
        endpoint = self._store.webhook_endpoints.rows.get(endpoint_id)
        owed = endpoint_id in self._store.undelivered.get(event_id, ())
        if event is None or endpoint is None or (not owed and attempt >= 0):
            return
        if endpoint.deleted or endpoint.status != "enabled":
            self._store.acknowledge(event_id, endpoint_id)
            return
        taken = await self._post(endpoint.url, endpoint.secret, orjson.dumps(render_event(self._store, event)))
        if taken:
            self.delivered += 1
        else:
            self.failed += 1
        if attempt < 0:
            return
        if taken or attempt + 1 >= ATTEMPTS_MAX:
            self._store.acknowledge(event_id, endpoint_id)
        else:
            self._schedule(event_id, endpoint_id, min(RETRY_FIRST_S * 2**attempt, RETRY_MOST_S), attempt + 1)

    async def _post(self, url: str, secret: str, payload: bytes) -> bool:
        assert self._session is not None
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(payload, secret, int(time.time())),
            "User-Agent": "Stripe/1.0 (sandbox)",
        }
        try:
            async with self._session.post(url, data=payload, headers=headers, allow_redirects=False) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False
