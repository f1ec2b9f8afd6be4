"""Rows of public tables, for the shadow. Of a protected table, this reads nothing."""

from __future__ import annotations

import psycopg
from psycopg import AsyncConnection, sql

from analyzer.catalog import Table
from server.engines import EngineFailed, EngineUnavailable

MOST_BYTES = 64 * 1024 * 1024


class _TooMuch(Exception):
    """More than is wanted; raised, so that the driver cancels what is still to come."""


async def public_rows(dsn: str, table: Table, most: int) -> bytes | None:
    """The declared columns of a public table, in the text format of COPY.

    Args:
        dsn: of the data, as epsql's own role.
        table: declared public.
        most: rows; with more, or with more than 64 MB, there is no answer but None.

    Raises:
        EngineUnavailable: the database cannot be reached.
        EngineFailed: it did not give the rows.
    """
    assert not table.protected, "protected rows are read by plans alone"
    question = sql.SQL("COPY (SELECT {} FROM {} LIMIT {}) TO STDOUT").format(
        sql.SQL(", ").join(map(sql.Identifier, table.columns)),
        sql.Identifier(table.schema, table.relation),
        sql.Literal(most + 1),
    )
    try:
        return await _copied(dsn, question, most)
    except _TooMuch:
        return None
    except psycopg.OperationalError as error:
        failed: EngineFailed = EngineUnavailable(error.sqlstate)
    except psycopg.Error as error:
        failed = EngineFailed(error.sqlstate)
    # Raised out here it has no context: the driver's words may quote the data.
    raise failed


async def _copied(dsn: str, question: sql.Composed, most: int) -> bytes:
    rows, text = 0, bytearray()
    async with (
        await AsyncConnection.connect(
            dsn,
            application_name="epsql public tables",
            connect_timeout=10,
            client_encoding="UTF8",
            options="-c search_path=pg_catalog -c default_transaction_read_only=on"
            " -c statement_timeout=60s -c TimeZone=UTC -c DateStyle=ISO,YMD"
            " -c extra_float_digits=1",
        ) as connection,
        connection.cursor() as cursor,
        cursor.copy(question) as copy,
    ):
        async for row in copy:  # Postgres sends one row at a time
            rows += 1
            text += row
            if rows > most or len(text) > MOST_BYTES:
                raise _TooMuch
    return bytes(text)
