"""The role that serves: it can do its work, and cannot rewrite what happened."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from accountant.grants import grants_sql
from accountant.journal_files import audit
from accountant.ledger import Ledger, Reservation
from accountant.transactions import ledger_engine
from server.identity import Identity
from tests.accountant.conftest import DATASET, EPSILON, UNITS, question
from tests.postgres import Postgres, database_of

ROLE = 'ledger "clerk"'


@pytest.fixture
def clerk(postgres: Postgres, ledger_uri: str) -> str:
    """The ledger as the role that serves sees it."""
    name = psycopg.sql.Identifier(ROLE)
    postgres.execute(psycopg.sql.SQL("DROP ROLE IF EXISTS {}").format(name))
    postgres.execute(psycopg.sql.SQL("CREATE ROLE {} LOGIN").format(name))
    with psycopg.connect(ledger_uri) as connection:
        connection.execute(grants_sql(ROLE).encode())
    return postgres.uri(database_of(ledger_uri), ROLE)


@pytest.fixture(autouse=True)
def gone(postgres: Postgres, ledger_uri: str) -> Iterator[None]:
    """Roles are of the cluster, so they are taken away after each test."""
    yield
    name = psycopg.sql.Identifier(ROLE)
    with psycopg.connect(ledger_uri) as connection:
        connection.execute(psycopg.sql.SQL("DROP OWNED BY {}").format(name))
    postgres.execute(psycopg.sql.SQL("DROP ROLE {}").format(name))


async def test_it_can_do_all_that_serving_needs(clerk: str):
    engine = ledger_engine(clerk)
    ledger, identity = Ledger(engine), Identity(engine)
    try:
        await ledger.burn_orphans()
        await ledger.open_dataset(DATASET, UNITS, EPSILON, 0)
        alice = await ledger.add_analyst("alice")
        await ledger.open_account(alice.id, DATASET, EPSILON, 0)
        await identity.verify(await identity.new_token("alice"))
        held = await ledger.reserve(question(alice.id, EPSILON // 10))
        assert isinstance(held, Reservation)
        await ledger.dispatch(held.id)
        await ledger.settle(held.id, {})
        await ledger.join_group("team", "alice")
        await ledger.leave_group("team", "alice")
        await ledger.set_window(alice.id, DATASET, "day", 1, 0)
        await ledger.set_cap(None, DATASET, epsilon_cap=EPSILON, verb="grant")
        await ledger.set_state(None, DATASET, "frozen")
        await ledger.advance_epoch(DATASET)
        await ledger.disable_analyst("alice")
        assert (await audit(engine)).findings[1:] == []
    finally:
        await ledger.close()
        await engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET record = '{}'",
        "UPDATE entries SET answer = '{}'",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "DELETE FROM head",
        "DELETE FROM accounts",
        "UPDATE accounts SET holder = ''",
        "DELETE FROM analysts",
        "UPDATE analysts SET name = 'bob'",
        "UPDATE tokens SET secret_sha256 = sha256('s')",
        "ALTER TABLE entries DISABLE TRIGGER ALL",
        "DROP TABLE entries",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (a int)",
    ],
)
async def test_it_cannot_rewrite(statement: str, clerk: str, alice: UUID):
    with (
        psycopg.connect(clerk) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
