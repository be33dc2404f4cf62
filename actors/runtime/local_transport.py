"""A transport within one process: hosts by name. For tests and the simulator; batches are encoded all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from actors.runtime.ports import HostUnavailable

Receive = Callable[[bytes], Awaitable[bytes]]


class LocalTransport:
    """Delivers by plain calls. A host that has been taken away is unavailable, even to calls under way."""

    def __init__(self) -> None:
        self._hosts: dict[str, Receive] = {}
        self._gone: dict[str, asyncio.Event] = {}

    def add(self, host: str, receive: Receive) -> None:
        self._hosts[host] = receive
        self._gone[host] = asyncio.Event()

    def remove(self, host: str) -> None:
        self._hosts.pop(host, None)
        gone = self._gone.pop(host, None)
        if gone is not None:
            gone.set()

    async def deliver(self, host: str, batch: bytes) -> bytes:
        receive = self._hosts.get(host)
        if receive is None:
            raise HostUnavailable(host)
        answer = asyncio.ensure_future(receive(batch))
        gone = asyncio.ensure_future(self._gone[host].wait())
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise HostUnavailable(f"{host} went away during the call")
            return answer.result()
        finally:
            answer.cancel()
            gone.cancel()
