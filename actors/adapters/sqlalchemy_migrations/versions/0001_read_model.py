"""The read model: shards' offsets, orders, terms, tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "shards",
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("rebuilding", sa.Boolean, nullable=False),
        sa.Column("caught_up_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.Text, primary_key=True),
        *[sa.Column(name, sa.Integer, nullable=False) for name in ("shard", "generation", "version")],
        *[sa.Column(name, sa.Text, nullable=False) for name in ("retailer", "status", "refund_status", "currency")],
        *[sa.Column(name, sa.BigInteger, nullable=False) for name in ("amount", "captured", "refunded")],
        *[sa.Column(name, sa.Text, nullable=False) for name in ("email_digest", "cancel_reason")],
        *[sa.Column(name, sa.BigInteger, nullable=False) for name in ("created_at", "updated_at")],
        sa.Column("data_key", sa.Text, nullable=False),
        sa.Column("snapshot", sa.LargeBinary, nullable=False),
    )
    newest = ["created_at", "id"]
    op.create_index("orders_by_time", "orders", newest)
    op.create_index("orders_by_retailer", "orders", ["retailer", *newest])
    op.create_index("orders_by_status", "orders", ["status", *newest])
    op.create_index("orders_by_retailer_status", "orders", ["retailer", "status", *newest])
    op.create_index("orders_by_email", "orders", ["email_digest", *newest])
    partly = sa.text("refund_status = 'partial'")
    op.create_index("orders_refunded", "orders", newest, sqlite_where=partly, postgresql_where=partly)
    op.create_table(
        "terms",
        sa.Column("term", sa.Text, primary_key=True),
        sa.Column("created_at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tasks",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("consignment", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("supplier", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("tasks_by_supplier", "tasks", ["supplier", "created_at", "order_id"])
    op.create_index("tasks_by_supplier_status", "tasks", ["supplier", "status", "created_at", "order_id"])


def downgrade() -> None:
    for table in ("tasks", "terms", "orders", "shards"):
        op.drop_table(table)
