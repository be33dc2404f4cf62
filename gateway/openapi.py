"""`/openapi.json`: generated from the endpoints' own declarations, so that it says what is enforced."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from gateway.endpoint import Endpoint
from gateway.limits import GATEWAY_LIMITS
from gateway.problems import PROBLEM_TYPE, PROBLEMS, status_of
from gateway.schemas.common import ProblemDocument

REF = "#/components/schemas/{model}"
TITLE = "Dray"
DESCRIPTION = """A concurrent order processor.

Amounts are integers in minor units, currencies lower-case ISO 4217, times RFC 3339 in UTC. Errors are
`application/problem+json` (RFC 9457) with a stable `code`. Send an `Idempotency-Key` with every POST."""

ALWAYS = ("internal_error", "unavailable", "outcome_unknown")
WITH_KEY = ("unauthenticated", "forbidden", "rate_limited", "overloaded")
WITH_BODY = ("malformed", "too_large", "unsupported_media_type", "invalid")

PATH_PARAMETER = re.compile(r"{(\w+)}")
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeat with the same key within 24 h has no further effect, and is answered with "
    "`Idempotent-Replayed: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": GATEWAY_LIMITS.idempotency_key_chars_max},
}


def codes_of(endpoint: Endpoint) -> tuple[str, ...]:
    """Every code that the endpoint may refuse with."""
    codes = [*endpoint.problems, *ALWAYS]
    if endpoint.roles:
        codes += WITH_KEY
    if endpoint.body is not None or "ndjson" in endpoint.extra:
        codes += WITH_BODY
    if any(parameter.where == "query" for parameter in endpoint.parameters):
        codes += ("malformed",)
    if endpoint.idempotent:
        codes += ("malformed", "idempotency_key_reused")
    return tuple(dict.fromkeys(codes))


def responses_of(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    """The endpoint's responses as OpenAPI wants them: answers by their models, refusals grouped by status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status, (model, description) in endpoint.answers.items():
        response: dict[str, Any] = {"description": description}
        if model is not None:
            schema = _ref(model)
            if "also" in endpoint.extra:
                schema = {"anyOf": [schema, _ref(endpoint.extra["also"])]}
            media = "application/x-ndjson" if "ndjson" in endpoint.extra else "application/json"
            response["content"] = {media: {"schema": schema}}
            if "csv" in endpoint.extra:
                response["content"]["text/csv"] = {"schema": {"type": "string"}}
        elif "sse" in endpoint.extra:
            name = endpoint.extra["sse"].__name__
            described = {"type": "string", "description": f"Frames whose `data` is one `{name}`, as JSON."}
            response["content"] = {"text/event-stream": {"schema": described}}
        elif status == 200:
            response["content"] = {"text/plain": {"schema": {"type": "string"}}}
        responses[status] = response
    by_status: dict[int, list[str]] = {}
    for code in codes_of(endpoint):
        by_status.setdefault(status_of(code), []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[status] = {
            "description": "; ".join(
                f"`{code}`: {PROBLEMS[code][1]}" if code in PROBLEMS else f"`{code}`" for code in codes
            ),
            "content": {PROBLEM_TYPE: {"schema": _ref(ProblemDocument)}},
        }
    return responses


def operation_of(endpoint: Endpoint) -> dict[str, Any]:
    """What FastAPI cannot read off the handler: parameters, body, security."""
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in PATH_PARAMETER.findall(endpoint.path)
    ]
    parameters += [
        {"name": p.name, "in": p.where, "required": False, "description": p.description, "schema": dict(p.schema)}
        for p in endpoint.parameters
    ]
    if endpoint.idempotent and "ndjson" not in endpoint.extra:
        parameters.append(IDEMPOTENCY_KEY)
    operation: dict[str, Any] = {"parameters": parameters, "security": [{"key": []}] if endpoint.roles else []}
    if endpoint.body is not None:
        operation["requestBody"] = _body("application/json", _ref(endpoint.body), endpoint.body_required)
    elif "ndjson" in endpoint.extra:
        operation["requestBody"] = _body("application/x-ndjson", _ref(endpoint.extra["ndjson"]), True)
    elif "any_body" in endpoint.extra:
        schema = {"type": "object", "description": endpoint.extra["any_body"]}
        operation["requestBody"] = _body("application/json", schema, True)
    return operation


def _body(media: str, schema: Mapping[str, Any], required: bool) -> dict[str, Any]:
    return {"required": required, "content": {media: {"schema": schema}}}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": REF.format(model=model.__name__)}


def document(version: str, routes: Iterable[BaseRoute], endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole document."""
    openapi = get_openapi(title=TITLE, version=version, description=DESCRIPTION, routes=list(routes))
    components = openapi.setdefault("components", {})
    components["schemas"] = _schemas(endpoints)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return openapi


def _schemas(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    models: dict[type[BaseModel], None] = {ProblemDocument: None}
    for endpoint in endpoints:
        if endpoint.body is not None:
            models[endpoint.body] = None
        for model, _ in endpoint.answers.values():
            if model is not None:
                models[model] = None
        for extra in endpoint.extra.values():
            if isinstance(extra, type):
                models[extra] = None
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=REF, by_alias=True)
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
