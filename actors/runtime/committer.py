"""The flush loop: one pipeline to the journal at a time, carrying a commit of every cell that has something to store.

Batches form by what has piled up while the previous flush was under way, never by a timer: the busier the host, the
larger the commits and the cheaper each order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from actors.runtime.cell import OwnedCell
from actors.runtime.envelope import Reply, Status
from actors.runtime.outbox import Outbox
from actors.runtime.ports import (
    Commit,
    CommitResult,
    Failed,
    Fenced,
    JournalUnavailable,
    Refused,
    Stored,
    WentBack,
)
from actors.runtime.resident import Part, Resident, Work
from models.decision import Address

if TYPE_CHECKING:
    from actors.runtime.host import HostCore

log = logging.getLogger("dray.committer")


class Committer:
    """Makes accumulated parts durable and then lets out what they hold back."""

    def __init__(self, host: HostCore, outbox: Outbox) -> None:
        self._host = host
        self._outbox = outbox
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._counts: Counter[str] = Counter()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._flush_forever())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def dirty(self) -> None:
        self._dirty.set()

    async def _flush_forever(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(0)  # turns already queued on the loop join this flush
            self._dirty.clear()
            due = self._commits_due()
            if not due:
                continue
            try:
                results = await self._host.journal.commit([commit for _, commit in due])
            except JournalUnavailable as error:
                results = [Failed(str(error))] * len(due)
            except Exception as error:  # a bug must not end this loop: the host would answer nobody any more
                log.critical("the journal's adapter broke", exc_info=error)
                results = [Failed(repr(error))] * len(due)
            self._counts["flushes"] += 1
            for (owned, commit), result in zip(due, results, strict=True):
                if self._host.cells.get(owned.cell) is owned:
                    try:
                        self._settle(owned, commit, result)
                    except Exception:  # likewise; what this commit held back is asked for again
                        log.critical("commit %d of %s could not be settled", commit.number, owned.cell, exc_info=True)
            if any(
                owned.commit is None and (owned.accumulating or owned.unproven) for owned in self._host.cells.values()
            ):
                self._dirty.set()

    def _commits_due(self) -> list[tuple[OwnedCell, Commit]]:
        now = asyncio.get_running_loop().time()
        due = []
        for owned in self._host.cells.values():
            if owned.commit is not None:
                if owned.retry_at <= now:
                    due.append((owned, owned.commit))
                continue
            commit = owned.next_commit(self._host.limits)
            if commit is not None:
                due.append((owned, commit))
        return due

    # --- results ------------------------------------------------------------------------------------------------------

    def _settle(self, owned: OwnedCell, commit: Commit, result: CommitResult) -> None:
        if isinstance(result, Stored):
            self._counts["commits"] += 1
            self._stored(owned, commit, result.refused)
        elif isinstance(result, Fenced):
            self._host.lost(owned)
        elif isinstance(result, WentBack):
            log.critical(
                "the journal of %s went back in time: it holds commit %d, %d was acknowledged; the shard is stopped",
                owned.cell, result.stored, owned.number,
            )
            self._counts["went_back"] += 1
            self._host.stopped(owned)
        else:
            self._blocked(owned, result)

    def _blocked(self, owned: OwnedCell, result: Failed) -> None:
        """The same commit again, later; only this cell waits."""
        limits = self._host.limits
        owned.retry_s = min(owned.retry_s * 2 or limits.commit_retry_s, limits.commit_retry_max_s)
        log.warning("commit %d of %s failed: %s", owned.number + 1, owned.cell, result.cause)
        self._counts["failed"] += 1
        loop = asyncio.get_running_loop()
        owned.retry_at = loop.time() + owned.retry_s
        loop.call_later(owned.retry_s + 0.001, self._dirty.set)

    def _stored(self, owned: OwnedCell, commit: Commit, refused: Sequence[Refused]) -> None:
        parts = owned.acknowledged()
        self._counts["events"] += commit.events()
        if refused:
            homes = list(parts)
            for refusal in refused:
                home = homes[refusal.group]
                self._refused(owned, home, parts.pop(home), refusal.duplicate)
        notices = self._host.notices
        for home, part in parts.items():
            for sink, reply in part.replies:
                sink(reply)
            if part.sends or part.effects:
                self._outbox.release(part.sends, part.effects)
            resident = part.resident
            if resident is not None:
                resident.assumed = False
                if resident.part is None:
                    if notices.watched(home):
                        self._notify(home, resident)
                    if part.events():  # else it has been read, and found as it was: the next asker may not be far
                        self._host.dismiss(owned, resident)

    def _notify(self, home: Address, resident: Resident) -> None:
        watches = self._host.notices.of(home)
        member = resident.members[watches[0].kind]
        if member.kind.awaited(member.state):
            self._host.notices.resolve(home, self._host.view(resident, watches[0].kind))

    def _refused(self, owned: OwnedCell, home: Address, part: Part, duplicate: str | None) -> None:
        """A group was not written: forget what was decided on it and answer, or decide again on what is stored."""
        self._counts["refused"] += 1
        resident = owned.residents.get(home)
        later = self._host.forget(owned, home)
        for dropped in (part, later):
            if dropped is None:
                continue
            works = dropped.works
            again = {id(work.sink) for work in works if work.sink is not None}
            for sink, _ in dropped.replies:
                if id(sink) not in again:
                    sink(Reply(Status.MOVED))
            for work in works:
                self._again(work, duplicate)
        if resident is not None:
            for work in resident.waiting:
                self._host.again(work)

    def _again(self, work: Work, duplicate: str | None) -> None:
        if duplicate is not None and work.envelope.guard is not None:
            work.answer(Reply(Status.DUPLICATE, duplicate.encode()))
            return
        work.attempts += 1
        work.must_load = True
        if work.attempts > self._host.limits.poison_attempts_max:
            work.answer(Reply(Status.FAILED, b'{"code":"conflict"}'))
            return
        self._host.again(work)

    def status(self) -> dict[str, Any]:
        return {name: self._counts[name] for name in ("flushes", "commits", "events", "refused", "failed", "went_back")}
