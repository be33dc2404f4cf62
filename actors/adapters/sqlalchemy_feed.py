"""The public feed in SQL: what the projector adds to it, and how it is read (implements `feeding.FeedReader`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, bindparam, delete, literal, select, text, update

from actors.adapters.sqlalchemy_rows import Told, Values, feed_rows
from actors.adapters.sqlalchemy_statements import Prepared
from actors.adapters.sqlalchemy_tables import (
    connect,
    feed,
    feed_departed,
    feed_state,
    orders,
    outbox,
    subscriptions,
    translated,
)
from actors.runtime.feeding import Audience, FeedForgotten, FeedPage, FeedRow, FeedState
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.reading import Numbers, Overtaken, ReadModelUnavailable
from models.decision import Millis

COLUMNS = ("position", "order_id", "retailer", "suppliers", "numbers", "at", "events")
# An order's rows are chained, so that they are found without an index of their own.
INSERT = text(
    "INSERT INTO feed (position, order_id, retailer, suppliers, numbers, at, events, previous)"
    " VALUES (:position, :order_id, :retailer, :suppliers, :numbers, :at, :events, coalesce("
    "(SELECT fed_at FROM orders WHERE id = :order_id),"
    " (SELECT fed_at FROM feed_departed WHERE order_id = :order_id), 0))"
)
QUEUED = ("position", "purpose", "party", "due_at", "attempts", "claimed_by")


def numbers_of(text_: str) -> Numbers:
    return tuple(map(int, text_.split()))


class FeedWriter:
    """Adds to the feed and to the outbox, inside the projector's transaction.

    writer: whoever has begun last; all others are refused.
    """

    def __init__(self, engine: Engine, writer: str) -> None:
        self._writer = writer
        self._add = Prepared(engine, INSERT, COLUMNS)
        self._queue = Prepared(engine, outbox.insert(), QUEUED)
        # Made once: making a statement costs more than carrying it out.
        later = {"position": feed_state.c.position + bindparam("count"), "written": feed_state.c.written + 1}
        self._take = update(feed_state).where(feed_state.c.writer == writer).values(later)
        self._taken = select(feed_state.c.position, feed_state.c.written)
        self._subscribed = select(subscriptions.c.party, subscriptions.c.purpose)

    def begin(self, connection: Connection) -> None:
        """From now on only this writer may write."""
        connection.execute(update(feed_state).values(writer=self._writer))

    def taken(self, connection: Connection, count: int) -> tuple[int, int]:
        """Take the right to write, and so many positions: the last one before them, and the number of this write.
        Raises Overtaken."""
        if connection.execute(self._take, {"count": count}).rowcount != 1:
            raise Overtaken("another projector has begun to write here")
        position, written = connection.execute(self._taken).one()
        return position - count, written

    def add(self, connection: Connection, told: Sequence[Told], at: Millis) -> None:
        """Before the rows of the orders are written: they say what each order's row before was."""
        if not told:
            return
        self._add.run(connection, feed_rows(told, at))
        subscribers = {(row.party, row.purpose) for row in connection.execute(self._subscribed)}
        if subscribers:
            self._queue.run(connection, [row for one in told for row in _queued(one, subscribers, at)])

    def trim(self, connection: Connection, before: Millis, limit: int) -> None:
        """Delete up to `limit` of the oldest rows if all of them were written before this time."""
        floor, position = connection.execute(select(feed_state.c.floor, feed_state.c.position)).one()
        last = min(floor + limit, position)
        newest = connection.execute(select(feed.c.at).where(feed.c.position == last)).scalar()
        if last > floor and newest is not None and newest < before:
            connection.execute(delete(outbox).where(outbox.c.position <= last))
            connection.execute(delete(feed).where(feed.c.position <= last))
            connection.execute(update(feed_state).values(floor=last))


def _queued(told: Told, subscribers: set[tuple[str, str]], at: Millis) -> list[Values]:
    """What is for the subscribers among those who see something of it."""
    position, change, (_, before, after, suppliers) = told
    parties = [f"retailer:{change.row.retailer}", *(f"supplier:{name}" for name in suppliers)]
    seeing = {party for party, then, now in zip(parties, before[1:], after[1:], strict=True) if now > then}
    return [(position, purpose, party, at, 0, "") for party, purpose in sorted(subscribers) if party in seeing]


# --- reading ---------------------------------------------------------------------------------------------------------


class SqlFeed:
    """The reading side. Every method blocks, and raises ReadModelUnavailable."""

    def __init__(self, url: str, *, limits: Limits = LIMITS) -> None:
        self._engine = connect(url, reading=True)
        self._limits = limits

    def state(self) -> FeedState:
        with translated(), self._engine.connect() as connection:
            return _state(connection)

    def after(self, position: int, audience: Audience, limit: int) -> FeedPage:
        """At most `limit` rows after `position` of orders that the audience has a part in. Raises FeedForgotten."""
        with translated(), self._engine.connect() as connection:
            state = _state(connection)
            reached = min(position + self._limits.feed_scanned_rows_max, state.position)
            wanted = select(feed).where(feed.c.position > position, feed.c.position <= reached, *_seeing(audience))
            found = connection.execute(wanted.order_by(feed.c.position).limit(limit)).mappings()
            rows = [row_of(row) for row in found]
            floor = _state(connection).floor  # now: some of them may have been deleted while they were read
            if position < floor:
                raise FeedForgotten(f"what came after {position} is kept from {floor} on")
            return FeedPage(rows, rows[-1].position if rows and len(rows) == limit else reached, state)

    def of_order(self, order: str, position: int, limit: int) -> Sequence[FeedRow]:
        """The order's first `limit` rows after `position`, of those that are kept."""
        rows: list[FeedRow] = []
        with translated(), self._engine.connect() as connection:
            place = connection.execute(select(orders.c.fed_at).where(orders.c.id == order)).scalar()
            if place is None:
                departed = select(feed_departed.c.fed_at).where(feed_departed.c.order_id == order)
                place = connection.execute(departed).scalar() or 0
            while place > position:
                row = connection.execute(select(feed).where(feed.c.position == place)).mappings().one_or_none()
                if row is None:  # it is not kept any more
                    break
                rows.append(row_of(row))
                place = row["previous"]
        return rows[::-1][:limit]

    def close(self) -> None:
        self._engine.dispose()


def _state(connection: Connection) -> FeedState:
    found = connection.execute(select(feed_state.c.identity, feed_state.c.position, feed_state.c.floor)).one_or_none()
    if found is None:
        raise ReadModelUnavailable("the feed is not set up yet")
    return FeedState(*found)


def _seeing(audience: Audience) -> list[ColumnElement[bool]]:
    if audience.supplier:
        padded = literal(" ") + feed.c.suppliers + literal(" ")
        return [padded.contains(f" {audience.supplier} ", autoescape=True)]
    return [feed.c.retailer == audience.retailer] if audience.retailer else []


def row_of(row: RowMapping) -> FeedRow:
    """From the columns of `feed`, whatever others there are."""
    events: Any = row["events"]
    return FeedRow(
        row["position"],
        row["order_id"],
        row["retailer"],
        tuple(row["suppliers"].split()),
        numbers_of(row["numbers"]),
        bytes(events),
        row["previous"],
        row["at"],
    )
