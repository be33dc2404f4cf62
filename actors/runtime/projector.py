"""The projector: follows the shards' streams and keeps the read model's rows in step with the journal.

Rows and the offsets they rest on change in one transaction, so a crash at any point loses and doubles nothing. A row
carries its order's version, and an entry that does not continue its row exactly is no guess: what is older is skipped,
and where something is missing the order is read whole from the journal. So the projector mends what it finds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from actors.runtime.codec import Answered, decode_snapshot, encode_snapshot, replay
from actors.runtime.kind import ActorKind
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.ports import JournalUnavailable, Record, StreamEntry, Wall
from actors.runtime.reading import Batch, OrderChange, Overtaken, Position, ReadModel, ReadModelUnavailable, Stream
from models.catalogue import decode_event
from models.decision import Address, Millis
from models.order.state import Order
from models.projection import order_row, task_statuses, terms
from models.record import changed

log = logging.getLogger("dray.projector")

Events = tuple[int, Sequence[bytes]]
"""The version before, and the events."""


@dataclass
class _Known:
    """An order as its rows are, or will be once the batch under way is stored."""

    order: Order
    version: int
    tasks: dict[int, tuple[str, str]]
    terms: set[str]


class _Followed(NamedTuple):
    """What one read of a shard's stream gave."""

    shard: int
    entries: Sequence[StreamEntry]
    orders: dict[str, list[Events]]


