"""Ledgers on a fresh database, and questions to reserve for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any
from uuid import UUID

import psycopg
import pytest

from accountant.events import LaplaceEvent
from accountant.ledger import Ledger
from accountant.losses import Loss
from accountant.transactions import ledger_engine

EPSILON = 10**12
DATASET = "clinic"


def question(analyst_id: UUID, epsilon: int, **changes: Any) -> dict[str, Any]:
    """The arguments of a reserve; ``epsilon`` in 1e-12."""
    return {
        "analyst_id": analyst_id,
        "dataset": DATASET,
        "request_id": None,
        "request_digest": "q",
        "plan_digest": "p",
        "sql": "select count(*) from patients",
        "events": [LaplaceEvent(Fraction(3, 2), 1)],
        "loss": Loss(epsilon, 0, 0, 0),
    } | changes


@pytest.fixture
async def open_ledger(ledger_uri: str) -> AsyncIterator[Callable[[], Ledger]]:
    """Opens ledgers on one database, each with an engine and a worker of its own, as processes do."""
    opened: list[Ledger] = []

    def open_one() -> Ledger:
        opened.append(Ledger(ledger_engine(ledger_uri, pool_size=12)))
        return opened[-1]

    yield open_one
    for ledger in opened:
        await ledger.close()
        await ledger._engine.dispose()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()


@pytest.fixture
async def alice(ledger: Ledger) -> UUID:
    """An analyst with a cap of 1 on a data set with a cap of 2, and delta 1e-6 in both."""
    analyst = await ledger.add_analyst("alice")
    await ledger.open_dataset(DATASET, 2 * EPSILON, 10**12)
    await ledger.open_account(analyst.id, DATASET, EPSILON, 10**12)
    return analyst.id


@pytest.fixture
def books(ledger_uri: str) -> Callable[[], None]:
    """Checks that every account has spent exactly the sum of its entries that were not voided."""

    def check() -> None:
        with psycopg.connect(ledger_uri) as connection:
            wrong = connection.execute("""
                SELECT a.dataset, a.analyst_id, a.epsilon_spent, sum(e.epsilon)
                FROM accounts a LEFT JOIN entries e
                  ON e.dataset = a.dataset AND e.state <> 'voided'
                 AND (a.analyst_id IS NULL OR e.analyst_id = a.analyst_id)
                GROUP BY a.id
                HAVING (a.epsilon_spent, a.delta_spent, a.rho_spent) IS DISTINCT FROM
                       (coalesce(sum(e.epsilon), 0), coalesce(sum(e.delta), 0),
                        coalesce(sum(e.rho), 0))
            """).fetchall()
            assert wrong == []

    return check
