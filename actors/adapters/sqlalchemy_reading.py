"""Reads lists of orders: implements `reading.OrderReader`.

A page is found in two steps: first the places of its orders, along one index that is in the order of the list already,
then their rows. So a page costs what it shows and what is filtered out between, not what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select, tuple_

from actors.adapters.sqlalchemy_tables import connect, orders, shards, tasks, terms, translated
from actors.runtime.reading import AllOf, Found, Kept, OrderQuery, Place
from models.decision import Millis

Columns = tuple[ColumnElement[Any], ColumnElement[Any]]
"""When it was placed, and its id: of the table along whose index the search goes."""

REFUNDED = "refunded"
PARTLY = "partial"


class SqlOrders:
    """The reading side. Every method blocks, and raises ReadModelUnavailable."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url, reading=True)

    def find(self, query: OrderQuery) -> Sequence[Found]:
        """At most `query.limit` orders, newest first."""
        with translated(), self._engine.connect() as connection:
            places: set[Place] = set()
            for wanted in query.any_of or ((),):
                places.update(_places(connection, query, wanted, partly=False))
                if query.status == REFUNDED:
                    places.update(_places(connection, query, wanted, partly=True))
            page = sorted(places, reverse=True)[: query.limit]
            columns = select(orders.c.id, orders.c.version, orders.c.snapshot, orders.c.data_key)
            rows = connection.execute(columns.where(orders.c.id.in_([id_ for _, id_ in page])))
            kept = {row[0]: Kept(*row) for row in rows}
            return [Found(place, kept[place[1]]) for place in page if place[1] in kept]

    def retailers(self) -> Sequence[str]:
        """Everybody who has ever placed an order: a step along the index for each, however many orders there are."""
        found: list[str] = []
        with translated(), self._engine.connect() as connection:
            last: str | None = ""
            while True:
                last = connection.execute(
                    select(func.min(orders.c.retailer)).where(orders.c.retailer > last)
                ).scalar()
                if last is None:
                    return found
                found.append(last)

    def caught_up_at(self) -> Millis:
        """Everything that had happened by then is in the rows; 0 before the first time."""
        with translated(), self._engine.connect() as connection:
            return connection.execute(select(func.min(shards.c.caught_up_at))).scalar() or 0

    def close(self) -> None:
        self._engine.dispose()


def _places(connection: Connection, query: OrderQuery, wanted: AllOf, *, partly: bool) -> Sequence[Place]:
    """The first places that fit. `partly`: orders of which a part was refunded, instead of the status asked for."""
    statement, (at, id_) = _along(query, wanted)
    statement = _filtered(statement, query, at, partly=partly)
    if query.after is not None:
        statement = statement.where(tuple_(at, id_) < tuple_(*query.after))
    if query.created_from is not None:
        statement = statement.where(at >= query.created_from)
    if query.created_to is not None:
        statement = statement.where(at < query.created_to)
    if query.id:
        statement = statement.where(orders.c.id == query.id)
    rows = connection.execute(statement.order_by(at.desc(), id_.desc()).limit(query.limit))
    return [(row[0], row[1]) for row in rows]


def _along(query: OrderQuery, wanted: AllOf) -> tuple[Select[Any], Columns]:
    """Choose the index: that of a single term, else that of the supplier's tasks, else one of the orders' own."""
    single = next((some for some in wanted if len(some) == 1), None)
    at: ColumnElement[Any]
    id_: ColumnElement[Any]
    if single is not None:
        at, id_ = terms.c.created_at, terms.c.order_id
        statement = select(at, id_).join(orders, orders.c.id == id_).where(terms.c.term == next(iter(single)))
    elif query.asked and not wanted:
        at, id_ = tasks.c.created_at, tasks.c.order_id
        statement = select(at, id_).join(orders, orders.c.id == id_).where(tasks.c.supplier == query.asked)
    else:
        at, id_ = orders.c.created_at, orders.c.id
        statement = select(at, id_)
    for some in wanted:
        if some is not single:
            other = terms.alias()
            statement = statement.where(orders.c.id.in_(select(other.c.order_id).where(other.c.term.in_(some))))
    if query.asked and at is not tasks.c.created_at:
        asked = select(tasks.c.order_id).where(tasks.c.order_id == orders.c.id, tasks.c.supplier == query.asked)
        statement = statement.where(asked.exists())
    return statement, (at, id_)


def _filtered(statement: Select[Any], query: OrderQuery, at: ColumnElement[Any], *, partly: bool) -> Select[Any]:
    """The conditions on the orders' own columns."""
    conditions: list[tuple[ColumnElement[str], str]] = []
    if query.retailer:
        conditions.append((orders.c.retailer, query.retailer))
    if partly:
        statement = statement.where(orders.c.refund_status == PARTLY, orders.c.status != REFUNDED)
    elif query.status:
        conditions.append((orders.c.status, query.status))
    own = at is orders.c.created_at and not query.emails
    for column, value in conditions:
        # Along another index this is to be looked at, not searched by: an expression leaves no index to choose.
        statement = statement.where((column if own else column.concat("")) == value)
    if query.emails:
        statement = statement.where(or_(*[orders.c.email_digest == digest for digest in sorted(query.emails)]))
    return statement
