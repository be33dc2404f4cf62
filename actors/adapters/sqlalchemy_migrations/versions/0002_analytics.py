"""Analytics: what has changed since, roll-ups by day, and how each order has been counted in them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("orders", sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("orders_by_change", "orders", ["shard", "sequence", "id"])
    op.create_table(
        "counted",
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("contribution", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counting",
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sales",
        *[sa.Column(name, sa.Text, primary_key=True) for name in ("retailer", "dimension")],
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        *[sa.Column(name, sa.Text, primary_key=True) for name in ("currency", "key")],
        *[sa.Column(name, sa.BigInteger, nullable=False) for name in ("orders", "units", "revenue", "refunds")],
        sqlite_with_rowid=False,
    )
    op.create_table(
        "waits",
        *[sa.Column(name, sa.Text, primary_key=True) for name in ("retailer", "measure")],
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("supplier", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
        *[sa.Column(name, sa.BigInteger, nullable=False) for name in ("consignments", "total_ms")],
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("waits", "sales", "counting", "counted"):
        op.drop_table(table)
    op.drop_index("orders_by_change", "orders")
    op.drop_column("orders", "sequence")
