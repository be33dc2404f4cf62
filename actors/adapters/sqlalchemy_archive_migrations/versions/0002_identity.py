"""The archive's id, by which a journal tells it from another one, or from an empty one in its place."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("archive_identity", sa.Column("id", sa.Text, primary_key=True))


def downgrade() -> None:
    op.drop_table("archive_identity")
