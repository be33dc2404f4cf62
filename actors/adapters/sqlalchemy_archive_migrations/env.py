"""Alembic's entry for the archive: runs its migrations on the connection it is handed by `sqlalchemy_migrating`."""

from alembic import context

from actors.adapters.sqlalchemy_archive import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
