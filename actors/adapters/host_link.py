"""A host's end of its link to the director: takes cells over and lets them go as told, and shows that it lives."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any

from actors.adapters.director_link import DirectorLink, Message, Resolve, cells_of, listed
from actors.runtime.host import HostCore
from actors.runtime.ports import Cell, JournalUnavailable

log = logging.getLogger("dray.host")

BEAT_S = 0.5
OWN_RETRY_S = 0.1

_Step = Callable[[Cell, asyncio.Task[None] | None], Coroutine[Any, Any, None]]
"""Does one thing to a cell, after the one before it."""


class HostLink:
    """Keeps one host's cells as the director wants them.

    cell:    the one cell that this host is dedicated to, if it is.
    retired: called when the director has no more use for this host.
    """

    def __init__(
        self, core: HostCore, name: str, resolve: Resolve, *, cell: Cell | None = None,
        retired: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._core = core
        self._name = name
        self._cell = cell
        self._retired = retired
        self._link = DirectorLink(resolve, self._hello, self._hear, down=self._down, absent=self._absent)
        self._moves: dict[Cell, asyncio.Task[None]] = {}  # the last thing under way for each cell
        self._beats: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._link.start()
        self._beats = asyncio.get_running_loop().create_task(self._beat())

    async def close(self) -> None:
        await self._link.close()
        tasks = [*self._moves.values(), *([self._beats] if self._beats else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def lost(self, cell: Cell) -> None:
        """The journal says that somebody else owns the cell now."""
        self._link.send({"disowned": listed([cell])})

    # --- the link -----------------------------------------------------------------------------------------------------

    def _hello(self) -> Message:
        return {
            "hello": "host",
            "name": self._name,
            "owner": self._core.owner,
            "pid": os.getpid(),
            "cell": list(self._cell) if self._cell else None,
            "owned": listed(cell for cell, owned in self._core.cells.items() if not owned.closing),
        }

    def _down(self) -> None:
        """Until it is known whether the director has given our cells away, reads are not answered; if no director can
        be reached, nobody gives anything away."""
        self._core.lease.revoked = True
        for task in self._moves.values():
            task.cancel()
        self._moves.clear()

    def _absent(self) -> None:
        self._core.lease.revoked = False

    def _hear(self, message: Message) -> None:
        match message:
            case {"welcome": given_away}:
                for cell in cells_of(given_away):
                    owned = self._core.cells.get(cell)
                    if owned is not None:
                        self._core.drop(owned)
                self._core.lease.revoked = False
            case {"own": cells}:
                for cell in cells_of(cells):
                    self._move(cell, self._own)
            case {"disown": cells}:
                for cell in cells_of(cells):
                    self._move(cell, self._disown)
            case {"status": request}:
                self._link.send({"answer": request, "body": {"pid": os.getpid(), **self._core.status()}})
            case {"retire": _}:
                self._retired()

    # --- cells --------------------------------------------------------------------------------------------------------

    def _move(self, cell: Cell, step: _Step) -> None:
        task = self._moves[cell] = asyncio.get_running_loop().create_task(step(cell, self._moves.get(cell)))
        task.add_done_callback(lambda done: self._moves.pop(cell, None) if self._moves.get(cell) is done else None)

    async def _own(self, cell: Cell, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        halfway = self._core.cells.get(cell)
        if halfway is not None and halfway.closing:  # it was being let go when the link broke
            self._core.drop(halfway)
        while True:
            try:
                await self._core.own(cell)
                break
            except JournalUnavailable as error:
                log.warning("cannot take %s over yet: %s", cell, error)
                await asyncio.sleep(OWN_RETRY_S)
        self._link.send({"owned": listed([cell])})

    async def _disown(self, cell: Cell, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        await self._core.disown(cell)
        self._link.send({"disowned": listed([cell])})

    async def _beat(self) -> None:
        """Show several times in a lease that the event loop turns, and for how long there has been nothing to do."""
        loop = asyncio.get_running_loop()
        turns, busy_at = -1, loop.time()
        while True:
            if self._core.turns != turns or self._core.pending_residents:
                turns, busy_at = self._core.turns, loop.time()
            self._link.send({"beat": {"idle_s": round(loop.time() - busy_at, 1)}})
            await asyncio.sleep(BEAT_S)
