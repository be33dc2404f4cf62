"""Reads lists of orders: implements `reading.OrderReader`.

A page is found in two steps: first the places of its orders, along one index that is in the order of the list already,
then their rows. So a page costs what it shows and what is filtered out between, not what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select, tuple_

from actors.adapters.sqlalchemy_tables import PARTLY, connect, orders, shards, tasks, terms, translated
from actors.runtime.reading import AllOf, Found, FoundTask, Kept, OrderQuery, Place, TaskQuery
from models.decision import Millis

Columns = tuple[ColumnElement[Any], ColumnElement[Any]]
"""When it was placed, and its id: of the table along whose index the search goes."""

REFUNDED = "refunded"
FEW_ORDERS_MAX = 5_000
COUNTED_MAX = 20_000
"""How far a term's orders are counted to find out which of several is the rarest: half a millisecond."""
WAYS_FEW = 16
PARAMETERS_MAX = 500


class SqlOrders:
    """The reading side. Every method blocks, and raises ReadModelUnavailable.

    few_orders_max: a status that no more orders have is what a search goes along, whatever else it asks for.
    """

    def __init__(self, url: str, *, few_orders_max: int = FEW_ORDERS_MAX) -> None:
        self._engine = connect(url, reading=True)
        self._few_max = few_orders_max

    def find(self, query: OrderQuery) -> Sequence[Found]:
        """At most `query.limit` orders, newest first."""
        with translated(), self._engine.connect() as connection:
            places: set[Place] = set()
            for wanted in _possible(connection, query.any_of) if query.any_of else ((),):
                for partly in (False, True) if query.status == REFUNDED else (False,):
                    places.update(_places(connection, query, wanted, partly=partly, few_max=self._few_max))
            page = sorted(places, reverse=True)[: query.limit]
            kept = _kept(connection, page)
            return [Found(place, kept[place[1]]) for place in page if place[1] in kept]

    def find_tasks(self, query: TaskQuery) -> Sequence[FoundTask]:
        """At most `query.limit` of the supplier's tasks, newest first."""
        at, id_ = tasks.c.created_at, tasks.c.order_id
        statement = select(at, id_, tasks.c.consignment, tasks.c.status).where(tasks.c.supplier == query.supplier)
        if query.status:
            statement = statement.where(tasks.c.status == query.status)
        if query.after is not None:
            statement = statement.where(tuple_(at, id_) < tuple_(*query.after))
        statement = statement.order_by(at.desc(), id_.desc()).limit(query.limit)
        with translated(), self._engine.connect() as connection:
            found = [((row[0], row[1]), row[2], row[3]) for row in connection.execute(statement)]
            kept = _kept(connection, [place for place, _, _ in found])
            return [
                FoundTask(place, consignment, status, kept[place[1]])
                for place, consignment, status in found
                if place[1] in kept
            ]

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


def _kept(connection: Connection, page: Sequence[Place]) -> dict[str, Kept]:
    """The rows of these orders."""
    if not page:
        return {}
    columns = select(orders.c.id, orders.c.version, orders.c.snapshot, orders.c.data_key)
    rows = connection.execute(columns.where(orders.c.id.in_([id_ for _, id_ in page])))
    return {row[0]: Kept(*row) for row in rows}


def _places(connection: Connection, query: OrderQuery, wanted: AllOf, *, partly: bool, few_max: int) -> Sequence[Place]:
    """The first places that fit. `partly`: orders of which a part was refunded, instead of the status asked for."""
    status = _status(query, partly=partly)
    by_status = bool(status) and bool(wanted or query.asked or query.emails) and _few(connection, status[:1], few_max)
    if by_status:
        statement, (at, id_) = _along_orders(query, wanted, by_status)
    else:
        statement, (at, id_) = _along(query, wanted, _rarest(connection, wanted))
    if at is orders.c.created_at:
        if query.retailer:
            # Along another index this is to be looked at, not searched by.
            own = not query.emails and not partly
            retailer = orders.c.retailer if own else _looked_at(connection, orders.c.retailer)
            statement = statement.where(retailer == query.retailer)
    elif query.retailer or (status and not partly):
        statement = statement.where(_is(query, at, id_, partly=partly))
        status = status if partly else []
    statement = statement.where(*status)
    if query.emails:
        statement = statement.where(or_(*[orders.c.email_digest == digest for digest in sorted(query.emails)]))
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


