"""API keys: made, listed and revoked by ops."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.auth import OPS, derived_key, hash_of, new_key
from gateway.endpoint import Answer, Call, Routes
from gateway.idempotency import command_id, minted_part
from gateway.replies import checked, json_answer, replay_headers
from gateway.schemas.keys import Key, KeyList, KeyRequest, NewKey
from gateway.times import rfc3339
from models.keyring import KEYRING, CreateKey, RevokeKey

routes = Routes("API keys")


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
    """Make an API key. It is shown once and stored hashed.

    With an Idempotency-Key the API key is derived from it, under a secret of ours, so that a repeat whose first answer
    was lost gets the same API key.
    """
    gateway = call.gateway
    own_id = command_id(call)
    key = derived_key(gateway.sealer, own_id.command_id) if own_id.command_id else new_key(gateway.services.random)
    key_id = f"key_{minted_part(call, 'api key')}"
    command = CreateKey(id=key_id, role=call.body.role, name=call.body.name, hash=hash_of(key))
    reply = await gateway.router.ask(KEYRING, command, command_id=own_id.command_id, digest=own_id.digest)
    checked(reply)
    gateway.keys.expire()
    stored = next(stored for stored in orjson.loads(reply.body)["keys"] if stored["id"] == key_id)
    return json_answer(201, {**_shown(stored), "key": key}, *replay_headers(reply))


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
