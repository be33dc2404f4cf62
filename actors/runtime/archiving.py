"""Archiving: orders at rest leave the journal, so that its memory follows live orders and not history.

An order is at rest when no intent of it is pending and no timer of it ends within `archive_timer_min_s`, when neither
it nor its orchestrator has had an event for `archive_after_s`, and when the projector is past them. Its record is
written to the archive, durably, and then deleted from the journal by a commit of its cell: fenced, and only at exactly
the version that was archived. A crash in between leaves both, and then the journal's counts; whoever owns the cell next
archives it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from actors.runtime.archive import Archive, Archived, ArchiveUnavailable
from actors.runtime.cell import OwnedCell
from actors.runtime.envelope import Reply, Status
from actors.runtime.ports import Append, Cell, DueEntry, JournalUnavailable, Record
from actors.runtime.resident import Appending, Part
from models.decision import Address, Millis

if TYPE_CHECKING:
    from actors.runtime.host import HostCore

log = logging.getLogger("dray.archive")

LOOKS_MAX = 8
CELLS_AT_ONCE = 4
COMMITTED_MS = 60_000
"""Decisions run ahead of the disk: how long after its time an event may be committed. Less if orders leave sooner."""
_DONE = Reply(Status.OK)


class _Mark:
    """Where a cell's stream ended at some time, and whether the projector has passed that."""

    def __init__(self, at: Millis, position: int) -> None:
        self.at = at
        self.position = position
        self.passed = False


class _View:
    """What the archiver remembers of a cell from sweep to sweep.

    in_use:    how many of its longest quiet were in use when it was last looked at.
    timers_read, timers_at: how far a pass over its late timers is, and when the next one begins. They stay in the index
               when their orders leave, so most of them are of orders that have left.
    """

    def __init__(self, owned: OwnedCell) -> None:
        self.owned = owned
        self.in_use = 0
        self.timers_read = 0
        self.timers_at = 0.0
        self.mark: _Mark | None = None


class _AtRest(NamedTuple):
    """A candidate whose record was read, and a position of the stream behind all it has had.

    due: the timer that stays in the due index, and brings it back in its time.
    """

    owned: OwnedCell
    archived: Archived
    due: DueEntry | None
    mark: _Mark


