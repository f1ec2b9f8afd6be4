"""What Alembic runs: one transaction for all revisions, one process at a time."""

from __future__ import annotations

from alembic import context
from sqlalchemy import NullPool, create_engine, func, select

from accountant.tables import metadata

_LOCK = int.from_bytes(b"epsqlmig")

engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        context.run_migrations()
