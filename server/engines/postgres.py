"""Postgres as an engine: few rights, pinned settings, one fixed sentence for every failure."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Self

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor, IsolationLevel
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool

from analyzer.catalog import Scalar
from analyzer.plan import SelectionKey, Statement
from server.engines import EngineFailed, EngineUnavailable, ExactRows, Row

_log = logging.getLogger(__name__)

_CHUNK = 1000
"""Rows that are fetched at once."""

_PINNED = {
    # Names mean what pg_catalog says, whatever else the database holds.
    "search_path": "pg_catalog",
    "default_transaction_read_only": "on",
    # How values and constants are read and printed.
    "TimeZone": "UTC",
    "DateStyle": "ISO,YMD",
    "IntervalStyle": "iso_8601",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "extra_float_digits": "1",
    # How a statement is run: the same way each time, as far as a setting can say so.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "synchronize_seqscans": "off",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    # The server's words to its client go nowhere, so it need not say them.
    "client_min_messages": "error",
}
"""Given when a connection starts, so that they are what RESET goes back to."""

_AS_TEXT = ("date", "timestamp", "timestamptz", "uuid")
"""Types whose values come as text, see :class:`server.engines.Engine`."""

_TOO_MANY_ROWS = "54000"

_LONG = 100_000
"""Characters of noisy rows from which on a finish is planned for many."""
_NO_LOOPS = "SELECT set_config('enable_nestloop', 'off', true)"
"""Postgres takes each JSON array for one of a hundred rows, and would join many thousands with as
many in loops: minutes, and the answer is paid for."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one query and one process may use."""

    statement_seconds: int = 60
    connect_seconds: float = 5.0
    """Waiting for a connection of the pool, and for a new one to be made."""
    connections: int = 8
    rows: int = 200_000
    """The most rows that an answer may have."""


class PostgresEngine:
    """One data set in one Postgres database, behind a pool of connections."""

    def __init__(
        self, dsn: str, bounds: Bounds | None = None, *, selection_key: int | None = None
    ) -> None:
        """Connects nowhere yet: :meth:`open` does.

        Args:
            dsn: of a role that may SELECT the declared columns and nothing else.
            bounds: limits on time, connections and rows.
            selection_key: what a statement's selection key stands for, of 63 bits. By default one
                of this process's own: a unit's groups are then chosen anew after a restart.
        """
        self._bounds = bounds or Bounds()
        self._selection_key = secrets.randbits(63) if selection_key is None else selection_key
        settings = _PINNED | {"statement_timeout": f"{self._bounds.statement_seconds}s"}
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            dsn,
            kwargs={
                "autocommit": True,
                "prepare_threshold": None,
                "cursor_factory": AsyncRawCursor,
                "client_encoding": "UTF8",
                "application_name": "epsql",
                "connect_timeout": max(1, round(self._bounds.connect_seconds)),
                "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            },
            min_size=1,
            max_size=self._bounds.connections,
            timeout=self._bounds.connect_seconds,
            # Who asks tries anew. By itself the pool would wait twice as long after each failure.
            reconnect_timeout=self._bounds.connect_seconds,
            configure=_configure,
            reset=_reset,
            check=AsyncConnectionPool.check_connection,
            open=False,
            name="epsql-engine",
        )

    async def open(self) -> Self:
        """Starts the pool. It connects in the background: a database that is down is no error."""
        await self._pool.open()
        return self

    async def close(self) -> None:
        await self._pool.close()

    async def ready(self) -> bool:
        try:
            rows = await self._all("SELECT 1", ())
        except EngineFailed:
            return False
        return rows == [(1,)]

    async def fetch(self, statements: Sequence[Statement]) -> AsyncGenerator[tuple[int, ExactRows]]:
        texts = [(statement.sql, self._parameters(statement)) for statement in statements]
        async with aclosing(self._run(texts)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def finish(self, statement: Statement, noisy_rows: str) -> list[Row]:
        before = [_NO_LOOPS] if len(noisy_rows) > _LONG else []
        return await self._all(
            statement.sql, [noisy_rows, *self._parameters(statement)], before=before
        )

    def _parameters(self, statement: Statement) -> list[str | None]:
        return [
            str(self._selection_key) if isinstance(value, SelectionKey) else _as_text(value)
            for value in statement.parameters
        ]

    async def _all(
        self, sql: str, parameters: Sequence[str | None], *, before: Sequence[str] = ()
    ) -> ExactRows:
        """All rows of one statement, up to the limit; ``before`` runs in its transaction first."""
        found = ExactRows()
        texts = [*((text, ()) for text in before), (sql, parameters)]
        async with aclosing(self._run(texts)) as chunks:
            async for number, rows in chunks:
                if number == len(before):
                    found += rows
                if len(found) > self._bounds.rows:
                    raise _logged(EngineFailed(_TOO_MANY_ROWS))
        return found

    async def _run(
        self, statements: Sequence[tuple[str, Sequence[str | None]]]
    ) -> AsyncGenerator[tuple[int, ExactRows]]:
        """Runs statements in a read-only transaction of their own."""
        try:
            async with self._connection() as connection, connection.transaction():
                for number, (sql, parameters) in enumerate(statements):
                    async with aclosing(_chunks(connection, sql, parameters)) as chunks:
                        async for rows in chunks:
                            yield number, rows
        except EngineFailed as error:
            failed = type(error)(error.sqlstate)
        except psycopg.Error as error:
            failed = EngineFailed(error.sqlstate)
        else:
            return
        # Raised out here, the new exception has no context and no frames: neither the driver's text
        # nor a local variable with rows in it can follow it into a log.
        raise _logged(failed)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Row]]:
        try:
            connection = await self._pool.getconn()
        except psycopg.Error:
            raise EngineUnavailable from None
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)


def _logged(failure: EngineFailed) -> EngineFailed:
    _log.error(
        "engine failed: %s", failure.sqlstate, extra={"database": "data", "failure": failure}
    )
    return failure


async def _chunks(
    connection: AsyncConnection[Row], sql: str, parameters: Sequence[str | None]
) -> AsyncGenerator[ExactRows]:
    """The rows of one statement, some at a time: they are never in memory all at once."""
    rows = ExactRows()
    async with connection.cursor() as cursor:
        # A str goes out with no type of its own, so the CAST around each placeholder decides.
        async for row in cursor.stream(sql.encode(), parameters, size=_CHUNK):
            rows.append(row)
            if len(rows) == _CHUNK:
                yield rows
                rows = ExactRows()
    yield rows


async def _configure(connection: AsyncConnection[Row]) -> None:
    await connection.set_read_only(True)
    # The statements of one plan see one state of the data.
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    for name in _AS_TEXT:
        connection.adapters.register_loader(name, TextLoader)


async def _reset(connection: AsyncConnection[Row]) -> None:
    """Nothing of one analyst's session is left to the next: back to the pinned settings."""
    await connection.execute("DISCARD ALL")


def _as_text(value: Scalar | None) -> str | None:
    """A parameter in the spelling that Postgres reads back as the same value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
