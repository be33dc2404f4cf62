"""The host's lease: says that it is alive, and until when it may answer from memory.

Safety never rests on it (the fencing token of each commit does); it decides liveness and the freshness of reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from actors.runtime.limits import Limits
from actors.runtime.ports import Journal, JournalUnavailable

log = logging.getLogger("dray.lease")


class Lease:
    """Renewed every second; valid until `lease_lost_s` after the last successful renewal was *sent*, by the loop's
    monotonic clock. A process that was paused wakes up with an invalid lease.

    lapsed: called when the lease is valid again after it was not: meanwhile anything may have been given away.
    """

    def __init__(
        self, journal: Journal, owner: str, limits: Limits, lapsed: Callable[[], None] = lambda: None
    ) -> None:
        self._journal = journal
        self._owner = owner
        self._limits = limits
        self._lapsed = lapsed
        self._valid_until = 0.0
        self._clock: Callable[[], float] = lambda: 0.0
        self._task: asyncio.Task[None] | None = None
        self.revoked = False  # set while the director says that this host may not answer

    def valid(self) -> bool:
        return not self.revoked and self._clock() < self._valid_until

    async def start(self) -> None:
        self._clock = asyncio.get_running_loop().time
        await self._renew()
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        self._valid_until = 0.0
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _renew(self) -> None:
        sent = self._clock()
        await self._journal.renew(self._owner, int(self._limits.lease_lost_s * 1000))
        if self._clock() >= self._valid_until:
            self._lapsed()  # the renewal may have come to the journal after the end of the lease before
        self._valid_until = sent + self._limits.lease_lost_s

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._limits.lease_renew_s)
            try:
                await self._renew()
            except JournalUnavailable as error:
                log.warning("lease not renewed: %s", error)
