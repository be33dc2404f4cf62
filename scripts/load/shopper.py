"""One order as its customer sees it: posted, awaited, perhaps cancelled; and for manual suppliers, accepted."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from typing import NamedTuple

import orjson

from scripts.load.catalogue import MANUAL, MANUAL_SUPPLIER
from scripts.load.latencies import Latencies
from scripts.load.orders import CANCELLED, Commands, Request
from scripts.load.receipts import Receipt, ReceiptBook
from scripts.load.wire import Answer, NoAnswer, Pool, header

SENT_AGAIN = frozenset({500, 502, 503, 504})
"""What came of the request is not known: the same one with the same key will tell."""

PATIENCE_S = 120.0
PAUSE_FIRST_S, PAUSE_MAX_S = 0.05, 1.0
POLL_FIRST_S, POLL_MAX_S = 0.02, 0.5
RUNNING = ("pending", "payment_authorised")
_HEADLINE = re.compile(rb'^\{"id":"(ord_[0-9a-f]+)".{0,200}?"status":"([a-z_]+)"')


class Seen(NamedTuple):
    """What an answer says of an order. Empty strings if it is none."""

    order: str
    headline: str
    reason: str


def seen_in(answer: Answer) -> Seen:
    """Read as little of the body as will do."""
    found = _HEADLINE.match(answer.body)
    if found is None:
        return Seen("", "", "")
    order, headline = found[1].decode(), found[2].decode()
    reason = str(orjson.loads(answer.body)["cancel_reason"] or "") if headline == "cancelled" else ""
    return Seen(order, headline, reason)


class Tally:
    """What happened since it was last taken. lives, troubles: see `measured.Diary`; empty unless one is kept."""

    def __init__(self) -> None:
        self.sent = self.accepted = self.confirmed = self.unfinished = 0
        self.requests = self.errors = 0
        self.cancelled: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.acceptance = Latencies()
        self.completion = Latencies()
        self.send_lag = Latencies()
        self.lives: list[tuple[float, float, str]] = []
        self.troubles: list[tuple[float, int]] = []

    def to_json(self) -> dict[str, object]:
        plain = ("sent", "accepted", "confirmed", "unfinished", "requests", "errors", "cancelled", "refused")
        latencies = {name: getattr(self, name).to_json() for name in ("acceptance", "completion", "send_lag")}
        diary = {"lives": self.lives, "troubles": self.troubles} if self.lives or self.troubles else {}
        return {**{name: getattr(self, name) for name in plain}, **latencies, **diary}


class Shopper:
    """Takes orders through their lives. One for all the orders of a client process."""

    def __init__(
        self, pool: Pool, commands: Commands, book: ReceiptBook, run: str, *, diary: bool = False
    ) -> None:
        self._pool, self._commands, self._book, self._run = pool, commands, book, run
        self._diary = diary
        self.tally = Tally()
        self.in_flight = 0

    async def buy(self, request: Request, intended: float, *, sampled: bool) -> float:
        """Post an order and follow it until it has ended; latencies count from `intended` (of `time.monotonic`).
        Returns how many seconds the server has asked to be left alone, 0 unless it refused."""
        tally = self.tally
        tally.sent += 1
        tally.send_lag.record(time.monotonic() - intended)
        self.in_flight += 1
        try:
            plain = sampled or request.kind == MANUAL
            answer = await self._insist(request.plain if plain else request.waiting)
            tally = self.tally
            seen = self._note(request.key, "place", answer)
            if answer is None or answer.status != 202 or not seen.order:
                tally.refused[_refusal(answer)] += 1
                self._trouble(answer)
                return _retry_after_s(answer)
            tally.accepted += 1
            if plain:
                tally.acceptance.record(time.monotonic() - intended)
            await self._follow(request, seen, intended)
            return 0.0
        finally:
            self.in_flight -= 1

    async def _follow(self, request: Request, seen: Seen, intended: float) -> None:
        give_up = time.monotonic() + PATIENCE_S
        if request.kind == MANUAL:
            await self._accept(request, seen.order, give_up)
        while seen.headline in RUNNING and time.monotonic() < give_up:
            answer = await self._insist(request.waiting)
            if answer is not None and answer.status == 429:  # too full to tell; the order is safe all the same
                self._trouble(answer)
                await asyncio.sleep(max(_retry_after_s(answer), PAUSE_MAX_S))
                continue
            if answer is None or answer.status != 202:
                break
            seen = self._note(request.key, "place", answer)
        now = time.monotonic()
        if self._diary and request.kind != MANUAL:  # how long those take is for us to say
            self.tally.lives.append((intended, now, seen.order))
        if seen.headline in RUNNING:
            self.tally.unfinished += 1
            return
        self.tally.completion.record(now - intended)
        if request.kind == CANCELLED and seen.headline != "cancelled":
            seen = await self._cancel(request, seen)
        if seen.headline == "cancelled":
            self.tally.cancelled[seen.reason] += 1
        else:
            self.tally.confirmed += 1

    async def _cancel(self, request: Request, seen: Seen) -> Seen:
        key = request.key + "-cancel"
        answer = await self._insist(self._commands.cancel(seen.order, key))
        cancelled = self._note(key, "cancel", answer)
        return cancelled if cancelled.order else seen

    async def _accept(self, request: Request, order: str, give_up: float) -> None:
        """Play the manual supplier: wait until the task is on offer, then take it."""
        task = f"tsk_{order[4:]}_1"
        pause = POLL_FIRST_S
        while time.monotonic() < give_up:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_MAX_S)
            answer = await self._insist(self._commands.read(order))
            if answer is None or answer.status != 200:
                return
            view = orjson.loads(answer.body)
            offered = [
                part["task"]
                for part in view["consignments"]
                if part["task_status"] == "offered" and part["supplier"] == MANUAL_SUPPLIER
            ]
            if view["status"] not in RUNNING:
                return
            for task in offered:
                key = f"{request.key}-{task[-3:]}-accept"
                self._note(key, "accept", await self._insist(self._commands.accept(task, key)))
            if offered:
                return

    async def _insist(self, request: bytes) -> Answer | None:
        """Ask until there is an answer that says what came of it; None when patience has run out."""
        give_up = time.monotonic() + PATIENCE_S
        pause = PAUSE_FIRST_S
        while True:
            self.tally.requests += 1
            try:
                answer = await self._pool.ask(request)
                if answer.status not in SENT_AGAIN:
                    return answer
                wait = max(pause, _retry_after_s(answer))
            except NoAnswer:
                answer, wait = None, pause
            self.tally.errors += 1
            self._trouble(answer)
            if time.monotonic() + wait > give_up:
                return answer
            await asyncio.sleep(wait)
            pause = min(pause * 2, PAUSE_MAX_S)

    def _trouble(self, answer: Answer | None) -> None:
        if self._diary:
            self.tally.troubles.append((time.monotonic(), answer.status if answer else 0))

    def _note(self, key: str, what: str, answer: Answer | None) -> Seen:
        status = answer.status if answer else 0
        seen = seen_in(answer) if answer and status < 300 else Seen("", "", "")
        version = _version(answer) if answer and seen.order else 0
        self._book.add(Receipt(self._run, key, what, status, *seen, version))
        return seen


def _version(answer: Answer) -> int:
    digits = header(answer.head, b"etag").strip(b'"')
    return int(digits) if digits.isdigit() else 0


def _refusal(answer: Answer | None) -> str:
    """What a refusal is counted as. One that should say when to come again, and does not, is told apart."""
    if answer is None:
        return "0"
    lacking = answer.status == 429 and not header(answer.head, b"retry-after")
    return f"{answer.status} without Retry-After" if lacking else str(answer.status)


def _retry_after_s(answer: Answer | None) -> float:
    text = header(answer.head, b"retry-after") if answer else b""
    return float(text) if text.isdigit() else 0.0
