"""Keeps the roll-ups for analytics in step with the orders' rows, a little behind them and off the projector's round.

Every row knows where its shard's stream was when it was last written, so what has changed is found by going on from
there. Each such order is taken out as what it was counted as and counted as what it is now, in one transaction with
how far that has come. So a crash loses and doubles nothing, and an order of long ago that is refunded today is counted
anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import orjson

from actors.runtime.analytics import Changed, Counted, Counting, Progress, RollUpModel, ShardState
from actors.runtime.codec import decode_snapshot
from actors.runtime.kind import ActorKind
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.ports import Wall
from actors.runtime.reading import Overtaken, ReadModelUnavailable
from models.analytics import Contribution, Tally, contribution

log = logging.getLogger("dray.rollups")

Move = tuple[int, Progress, Progress]


class RollUps:
    """Counts what has changed. `run` goes on until it is cancelled; `step` is a single step of it, and blocks.

    kind: the order's; wall: the clock by which lag is told.
    """

    def __init__(self, kind: ActorKind, model: RollUpModel, *, wall: Wall, limits: Limits = LIMITS) -> None:
        self._kind = kind
        self._model = model
        self._wall = wall
        self._limits = limits
        self._counted_all_at = 0

    async def run(self) -> None:
        """Count for ever, in a small part of the time: orders come first. The further behind, the larger the part."""
        while True:
            began = time.monotonic()
            try:
                busy = await asyncio.to_thread(self.step)
            except (ReadModelUnavailable, Overtaken) as error:
                log.warning("the roll-ups wait: %s", error)
                busy = False
            except Exception:
                log.exception("the roll-ups stumbled; they go on from what is stored")
                busy = False
            took = time.monotonic() - began
            await asyncio.sleep(took * (1 / self._share() - 1) if busy else self._limits.rollups_poll_s)

    def _share(self) -> float:
        """Of the time, for counting."""
        behind_s = (self._wall() - self._counted_all_at) / 1000
        share = self._limits.rollups_share_min * (1 + behind_s / self._limits.rollups_patience_s)
        return min(share, self._limits.rollups_share_max)

    def step(self) -> bool:
        """Count the next orders that have changed. False if there were none: then all is counted.

        Raises ReadModelUnavailable, and Overtaken where somebody else counts too.
        """
        room = self._limits.rollups_orders_max
        moves: list[Move] = []
        counted: list[Counted] = []
        tally = Tally()
        drained: dict[int, int] = {}
        for state in self._model.states():
            if not room:
                break
            if state.rebuilding and not state.progress.generation:
                continue  # a first filling is counted once it is whole
            if state.generation != state.progress.generation and not state.rebuilding:
                gone, after = self._begin_anew(state, room)
            else:
                gone = []
                changed = self._model.changed(state.shard, state.progress, room)
                if len(changed) < room:
                    drained[state.shard] = state.caught_up_at
                after = state.progress
                if changed:
                    after = after._replace(sequence=changed[-1].sequence, order_id=changed[-1].id)
                    counted += self._count(state.shard, changed, tally)
                room -= len(changed)
            if gone:
                self._take_out(state.shard, gone, tally)
                counted += [Counted(state.shard, id_, 0, b"") for id_ in gone]
                room -= len(gone)
            if gone or after != state.progress:
                moves.append((state.shard, state.progress, after))
        if moves:
            self._model.store(Counting(moves, counted, tally))
        if drained:
            self._model.note(drained)
        if not moves:
            self._counted_all_at = self._wall()
        return bool(moves)

    def _begin_anew(self, state: ShardState, room: int) -> tuple[Sequence[str], Progress]:
        """After a rebuild: first what is gone goes, then all rows are looked through, for any may have been mended."""
        gone = self._model.gone(state.shard, room)
        return gone, state.progress if gone else Progress(state.generation, -1, "")

    def _count(self, shard: int, changed: Sequence[Changed], tally: Tally) -> list[Counted]:
        """Count those of these orders that are not in the roll-ups as they are now."""
        wanted = [one.id for one in changed if one.version != one.counted]
        self._take_out(shard, [one.id for one in changed if one.counted and one.version != one.counted], tally)
        counted = []
        for row in self._model.snapshots(wanted):
            try:
                order, _ = decode_snapshot(self._kind, row.snapshot)
                now = contribution(order)
            except Exception:
                # One order that cannot be read must not keep all others out of the reports.
                log.exception("%s is left out of the roll-ups", row.id)
                counted.append(Counted(shard, row.id, row.version, b""))
                continue
            tally.add(now)
            counted.append(Counted(shard, row.id, row.version, orjson.dumps(now.plain())))
        return counted

    def _take_out(self, shard: int, ids: Sequence[str], tally: Tally) -> None:
        for stored in self._model.counted_as(shard, ids) if ids else ():
            tally.add(Contribution.from_plain(orjson.loads(stored)), -1)
