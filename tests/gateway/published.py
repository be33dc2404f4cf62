"""Is what the gateway answers what `/openapi.json` says it answers?"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from gateway.app import endpoints
from gateway.openapi import document

PARAMETER = re.compile(r"{\w+}")


class Published:
    """The published document, as something to hold answers against."""

    def __init__(self, openapi: dict[str, Any]) -> None:
        self.openapi = openapi
        paths = sorted(openapi["paths"], key=lambda path: path.count("{"))  # a literal path wins over a parameter
        self._paths = [(re.compile(PARAMETER.sub("[^/]+", path) + r"\Z"), path) for path in paths]
        self._validators: dict[tuple[str, str, str, str], Draft202012Validator] = {}

    async def check(self, answer: httpx.Response) -> None:
        """An httpx response hook. Raises AssertionError on an answer that is not as published."""
        await answer.aread()
        path = next((path for regex, path in self._paths if regex.match(answer.request.url.path)), None)
        method = answer.request.method.lower()
        if path is None or method not in self.openapi["paths"][path]:
            assert answer.status_code in (404, 405)
            return
        responses = self.openapi["paths"][path][method]["responses"]
        status = str(answer.status_code)
        assert status in responses, f"{method} {path} answered {status}, which is not published: {answer.text}"
        content = responses[status].get("content")
        if content is None:
            assert not answer.content, f"{method} {path} {status} has a body that is not published"
            return
        media = answer.headers["content-type"].partition(";")[0]
        assert media in content, f"{method} {path} {status} is {media}, which is not published"
        if media in ("text/plain", "text/csv", "text/event-stream"):
            return
        lines = answer.text.splitlines() if media == "application/x-ndjson" else [answer.text]
        for line in lines:
            self._validator(path, method, status, media).validate(httpx.Response(200, text=line).json())

    def _validator(self, path: str, method: str, status: str, media: str) -> Draft202012Validator:
        key = (path, method, status, media)
        if key not in self._validators:
            schema = self.openapi["paths"][path][method]["responses"][status]["content"][media]["schema"]
            self._validators[key] = Draft202012Validator({**schema, "components": self.openapi["components"]})
        return self._validators[key]


@cache
def published() -> Published:
    from gateway.app import create
    from gateway.services import Services

    nothing: Any = None
    app = create(Services(router=nothing, shards=1, sealer=nothing, wall=lambda: 0))
    return Published(document("0", app.routes, endpoints()))