def _possible(connection: Connection, ways: Sequence[AllOf]) -> Sequence[AllOf]:
    """Leave out ways whose terms nobody has, where there are many: of a thousand retailers few may know the name."""
    if len(ways) <= WAYS_FEW:
        return ways
    every = sorted({term for wanted in ways for some in wanted for term in some})
    there: set[str] = set()
    for first in range(0, len(every), PARAMETERS_MAX):
        some = terms.c.term.in_(every[first : first + PARAMETERS_MAX])
        there.update(connection.execute(select(terms.c.term).where(some).group_by(terms.c.term)).scalars())
    return [wanted for wanted in ways if all(some & there for some in wanted)]


def _status(query: OrderQuery, *, partly: bool) -> list[ColumnElement[bool]]:
    """The condition on the status, if there is one; for a partial index, as literally as that was declared."""
    if partly:
        return [PARTLY, orders.c.status != REFUNDED]
    return [orders.c.status == query.status] if query.status else []


def _few(connection: Connection, status: Sequence[ColumnElement[bool]], few_max: int) -> bool:
    """Are there so few orders of this status that looking at all of them is the surest way? A term's index may lead
    through a million orders of other statuses."""
    some = select(orders.c.created_at).where(*status).limit(few_max + 1).subquery()
    return (connection.execute(select(func.count()).select_from(some)).scalar() or 0) <= few_max


def _along_orders(query: OrderQuery, wanted: AllOf, by_status: bool) -> tuple[Select[Any], Columns]:
    """Along an index of the orders' own, each order being looked at: has it the terms, was the supplier asked?"""
    at, id_ = orders.c.created_at, orders.c.id
    statement = select(at, id_)
    for some in wanted:
        if by_status:
            statement = statement.where(_has(some, at, id_))
        else:
            statement = statement.where(id_.in_(select(terms.c.order_id).where(terms.c.term.in_(some))))
    return _asked(statement, query, at, id_), (at, id_)


def _rarest(connection: Connection, wanted: AllOf) -> str:
    """Of the terms that an order must have, the one that the fewest have; '' if there is none."""
    single = [next(iter(some)) for some in wanted if len(some) == 1]

    def count(term: str) -> int:
        some = select(terms.c.created_at).where(terms.c.term == term).limit(COUNTED_MAX).subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar() or 0

    return min(single, key=count) if len(single) > 1 else "".join(single)


def _along(query: OrderQuery, wanted: AllOf, term: str) -> tuple[Select[Any], Columns]:
    """Along the index of `term`, else that of the supplier's tasks, else one of the orders' own."""
    at: ColumnElement[Any]
    id_: ColumnElement[Any]
    if term:
        at, id_ = terms.c.created_at, terms.c.order_id
        statement = select(at, id_).join(orders, orders.c.id == id_).where(terms.c.term == term)
        for some in wanted:
            if some != {term}:
                statement = statement.where(_has(some, at, id_))
        return _asked(statement, query, at, id_), (at, id_)
    if query.asked and not wanted:
        at, id_ = tasks.c.created_at, tasks.c.order_id
        return select(at, id_).join(orders, orders.c.id == id_).where(tasks.c.supplier == query.asked), (at, id_)
    return _along_orders(query, wanted, by_status=False)


def _looked_at(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column by which nothing is to be searched: for SQLite an expression, which leaves it no index to choose.
    PostgreSQL chooses by cost, and would take an expression for something that hardly any order has."""
    return column.concat("") if connection.dialect.name == "sqlite" else column


def _is(query: OrderQuery, at: ColumnElement[Any], id_: ColumnElement[Any], *, partly: bool) -> ColumnElement[bool]:
    """Is the order at this place the retailer's, and of the status? Looked up in the index that lists are made along,
    where neighbours in time are neighbours: their rows are all over the disk."""
    other = orders.alias()
    is_it = select(other.c.id).where(other.c.created_at == at, other.c.id.concat("") == id_)
    if query.retailer:
        is_it = is_it.where(other.c.retailer == query.retailer)
    if query.status and not partly:
        is_it = is_it.where(other.c.status == query.status)
    return is_it.exists()


def _has(some: frozenset[str], at: ColumnElement[Any], id_: ColumnElement[Any]) -> ColumnElement[bool]:
    """Has the order at this place one of the terms? One look at the terms' key for each of them."""
    other = terms.alias()
    one = other.c.term == next(iter(some)) if len(some) == 1 else other.c.term.in_(some)
    return select(other.c.term).where(one, other.c.created_at == at, other.c.order_id == id_).exists()


def _asked(statement: Select[Any], query: OrderQuery, at: ColumnElement[Any], id_: ColumnElement[Any]) -> Select[Any]:
    """Only orders of which the supplier has a task: one look at the supplier's index for each."""
    if not query.asked:
        return statement
    own = (tasks.c.supplier == query.asked) & (tasks.c.created_at == at) & (tasks.c.order_id == id_)
    return statement.where(select(tasks.c.order_id).where(own).exists())
