"""Stops accepting orders before the journal runs out of room, so that what was accepted can be brought to its end."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

from actors.adapters.redis_health import Health
from actors.adapters.redis_journal import RedisJournal
from actors.runtime.host import HostCore
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.ports import JournalUnavailable

log = logging.getLogger("dray.storage")

LOOK_S = 2.0


def shortage(health: Health, disk_free_bytes: int | None, limits: Limits = LIMITS) -> str:
    """Why new orders cannot be kept safely; '' if they can. `disk_free_bytes` is None where the journal's disk is not
    ours to see."""
    if not health.aof_writable:
        return "the journal cannot write its log: its disk is full or broken"
    if health.limit_bytes and health.used_bytes > health.limit_bytes * limits.journal_memory_share_max:
        return f"the journal's memory is nearly full: {health.used_bytes} of {health.limit_bytes} bytes"
    if disk_free_bytes is not None and disk_free_bytes < limits.disk_free_bytes_min:
        return f"only {disk_free_bytes // 2**20} MiB of disk are free"
    return ""


class StorageWatch:
    """Looks every other second, and lets a host refuse new orders for as long as there is a shortage.

    data: the directory of an embedded journal; None for one elsewhere.
    """

    def __init__(self, core: HostCore, journal: RedisJournal, data: Path | None) -> None:
        self._core = core
        self._journal = journal
        self._data = data
        self._said = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except (JournalUnavailable, OSError) as error:
                log.warning("cannot look at the storage: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Once. A refusal for any other reason stands."""
        free = None if self._data is None else shutil.disk_usage(self._data).free
        reason = shortage(await self._journal.health(), free)
        if reason != self._said:
            log.log(logging.ERROR if reason else logging.INFO, "%s", reason or "there is room again")
        if self._core.refusing in ("", self._said):
            self._core.refusing = reason
        self._said = reason
