"""Loads the NAFLD example into a Postgres: for the demo, for tests, and for whoever wants to try.

python -m server.demo_data postgresql://owner@host/database
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from server.embedded import EmbeddedPostgres
from server.policy import load_policy
from server.policy_grants import grants_sql

_CHECKOUT = Path(__file__).resolve().parent.parent / "examples" / "nafld"
EXAMPLE = _CHECKOUT if _CHECKOUT.is_dir() else Path(sys.prefix) / "share" / "epsql" / "nafld"
"""The example's directory: in a checkout, or where the wheel puts it."""
POLICY = EXAMPLE / "policy.toml"

_TABLES = ("patients", "labs", "events")
_CHUNK = 1 << 20


def load(dsn: str, say: Callable[[str], None] = print) -> None:
    """Creates and fills the example's tables in one transaction.

    Args:
        dsn: a database in which the tables do not exist yet, as a role that may create them.
        say: gets one line for each table.

    Raises:
        psycopg.Error: the tables exist, or the database said no; nothing is left behind.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute((EXAMPLE / "schema.sql").read_bytes())
        for table in _TABLES:
            rows = _copy(connection, table)
            say(f"  {table:<9} {rows:>8,} rows")
        connection.execute((EXAMPLE / "indexes.sql").read_bytes())


@dataclass(frozen=True, slots=True)
class DemoDatabases:
    """Where the demo's data and ledger are, each through the role that epsql is to use for it."""

    data_url: str
    """The role may SELECT what the policy declares."""
    ledger_url: str
    """The role owns the ledger's database and cannot enter the data's."""


def prepare(postgres: EmbeddedPostgres, say: Callable[[str], None] = print) -> DemoDatabases:
    """Makes both databases and their roles on an embedded Postgres; what is there is kept."""
    postgres.create_role("epsql_reader")
    postgres.create_role("epsql_ledger")
    postgres.create_database("ledger", owner="epsql_ledger")
    postgres.create_database("nafld")
    if not _is_loaded(postgres.url("nafld")):
        load(postgres.url("nafld"), say)
    postgres.execute("nafld", grants_sql(load_policy(POLICY), "epsql_reader"))
    return DemoDatabases(
        data_url=postgres.url("nafld", "epsql_reader"),
        ledger_url=postgres.url("ledger", "epsql_ledger"),
    )


def _is_loaded(dsn: str) -> bool:
    """All three tables come in one transaction, so the last one stands for all."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT to_regclass('public.events')").fetchone()
    return row is not None and row[0] is not None


def _copy(connection: psycopg.Connection, table: str) -> int:
    path = EXAMPLE / f"{table}.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        header = next(csv.reader(text))
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER match)").format(
        sql.Identifier("public", table), sql.SQL(", ").join(map(sql.Identifier, header))
    )
    with connection.cursor() as cursor, gzip.open(path) as data:
        with cursor.copy(command) as copy:
            while chunk := data.read(_CHUNK):
                copy.write(chunk)
        return cursor.rowcount


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m server.demo_data postgresql://owner@host/database")
    load(sys.argv[1])


if __name__ == "__main__":
    main()
