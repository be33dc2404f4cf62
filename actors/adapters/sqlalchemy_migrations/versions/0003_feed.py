"""The public feed, and the outbox of those who want to be told of it. Orders that are there already are told from their
beginning: all shards are rebuilt."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

POSITION = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("orders", sa.Column("fed", sa.Text, nullable=False, server_default=""))
    op.add_column("orders", sa.Column("fed_at", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "feed",
        sa.Column("position", POSITION, primary_key=True, autoincrement=False),
        *[sa.Column(name, sa.Text, nullable=False) for name in ("order_id", "retailer", "suppliers", "numbers")],
        *[sa.Column(name, sa.BigInteger, nullable=False) for name in ("previous", "at")],
        sa.Column("events", sa.LargeBinary, nullable=False),
    )
    state = op.create_table(
        "feed_state",
        sa.Column("identity", sa.Text, primary_key=True),
        *[sa.Column(name, sa.BigInteger, nullable=False) for name in ("position", "floor")],
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("written", sa.BigInteger, nullable=False),
    )
    first = {"position": 0, "floor": 0, "writer": "", "written": 0}
    op.bulk_insert(state, [{"identity": secrets.token_hex(8), **first}])
    op.create_table(
        "feed_departed",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("fed", sa.Text, nullable=False),
        sa.Column("fed_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "subscriptions",
        *[sa.Column(name, sa.Text, primary_key=True) for name in ("party", "purpose")],
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        *[sa.Column(name, sa.Text, primary_key=True) for name in ("purpose", "party")],
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.Text, nullable=False),
    )
    op.create_index("outbox_due", "outbox", ["purpose", "due_at"])
    op.execute("UPDATE orders SET sequence = 0")  # from now on the number of the write; a rebuild has all counted again
    op.execute("DELETE FROM terms WHERE term LIKE 'stripe:tr_%'")  # transfers name their orders themselves
    op.execute("UPDATE shards SET rebuilding = true, generation = generation + 1")


def downgrade() -> None:
    for table in ("outbox", "subscriptions", "feed_departed", "feed_state", "feed"):
        op.drop_table(table)
    op.drop_column("orders", "fed_at")
    op.drop_column("orders", "fed")
