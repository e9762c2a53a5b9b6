"""Run by Alembic; the connection comes from `catalog/database.py`."""

from alembic import context

from tenshot.index.catalog.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=False
)
context.run_migrations()
