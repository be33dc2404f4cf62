"""Many orders in one request: NDJSON in, NDJSON out, each line on its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import orjson

from gateway.auth import RETAILER
from gateway.endpoint import NDJSON, Call, ClientGone, Routes, Streamed, check_content_type, problem_of
from gateway.parsing import parse
from gateway.placing import place
from gateway.problems import Problem
from gateway.schemas.order_views import BatchResult
from gateway.schemas.orders import BatchOrderRequest
from gateway.views import order_body

routes = Routes("Orders")


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
    return Streamed(200, _results(call))


class _Line(NamedTuple):
    raw: bytes
    too_long: bool


async def _results(call: Call) -> AsyncIterator[bytes]:
    """Place up to `batch_orders_in_flight_max` lines at a time; reading waits for whoever reads the results."""
    limit = call.gateway.limits.batch_orders_in_flight_max
    under_way: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(limit + 1)
    slots = asyncio.Semaphore(limit)
    reader = asyncio.get_running_loop().create_task(_read(call, under_way, slots))
    try:
        while (task := await under_way.get()) is not None:
            result = await task
            slots.release()
            yield result
    finally:
        reader.cancel()
        while not under_way.empty():
            if (task := under_way.get_nowait()) is not None:
                task.cancel()


async def _read(call: Call, under_way: asyncio.Queue[asyncio.Task[bytes] | None], slots: asyncio.Semaphore) -> None:
    index = 0
    try:
        async for line in _lines(call):
            await slots.acquire()
            await under_way.put(asyncio.get_running_loop().create_task(_result(call, index, line)))
            index += 1
    except ClientGone:
        pass  # what was sent is placed; nobody is there to be told
    finally:
        await under_way.put(None)


async def _lines(call: Call) -> AsyncIterator[_Line]:
    """The body's lines, empty ones left out. One that is longer than a body may be is passed over and marked."""
    bytes_max = call.gateway.limits.body_bytes_max
    rest = bytearray()
    skipping = False
    more = True
    while more:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        *complete, last = (bytes(rest) + message.get("body", b"")).split(b"\n")
        for raw in complete:
            if skipping or len(raw) > bytes_max:
                yield _Line(b"", too_long=True)
            elif raw.strip():
                yield _Line(raw, too_long=False)
            skipping = False
        rest = bytearray(last)
        if len(rest) > bytes_max:
            skipping, rest = True, bytearray()
    if skipping or rest.strip():
        yield _Line(bytes(rest), too_long=skipping)


async def _result(call: Call, index: int, line: _Line) -> bytes:
    """One line of the answer. Never raises: whatever goes wrong is the line's own problem."""
    gateway = call.gateway
    try:
        if line.too_long:
            raise Problem("too_large", f"A line may have {gateway.limits.body_bytes_max} bytes.")
        wait_s = gateway.rates.wait_s(call.principal.key_id)
        if wait_s:
            raise Problem("rate_limited", f"Come back in {int(wait_s) + 1} s.")
        request = parse(line.raw, BatchOrderRequest, gateway.limits.nesting_levels_max)
        placed = await place(
            gateway,
            call.principal,
            request,
            key=request.idempotency_key,
            wait_s=None,
            began=time.monotonic(),
        )
    except Exception as error:
        problem = problem_of(error)
        return orjson.dumps({"index": index, "status": problem.status, "problem": problem.document()}) + b"\n"
    order = order_body(gateway.sealer, call.principal, placed.order, placed.reply, placed.personal)
    return b'{"index":%d,"status":202,"order":%b}\n' % (index, order)
