"""The schema: the migrations build what the tables say, and facts cannot be unmade in SQL either."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from accountant.ledger import Ledger
from accountant.tables import metadata
from migrations import is_current, migrate
from tests.accountant.conftest import EPSILON, question
from tests.postgres import Postgres, for_sqlalchemy

CATALOG = """
    SELECT 'column', table_name, column_name, data_type, is_nullable,
           column_default, is_identity, identity_generation, collation_name
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid),
           NULL, NULL, NULL, NULL, NULL
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef, NULL, NULL, NULL, NULL, NULL
    FROM pg_indexes WHERE schemaname = 'public'
"""


def catalog(uri: str) -> set[tuple[Any, ...]]:
    with psycopg.connect(uri) as connection:
        return {row for row in connection.execute(CATALOG) if row[1] != "alembic_version"}


def test_the_migrations_build_what_the_tables_say(postgres: Postgres, ledger_uri: str):
    engine = create_engine(for_sqlalchemy(ledger_uri))
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    # Alembic does not look at check constraints and partial indexes; Postgres does.
    built = postgres.fresh()
    engine = create_engine(for_sqlalchemy(built))
    metadata.create_all(engine)
    engine.dispose()
    assert catalog(ledger_uri) == catalog(built)
    assert any(row[0] == "constraint" for row in catalog(built))


def test_migrate_says_where_it_stands_and_can_be_run_again(postgres: Postgres):
    uri = postgres.fresh()
    assert not is_current(uri)
    migrate(uri)
    assert is_current(uri)
    migrate(uri)
    with psycopg.connect(uri) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    assert not is_current(uri)


def test_processes_that_migrate_at_once_wait_for_each_other(postgres: Postgres):
    uri = postgres.fresh()
    with psycopg.connect(uri) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(b"epsqlmig")])
        waiting = pool.submit(migrate, uri)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        holder.execute("ROLLBACK")
        waiting.result(timeout=20)
    assert is_current(uri)


@pytest.fixture
async def entry(ledger: Ledger, alice: UUID) -> UUID:
    """An entry of half of alice's budget."""
    return (await ledger.reserve(question(alice, EPSILON // 2))).id


def refused(uri: str, statement: str) -> type[Exception] | None:
    """The error that the statement ends in, as superuser and past all of our code."""
    try:
        with psycopg.connect(uri) as connection:
            connection.execute(statement.encode())
    except psycopg.Error as error:
        return type(error)
    return None


CHECKED = [
    "UPDATE accounts SET epsilon_spent = epsilon_cap + 1, rho_spent = rho_cap + 1",
    "UPDATE accounts SET delta_spent = delta_cap + 1, rho_spent = rho_cap + 1",
    "UPDATE accounts SET epsilon_spent = epsilon_cap + 1, slack_spent = delta_cap / 4 + 1",
    "UPDATE accounts SET epsilon_spent = -1",
    "UPDATE accounts SET delta_spent = -1",
    "UPDATE accounts SET rho_spent = -1",
    "UPDATE accounts SET slack_spent = -1",
    "UPDATE accounts SET epsilon_cap = epsilon_spent - 1, rho_cap = rho_spent - 1",
    "UPDATE accounts SET state = 'generous'",
    "UPDATE accounts SET window_kind = 'year'",
    "UPDATE head SET number = number + 1, hash = 'x'",
    "INSERT INTO head VALUES (false, 1, sha256(''), now())",
    "INSERT INTO entries (number, record, hash) VALUES (99, '{}', 'x')",
    "INSERT INTO entries (number, record, hash) VALUES (99, '{\"answer\": \"\"}', sha256(''))",
    "INSERT INTO entries (number, record, hash, cells) VALUES (99, '{}', sha256(''), '[]')",
    "INSERT INTO members SELECT 'Twin', id FROM analysts",
    "INSERT INTO analysts (id, name) VALUES (gen_random_uuid(), 'Alice')",
    "INSERT INTO analysts (id, name) VALUES (gen_random_uuid(), E'alice\\n')",
    "INSERT INTO tokens VALUES ('k', 'analyst', NULL, 'x', sha256('s'))",
    "INSERT INTO tokens VALUES ('k', 'admin', NULL, 'x', 'secret')",
]


@pytest.mark.parametrize("statement", CHECKED)
async def test_constraints(statement: str, entry: UUID, ledger_uri: str):
    assert refused(ledger_uri, statement) is psycopg.errors.CheckViolation


COLUMNS = "dataset, unit, scope, holder, epsilon_cap, delta_cap, rho_cap"


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO accounts ({COLUMNS}) SELECT {COLUMNS} FROM accounts",
        "INSERT INTO analysts (id, name) VALUES (gen_random_uuid(), 'alice')",
        "INSERT INTO head SELECT * FROM head",
        "INSERT INTO entries (number, record, hash) SELECT number, record, hash FROM entries",
        (
            "INSERT INTO entries (number, record, hash)"
            " SELECT number + 99, record, hash FROM entries WHERE doc ? 'release'"
        ),
    ],
)
async def test_nobody_has_two_budgets(statement: str, entry: UUID, ledger_uri: str):
    assert refused(ledger_uri, statement) is psycopg.errors.UniqueViolation


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM analysts",
        "DELETE FROM accounts",
        "DELETE FROM entries",
        "DELETE FROM head",
        "DELETE FROM datasets",
        "TRUNCATE entries",
        "TRUNCATE head",
        "TRUNCATE analysts CASCADE",
        "UPDATE analysts SET name = 'mallory'",
        "UPDATE accounts SET holder = 'mallory'",
        "UPDATE accounts SET unit = 'visits'",
        "UPDATE entries SET record = '{}'",
        "UPDATE entries SET hash = sha256('')",
        "UPDATE entries SET answer = NULL",
        "UPDATE head SET number = number - 1",
        "UPDATE head SET at = at - interval '1 second', number = number + 1",
        "UPDATE datasets SET epoch = 0",
    ],
)
async def test_facts_stay(statement: str, entry: UUID, ledger_uri: str):
    assert refused(ledger_uri, statement) is psycopg.errors.RaiseException


async def test_an_entry_says_everything_but_the_exact_answer(
    ledger: Ledger, entry: UUID, ledger_uri: str, books: Callable[[], None]
):
    with psycopg.connect(ledger_uri) as connection:
        row = connection.execute("SELECT doc FROM entries WHERE doc ? 'release'").fetchone()
    assert row is not None
    (doc,) = row
    event = {"kind": "discrete_laplace", "scale": "3/2", "l1_sensitivity": 1}
    assert (doc["kind"], doc["events"], doc["release"]) == ("reserve", [event], str(entry))
    assert doc["loss"] == {"epsilon": EPSILON // 2, "delta": 0, "rho": EPSILON // 8, "slack": 0}
    books()
