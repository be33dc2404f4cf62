"""Parked commands, for ops: what could not be turned, kept with its cause until a person retries or discards it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from actors.runtime.envelope import Status
from gateway.auth import OPS
from gateway.endpoint import Answer, Call, Routes
from gateway.idempotency import command_id
from gateway.replies import checked, json_answer, replay_headers
from gateway.schemas.parked import ParkedCommands, ParkedSettled
from gateway.times import rfc3339
from models.decision import Command
from models.parking import PARKING, DiscardParked, RetryParked

routes = Routes("Operations")


async def _entries(call: Call) -> list[dict[str, Any]]:
    reply = await call.gateway.router.read(PARKING)
    if reply.status is Status.ABSENT:
        return []
    parked: list[dict[str, Any]] = orjson.loads(checked(reply).body)["parked"]
    return [{**entry, "at": rfc3339(entry["at"])} for entry in parked]


@routes.add("GET", "/v1/parked", roles=OPS, answers={200: (ParkedCommands, "Oldest first.")})
async def list_parked(call: Call) -> Answer:
    """List the commands whose turns kept failing."""
    return json_answer(200, {"data": await _entries(call), "next_cursor": None})


async def _settle(call: Call, command_of: Callable[[str], Command]) -> Answer:
    parked = call.params["id"]
    own_id = command_id(call)
    reply = await call.gateway.router.ask(
        PARKING, command_of(parked), command_id=own_id.command_id, digest=own_id.digest
    )
    checked(reply)
    return json_answer(200, {"id": parked}, *replay_headers(reply))


@routes.add(
    "POST",
    "/v1/parked/{id}/retry",
    roles=OPS,
    answers={200: (ParkedSettled, "Sent to its actor again; if it fails again it is parked anew.")},
    problems=("not_parked",),
)
async def retry_parked(call: Call) -> Answer:
    """Send a parked command to its actor again."""
    return await _settle(call, lambda parked: RetryParked(parked=parked))


@routes.add(
    "POST",
    "/v1/parked/{id}/discard",
    roles=OPS,
    answers={200: (ParkedSettled, "Gone.")},
    problems=("not_parked",),
)
async def discard_parked(call: Call) -> Answer:
    """Forget a parked command."""
    return await _settle(call, lambda parked: DiscardParked(parked=parked))
