"""Batches to hosts as calls of Ray actors: implements `ports.Transport`. One argument of bytes, one answer of bytes."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

from ray.exceptions import RayError

from actors.adapters.ray_cluster import find
from actors.runtime.ports import HostUnavailable

_Answer = asyncio.Future[bytes]


class RayTransport:
    """Calls hosts by name.

    Ray tells a caller only after a second or more that an actor's process was killed; `gone` tells at once. And calls
    of an actor that Ray is restarting hold up the calls of all others: a host that has gone is not called until `back`.
    """

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}
        self._calls: dict[str, set[_Answer]] = {}
        self._gone: set[str] = set()

    async def deliver(self, host: str, batch: bytes) -> bytes:
        if host in self._gone:
            raise HostUnavailable(f"{host} is being started again")
        handle = self._handles.get(host)
        if handle is None:
            handle = self._handles[host] = await asyncio.to_thread(find, host)
        loop = asyncio.get_running_loop()
        answer: _Answer = loop.create_future()
        try:
            called: Future[bytes] = handle.deliver.remote(batch).future()
        except RayError as error:
            self._handles.pop(host, None)
            raise HostUnavailable(f"{host}: {error}") from error
        called.add_done_callback(lambda done: loop.call_soon_threadsafe(_settle, answer, done))
        calls = self._calls.setdefault(host, set())
        calls.add(answer)
        try:
            return await answer
        except RayError as error:
            self._handles.pop(host, None)
            raise HostUnavailable(f"{host}: {type(error).__name__}") from error
        finally:
            calls.discard(answer)

    def gone(self, host: str) -> None:
        """The process behind `host` is no more: whether calls under way were taken is unknown."""
        self._gone.add(host)
        for answer in self._calls.get(host, ()):
            if not answer.done():
                answer.set_exception(HostUnavailable(f"{host} has died"))

    def back(self, host: str) -> None:
        """There is a process behind `host` (again)."""
        self._gone.discard(host)


def _settle(answer: _Answer, done: Future[bytes]) -> None:
    if answer.done():
        return
    error = done.exception()
    if error is None:
        answer.set_result(done.result())
    else:
        answer.set_exception(error)
