"""Ledgers on a fresh database, and questions to reserve for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any
from uuid import UUID

import psycopg
import pytest

from accountant.events import LaplaceEvent
from accountant.ledger import Ledger, Request
from accountant.losses import Loss
from accountant.transactions import ledger_engine

EPSILON = 10**12
DATASET = "clinic"
UNITS = ("patients",)


def question(analyst_id: UUID, epsilon: int, **changes: Any) -> Request:
    """A request for a Laplace answer; ``epsilon`` in 1e-12, so rho is half its square."""
    values: dict[str, Any] = {
        "analyst_id": analyst_id,
        "dataset": DATASET,
        "units": UNITS,
        "request_id": None,
        "request_digest": "q",
        "plan_digest": "p",
        "question_digest": "d",
        "sql": "select count(*) from patients",
        "events": [LaplaceEvent(Fraction(3, 2), 1)],
        "loss": Loss(epsilon, 0, -(-(epsilon**2) // (2 * EPSILON)), 0),
        "replayable": False,
    }
    return Request(**values | changes)


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
    await ledger.open_dataset(DATASET, UNITS, 2 * EPSILON, 10**12)
    await ledger.open_account(analyst.id, DATASET, EPSILON, 10**12)
    return analyst.id


@pytest.fixture
def books(ledger_uri: str) -> Callable[[], None]:
    """Checks that every account has spent exactly the sum of its entries that were not voided."""

    def check() -> None:
        with psycopg.connect(ledger_uri) as connection:
            wrong = connection.execute("""
                SELECT a.*, sums.*
                FROM accounts a LEFT JOIN (
                    SELECT r.doc ->> 'dataset' AS dataset, c ->> 0 AS unit, c ->> 1 AS scope,
                           c ->> 2 AS holder, sum((r.doc -> 'loss' ->> 'epsilon')::bigint) AS e,
                           sum((r.doc -> 'loss' ->> 'delta')::bigint) AS d,
                           sum((r.doc -> 'loss' ->> 'rho')::bigint) AS r,
                           sum((r.doc -> 'loss' ->> 'slack')::bigint) AS s
                    FROM entries r, jsonb_array_elements(r.doc -> 'charged') AS c
                    WHERE r.doc ->> 'kind' = 'reserve' AND NOT EXISTS (
                        SELECT FROM entries v WHERE v.doc ->> 'kind' = 'void'
                           AND v.doc ->> 'release' = r.doc ->> 'release')
                    GROUP BY 1, 2, 3, 4
                ) AS sums USING (dataset, unit, scope, holder)
                WHERE (epsilon_spent, delta_spent, rho_spent, slack_spent) IS DISTINCT FROM
                      (coalesce(e, 0), coalesce(d, 0), coalesce(r, 0), coalesce(s, 0))
            """).fetchall()
            assert wrong == []

    return check
