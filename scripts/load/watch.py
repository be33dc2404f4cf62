"""Looks at a system under test from aside: how much waits in its hosts, how much memory its Redis takes."""

from __future__ import annotations

import asyncio
import contextlib

from actors.adapters.redis_journal import RedisJournal
from actors.runtime.ports import HostUnavailable, JournalMismatch, JournalUnavailable
from scripts.inside import ask_director
from scripts.run_state import RunState
from scripts.settings import Settings

LOOK_S = 1.0
ANSWER_S = 3.0
UNKNOWN = -1
FAILURES = (HostUnavailable, JournalUnavailable, JournalMismatch, OSError, TimeoutError)


class Watch:
    """The latest figures; UNKNOWN while nobody answers, which a system that is being killed may do."""

    def __init__(self, settings: Settings, state: RunState) -> None:
        self._settings = settings
        self._journal = RedisJournal(state.redis, connections_max=1, timeout_s=ANSWER_S)
        self._task: asyncio.Task[None] | None = None
        self.queued = self.pending = UNKNOWN
        self.redis_bytes = UNKNOWN

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._journal.close()

    async def hosts(self) -> None:
        """Ask the director for its hosts' queues. Commands wait in `queue`, intents are `pending`."""
        status = (await ask_director(self._settings, {"status": True}, ANSWER_S))["status"]
        hosts = [host for host in status["hosts"].values() if host is not None]
        self.queued = sum(sum(host["queue"].values()) for host in hosts)
        self.pending = sum(host["pending"] + host["effects_in_flight"] for host in hosts)

    async def _look(self) -> None:
        while True:
            try:
                await self.hosts()
            except FAILURES:
                self.queued = self.pending = UNKNOWN
            try:
                self.redis_bytes = (await self._journal.health()).used_bytes
            except FAILURES:
                self.redis_bytes = UNKNOWN
            await asyncio.sleep(LOOK_S)
