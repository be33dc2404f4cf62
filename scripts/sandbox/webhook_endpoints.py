"""Webhook endpoints, as objects; `webhooks` delivers to them."""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

from scripts.sandbox import parameters
from scripts.sandbox.calls import Answer, Call
from scripts.sandbox.errors import missing, refused
from scripts.sandbox.parameters import Params, Spec, boolean, choice, metadata, text, texts, unsettable_text
from scripts.sandbox.records import WebhookEndpoint
from scripts.sandbox.render import API_VERSION, render

_EVENT_TYPE = re.compile(r"[a-z_]+(\.[a-z_]+)+\Z")


def _url(value: object, name: str) -> str:
    url = text(value, name)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refused("Invalid URL: URL must be an absolute URL that starts with http:// or https://", param=name)
    return url


def _types(value: object, name: str) -> tuple[str, ...]:
    types: tuple[str, ...] = texts(most=500)(value, name)
    for type in types:
        if type != "*" and not _EVENT_TYPE.match(type):
            raise refused(f"Invalid {name}: {type} is not the name of an event", param=name)
    return types


CREATE = Spec(
    required="enabled_events url",
    unsupported="connect",
    api_version=choice(API_VERSION),
    description=unsettable_text,
    enabled_events=_types,
    metadata=metadata,
    url=_url,
)
UPDATE = Spec(
    description=unsettable_text, disabled=boolean, enabled_events=_types, metadata=metadata, url=_url
)  # fmt: skip
DELETE = Spec()


def create(call: Call) -> Answer:
    """POST /v1/webhook_endpoints; the only answer that shows the secret."""
    params = call.params
    endpoint = WebhookEndpoint(
        id=call.store.new_id("we_1"),
        created=call.now,
        url=params["url"],
        enabled_events=params["enabled_events"],
        secret=params.get("secret") or f"whsec_{secrets.token_urlsafe(24)}",
        description=params.get("description"),
        metadata=parameters.merged({}, params.get("metadata")),
    )
    call.work.put(endpoint)
    return {**render(call.store, endpoint), "secret": endpoint.secret}


def retrieve(call: Call) -> Answer:
    """GET /v1/webhook_endpoints/{id}"""
    return _find(call)


def update(call: Call) -> Answer:
    """POST /v1/webhook_endpoints/{id}"""
    endpoint = _find(call)
    params = call.params
    changes: Params = {name: params[name] for name in ("description", "enabled_events", "url") if name in params}
    if "disabled" in params:
        changes["status"] = "disabled" if params["disabled"] else "enabled"
    if "metadata" in params:
        changes["metadata"] = parameters.merged(endpoint.metadata, params["metadata"])
    endpoint = endpoint._replace(**changes)
    call.work.put(endpoint)
    return endpoint


def delete(call: Call) -> Answer:
    """DELETE /v1/webhook_endpoints/{id}"""
    endpoint = _find(call)._replace(deleted=True)
    call.work.put(endpoint)
    return endpoint


def _find(call: Call) -> WebhookEndpoint:
    found = call.work.find(call.store.webhook_endpoints, call.path[0])
    if found is None or found.deleted:
        raise missing("webhook endpoint", call.path[0])
    return found
