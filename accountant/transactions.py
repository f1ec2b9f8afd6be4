"""Transactions on the ledger's database: durable, writable, or not at all."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import psycopg.errors
from sqlalchemy import CursorResult, Row, TextClause, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from accountant.errors import LedgerUnavailable
from accountant.outages import ledger_outage, outage

_log = logging.getLogger(__name__)

# A commit that the disk may still lose would give the charge back. remote_apply is stronger: kept.
_PIN = text("""
    SELECT current_setting('transaction_read_only') = 'off' AS writable,
           current_setting('transaction_isolation') = 'read committed' AS sees_latest,
           set_config('lock_timeout', '10s', true),
           set_config('statement_timeout', '20s', true),
           set_config('synchronous_commit',
                      CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
                           THEN 'on' ELSE current_setting('synchronous_commit') END, true)
""")
WRITABLE = "current_setting('transaction_read_only') = 'off' AS writable"
"""Has to be among the columns of each :func:`look`."""


class Duplicate(Exception):
    """A row with the same key is there already. For the ledger's own use: never leaves it."""


def ledger_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for the ledger's database.

    Args:
        url: a ``postgresql://`` URL. Not through a pooler that shares sessions between clients: a
            worker shows that it lives by a lock of its session.
        pool_size: connections kept open, at least two: one of them shows that this worker lives.
    """
    if pool_size < 2:
        raise ValueError("the ledger needs two connections or more")
    return create_async_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=15,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        connect_args={"connect_timeout": 5, "application_name": "epsql ledger"},
    )


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction, committed durably when the block ends and rolled back when it raises.

    Raises:
        LedgerUnavailable: the database failed in any way, is a standby, or is read-only. When it is
            the commit that failed, whether it took place is not known.
        Duplicate: a unique constraint refused a row.
    """
    with no_driver_errors():
        async with _asked(engine, _PIN) as (connection, answer):
            pinned = answer.one()
            if not (pinned.writable and pinned.sees_latest):
                raise _read_only()
            yield connection
            await connection.commit()


async def look(
    engine: AsyncEngine, query: TextClause, values: Mapping[str, Any] | None = None
) -> Sequence[Row[Any]]:
    """The rows of one statement that only reads: nothing is begun, pinned or committed.

    Args:
        engine: of the ledger.
        query: gives one row at least, which says ``WRITABLE``.
        values: its parameters.

    Raises:
        LedgerUnavailable: the database failed in any way, is a standby, or is read-only; or there
            is no row.
    """
    looking = engine.execution_options(isolation_level="AUTOCOMMIT")
    with no_driver_errors():
        async with _asked(looking, query, values) as (_, answer):
            rows = answer.all()
    if not (rows and rows[0].writable):
        raise _read_only()
    return rows


@asynccontextmanager
async def _asked(
    engine: AsyncEngine, first: TextClause, values: Mapping[str, Any] | None = None
) -> AsyncIterator[tuple[AsyncConnection, CursorResult[Any]]]:
    """A connection, and what it answers to a first statement; what is left open is rolled back.

    A connection of the pool may have died meanwhile. The statement finds out, which spares a round
    trip for that alone. It only reads, so it can be asked again of a new connection.
    """
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(engine.connect())
        try:
            answer = await connection.execute(first, values)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            await stack.aclose()  # with it SQLAlchemy has given up all that the pool holds
            connection = await stack.enter_async_context(engine.connect())
            answer = await connection.execute(first, values)
        yield connection, answer


def _read_only() -> LedgerUnavailable:
    failure = psycopg.errors.ReadOnlySqlTransaction()
    return ledger_outage(_log, "its database is read-only, or not set up as it has to be", failure)


@contextmanager
def no_driver_errors() -> Iterator[None]:
    """Turns every error of the driver into one of ours, and logs its kind without its text."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        if isinstance(cause, psycopg.errors.UniqueViolation):
            raise Duplicate from None
        raise ledger_outage(_log, f"its database failed: {outage(cause)}", cause) from None
