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
COMMITTED_MS = 60_000
"""Decisions run ahead of the disk: how long after its time an event may be committed. Less if orders leave sooner."""
_DONE = Reply(Status.OK)


class _AtRest(NamedTuple):
    """A candidate whose record was read, and the stream's position after that.

    due: the timer that stays in the due index, and brings it back in its time.
    """

    owned: OwnedCell
    archived: Archived
    due: DueEntry | None
    position: int


class _Mark(NamedTuple):
    """Where a cell's stream ended at some time of this owner's."""

    owned: OwnedCell
    at: Millis
    position: int


class _Timers:
    """A pass over the timers of a cell: one page in a sweep, and a pause after the last. They stay in the index when
    their orders leave, so most of them are of orders that have left."""

    def __init__(self) -> None:
        self.read = 0
        self.again_at = 0.0


class Archiver:
    """Sweeps the cells of a host in the background, off the path of turns, a bounded batch at a time: one transaction
    for all cells, and one commit per cell."""

    def __init__(self, host: HostCore, archive: Archive | None) -> None:
        self._host = host
        self._archive = archive
        self._after_ms = int(host.limits.archive_after_s * 1000)
        self._committed_ms = min(COMMITTED_MS, self._after_ms // 4)
        self._in_use: dict[Cell, int] = {}  # how many of a cell's longest quiet were in use when last looked at
        self._timers: dict[Cell, _Timers] = {}
        self._marks: dict[Cell, _Mark] = {}
        self._next = 0  # the shard that the next sweep begins with
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
        loop = asyncio.get_running_loop()
        pause_s = self._host.limits.archive_poll_s
        while True:
            await asyncio.sleep(pause_s)
            began = loop.time()
            pause_s = self._host.limits.archive_poll_s
            try:
                if await self.sweep():
                    pause_s = loop.time() - began  # half of the time at most, however much there is
            except (JournalUnavailable, ArchiveUnavailable) as error:
                log.warning("orders at rest stay in the journal for now: %s", error)
            except Exception:  # a bug must not end this loop; what it could not archive stays where it is
                log.exception("archiving failed")

    async def sweep(self) -> bool:
        """Archive what has come to rest, up to a batch; True if there may be more right now. Raises JournalUnavailable
        and ArchiveUnavailable, and nothing is lost."""
        assert self._archive is not None, "nobody sweeps without an archive"
        host = self._host
        until = host.wall() - self._after_ms
        cells = sorted((owned for owned in host.cells.values() if not owned.closing), key=self._turn_of)
        self._in_use = {owned.cell: self._in_use.get(owned.cell, 0) for owned in cells}
        self._timers = {owned.cell: self._timers.get(owned.cell) or _Timers() for owned in cells}
        self._marks = {cell: mark for cell, mark in self._marks.items() if host.cells.get(cell) is mark.owned}
        self._oldest_ms = 0
        room, more = host.limits.archive_batch_orders_max, False
        found: list[_AtRest] = []
        for owned in cells:  # as many as there are of one cell, then the next: a round trip costs as much for one order
            some, full = await self._look(owned, until, min(room, host.limits.archive_cell_orders_max))
            found += some
            more = more or full
            room -= len(some)
            if room <= 0:
                more, self._next = True, owned.cell.shard + 1
                break
        at_rest = await self._projected(found)
        if at_rest:
            by_shard: dict[int, list[Archived]] = {}
            for one in at_rest:
                by_shard.setdefault(one.owned.cell.shard, []).append(one.archived)
            await self._archive.put(by_shard)
            for one in at_rest:
                self._let_go(one, until)
        return more

    def _turn_of(self, owned: OwnedCell) -> tuple[bool, int]:
        return owned.cell.shard < self._next, owned.cell.shard

    # --- choosing -----------------------------------------------------------------------------------------------------

    async def _look(self, owned: OwnedCell, until: Millis, limit: int) -> tuple[list[_AtRest], bool]:
        """A cell's candidates, the longest quiet first; and whether there may be more of them."""
        host = self._host
        skip = self._in_use[owned.cell]
        quiet = await host.journal.quiet(owned.cell, until, skip, limit)
        full = len(quiet) == limit
        candidates: list[tuple[Address, DueEntry | None]] = []
        for entry in quiet:
            self._oldest_ms = max(self._oldest_ms, until - entry.since)
            if self._is_idle(owned, host.home_of(entry.address), until):
                candidates.append((entry.address, None))
        self._in_use[owned.cell] = skip + len(quiet) - len(candidates) if full else 0
        if not full:
            timers = await self._next_timers(owned, limit)
            full = len(timers) == limit
            candidates += [
                (entry.address, entry) for entry in timers
                if self._is_idle(owned, host.home_of(entry.address), until)
            ]  # fmt: skip
        return await self._at_rest(owned, candidates, until), full

    async def _next_timers(self, owned: OwnedCell, limit: int) -> Sequence[DueEntry]:
        """The next page of a pass over what wakes up late."""
        host, timers = self._host, self._timers[owned.cell]
        now = asyncio.get_running_loop().time()
        if now < timers.again_at:
            return ()
        after = host.wall() + int(host.limits.archive_timer_min_s * 1000)
        page = await host.journal.timers(owned.cell, after, timers.read, limit)
        timers.read += len(page)
        if len(page) < limit:
            timers.read, timers.again_at = 0, now + host.limits.archive_after_s
        return [entry for entry in page if host.kinds[host.home_of(entry.address).kind].minted_at is not None]

    async def _at_rest(
        self, owned: OwnedCell, candidates: Sequence[tuple[Address, DueEntry | None]], until: Millis
    ) -> list[_AtRest]:
        if not candidates:
            return []
        host = self._host
        homes = [host.home_of(address) for address, _ in candidates]
        kinds = host.families[homes[0].kind]
        members = [Address(kind.name, home.id) for home in homes for kind in kinds]
        records = iter(await host.journal.load(owned.cell, members))
        position = await self._position(owned, until)
        found = []
        for (address, due), home in zip(candidates, homes, strict=True):
            own = {kind.name: next(records) for kind in kinds}
            if self._is_at_rest(own, until):
                events = {name: record.events for name, record in own.items()}
                found.append(_AtRest(owned, Archived(home, events, own[home.kind].data_key), due, position))
            elif due is None:
                self._later(owned, address, home, own[address.kind].version)
        return found

    async def _position(self, owned: OwnedCell, until: Millis) -> int:
        """A position of the stream behind all that has been at rest since `until`. One that was looked up a while ago
        will do: the projector, always some tenths of a second behind the newest, has passed it long since."""
        host = self._host
        now, mark = host.wall(), self._marks.get(owned.cell)
        if mark is None or mark.at - self._committed_ms <= until or now - mark.at > self._after_ms // 2:
            position = await host.journal.stream_position(owned.cell.shard)
            mark = self._marks[owned.cell] = _Mark(owned, now, position)
        return mark.position

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
        host = self._host
        behind = {one.owned.cell.shard: 0 for one in found}
        for one in found:
            behind[one.owned.cell.shard] = max(behind[one.owned.cell.shard], one.position)
        for look in range(LOOKS_MAX):
            if look:
                await asyncio.sleep(host.limits.archive_poll_s / LOOKS_MAX)
            passed = await asyncio.gather(*(host.journal.stream_passed(*place) for place in behind.items()))
            behind = {
                shard: at for (shard, at), is_past in zip(behind.items(), passed, strict=True) if not is_past
            }  # fmt: skip
            if not behind:
                break
        self._held_up = sum(one.owned.cell.shard in behind for one in found)
        return [one for one in found if one.owned.cell.shard not in behind]

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