class Archiver:
    """Sweeps the cells of a host in the background, off the path of turns, some of them and a bounded batch at a time:
    one transaction for all, and one commit per cell."""

    def __init__(self, host: HostCore, archive: Archive | None) -> None:
        self._host = host
        self._archive = archive
        self._after_ms = int(host.limits.archive_after_s * 1000)
        self._committed_ms = min(COMMITTED_MS, self._after_ms // 4)
        self._views: dict[Cell, _View] = {}
        self._round: deque[_View] = deque()  # what is still to be looked at
        self._task: asyncio.Task[None] | None = None
        self._archived = 0
        self._held_up = 0
        self._oldest_ms = 0

    def start(self) -> None:
        if self._archive is not None and self._after_ms > 0:
            self._task = asyncio.get_running_loop().create_task(self._sweep_forever())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _sweep_forever(self) -> None:
        limits = self._host.limits
        pause_s = limits.archive_poll_s
        while True:
            await asyncio.sleep(pause_s)
            pause_s = limits.archive_poll_s
            try:
                if await self.sweep():
                    pause_s = limits.archive_pause_s
            except (JournalUnavailable, ArchiveUnavailable) as error:
                log.warning("orders at rest stay in the journal for now: %s", error)
            except Exception:  # a bug must not end this loop; what it could not archive stays where it is
                log.exception("archiving failed")

    async def sweep(self) -> bool:
        """Archive what has come to rest in some cells, up to a batch; True if there may be more right now. Raises
        JournalUnavailable and ArchiveUnavailable, and nothing is lost."""
        assert self._archive is not None, "nobody sweeps without an archive"
        limits = self._host.limits
        until = self._host.wall() - self._after_ms
        views = self._next_views()
        limit = max(1, min(limits.archive_cell_orders_max, limits.archive_batch_orders_max // max(1, len(views))))
        looked = await asyncio.gather(*(self._look(view, until, limit) for view in views))
        self._round.extend(view for view, (_, full) in zip(views, looked, strict=True) if full)
        at_rest = await self._projected([one for found, _ in looked for one in found])
        if at_rest:
            by_shard: dict[int, list[Archived]] = {}
            for one in at_rest:
                by_shard.setdefault(one.owned.cell.shard, []).append(one.archived)
            await self._archive.put(by_shard)
            for one in at_rest:
                self._let_go(one, until)
        return bool(self._round)

    def _next_views(self) -> list[_View]:
        """The next few cells, in turn; a new round begins when all have been looked at until they had no more."""
        cells = self._host.cells
        if not self._round:
            self._oldest_ms = 0
            self._views = {
                cell: view if view is not None and view.owned is owned else _View(owned)
                for cell, owned in cells.items()
                for view in (self._views.get(cell),)
            }
            self._round.extend(self._views.values())
        chosen: list[_View] = []
        while self._round and len(chosen) < CELLS_AT_ONCE:
            view = self._round.popleft()
            if cells.get(view.owned.cell) is view.owned and not view.owned.closing:
                chosen.append(view)
        return chosen

    # --- choosing -----------------------------------------------------------------------------------------------------

    async def _look(self, view: _View, until: Millis, limit: int) -> tuple[list[_AtRest], bool]:
        """A cell's candidates, the longest quiet first; and whether there may be more of them."""
        host, owned = self._host, view.owned
        quiet = await host.journal.quiet(owned.cell, until, view.in_use, limit)
        full = len(quiet) == limit
        candidates: list[tuple[Address, DueEntry | None]] = []
        for entry in quiet:
            self._oldest_ms = max(self._oldest_ms, until - entry.since)
            if self._is_idle(owned, host.home_of(entry.address), until):
                candidates.append((entry.address, None))
        view.in_use = view.in_use + len(quiet) - len(candidates) if full else 0
        if not full:
            timers = await self._next_timers(view, limit)
            full = len(timers) == limit
            for timer in timers:
                home = host.home_of(timer.address)
                if host.kinds[home.kind].minted_at is not None and self._is_idle(owned, home, until):
                    candidates.append((timer.address, timer))
        return await self._at_rest(view, candidates, until), full

    async def _next_timers(self, view: _View, limit: int) -> Sequence[DueEntry]:
        """The next page of a pass over what wakes up late."""
        limits = self._host.limits
        now = asyncio.get_running_loop().time()
        if now < view.timers_at:
            return ()
        after = self._host.wall() + int(limits.archive_timer_min_s * 1000)
        page = await self._host.journal.timers(view.owned.cell, after, view.timers_read, limit)
        view.timers_read += len(page)
        if len(page) < limit:
            view.timers_read, view.timers_at = 0, now + limits.archive_after_s
        return page

    async def _at_rest(
        self, view: _View, candidates: Sequence[tuple[Address, DueEntry | None]], until: Millis
    ) -> list[_AtRest]:
        if not candidates:
            return []
        host, owned = self._host, view.owned
        homes = [host.home_of(address) for address, _ in candidates]
        kinds = host.families[homes[0].kind]
        members = [Address(kind.name, home.id) for home in homes for kind in kinds]
        records = iter(await host.journal.load(owned.cell, members))
        mark = await self._mark(view, until)
        found = []
        for (address, due), home in zip(candidates, homes, strict=True):
            own = {kind.name: next(records) for kind in kinds}
            if self._is_at_rest(own, until):
                events = {name: record.events for name, record in own.items()}
                found.append(_AtRest(owned, Archived(home, events, own[home.kind].data_key), due, mark))
            elif due is None and any(record.version for record in own.values()):  # it may just have left
                self._later(owned, address, home, own[address.kind].version)
        return found

    async def _mark(self, view: _View, until: Millis) -> _Mark:
        """A position of the stream behind all that has been at rest since `until`. One that was looked up a while ago
        will do: the projector, always some tenths of a second behind the newest, has passed it long since."""
        now, mark = self._host.wall(), view.mark
        if mark is None or mark.at - self._committed_ms <= until or now - mark.at > self._after_ms // 2:
            mark = view.mark = _Mark(now, await self._host.journal.stream_position(view.owned.cell.shard))
        return mark

    def _is_idle(self, owned: OwnedCell, home: Address, until: Millis) -> bool:
        """Nothing of it is under way in this host, and nobody has used it lately. What has a host of its own is that
        host's business."""
        host = self._host
        if owned.unsettled(home) or host.cell_of(home) != owned.cell:
            return False
        resident = owned.residents.get(home)
        if resident is None:
            return True
        if resident.loading or resident.part is not None or resident.pending or host.notices.watched(home):
            return False
        return resident.last_used <= until

    def _is_at_rest(self, records: dict[str, Record], until: Millis) -> bool:
        """Its last events are old, and it is neither snapshotted nor so long that it could not come back at once."""
        for record in records.values():
            events = record.events
            if record.version != len(events) or len(events) > self._host.limits.archive_events_max:
                return False
            if events and orjson.loads(events[-1].partition(b" ")[2])["at"] > until:
                return False
        return any(record.events for record in records.values())

    def _later(self, owned: OwnedCell, address: Address, home: Address, version: int) -> None:
        """Count its quiet time from now: it has done something since that left nothing due."""
        if self._is_still(owned, home):
            part = owned.accumulating[home] = Part()
            part.appending(address, version).due_changed = True
            self._host.dirty()

    async def _projected(self, found: Sequence[_AtRest]) -> list[_AtRest]:
        """Those whose events the projector has stored. It is waited for, but not for long: they come up again."""
        behind = {one.mark: one.owned.cell.shard for one in found if not one.mark.passed}
        for look in range(LOOKS_MAX if behind else 0):
            if look:
                await asyncio.sleep(self._host.limits.archive_poll_s / LOOKS_MAX)
            asked = [(mark, self._host.journal.stream_passed(shard, mark.position)) for mark, shard in behind.items()]
            for (mark, _), passed in zip(asked, await asyncio.gather(*(answer for _, answer in asked)), strict=True):
                mark.passed = passed
            behind = {mark: shard for mark, shard in behind.items() if not mark.passed}
            if not behind:
                break
        self._held_up = sum(not one.mark.passed for one in found)
        return [one for one in found if one.mark.passed]

    # --- letting go ---------------------------------------------------------------------------------------------------

    def _is_still(self, owned: OwnedCell, home: Address) -> bool:
        """True if nothing has begun with this actor since it was looked at; it is then no longer in memory."""
        host = self._host
        if host.cells.get(owned.cell) is not owned or owned.closing or owned.unsettled(home):
            return False
        resident = owned.residents.get(home)
        if resident is not None:
            if not self._is_idle(owned, home, host.wall()):
                return False
            host.forget(owned, home)
        return True

    def _let_go(self, one: _AtRest, until: Millis) -> None:
        """Delete it from the journal with the next commit, if it is still what was archived. Who asks for it from now
        on waits for that commit and finds it in the archive. (Nothing else can be due at this version: what is due
        follows from the state, and the state from the events.)"""
        home = one.archived.home
        resident = one.owned.residents.get(home)
        if resident is not None and resident.last_used > until:
            return
        if self._is_still(one.owned, home):
            part = one.owned.accumulating[home] = Part()
            for kind, events in one.archived.members.items():
                part.appends[kind] = leaving = _Leaving(Address(kind, home.id), len(events))
                if one.due is not None and one.due.address == leaving.address:
                    leaving.due = one.due.due
            part.replies.append((self._gone, _DONE))
            self._host.dirty()

    def _gone(self, reply: Reply) -> None:
        self._archived += reply is _DONE

    def status(self) -> dict[str, Any]:
        """Orders archived since the start; found in the archive, restored from it, and found damaged; how many wait for
        the projector; and by how much the longest quiet order is over its time."""
        finder = self._host.finder
        return {
            "archive": {
                "archived": self._archived, "found": finder.found, "restored": finder.restored,
                "damaged": finder.damaged, "held_up": self._held_up, "overdue_s": round(self._oldest_ms / 1000, 1),
            }
        }  # fmt: skip


class _Leaving(Appending):
    def freeze(self) -> Append:
        return Append(self.address, self.version, (), due=self.due, forget=True)
