"""Alembic's entry: runs the migrations on the connection it is handed by `sqlalchemy_migrating`."""

from alembic import context

from actors.adapters.sqlalchemy_tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
