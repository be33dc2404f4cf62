"""The read model's tables and how to connect to them. Only the `sqlalchemy_*` adapters import SQLAlchemy and Alembic.

`orders` holds what lists filter and sort by, and the whole state beside it. `terms` is an inverted index: everything
else that an order is looked up by (`models.projection.new_terms`), newest first within a term. `tasks` has a row per
task. `feed` has a row per order and round of the projector, and is history: nothing changes it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    literal_column,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from actors.runtime.reading import ReadModelUnavailable

CONNECTIONS_MAX = 4
BUSY_TIMEOUT_S = 10.0
LOCKED_PAUSE_S = 0.01
CHECKPOINT_PAGES = 16_000  # 64 MB: pages that many commits change are copied into the database once for all of them

metadata = MetaData()

shards = Table(
    "shards",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("rebuilding", Boolean, nullable=False),
    Column("caught_up_at", BigInteger, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("shard", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("retailer", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("refund_status", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("email_digest", Text, nullable=False),
    Column("cancel_reason", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("data_key", Text, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Column("sequence", BigInteger, nullable=False, server_default="0"),
    Column("fed", Text, nullable=False, server_default=""),
    Column("fed_at", BigInteger, nullable=False, server_default="0"),
)
"""`fed`: how many public events the feed has had of it (`reading.Numbers`); `fed_at`: the position of its last row."""
Index("orders_by_change", orders.c.shard, orders.c.sequence, orders.c.id)
"""What has changed since: `sequence` is the number of the write that wrote the row last (`feed_state.written`)."""
Index("orders_by_time", orders.c.created_at, orders.c.id)
Index("orders_by_retailer", orders.c.retailer, orders.c.created_at, orders.c.id)
Index("orders_by_status", orders.c.status, orders.c.created_at, orders.c.id)
Index("orders_by_retailer_status", orders.c.retailer, orders.c.status, orders.c.created_at, orders.c.id)
Index("orders_by_email", orders.c.email_digest, orders.c.created_at, orders.c.id)
PARTLY = orders.c.refund_status == literal_column("'partial'")
"""Spelt out also where it is asked for: a partial index is not chosen for a parameter."""
Index("orders_refunded", orders.c.created_at, orders.c.id, sqlite_where=PARTLY, postgresql_where=PARTLY)

terms = Table(
    "terms",
    metadata,
    Column("term", Text, primary_key=True),
    Column("created_at", BigInteger, primary_key=True, autoincrement=False),
    Column("order_id", Text, primary_key=True),
    sqlite_with_rowid=False,
)

tasks = Table(
    "tasks",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("consignment", Integer, primary_key=True, autoincrement=False),
    Column("supplier", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("tasks_by_supplier", tasks.c.supplier, tasks.c.created_at, tasks.c.order_id)
Index("tasks_by_supplier_status", tasks.c.supplier, tasks.c.status, tasks.c.created_at, tasks.c.order_id)


counted = Table(
    "counted",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("order_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("contribution", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""What each order has been counted as in the roll-ups, to be taken out again when it changes."""

counting = Table(
    "counting",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("generation", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("as_of", BigInteger, nullable=False),
)
"""How far the roll-ups are, by shard: the place in `orders_by_change`, and when everything was counted."""

sales = Table(
    "sales",
    metadata,
    Column("retailer", Text, primary_key=True),
    Column("dimension", Text, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("currency", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    *[Column(name, BigInteger, nullable=False) for name in ("orders", "units", "revenue", "refunds")],
    sqlite_with_rowid=False,
)
"""A roll-up: figures of the orders placed on a day, by what `dimension` says `key` is. Retailer '': all of them."""

waits = Table(
    "waits",
    metadata,
    Column("retailer", Text, primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("supplier", Text, primary_key=True),
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("consignments", BigInteger, nullable=False),
    Column("total_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""A roll-up: how long suppliers took, in the buckets of a histogram."""


feed = Table(
    "feed",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("order_id", Text, nullable=False),
    Column("retailer", Text, nullable=False),
    Column("suppliers", Text, nullable=False),
    Column("numbers", Text, nullable=False),
    Column("previous", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("events", LargeBinary, nullable=False),
)
"""See `feeding.FeedRow`; names and numbers are joined by spaces. An integer key is SQLite's own, without an index."""

feed_state = Table(
    "feed_state",
    metadata,
    Column("identity", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("writer", Text, nullable=False),
    Column("written", BigInteger, nullable=False),
)
"""One row. `writer`: who may write orders and feed at all; `written`: how often that has been done."""

feed_departed = Table(
    "feed_departed",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("fed", Text, nullable=False),
    Column("fed_at", BigInteger, nullable=False),
)
"""What the feed has had of orders whose rows a rebuild has dropped, in case they come back."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("party", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
)
"""Who wants to be told, and how: `retailer:acme`, `webhook`."""

outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("purpose", Text, primary_key=True),
    Column("party", Text, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", Text, nullable=False),
)
"""A row of the feed that a subscriber is still to be told of. Until `due_at` nobody else takes it."""
Index("outbox_due", outbox.c.purpose, outbox.c.due_at)


def connect(url: str, *, reading: bool = False) -> Engine:
    """An engine for `sqlite:///PATH` or `postgresql://...`. `reading` ones cannot write."""
    if url.startswith("sqlite:"):
        engine = create_engine(
            url, pool_size=CONNECTIONS_MAX, max_overflow=0,
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        )  # fmt: skip
        # FULL: the stream is trimmed behind what is stored, so what is stored has to survive a power cut.
        pragmas = ["synchronous = FULL", "cache_size = -32768"]
        pragmas += [f"wal_autocheckpoint = {CHECKPOINT_PAGES}"]
        pragmas += ["query_only = ON"] if reading else []

        @event.listens_for(engine, "connect")
        def _connected(connection: Any, _record: Any) -> None:
            _log_ahead(connection)
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")

        return engine
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgres", "postgresql"):
        raise ValueError(f"a database is sqlite:///PATH or postgresql://..., not {scheme}://...")
    options = "-c default_transaction_read_only=on" if reading else ""
    return create_engine(
        f"postgresql+psycopg://{rest}", pool_size=CONNECTIONS_MAX, max_overflow=0, pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": int(BUSY_TIMEOUT_S)},
    )  # fmt: skip


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Have a write-ahead log. SQLite itself does not wait here: where several processes begin at once with a file that
    has none yet, all but one of them are told that it is locked. Raises sqlite3.OperationalError if it stays so."""
    give_up = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(LOCKED_PAUSE_S)
        else:
            return


@contextmanager
def translated() -> Iterator[None]:
    """Raises ReadModelUnavailable for whatever the database objects to."""
    try:
        yield
    except DBAPIError as error:
        raise ReadModelUnavailable(f"the database says: {error.orig}") from error
    except SQLAlchemyError as error:
        raise ReadModelUnavailable(str(error)) from error
