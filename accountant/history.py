"""What analysts may see of their own: releases, what can be built on, and what each day cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.accounts import loss_of
from accountant.administration import Administration
from accountant.books import STATES, State, own_charge
from accountant.headfile import HeadFile
from accountant.losses import Loss
from accountant.recall import Recall
from accountant.records import Chain, Receipt, time_of
from accountant.requests import Earlier, cells_of
from accountant.transactions import transaction

# The last step of a release is what became of it.
_RELEASES = """
    SELECT r.number, r.doc, r.hash, last.kind, last.at, last.answer
    FROM entries r
    CROSS JOIN LATERAL (
        SELECT e.doc ->> 'kind' AS kind, e.doc ->> 'at' AS at, e.answer FROM entries e
        WHERE e.doc ->> 'release' = r.doc ->> 'release' AND e.doc ? 'release'
        ORDER BY e.doc ->> 'step' DESC LIMIT 1
    ) AS last
    WHERE r.doc ->> 'kind' = 'reserve' AND r.doc ->> 'analyst' = :analyst
"""
_ONE_RELEASE = text(f"{_RELEASES} AND r.doc ->> 'release' = :release AND r.doc ? 'release'")
_PAGE = text(f"""
    {_RELEASES}
    AND (CAST(:dataset AS text) IS NULL OR r.doc ->> 'dataset' = :dataset)
    AND (CAST(:before AS text) IS NULL OR r.number < (
        SELECT b.number FROM entries b
        WHERE b.doc ->> 'release' = :before AND b.doc ? 'release'
          AND b.doc ->> 'step' = '0' AND b.doc ->> 'analyst' = :analyst))
    ORDER BY r.number DESC LIMIT :limit
""")
_EARLIER = text("""
    SELECT r.doc, e.doc ->> 'plan_digest' AS plan, e.doc -> 'noises' AS noises, e.cells
    FROM entries e
    JOIN datasets d ON d.name = e.doc ->> 'dataset'
        AND d.epoch = CAST(e.doc ->> 'epoch' AS bigint)
    JOIN entries r ON r.doc ->> 'release' = e.doc ->> 'release' AND r.doc ? 'release'
        AND r.doc ->> 'step' = '0'
    WHERE e.cells IS NOT NULL AND e.doc ->> 'analyst' = :analyst
      AND e.doc ->> 'question_digest' = :question AND d.name = :dataset
    ORDER BY e.number DESC LIMIT :limit
""")
_MOST_EARLIER = 20
# What the analyst's own account was charged and did not get back.
_DAYS = text("""
    SELECT left(r.doc ->> 'at', 10) AS day, count(*) AS releases,
           sum(CAST(r.doc -> 'loss' ->> 'epsilon' AS bigint)) AS epsilon,
           sum(CAST(r.doc -> 'loss' ->> 'delta' AS bigint)) AS delta,
           sum(CAST(r.doc -> 'loss' ->> 'rho' AS bigint)) AS rho,
           sum(CAST(r.doc -> 'loss' ->> 'slack' AS bigint)) AS slack
    FROM entries r
    WHERE r.doc ->> 'kind' = 'reserve' AND r.doc ->> 'analyst' = :analyst
      AND r.doc ->> 'dataset' = :dataset
      AND r.doc @> CAST(:own AS jsonb)
      AND NOT EXISTS (
        SELECT FROM entries v WHERE v.doc ->> 'release' = r.doc ->> 'release'
            AND v.doc ? 'release' AND v.doc ->> 'kind' = 'void')
    GROUP BY 1 ORDER BY 1 DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Release:
    """A release as its analyst may see it."""

    id: UUID
    dataset: str
    request_id: str | None
    sql: str
    charge: Loss
    state: State
    reserved_at: datetime
    finished_at: datetime | None
    answer: Any
    """As it was settled; None unless the state is ``answered``."""
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Day:
    """What one day of the ledger's clock, in UTC, cost an analyst on one data set."""

    day: date
    releases: int
    """How many were charged."""
    loss: Loss


class History(Administration):
    """The side of the ledger that is only read.

    Every method raises :class:`LedgerUnavailable` when the database fails.
    """

    def __init__(self, engine: AsyncEngine, head_file: HeadFile | None = None) -> None:
        super().__init__(engine, head_file)
        self._recall = Recall(engine)

    async def releases(
        self,
        analyst_id: UUID,
        dataset: str | None = None,
        limit: int = 50,
        before: UUID | None = None,
    ) -> list[Release]:
        """The analyst's own releases, newest first.

        Args:
            analyst_id: whose.
            dataset: only those on this data set.
            limit: how many at most.
            before: only those older than this release of the analyst's.
        """
        which = {
            "analyst": str(analyst_id),
            "dataset": dataset,
            "limit": limit,
            "before": before and str(before),
        }
        async with transaction(self._engine) as connection:
            return [_release(row) for row in await connection.execute(_PAGE, which)]

    async def release(self, analyst_id: UUID, release_id: UUID) -> Release | None:
        """One of the analyst's own releases; None for another's, as for one that is not there."""
        which = {"analyst": str(analyst_id), "release": str(release_id)}
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_ONE_RELEASE, which)).one_or_none()
        return None if row is None else _release(row)

    async def earlier(
        self, analyst_id: UUID, dataset: str, question_digest: str
    ) -> tuple[list[Earlier], Chain]:
        """The analyst's own answered releases of a question, of the present epoch, newest first;
        and the end of the journal that this is of."""
        which = {
            "analyst": str(analyst_id),
            "dataset": dataset,
            "question": question_digest,
            "limit": _MOST_EARLIER,
        }

        async def find(connection: AsyncConnection, _: Chain) -> tuple[list[Earlier], int]:
            rows = (await connection.execute(_EARLIER, which)).all()
            return [_earlier(row) for row in rows], sum(len(row.cells) for row in rows)

        known, end = await self._recall.of(("earlier", *which.values()), find)
        return list(known), end

    async def days(self, analyst_id: UUID, dataset: str, unit: str, limit: int = 30) -> list[Day]:
        """What the last days cost the analyst's account of a unit, newest first; only days with
        something."""
        own = {"charged": [[unit, "analyst", str(analyst_id)]]}
        which = {
            "analyst": str(analyst_id),
            "dataset": dataset,
            "own": json.dumps(own),
            "limit": limit,
        }
        async with transaction(self._engine) as connection:
            return [
                Day(
                    date.fromisoformat(row.day),
                    row.releases,
                    Loss(int(row.epsilon), int(row.delta), int(row.rho), int(row.slack)),
                )
                for row in await connection.execute(_DAYS, which)
            ]


def _earlier(row: Row[Any]) -> Earlier:
    return Earlier(
        UUID(row.doc["release"]),
        row.plan,
        cells_of(row.cells, row.noises),
        loss_of(row.doc.get("view") or row.doc["loss"]),
    )


def _release(row: Row[Any]) -> Release:
    doc, state = row.doc, STATES[row.kind]
    finished = state not in {"reserved", "dispatched"}
    return Release(
        id=UUID(doc["release"]),
        dataset=doc["dataset"],
        request_id=doc.get("request_id"),
        sql=doc["sql"],
        charge=own_charge(doc),
        state=state,
        reserved_at=time_of(doc["at"]),
        finished_at=time_of(row.at) if finished else None,
        answer=None if row.answer is None else json.loads(row.answer),
        receipt=Receipt(row.number, row.hash.hex()),
    )
