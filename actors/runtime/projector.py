"""The projector: follows the shards' streams and keeps the read model's rows in step with the journal.

Rows, the public feed and the offsets they rest on change in one transaction, so a crash at any point loses and doubles
nothing. A row carries its order's version, and an entry that does not continue its row exactly is no guess: what is
older is skipped, and where something is missing the order is read whole from the journal. So the projector mends what
it finds. The feed is only ever added to: what it has had of an order is known by the order's version as well.

When it is busy, its rounds are longer, and an order that begins waits for a round, and for another if more has happened
to it meanwhile, unless it is paid out: most of what happens to it happens at once, up to then, so it is written once,
not twice or three times. Its entries stay in the stream, beyond the offset, until it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from actors.runtime.codec import decode_snapshot, replay
from actors.runtime.folding import Known, Run, continued, folded, step
from actors.runtime.kind import ActorKind
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.ports import JournalUnavailable, StreamEntry, Wall
from actors.runtime.reading import (
    NEVER_FED,
    Batch,
    OrderChange,
    Overtaken,
    Position,
    ReadModel,
    ReadModelUnavailable,
    Stream,
)
from models.analytics import Tally
from models.catalogue import EVENT_NAMES
from models.decision import Address, Millis
from models.feed import Entry
from models.order.messages import SharesTransferred
from models.order.state import Order

log = logging.getLogger("dray.projector")

DAY_MS = 86_400_000
ALWAYS = 2**63
PAID_OUT = EVENT_NAMES[SharesTransferred].encode() + b" "
"""How the event is stored with which nothing more is about to happen to an order."""

UNCLEAR = -1
"""The version of an order that has rows and no feed, or a feed and no rows: whatever comes, it is read whole."""


class _Waiting(NamedTuple):
    """An order that is not written yet, and what has been read of it.

    since:  the sequence of its first entry. after: what had happened by then is in the rows or waits, too.
    rounds: for how many it has waited. seen: how many of its runs there were in the round before.
    """

    since: int
    after: Millis
    runs: list[Run]
    rounds: int = 0
    seen: int = 0

    def moves(self, rounds_max: int) -> bool:
        """Whether to wait for what else happens to it."""
        before, _ = self.runs[0]
        return before == 0 and self.rounds < rounds_max and len(self.runs) > self.seen and not _paid_out(self.runs)


def _paid_out(runs: Sequence[Run]) -> bool:
    """Whether that is what has happened last to an order."""
    _, latest = runs[-1]
    return bool(latest) and latest[-1].startswith(PAID_OUT)


class _Followed(NamedTuple):
    """What is to be written of a shard: how far its stream is in the rows then, and what is added to which orders."""

    shard: int
    through: int
    orders: Mapping[str, Sequence[Run]]


class Projector:
    """Follows all shards. `run` goes on until it is cancelled; `round` and `rebuild_page` are its single steps.

    kind: the order's; wall: the clock by which lag is told and the feed's rows are dated.
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
        self._read: dict[int, int] = {}  # by shard, how far its stream has been read
        self._waiting: dict[int, dict[str, _Waiting]] = {}
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._pages: dict[tuple[int, int], list[list[Address]]] = {}  # (shard, generation) -> what is still to be read
        self._ahead: dict[int, int] = {}  # up to which sequence orders may have been read whole before they are met
        self._told_at: Millis = 0
        self._read_at: Millis = 0  # when the round before began to read: all that had happened then is known
        self._busy = False

    async def run(self) -> None:
        """Prepare, then follow for ever; whatever goes wrong is tried again."""
        prepared = False
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            try:
                if not prepared:
                    await self.prepare()
                    prepared = True
                more = await self.round()
                more = await self.rebuild_page() or more
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
            await asyncio.sleep(0 if more else self._pause_s(now() - began))

    def _pause_s(self, took_s: float) -> float:
        """Until the next round. When it is busy, rounds begin at a steady pace, however long they take."""
        least_s = self._limits.projector_poll_s
        return max(least_s, self._limits.projector_busy_round_s - took_s) if self._busy else least_s

    def at_hand(self, order: str, version: int) -> Order | None:
        """The state of an order at this version if it is in memory. May be asked from any thread."""
        known = self._known.get(order)
        return known.order if known is not None and known.version == version else None

    async def prepare(self) -> None:
        """Open the streams and the tables. Raises JournalUnavailable and ReadModelUnavailable.

        Rows that are ahead of the journal were made from another one, or from writes that it has lost: they are made
        anew, and what the journal does not have goes.
        """
        for shard in range(self._shards):
            await self._stream.stream_open(shard)
        await asyncio.to_thread(self._model.prepare, self._shards)
        for shard, position in (await asyncio.to_thread(self._model.positions)).items():
            self._ahead[shard] = latest = await self._stream.stream_position(shard)
            if position.sequence > latest:
                log.warning("shard %d is at %d of a stream that ends at %d", shard, position.sequence, latest)
                await asyncio.to_thread(self._model.restart, shard, latest)

    async def round(self) -> bool:
        """Take what the streams have into the rows; True if a stream may have more right now."""
        began = self._wall()
        first = not self._positions
        reporting = began - self._told_at >= self._limits.projector_report_ms
        if first or reporting:  # here a rebuild that somebody has asked for is noticed
            self._positions = dict(await asyncio.to_thread(self._model.positions))
        if first:  # the one before may have died before it trimmed
            self._read = {shard: position.sequence for shard, position in self._positions.items()}
            await self._stream.stream_trim_all(self._read)
        entries = await self._stream.stream_read_all(self._read, self._limits.projector_entries_max)
        followed = self._followed(entries)
        if followed:
            await self._learn(followed)
            keys = await self._data_keys(followed)
            await self._store([await self._batch(one, keys) for one in followed], began)
            await self._stream.stream_trim_all({one.shard: one.through for one in followed})
        full = {shard for shard, found in entries.items() if len(found) >= self._limits.projector_entries_max}
        if reporting:
            drained = [shard for shard in self._positions if shard not in full]
            waiting = [one.after for own in self._waiting.values() for one in own.values()]
            await asyncio.to_thread(self._report, drained, min(waiting, default=began))
            self._told_at = began
        self._read_at = began
        return bool(full)

    async def rebuild_page(self) -> bool:
        """Make the next page of rows anew, of the first shard that is to be rebuilt; False if there is none."""
        shard = next((n for n, position in self._positions.items() if position.rebuilding), None)
        if shard is None:
            return False
        before = self._positions[shard]
        if (shard, before.generation) not in self._pages:
            await self._list_pages()
        pages = self._pages[shard, before.generation]
        page = pages.pop() if pages else []
        after = before._replace(rebuilding=bool(pages))
        rows = await self._whole(shard, page) if page else []
        await self._store([Batch(shard, before, after, rows)], self._wall())
        if not pages:
            del self._pages[shard, before.generation]
        return True

    async def _list_pages(self) -> None:
        """Look once what there is for all shards that are to be rebuilt. What comes later comes by the stream, and is
        of the new generation already."""
        rebuilding = {n: position for n, position in self._positions.items() if position.rebuilding}
        size = self._limits.rebuild_page_orders_max
        self._pages.clear()
        for shard, addresses in (await self._stream.addresses_all(list(rebuilding))).items():
            orders = [address for address in addresses if address.kind == self._kind.name]
            pages = [orders[n : n + size] for n in range(0, len(orders), size)]
            self._pages[shard, rebuilding[shard].generation] = pages
            log.info("rebuilding shard %d: %d orders", shard, len(orders))

    # --- following ----------------------------------------------------------------------------------------------------

    def _followed(self, entries: Mapping[int, Sequence[StreamEntry]]) -> list[_Followed]:
        """What has been read now, and what has waited, is written; but when it is busy, what has just begun waits."""
        waited, self._waiting = self._waiting, {}
        orders = {shard: dict(waited.get(shard, {})) for shard in {**waited, **entries}}
        for shard, found in entries.items():
            self._gather(found, orders[shard])
            self._read[shard] = found[-1].sequence
        self._busy = sum(map(len, orders.values())) >= self._limits.projector_busy_orders_min
        followed = []
        for shard, own in orders.items():
            through = self._read[shard]
            if self._busy:
                most = self._limits.projector_wait_rounds_max
                begun = {
                    id_: one._replace(rounds=one.rounds + 1, seen=len(one.runs))
                    for id_, one in own.items()
                    if one.moves(most)
                }
                if begun:
                    self._waiting[shard] = begun
                    through = min(one.since for one in begun.values()) - 1
                    own = {id_: one for id_, one in own.items() if id_ not in begun}
            if own or through > self._positions[shard].sequence:
                followed.append(_Followed(shard, through, {id_: one.runs for id_, one in own.items()}))
        return followed

    def _gather(self, entries: Sequence[StreamEntry], orders: dict[str, _Waiting]) -> None:
        kind = self._kind.name
        for sequence, appends in entries:
            for (kind_, id_), before, events in appends:
                if kind_ == kind:
                    one = orders.get(id_)
                    if one is None:
                        one = orders[id_] = _Waiting(sequence, self._read_at, [])
                    one.runs.append((before, events))

    async def _learn(self, followed: Sequence[_Followed]) -> None:
        """Have at hand the orders that have rows already: all that go on, and of those that begin the ones that may
        have been read whole before their beginning came by the stream."""
        unknown = []
        for shard, _, orders in followed:
            behind = self._positions[shard].sequence < self._ahead.get(shard, ALWAYS)
            unknown += [id_ for id_, runs in orders.items() if id_ not in self._known and (behind or runs[0][0] > 0)]
        if not unknown:
            return
        fed = await asyncio.to_thread(self._model.fed, unknown)
        self._known.update(dict.fromkeys(fed, Known(self._kind.initial, UNCLEAR)))
        whole = [id_ for id_, had in fed.items() if had.numbers]
        for kept in await asyncio.to_thread(self._model.kept, whole):
            order, _ = decode_snapshot(self._kind, kept.snapshot)
            self._known[kept.id] = Known(order, kept.version, fed[kept.id].numbers)

    async def _data_keys(self, followed: Sequence[_Followed]) -> Mapping[Address, str]:
        """The data keys of all orders that begin."""
        return await self._stream.data_keys_all({
            shard: [Address(self._kind.name, id_) for id_ in orders if id_ not in self._known]
            for shard, _, orders in followed
        })  # fmt: skip

    async def _batch(self, followed: _Followed, keys: Mapping[Address, str]) -> Batch:
        shard = followed.shard
        changes: list[OrderChange] = []
        broken: list[Address] = []
        tally = Tally()
        for id_, runs in followed.orders.items():
            address = Address(self._kind.name, id_)
            known = self._known.get(id_) or Known(self._kind.initial, 0)
            try:
                made = continued(self._kind, known, runs, tally, keys.get(address, ""))
            except Exception:
                # One order that cannot be read must not keep all others out of their lists.
                log.exception("%s stays as it is in the read side", id_)
                self._known.pop(id_, None)
                continue
            if made is not None:
                changes.append(made.change)
                self._known.pop(id_, None)
                # What comes after that comes much later: kept for it, orders only push others out of the caches.
                if not _paid_out(runs):
                    self._known[id_] = made.known
            elif runs[-1][0] > known.version:
                broken.append(address)
        if broken:
            log.info("shard %d: %d orders are read whole", shard, len(broken))
            changes += await self._whole(shard, broken)
        before = self._positions[shard]
        return Batch(shard, before, before._replace(sequence=followed.through), changes, tally)

    async def _whole(self, shard: int, addresses: Sequence[Address]) -> list[OrderChange]:
        """The rows of these orders from the journal itself. The feed gets what it has not had, if that can be known."""
        changes = []
        fed = await asyncio.to_thread(self._model.fed, [address.id for address in addresses])
        records = await self._stream.records(shard, addresses)
        self._ahead[shard] = await self._stream.stream_position(shard)
        for address, record in zip(addresses, records, strict=True):
            self._known.pop(address.id, None)
            had = fed.get(address.id, NEVER_FED)
            base = record.version - len(record.events)
            old = max(0, had.version - base) if had.numbers else 0
            entries: list[Entry] = []
            try:
                order, _ = replay(self._kind, record.snapshot, record.events[:old])
                order = folded(self._kind, order, record.events[old:], entries)
            except Exception:
                log.exception("%s cannot be read, and is left out of the read side", address)
                continue
            if order.id:
                known = Known(self._kind.initial, 0, had.numbers)
                made = step(known, order, record.version, entries, None, data_key=record.data_key)
                changes.append(made.change)
        return changes

    # --- storing ------------------------------------------------------------------------------------------------------

    async def _store(self, batches: Sequence[Batch], at: Millis) -> None:
        await asyncio.to_thread(self._model.write, batches, at)
        for batch in batches:
            self._positions[batch.shard] = batch.after
        while len(self._known) > self._limits.projector_orders_known_max:
            self._known.popitem(last=False)

    def _report(self, drained: Sequence[int], at: Millis) -> None:
        """at: everything that had happened by then is in the rows; 0 while that cannot be said yet."""
        if at:
            self._model.caught_up(drained, at)
        kept_from = at - self._limits.feed_kept_days * DAY_MS
        self._model.trim_feed(kept_from, self._limits.feed_trimmed_rows_max)

    def _forget(self) -> None:
        """After a failure nothing in memory is trusted."""
        self._positions.clear()
        self._read.clear()
        self._waiting.clear()
        self._ahead.clear()
        self._known.clear()
        self._pages.clear()
        self._told_at = 0
