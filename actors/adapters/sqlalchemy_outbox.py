"""The outbox in SQL: implements `outgoing.Outgoing`. Rows come from `sqlalchemy_feed`; senders take them from here."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from actors.adapters.sqlalchemy_feed import row_of
from actors.adapters.sqlalchemy_tables import connect, feed, outbox, subscriptions, translated
from actors.runtime.outgoing import Delivery, Subscription
from models.decision import Millis

KEY = (outbox.c.position, outbox.c.purpose, outbox.c.party)


class SqlOutbox:
    """Every method blocks, and raises ReadModelUnavailable."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        self._insert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert

    def subscribe(self, subscription: Subscription) -> None:
        """From now on: what is in the feed already is not sent."""
        with translated(), self._engine.begin() as connection:
            connection.execute(self._insert(subscriptions).on_conflict_do_nothing(), subscription._asdict())

    def unsubscribe(self, subscription: Subscription) -> None:
        """What had not been sent goes, too."""
        party, purpose = subscription
        with translated(), self._engine.begin() as connection:
            connection.execute(delete(subscriptions).where(_is(subscriptions.c, party, purpose)))
            connection.execute(delete(outbox).where(_is(outbox.c, party, purpose)))

    def claim(self, purpose: str, now: Millis, until: Millis, limit: int) -> Sequence[Delivery]:
        """Up to `limit` rows that are due, the longest due first. Until `until` nobody else gets them."""
        claim = secrets.token_hex(8)
        due = (
            select(*KEY)
            .where(outbox.c.purpose == purpose, outbox.c.due_at <= now)
            .order_by(outbox.c.due_at, outbox.c.position)
            .limit(limit)
            .with_for_update(skip_locked=True)  # SQLite has one writer at a time, and no such words
        )
        taken = update(outbox).where(tuple_(*KEY).in_(due)).values(claimed_by=claim, due_at=until)
        own = (
            select(outbox.c.party, outbox.c.purpose, outbox.c.attempts, feed)
            .join_from(outbox, feed, feed.c.position == outbox.c.position)
            .where(outbox.c.claimed_by == claim, outbox.c.purpose == purpose, outbox.c.due_at == until)
            .order_by(outbox.c.position)
        )
        with translated(), self._engine.begin() as connection:
            if not connection.execute(taken).rowcount:
                return []
            return [
                Delivery(Subscription(row["party"], row["purpose"]), row_of(row), row["attempts"], claim)
                for row in connection.execute(own).mappings()
            ]

    def complete(self, deliveries: Sequence[Delivery]) -> None:
        """They have been sent, or never will be: either way they go."""
        with translated(), self._engine.begin() as connection:
            for delivery in deliveries:
                connection.execute(delete(outbox).where(_one(delivery)))

    def put_off(self, delivery: Delivery, until: Millis) -> bool:
        """Count an attempt, and make it due again then; False if somebody else has claimed it meanwhile."""
        mine = and_(_one(delivery), outbox.c.claimed_by == delivery.claim)
        later = update(outbox).where(mine).values(due_at=until, attempts=delivery.attempts + 1, claimed_by="")
        with translated(), self._engine.begin() as connection:
            return connection.execute(later).rowcount == 1

    def close(self) -> None:
        self._engine.dispose()


def _is(columns: Any, party: str, purpose: str) -> ColumnElement[bool]:
    return and_(columns.party == party, columns.purpose == purpose)


def _one(delivery: Delivery) -> ColumnElement[bool]:
    return and_(outbox.c.position == delivery.row.position, _is(outbox.c, *delivery.subscription))
