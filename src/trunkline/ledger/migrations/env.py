"""The script that Alembic runs: the migrations, on the connection that :mod:`trunkline.ledger.migrate`
passes."""

from __future__ import annotations

from alembic import context

from trunkline.ledger.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
