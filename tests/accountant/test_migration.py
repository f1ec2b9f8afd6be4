"""A ledger of the first schema becomes one of the present: nothing that was spent is lost.

Its third entry was dispatched before it was reserved, by a clock that had been set back.
"""

from __future__ import annotations

import psycopg
import pytest
from alembic import command

from accountant.errors import BudgetExceeded
from accountant.journal_files import audit
from accountant.ledger import Ledger, Replay, Reservation
from accountant.losses import Loss
from accountant.transactions import ledger_engine
from migrations import config, migrate
from tests.accountant.conftest import DATASET, EPSILON, UNITS, question
from tests.postgres import Postgres

OLD = """
INSERT INTO analysts (id, name, created_at, disabled_at) VALUES
  ('00000000-0000-0000-0000-00000000000a', 'alice', '2026-01-01 10:00Z', NULL),
  ('00000000-0000-0000-0000-00000000000b', 'bob', '2026-01-01 11:00Z', '2026-01-04 11:00Z');
INSERT INTO workers DEFAULT VALUES;
INSERT INTO accounts (dataset, analyst_id, epsilon_cap, epsilon_spent, delta_cap, delta_spent,
                      rho_spent, created_at) VALUES
  ('clinic', NULL, 2000000000000, 700000000000, 1000000, 1000000, 145000000000, '2026-01-01 09:00Z'),
  ('clinic', '00000000-0000-0000-0000-00000000000a', 1000000000000, 700000000000, 1000000, 1000000,
   145000000000, '2026-01-01 10:00Z'),
  ('clinic', '00000000-0000-0000-0000-00000000000b', 1000000000000, 0, 0, 0, 0, '2026-01-01 11:00Z');
INSERT INTO entries (id, analyst_id, dataset, request_id, request_digest, plan_digest, sql, events,
    epsilon, delta, rho, state, worker_id, reserved_at, dispatched_at, finished_at, answer) VALUES
  ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-00000000000a', 'clinic', 'r', 'q',
   'p', 'select 1', '[{"kind": "discrete_laplace", "scale": "2", "l1_sensitivity": 1},
                      {"kind": "key_threshold", "delta": "1/1000000000000"}]',
   500000000000, 1000000, 125000000000, 'answered', 1, '2026-01-02 10:00Z', '2026-01-02 10:01Z',
   '2026-01-02 10:02Z', '{"rows": [[1e16, 0.10]]}'),
  ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-00000000000a', 'clinic', NULL, 'q',
   'p', 'select 2', '[{"kind": "discrete_laplace", "scale": "2", "l1_sensitivity": 1}]',
   500000000000, 0, 125000000000, 'voided', 1, '2026-01-02 11:00Z', NULL, '2026-01-02 11:02Z', NULL),
  ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-00000000000a', 'clinic', NULL, 'q',
   'p', 'select 3', '[{"kind": "discrete_laplace", "scale": "5", "l1_sensitivity": 1}]',
   200000000000, 0, 20000000000, 'dispatched', 1, '2026-01-02 12:00Z', '2026-01-02 09:00Z', NULL,
   NULL);
INSERT INTO admin_log (at, actor, action, subject, detail, reason) VALUES
  ('2026-01-03 10:00Z', 'root', 'set cap', 'clinic', '{"epsilon_cap": [1, 2]}', 'paper');
INSERT INTO tokens (key_id, kind, label, secret_sha256) VALUES ('k', 'admin', 'root', sha256('s'));
"""


@pytest.fixture
def old(postgres: Postgres) -> str:
    """A ledger of the first schema, with something of everything."""
    uri = postgres.fresh()
    command.upgrade(config(uri), "0001")
    with psycopg.connect(uri) as connection:
        connection.execute(OLD.encode())
    return uri


async def test_what_was_spent_stays_spent_and_what_was_answered_is_answered(old: str):
    migrate(old)
    engine = ledger_engine(old)
    ledger = Ledger(engine)
    try:
        assert (await audit(engine)).findings == []
        alice, bob = await ledger.list_analysts()
        assert (alice.name, bob.name, bob.disabled_at is not None) == ("alice", "bob", True)
        await ledger.open_dataset(DATASET, UNITS, 9 * EPSILON, 0)
        assert await ledger.burn_orphans() == 1
        accounts = await ledger.accounts()
        spent = Loss(700_000_000_000, 1_000_000, 145_000_000_000, 1_000_000)
        assert [account.spent for account in accounts[:2]] == [spent, spent]
        assert {account.key.unit for account in accounts} == set(UNITS)
        assert accounts[0].cap.epsilon == 2 * EPSILON, "what is there is left as it is"

        replay = await ledger.reserve(question(alice.id, 1, request_id="r", request_digest="q"))
        assert isinstance(replay, Replay)
        assert repr(replay.answer) == "{'rows': [[1e+16, 0.1]]}"
        states = [release.state for release in await ledger.releases(alice.id)]
        assert states == ["failed", "voided", "answered"]

        # Its delta was filled under the old rule, so only a higher cap lets it ask again.
        with pytest.raises(BudgetExceeded):
            await ledger.reserve(question(alice.id, EPSILON // 10))
        for holder in (alice.id, None):
            await ledger.set_cap(holder, DATASET, delta_cap=4_000_000)
        assert isinstance(await ledger.reserve(question(alice.id, EPSILON // 10)), Reservation)
    finally:
        await ledger.close()
        await engine.dispose()


async def test_accounts_without_a_unit_are_not_guessed(old: str):
    migrate(old)
    engine = ledger_engine(old)
    try:
        with pytest.raises(ValueError, match="of one unit"):
            await Ledger(engine).open_dataset(DATASET, ["households", "patients"], EPSILON, 0)
    finally:
        await engine.dispose()


def test_an_empty_ledger_of_the_first_schema_has_an_empty_journal(postgres: Postgres):
    uri = postgres.fresh()
    command.upgrade(config(uri), "0001")
    migrate(uri)
    with psycopg.connect(uri) as connection:
        assert connection.execute("SELECT number FROM head").fetchall() == [(0,)]
        assert connection.execute("SELECT count(*) FROM entries").fetchall() == [(0,)]
