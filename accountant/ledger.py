"""The ledger: what was asked, what it was charged, and what was answered.

Its decisions are in ``books``, its statements in ``loading``, its transactions in ``journal`` and
``scribe``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from accountant.accounts import loss_of
from accountant.administration import Administration
from accountant.books import STATES, STEPS, Dispatch, Fail, Reserve, Settle, State, Void
from accountant.headfile import HeadFile
from accountant.losses import Loss
from accountant.records import Receipt, time_of
from accountant.requests import (
    REQUEST_ID,
    Cells,
    Earlier,
    EffectiveNoise,
    Replay,
    Request,
    Reservation,
    cells_of,
)
from accountant.scribe import Scribe
from accountant.transactions import transaction
from accountant.workers import Worker, living

__all__ = [
    "REQUEST_ID",
    "Cells",
    "Earlier",
    "EffectiveNoise",
    "Ledger",
    "Release",
    "Replay",
    "Request",
    "Reservation",
    "State",
]

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
# Of workers that were not found dead before: what they reserved and never ended.
_UNFINISHED = text("""
    SELECT w.id, r.doc ->> 'release' AS release
    FROM workers w
    LEFT JOIN entries r ON r.doc ->> 'worker' = CAST(w.id AS text) AND r.doc ? 'worker'
        AND NOT EXISTS (
            SELECT FROM entries e
            WHERE e.doc ->> 'release' = r.doc ->> 'release' AND e.doc ? 'release'
              AND e.doc ->> 'step' = '2')
    WHERE w.gone_at IS NULL
    ORDER BY r.number
""")
_GONE = text("UPDATE workers SET gone_at = :at WHERE id = ANY (CAST(:ids AS integer[]))")


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


class Ledger(Administration):
    """The only writer of the ledger. Several processes may share one database.

    Every method raises :class:`LedgerUnavailable` when the database fails; then nothing may be
    asked, and nothing that was not settled may leave.
    """

    def __init__(self, engine: AsyncEngine, head_file: HeadFile | None = None) -> None:
        """The engine is the caller's to dispose of; see ``transactions.ledger_engine``."""
        super().__init__(engine, head_file)
        self._worker = Worker(engine)
        self._scribe = Scribe(self._journal, self._worker)

    async def close(self) -> None:
        """Says that this worker is gone. What it left unfinished can be burned from now on."""
        await self._worker.close()

    async def require_newest(self) -> None:
        """Looks whether this is the ledger that the head file saw last, or a later state of it.

        Raises:
            LedgerBehind: it is not, or the file cannot be read.
        """
        await self._journal.require_newest()

    async def acknowledge(self, *, by: str = "operator", reason: str = "") -> Receipt:
        """Takes the ledger as it is, whatever the head file saw; returns the entry that says so."""
        return (await self._journal.acknowledge(by=by, reason=reason)).receipt

    async def reserve(self, request: Request) -> Reservation | Replay:
        """Debits the charge from the accounts of all layers, or from none.

        When it returns, the debit is durable.

        Raises:
            BudgetExceeded: it does not fit under one of the ceilings.
            AccountShut: one of the accounts is frozen or closed.
            NoAccount: an account is not open, or the analyst is disabled.
            RequestIdConflict: the request id stands for another question.
            RequestInProgress: the same request is being answered.
            RequestFailed: the same request failed, or its worker died; the charge is kept.
            WrongState: the release that it builds on is not one of this question and epoch.
        """
        outcome = await self._scribe.write(Reserve(request, uuid4()))
        assert outcome is not None
        return outcome

    async def dispatch(self, release_id: UUID) -> None:
        """Marks, durably, that protected data is about to be touched.

        Raises:
            WrongState: the release is not ``reserved``, or its cells are stored ones.
        """
        await self._scribe.write(Dispatch(release_id))

    async def settle(
        self, release_id: UUID, answer: Mapping[str, Any], cells: Cells | None = None
    ) -> None:
        """Stores the reply, and the noisy cells that it was made from. Then it may leave.

        Raises:
            WrongState: the release is not ``dispatched``: the answer must not leave.
        """
        await self._scribe.write(Settle(release_id, json.dumps(answer), cells))

    async def fail(self, release_id: UUID) -> None:
        """Gives up after data may have been touched; the charge is kept.

        Raises:
            WrongState: the release is not ``dispatched``.
        """
        await self._scribe.write(Fail(release_id))

    async def void(self, release_id: UUID) -> None:
        """Gives up before data was touched, and gives the charge back.

        Raises:
            WrongState: the release is not ``reserved``: data may have been touched.
        """
        await self._scribe.write(Void(release_id))

    async def burn_orphans(self) -> int:
        """Fails what workers that are gone left unfinished; the charges are kept.

        For start-up. What processes that live are about is left alone.

        Returns:
            How many releases were burned.
        """
        async with self._journal.writing() as writing:
            rows = (await writing.connection.execute(_UNFINISHED)).all()
            alive = await living(writing.connection, {row.id for row in rows})
            dead = {row.id for row in rows} - alive
            orphans = [row.release for row in rows if row.id in dead and row.release is not None]
            for release in orphans:
                writing.chain.append("fail", {"release": release, "step": STEPS["fail"]})
            if dead:
                await writing.connection.execute(_GONE, {"at": writing.at, "ids": list(dead)})
        return len(orphans)

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

    async def earlier(self, analyst_id: UUID, dataset: str, question_digest: str) -> list[Earlier]:
        """The analyst's own answered releases of a question, of the present epoch, newest first."""
        which = {
            "analyst": str(analyst_id),
            "dataset": dataset,
            "question": question_digest,
            "limit": _MOST_EARLIER,
        }
        async with transaction(self._engine) as connection:
            return [
                Earlier(
                    UUID(row.doc["release"]),
                    row.plan,
                    cells_of(row.cells, row.noises),
                    loss_of(row.doc.get("view") or row.doc["loss"]),
                )
                for row in await connection.execute(_EARLIER, which)
            ]


def _release(row: Row[Any]) -> Release:
    doc, state = row.doc, STATES[row.kind]
    finished = state not in {"reserved", "dispatched"}
    return Release(
        id=UUID(doc["release"]),
        dataset=doc["dataset"],
        request_id=doc.get("request_id"),
        sql=doc["sql"],
        charge=loss_of(doc["loss"]),
        state=state,
        reserved_at=time_of(doc["at"]),
        finished_at=time_of(row.at) if finished else None,
        answer=None if row.answer is None else json.loads(row.answer),
        receipt=Receipt(row.number, row.hash.hex()),
    )
