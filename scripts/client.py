"""Dray's own HTTP client, for the commands that use a system as its customers do: over the API and nothing else.

It authenticates, sends again what may be sent again, and says what a refusal says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from scripts import run_state
from scripts.settings import Settings

Json = dict[str, Any]

AGAIN_STATUSES = frozenset({429, 503})
PAUSE_FIRST_S = 0.05
PAUSE_MAX_S = 2.0
PATIENCE_S = 120.0
"""How long a request is sent again before it is given up: long enough for a killed system to be started anew."""

ANSWER_TIMEOUT_S = 90.0
REPEATABLE_METHODS = frozenset({"GET", "PUT", "DELETE", "HEAD"})


class Refused(Exception):
    """The API has refused a request; the message says what it asked for and why not."""

    def __init__(self, method: str, path: str, status: int, problem: Json) -> None:
        self.status = status
        self.code: str = problem.get("code", "")
        self.problem = problem
        reason = problem.get("detail") or problem.get("title") or "no reason given"
        fields = "; ".join(f"{error['field']}: {error['message']}" for error in problem.get("errors", ()))
        super().__init__(f"{method} {path}: {status} {self.code}: {reason}" + (f" ({fields})" if fields else ""))


class Unreachable(Exception):
    """Nobody has answered for so long that it makes no sense to go on."""


@dataclass(frozen=True)
class Reached:
    """An answer. replayed: the idempotency key had been used, and this is what came of it then."""

    status: int
    body: Any
    replayed: bool


@dataclass(frozen=True)
class Keys:
    """The API keys of the demo tenants, as `up` stored them."""

    ops: str
    retailers: Mapping[str, str]
    suppliers: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        stored = json.loads(settings.keys_file.read_text())
        return cls(stored["ops"], stored["retailers"], stored["suppliers"])


class Client:
    """Requests to one system. Up to `connections_max` at a time; more wait for a free connection.

    locate: says where the system is; asked again when nobody answers, for a system that was killed comes back on
            another port. It may raise NotRunning.
    """

    def __init__(self, session: aiohttp.ClientSession, locate: Callable[[], str], patience_s: float) -> None:
        self._session = session
        self._locate = locate
        self._url = locate()
        self._patience_s = patience_s
        self.retries = 0
        """How often something had to be sent again."""

    async def get(self, key: str, path: str) -> Any:
        return (await self.request("GET", path, key)).body

    async def put(self, key: str, path: str, body: Json) -> Any:
        return (await self.request("PUT", path, key, body)).body

    async def post(
        self, key: str, path: str, body: Json | None = None, *, idempotency_key: str = "", wait_s: int = 0
    ) -> Any:
        headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
        return (await self.request("POST", path, key, body, idempotency_key=idempotency_key, headers=headers)).body

    async def request(
        self, method: str, path: str, key: str = "", body: Json | None = None, *,
        idempotency_key: str = "", headers: Mapping[str, str] | None = None,
    ) -> Reached:  # fmt: skip
        """Ask until answered. Raises Refused, and Unreachable when patience has run out.

        A POST without an idempotency key is sent once only where its outcome may be unknown; what was certainly not
        accepted (429, or no connection) is sent again.
        """
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= {"Authorization": f"Bearer {key}"} if key else {}
        sent |= {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        sent |= headers or {}
        data = orjson.dumps(body) if body is not None else None
        repeatable = method in REPEATABLE_METHODS or bool(idempotency_key)
        deadline = time.monotonic() + self._patience_s
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                async with self._session.request(method, self._url + path, data=data, headers=sent) as answer:
                    content = await answer.read()
                    if answer.status < 400:
                        replayed = answer.headers.get("Idempotent-Replayed") == "true"
                        return Reached(answer.status, orjson.loads(content) if content else None, replayed)
                    refusal = Refused(method, path, answer.status, _problem(content))
                    if answer.status not in AGAIN_STATUSES or not (repeatable or answer.status == 429):
                        raise refusal
                    failure: Exception = refusal
                    wait_s = max(pause_s, _retry_after_s(answer))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if not repeatable and not isinstance(error, aiohttp.ClientConnectorError):
                    raise Unreachable(f"{method} {path}: no answer ({_said(error)})") from error
                failure, wait_s = error, pause_s
                self._find_again()
            if time.monotonic() + wait_s > deadline:
                if isinstance(failure, Refused):
                    raise failure
                waited = f"no answer for {self._patience_s:.0f} s"
                raise Unreachable(f"{method} {path}: {waited} ({_said(failure)})") from failure
            self.retries += 1
            await asyncio.sleep(wait_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _find_again(self) -> None:
        with contextlib.suppress(run_state.NotRunning):  # it may be on its way back
            self._url = self._locate()


def _said(error: Exception) -> str:
    """Time-outs have no text of their own."""
    return str(error) or type(error).__name__


def _retry_after_s(answer: aiohttp.ClientResponse) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


def _problem(content: bytes) -> Json:
    try:
        problem = orjson.loads(content)
    except orjson.JSONDecodeError:
        problem = None
    return problem if isinstance(problem, dict) else {"detail": content[:200].decode(errors="replace")}


@contextlib.asynccontextmanager
async def connected(
    locate: Callable[[], str], *, connections_max: int = 64, patience_s: float = PATIENCE_S
) -> AsyncIterator[Client]:
    """A client for the system that `locate` finds, closed at the end."""
    connector = aiohttp.TCPConnector(limit=connections_max)
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        yield Client(session, locate, patience_s)


def locator(settings: Settings) -> Callable[[], str]:
    """Where the system of this data directory is, read anew at each call. The call raises NotRunning."""
    return lambda: run_state.running(settings).url