class Projector:
    """Follows all shards. `run` goes on until it is cancelled; `round` and `rebuild_page` are its single steps.

    kind: the order's; wall: the clock by which lag is told.
    """

    def __init__(
        self, kind: ActorKind, stream: Stream, model: ReadModel, *, shards: int, wall: Wall, limits: Limits = LIMITS
    ) -> None:
        self._kind = kind
        self._stream = stream
        self._model = model
        self._shards = shards
        self._wall = wall
        self._limits = limits
        self._positions: dict[int, Position] = {}
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._pages: dict[tuple[int, int], list[list[Address]]] = {}  # (shard, generation) -> what is still to be read
        self._told_at: Millis = 0

    async def run(self) -> None:
        """Prepare, then follow for ever; whatever goes wrong is tried again."""
        prepared = False
        while True:
            try:
                if not prepared:
                    await self.prepare()
                    prepared = True
                busy = await self.round()
                busy = await self.rebuild_page() or busy
            except (JournalUnavailable, ReadModelUnavailable, Overtaken) as error:
                log.warning("the read side waits: %s", error)
                self._forget()
                prepared = False
                await asyncio.sleep(self._limits.projector_retry_s)
                continue
            except Exception:
                log.exception("the projector stumbled; it begins again from what is stored")
                self._forget()
                prepared = False
                await asyncio.sleep(self._limits.projector_retry_s)
                continue
            await asyncio.sleep(0 if busy else self._limits.projector_poll_s)

    async def prepare(self) -> None:
        """Open the streams and the tables. Raises JournalUnavailable and ReadModelUnavailable.

        Rows that are ahead of the journal were made from another one, or from writes that it has lost: they are made
        anew, and what the journal does not have goes.
        """
        for shard in range(self._shards):
            await self._stream.stream_open(shard)
        await asyncio.to_thread(self._model.prepare, self._shards)
        for shard, position in (await asyncio.to_thread(self._model.positions)).items():
            latest = await self._stream.stream_position(shard)
            if position.sequence > latest:
                log.warning("shard %d is at %d of a stream that ends at %d", shard, position.sequence, latest)
                await asyncio.to_thread(self._model.restart, shard, latest)

    async def round(self) -> bool:
        """Take what the streams have into the rows; True if a stream may have more right now."""
        began = self._wall()
        first = not self._positions
        if first or began - self._told_at >= self._limits.projector_report_ms:
            # Here a rebuild that somebody has asked for is noticed.
            self._positions = dict(await asyncio.to_thread(self._model.positions))
        if first:  # the one before may have died before it trimmed
            for shard, position in self._positions.items():
                await self._stream.stream_trim(shard, position.sequence)
        followed = [one for one in await asyncio.gather(*map(self._follow, range(self._shards))) if one.entries]
        if followed:
            await self._learn({id_: runs for one in followed for id_, runs in one.orders.items()})
            batches = [await self._batch(one) for one in followed]
            await self._store(batches)
            for one in followed:
                await self._stream.stream_trim(one.shard, one.entries[-1].sequence)
        full = {one.shard for one in followed if len(one.entries) >= self._limits.projector_entries_max}
        if began - self._told_at >= self._limits.projector_report_ms:
            drained = [shard for shard in self._positions if shard not in full]
            await asyncio.to_thread(self._model.caught_up, drained, began)
            self._told_at = began
        return bool(full)

    async def rebuild_page(self) -> bool:
        """Make the next page of rows anew, of the first shard that is to be rebuilt; False if there is none."""
        shard = next((n for n, position in self._positions.items() if position.rebuilding), None)
        if shard is None:
            return False
        before = self._positions[shard]
        pages = self._pages.get((shard, before.generation))
        if pages is None:
            orders = [address for address in await self._stream.addresses(shard) if address.kind == self._kind.name]
            size = self._limits.rebuild_page_orders_max
            self._pages.clear()
            pages = self._pages[shard, before.generation] = [orders[n : n + size] for n in range(0, len(orders), size)]
            log.info("rebuilding shard %d: %d orders", shard, len(orders))
        page = pages.pop() if pages else []
        after = before._replace(rebuilding=bool(pages))
        await self._store([Batch(shard, before, after, await self._whole(shard, page))])
        if not pages:
            self._pages.clear()
        return True

    # --- following ----------------------------------------------------------------------------------------------------

    async def _follow(self, shard: int) -> _Followed:
        entries = await self._stream.stream_read(
            shard, self._positions[shard].sequence, self._limits.projector_entries_max
        )
        orders: dict[str, list[Events]] = {}
        for entry in entries:
            for address, before, events in entry.appends:
                if address.kind == self._kind.name:
                    orders.setdefault(address.id, []).append((before, events))
        return _Followed(shard, entries, orders)

    async def _learn(self, orders: dict[str, list[Events]]) -> None:
        """Have at hand the rows of all orders that go on, as far as there are any."""
        unknown = [id_ for id_, runs in orders.items() if id_ not in self._known and runs[0][0] > 0]
        if not unknown:
            return
        for kept in await asyncio.to_thread(self._model.kept, unknown):
            order, _ = decode_snapshot(self._kind, kept.snapshot)
            self._known[kept.id] = _Known(order, kept.version, task_statuses(order), terms(order))

    async def _batch(self, followed: _Followed) -> Batch:
        shard = followed.shard
        changes: list[OrderChange] = []
        new: set[str] = set()
        broken: list[Address] = []
        for id_, runs in followed.orders.items():
            known = self._known.get(id_) or _Known(self._kind.initial, 0, {}, set())
            is_new = not known.version
            try:
                change = self._advanced(known, runs)
            except Exception:
                # One order that cannot be read must not keep all others out of their lists.
                log.exception("%s stays as it is in the read side", id_)
                self._known.pop(id_, None)
                continue
            if change is None and runs[-1][0] > known.version:
                broken.append(Address(self._kind.name, id_))
            elif change is not None:
                changes.append(change)
                new |= {id_} if is_new else set()
                self._known[id_] = known
                self._known.move_to_end(id_)
        if new:
            await self._give_keys(shard, new, changes)
        if broken:
            log.info("shard %d: %d orders are read whole", shard, len(broken))
            changes += await self._whole(shard, broken)
        before, last = self._positions[shard], followed.entries[-1].sequence
        return Batch(shard, before, before._replace(sequence=last), changes)

    def _advanced(self, known: _Known, runs: Sequence[Events]) -> OrderChange | None:
        """What these events change of a known order; None if nothing does, or if some before them are missing."""
        version, order = known.version, known.order
        for before, events in runs:
            if before > version:
                return None
            order = self._folded(order, events[version - before :])
            version = max(version, before + len(events))
        return self._change(known, order, version) if version > known.version else None

    def _folded(self, order: Order, events: Iterable[bytes]) -> Order:
        evolve = self._kind.evolve
        for stored in events:
            happened = decode_event(stored)
            if type(happened) is not Answered:
                order = evolve(order, happened)
        return order

    def _change(self, known: _Known, order: Order, version: int, record: Record | None = None) -> OrderChange:
        """The rows' change from `known`, which is brought up to date."""
        tasks, found = task_statuses(order), terms(order)
        change = OrderChange(
            row=order_row(order),
            version=version,
            snapshot=encode_snapshot(order, {}),
            data_key=record.data_key if record else "",
            tasks=[(number, *task) for number, task in tasks.items() if known.tasks.get(number) != task],
            terms=sorted(found - known.terms),
            whole=record is not None,
        )
        known.order, known.version, known.tasks, known.terms = order, version, tasks, found
        return change

    async def _give_keys(self, shard: int, new: set[str], changes: list[OrderChange]) -> None:
        places = [place for place, change in enumerate(changes) if change.row["id"] in new]
        addresses = [Address(self._kind.name, changes[place].row["id"]) for place in places]
        keys = await self._stream.data_keys(shard, addresses)
        for place, data_key in zip(places, keys, strict=True):
            changes[place] = changed(changes[place], data_key=data_key)

    async def _whole(self, shard: int, addresses: Sequence[Address]) -> list[OrderChange]:
        changes = []
        for address, record in zip(addresses, await self._stream.records(shard, addresses), strict=True):
            self._known.pop(address.id, None)
            try:
                order, _ = replay(self._kind, record.snapshot, record.events)
            except Exception:
                log.exception("%s cannot be read, and is left out of the read side", address)
                continue
            if order.id:
                known = _Known(self._kind.initial, 0, {}, set())
                changes.append(self._change(known, order, record.version, record))
        return changes

    # --- storing ------------------------------------------------------------------------------------------------------

    async def _store(self, batches: Sequence[Batch]) -> None:
        await asyncio.to_thread(self._model.write, batches)
        for batch in batches:
            self._positions[batch.shard] = batch.after
        while len(self._known) > self._limits.projector_orders_known_max:
            self._known.popitem(last=False)

    def _forget(self) -> None:
        """After a failure nothing in memory is trusted."""
        self._positions.clear()
        self._known.clear()
        self._pages.clear()
        self._told_at = 0
