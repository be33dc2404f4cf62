"""Brings the roll-ups for analytics up to the orders' rows where they are behind, off the projector's round.

Where all of a shard is counted, the projector's transaction counts what it writes. Here is what that leaves: rows of
before a start, of a rebuild, of an order that could not be counted at once. Until they are counted, so is all else of
their shard here.

Every row knows where its shard's stream was when it was last written, so what has changed is found by going on from
there. Each such order is taken out as what it was counted as and counted as what it is now, in one transaction with
how far that has come. So a crash loses and doubles nothing, and an order of long ago that is refunded today is counted
anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import orjson

from actors.runtime.analytics import Changed, Counted, Counting, Progress, RollUpModel, ShardState
from actors.runtime.codec import decode_snapshot
from actors.runtime.kind import ActorKind
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.ports import Wall
from actors.runtime.reading import Overtaken, ReadModelUnavailable
from models.analytics import Contribution, Tally, contribution
from models.order.state import Order

log = logging.getLogger("dray.rollups")

Move = tuple[int, Progress, Progress]
AtHand = Callable[[str, int], Order | None]
"""The state of this order at this version, if somebody has it in memory: `Projector.at_hand`."""


def _nothing_at_hand(_order: str, _version: int) -> None:
    return None


class RollUps:
    """Counts what has changed. `run` goes on until it is cancelled; `step` is a single step of it, and blocks.

    kind: the order's; wall: the clock by which lag is told; at_hand: spares reading and decoding what it knows, which
    is half of what counting an order costs. It is asked from another thread.
    """

    def __init__(
        self, kind: ActorKind, model: RollUpModel, *, wall: Wall, limits: Limits = LIMITS,
        at_hand: AtHand = _nothing_at_hand,
    ) -> None:  # fmt: skip
        self._kind = kind
        self._model = model
        self._wall = wall
        self._limits = limits
        self._at_hand = at_hand
        self._counted_all_at = 0
        self._from = 0
        self._drained: dict[int, tuple[int, int, bool]] = {}

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
        work = _Work(self._limits.rollups_orders_max)
        states = self._model.states()
        # Not always from the first shard on: when there is more to do than is done, none is to wait for ever.
        for state in [*states[self._from :], *states[: self._from]]:
            if not work.room:
                break
            self._look(state, work)
            self._from = states.index(state)
        if work.moves:
            self._count(work)
        if work.drained:
            self._model.note({shard: state.caught_up_at for shard, state in work.drained.items()})
        self._drained |= {shard: _as_written(state) for shard, state in work.drained.items()}
        if not work.moves:
            self._counted_all_at = self._wall()
        return bool(work.moves)

    def _look(self, state: ShardState, work: _Work) -> None:
        """What there is to do in one shard."""
        before, shard = state.progress, state.shard
        if state.rebuilding and not before.generation:
            return  # a first filling is counted once it is whole
        if state.generation != before.generation and not state.rebuilding:
            # After a rebuild: first what is gone goes, then all rows are looked through, for any may have been mended.
            gone = self._model.gone(shard, work.room)
            work.gone += [(shard, id_) for id_ in gone]
            work.room -= len(gone)
            work.moves.append((shard, before, before if gone else Progress(state.generation, -1, "")))
            return
        if self._drained.get(shard) == _as_written(state):
            work.drained[shard] = state
            return
        changed = self._model.changed(shard, before, work.room)
        if len(changed) < work.room:
            work.drained[shard] = state
        if changed:
            work.room -= len(changed)
            work.changed += [(shard, one) for one in changed if one.version != one.counted]
            last = changed[-1]
            work.moves.append((shard, before, before._replace(sequence=last.sequence, order_id=last.id)))

    def _count(self, work: _Work) -> None:
        """Take out of the roll-ups what has changed or is gone, and count what has changed as it is now."""
        tally = Tally()
        earlier = [(shard, one.id) for shard, one in work.changed if one.counted]
        for stored in self._model.counted_as([*work.gone, *earlier]):
            tally.add(Contribution.from_plain(orjson.loads(stored)), -1)
        counted = [Counted(shard, id_, 0, b"") for shard, id_ in work.gone]
        for shard, id_, version, state in self._states(work.changed):
            try:
                now = contribution(self._decoded(state) if isinstance(state, bytes) else state)
            except Exception:
                # One order that cannot be read must not keep all others out of the reports.
                log.exception("%s is left out of the roll-ups", id_)
                counted.append(Counted(shard, id_, version, b""))
                continue
            tally.add(now)
            counted.append(Counted(shard, id_, version, orjson.dumps(now.plain())))
        self._model.store(Counting(work.moves, counted, tally))

    def _states(self, changed: Sequence[tuple[int, Changed]]) -> Iterator[tuple[int, str, int, Order | bytes]]:
        """Shard, id, version and state of each order that is still there; bytes are a state as it is stored."""
        stored = {}
        for shard, one in changed:
            order = self._at_hand(one.id, one.version)
            if order is None:
                stored[one.id] = shard
            else:
                yield shard, one.id, one.version, order
        for row in self._model.snapshots(list(stored)):
            yield stored[row.id], row.id, row.version, row.snapshot

    def _decoded(self, snapshot: bytes) -> Order:
        order, _ = decode_snapshot(self._kind, snapshot)
        return cast("Order", order)


@dataclass
class _Work:
    """What one step does. room: for how many orders more. drained: shards of which all is counted after it."""

    room: int
    moves: list[Move] = field(default_factory=list)
    gone: list[tuple[int, str]] = field(default_factory=list)
    changed: list[tuple[int, Changed]] = field(default_factory=list)
    drained: dict[int, ShardState] = field(default_factory=dict)


def _as_written(state: ShardState) -> tuple[int, int, bool]:
    """While this is the same, no row has been written but by a rebuild, after which all are looked through."""
    return state.sequence, state.generation, state.rebuilding
