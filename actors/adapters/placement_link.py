"""Where things are, as the director tells it: implements `ports.Directory` for routers.

Every change is pushed, so that a router learns of a dead host before its own calls to that host fail.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from actors.adapters.director_link import DirectorLink, Message, Resolve
from actors.runtime.ports import Cell, HostUnavailable, Placement

FIRST_PLACEMENT_TIMEOUT_S = 30.0
HOST_OF_TIMEOUT_S = 30.0  # a host of its own takes a second to start, and many may be asked for at once


class PlacementLink:
    """The newest placement, and hosts for dedicated cells on demand.

    changed: called with every new placement.
    gone:    called with the name of a host whose process is no more; back: when there is one of that name (again).
    """

    def __init__(
        self,
        resolve: Resolve,
        *,
        changed: Callable[[Placement], None] = lambda _placement: None,
        gone: Callable[[str], None] = lambda _host: None,
        back: Callable[[str], None] = lambda _host: None,
    ) -> None:
        self.changed = changed
        self._gone = gone
        self._back = back
        self._link = DirectorLink(resolve, lambda: {"hello": "watcher"}, self._hear, down=self._down)
        self._placement: Placement | None = None
        self._first = asyncio.Event()
        self._owners: dict[str, str] = {}
        self._requests: dict[int, asyncio.Future[Message]] = {}
        self._ids = itertools.count(1)

    def start(self) -> None:
        self._link.start()

    async def close(self) -> None:
        await self._link.close()
        self._down()

    async def placement(self) -> Placement:
        """As last heard, even if the director is away now. Raises HostUnavailable if it has never been heard."""
        if self._placement is None:
            try:
                async with asyncio.timeout(FIRST_PLACEMENT_TIMEOUT_S):
                    await self._first.wait()
            except TimeoutError:
                raise HostUnavailable("the director has not answered yet") from None
        assert self._placement is not None
        return self._placement

    async def host_of(self, cell: Cell) -> str:
        answer = await self.request({"host_of": list(cell)}, HOST_OF_TIMEOUT_S)
        return str(answer["host"])

    async def request(self, message: Message, timeout_s: float = 10.0) -> Message:
        """Ask the director something. Raises HostUnavailable if it does not answer or cannot do it."""
        number = next(self._ids)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._requests[number] = future
        try:
            if not self._link.send({**message, "request": number}):
                raise HostUnavailable("the director cannot be reached")
            async with asyncio.timeout(timeout_s):
                answer = await future
        except TimeoutError:
            raise HostUnavailable("the director does not answer") from None
        finally:
            self._requests.pop(number, None)
        if "error" in answer:
            raise HostUnavailable(str(answer["error"]))
        return answer

    def _hear(self, message: Message) -> None:
        match message:
            case {"placement": {"version": version, "hosts": hosts, "dedicated": dedicated, "owners": owners}}:
                self._placement = Placement(version, hosts, frozenset(dedicated))
                self._first.set()
                before, self._owners = self._owners, owners
                self.changed(self._placement)
                for host, owner in before.items():
                    if owners.get(host) != owner:
                        self._gone(host)
                for host, owner in owners.items():
                    if before.get(host) != owner:
                        self._back(host)
            case {"answer": number}:
                future = self._requests.get(number)
                if future is not None and not future.done():
                    future.set_result(message)

    def _down(self) -> None:
        for future in self._requests.values():
            if not future.done():
                future.set_result({"error": "the director went away"})
