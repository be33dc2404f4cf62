"""The archive: a record per order that has left the journal."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "archive",
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("home", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.Column("data_key", sa.Text, nullable=False),
        sa.Column("archived_at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("archive")
