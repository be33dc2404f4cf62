"""API keys: made, listed and revoked by ops."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.auth import OPS, hash_of, new_key
from gateway.endpoint import Answer, Call, Routes
from gateway.replies import checked, json_answer
from gateway.schemas.keys import Key, KeyList, KeyRequest, NewKey
from models.decision import Millis
from models.keyring import KEYRING, CreateKey, RevokeKey

routes = Routes("API keys")


def rfc3339(at: Millis) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _shown(key: dict[str, Any]) -> dict[str, Any]:
    """A key as ops see it: without its hash."""
    return {
        "id": key["id"],
        "role": key["role"],
        "name": key["name"],
        "created_at": rfc3339(key["created_at"]),
        "revoked_at": rfc3339(key["revoked_at"]) if key["revoked_at"] else None,
    }


@routes.add(
    "POST",
    "/v1/api_keys",
    roles=OPS,
    body=KeyRequest,
    answers={201: (NewKey, "The key, shown this once.")},
    problems=("too_many_keys",),
)
async def create_key(call: Call) -> Answer:
    """Make an API key. It is shown once and stored hashed, so a repeated request makes another key."""
    random = call.gateway.services.random
    key = new_key(random)
    key_id = f"key_{random(8).hex()}"
    command = CreateKey(id=key_id, role=call.body.role, name=call.body.name, hash=hash_of(key))
    reply = checked(await call.gateway.router.ask(KEYRING, command))
    call.gateway.keys.expire()
    stored = next(stored for stored in orjson.loads(reply.body)["keys"] if stored["id"] == key_id)
    return json_answer(201, {**_shown(stored), "key": key})


@routes.add("GET", "/v1/api_keys", roles=OPS, answers={200: (KeyList, "All keys, revoked ones too.")})
async def list_keys(call: Call) -> Answer:
    """List the API keys."""
    reply = checked(await call.gateway.router.read(KEYRING))
    return json_answer(200, {"data": [_shown(key) for key in orjson.loads(reply.body)["keys"]], "next_cursor": None})


@routes.add(
    "DELETE", "/v1/api_keys/{id}", roles=OPS, answers={200: (Key, "The key, revoked.")}, problems=("not_found",)
)
async def revoke_key(call: Call) -> Answer:
    """Revoke an API key. Within a second it opens nothing any more, anywhere."""
    key_id = call.params["id"]
    reply = checked(await call.gateway.router.ask(KEYRING, RevokeKey(id=key_id)))
    call.gateway.keys.expire()
    return json_answer(200, _shown(next(key for key in orjson.loads(reply.body)["keys"] if key["id"] == key_id)))
