"""Liveness, readiness, metrics."""

from __future__ import annotations

import asyncio
import math

from actors.runtime.envelope import Overloaded, Status, Unanswered
from gateway.endpoint import Answer, Call, Routes
from gateway.metrics import CONTENT_TYPE
from gateway.order_search import blocking, reader_of
from gateway.problems import Problem
from gateway.schemas.keys import Health
from models.keyring import KEYRING

routes = Routes("Operations")

OK = b'{"status":"ok"}'


@routes.add("GET", "/healthz", answers={200: (Health, "The process is alive.")})
async def healthz(_call: Call) -> Answer:
    """Is this gateway process alive."""
    return Answer(200, OK)


@routes.add("GET", "/readyz", answers={200: (Health, "Orders are accepted.")}, problems=("unavailable",))
async def readyz(call: Call) -> Answer:
    """Are orders accepted: do the actors answer, from their journal."""
    gateway = call.gateway
    try:
        reason = await asyncio.wait_for(_not_ready(call), gateway.limits.ready_timeout_s)
    except (TimeoutError, Overloaded, Unanswered):
        reason = "The actors do not answer."
    if reason:
        raise Problem("unavailable", reason, retry_after_s=1)
    return Answer(200, OK)


async def _not_ready(call: Call) -> str:
    """Why orders are not accepted; '' if they are."""
    ready = call.gateway.services.ready
    if ready is not None:
        return await ready()
    reply = await call.gateway.router.read(KEYRING)
    return "" if reply.status in (Status.OK, Status.ABSENT) else f"An actor answered {reply.status}."


@routes.add("GET", "/metrics", answers={200: (None, "Prometheus' text format.")})
async def metrics(call: Call) -> Answer:
    """What this gateway process has counted, for Prometheus."""
    call.gateway.metrics.read_lag(await _read_lag_s(call))
    return Answer(200, call.gateway.metrics.exposition(), (), CONTENT_TYPE)


async def _read_lag_s(call: Call) -> float:
    """How far the read side is behind; NaN where there is none, or while it does not answer."""
    gateway = call.gateway
    try:
        caught_up_at = await blocking(reader_of(gateway).caught_up_at)
    except Problem:
        return math.nan
    return max(0.0, (gateway.services.wall() - caught_up_at) / 1000) if caught_up_at else math.nan
