"""Many orders in one request: NDJSON in, NDJSON out, each line on its own."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, NamedTuple

import orjson

from actors.runtime.envelope import Reply, Status
from gateway.auth import RETAILER
from gateway.endpoint import NDJSON, Call, Routes, Streamed, check_content_type, problem_of
from gateway.parsing import parse
from gateway.placing import Placed, Prepared, place, placed_by, prepare
from gateway.problems import Problem
from gateway.schemas.order_views import BatchResult
from gateway.schemas.orders import BatchOrderRequest
from gateway.views import order_body
from models.decision import Address

routes = Routes("Orders")

LINES_AT_ONCE = 16
KEY_BEGINS = ',"idempotency_key":"'
"""Of a line as it is written, where its last field begins: quotation marks within a text are escaped."""


@routes.add(
    "POST",
    "/v1/orders/batch",
    roles=RETAILER,
    answers={200: (BatchResult, "One result a line, in the order of the lines.")},
    problems=("unsupported_media_type",),
    extra={"ndjson": BatchOrderRequest},
)
async def place_orders(call: Call) -> Streamed:
    """Place many orders: a stream of lines, each an order with an `idempotency_key`.

    Results come while lines are still being sent, in the lines' order. Each line stands for itself: one that is
    refused takes nothing with it. A broken connection leaves it open what of the last lines was placed; send them
    again with the same keys.
    """
    check_content_type(call, NDJSON)
    results = _Results(call)
    return Streamed(200, results, release=results.let_go)


class _Line(NamedTuple):
    raw: bytes
    too_long: bool


class _Results:
    """What comes of the lines, as far as it is at hand whenever somebody asks for more. Up to
    `batch_orders_in_flight_max` lines are placed at a time; reading waits for whoever reads the results."""

    def __init__(self, call: Call) -> None:
        self._window = _Window(call.gateway.limits.batch_orders_in_flight_max)
        self._reader = asyncio.get_running_loop().create_task(_read(call, self._window))

    def __aiter__(self) -> _Results:
        return self

    async def __anext__(self) -> bytes:
        window = self._window
        line = await window.first()
        if line is None:
            raise StopAsyncIteration
        results = [await line.result()]
        while (following := window.first_if_ready()) is not None:
            results.append(await following.result())
        return b"".join(results)

    def let_go(self) -> None:
        """Nobody will ask for more."""
        self._reader.cancel()
        for line in self._window.lines:
            line.cancel()


async def _read(call: Call, window: _Window) -> None:
    lines = _Lines(call.gateway.limits.body_bytes_max)
    began = 0
    more = True
    try:
        while more:
            message = await call.receive()
            if message["type"] == "http.disconnect":
                return  # what was sent is placed; nobody is there to be told
            more = message.get("more_body", False)
            for raw in lines.received(message.get("body", b""), last=not more):
                if window.full():
                    await window.room()
                line = _Placing(call, began)
                line.begin(raw)
                window.add(line)
                began += 1
                if not began % LINES_AT_ONCE:
                    await asyncio.sleep(0)  # other requests want their turn, and what was begun wants to leave
    finally:
        window.end()


def _task(placing: Coroutine[Any, Any, Placed]) -> asyncio.Task[Placed]:
    return asyncio.get_running_loop().create_task(placing)


class _Window:
    """The lines under way, in their order, at most `lines_max` of them."""

    def __init__(self, lines_max: int) -> None:
        self.lines: deque[_Placing] = deque()
        self._lines_max = lines_max
        self._ended = False
        self._changed = asyncio.Event()  # a line was added or taken, or there will be none any more

    def full(self) -> bool:
        return len(self.lines) >= self._lines_max

    async def room(self) -> None:
        """Wait until another line may begin."""
        while self.full():
            self._changed.clear()
            await self._changed.wait()

    def add(self, line: _Placing) -> None:
        self.lines.append(line)
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def first(self) -> _Placing | None:
        """Take the oldest line, once there is one; None when there will be none any more."""
        while not self.lines and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        return self._taken() if self.lines else None

    def first_if_ready(self) -> _Placing | None:
        """Take the oldest line if its result is at hand."""
        return self._taken() if self.lines and self.lines[0].ready() else None

    def _taken(self) -> _Placing:
        self._changed.set()
        return self.lines.popleft()


class _Placing:
    """One line on its way. Whatever goes wrong is its own problem: its result tells it.

    Mostly all that an order takes is at hand, and what remains is a future, the actor's reply. What has to read first
    (the catalogue; an order that the same key placed before) gets a task, so that it keeps no other line waiting.
    """

    def __init__(self, call: Call, index: int) -> None:
        self._call = call
        self._index = index
        self._prepared: Prepared | None = None
        self._reply: asyncio.Future[Reply] | None = None
        self._task: asyncio.Task[Placed] | None = None
        self._refused = b""

    def begin(self, line: _Line) -> None:
        """Send it to its actor, or begin to find out what it takes."""
        call, gateway = self._call, self._call.gateway
        try:
            if line.too_long:
                raise Problem("too_large", f"A line may have {gateway.limits.body_bytes_max} bytes.")
            wait_s = gateway.rates.wait_s(call.principal.key_id)
            if wait_s:
                raise Problem("rate_limited", f"Come back in {int(wait_s) + 1} s.")
            request, written = parse(line.raw, BatchOrderRequest, gateway.limits.nesting_levels_max)
            # What is left is what the same order would be with its key in a header: to repeat it there is no mistake.
            written = written[: written.rindex(KEY_BEGINS)] + "}"
            terms = gateway.catalogue.known(call.principal.name, request.currency, request.lines)
            if terms is None:
                self._task = _task(place(
                    gateway, call.principal, request, written,
                    key=request.idempotency_key, wait_s=None, began=time.monotonic(),
                ))  # fmt: skip
                return
            prepared = prepare(
                gateway, call.principal.name, request, written, key=request.idempotency_key, terms=terms
            )
            self._prepared = prepared
            self._reply = gateway.router.asking(
                Address("order", prepared.order),
                prepared.command,
                guard=prepared.guard,
                data_key=prepared.customer.wrapped_key,
            )
            self._reply.add_done_callback(self._replied)
        except Exception as error:
            self._refused = self._problem(error)

    def _replied(self, reply: asyncio.Future[Reply]) -> None:
        if self._task is None and not reply.cancelled() and reply.result().status is Status.DUPLICATE:
            assert self._prepared is not None
            self._task = _task(placed_by(self._call.gateway, self._prepared, reply.result(), None))

    def ready(self) -> bool:
        """True once `result` need not wait."""
        if self._reply is not None:
            if not self._reply.done():
                return False
            self._replied(self._reply)  # which the event loop may be about to call
        return self._task is None or self._task.done()

    async def result(self) -> bytes:
        """Its line of the answer. Never raises but when it is cancelled."""
        if self._refused:
            return self._refused
        call = self._call
        try:
            placed = await self._placed()
        except Exception as error:
            return self._problem(error)
        order = order_body(call.gateway.sealer, call.principal, placed.order, placed.reply, placed.personal)
        return b'{"index":%d,"status":202,"order":%b}\n' % (self._index, order)

    async def _placed(self) -> Placed:
        if self._reply is not None and self._prepared is not None:
            reply = await self._reply
            self._replied(self._reply)
            if self._task is None:
                return await placed_by(self._call.gateway, self._prepared, reply, None)
        assert self._task is not None
        return await self._task

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        for waiting in (self._reply, self._task):
            if waiting is not None:
                waiting.cancel()

    def _problem(self, error: Exception) -> bytes:
        problem = problem_of(error)
        document = {"index": self._index, "status": problem.status, "problem": problem.document()}
        return orjson.dumps(document) + b"\n"


class _Lines:
    """The body's lines, empty ones left out. One that is longer than `bytes_max` is passed over and marked."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._rest = b""  # the beginning of a line, unless that is being skipped
        self._skipping = False

    def received(self, data: bytes, *, last: bool) -> list[_Line]:
        """The lines that are complete now; the last line of all need not end."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        found: list[_Line] = []
        for raw in complete:
            self._add(raw, found)
        if last:
            self._add(self._rest, found)
        elif len(self._rest) > self._bytes_max:
            self._skipping, self._rest = True, b""
        return found

    def _add(self, raw: bytes, found: list[_Line]) -> None:
        if self._skipping or len(raw) > self._bytes_max:
            found.append(_Line(b"", too_long=True))
        elif raw.strip():
            found.append(_Line(raw, too_long=False))
        self._skipping = False
