"""The ledger: what was asked, what it was charged, and what was answered.

An entry is one release. It moves along the arrows, and never back::

    reserved -> dispatched -> answered
       |            |
       v            v
     voided       failed          (reserved -> failed too, when its worker is gone)

``reserved`` counts as spent. Only ``voided`` gives the charge back, and only from ``reserved``: an
entry is ``dispatched``, durably, before protected data is touched. So whatever crashes, and
whenever, no answer leaves that was not charged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Update, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from accountant.accounts import Accounts, both_accounts
from accountant.errors import LedgerUnavailable, WrongState
from accountant.events import Event, to_json
from accountant.losses import Loss
from accountant.reserving import (
    Question,
    Replay,
    Reservation,
    WorkerLost,
    charge_of,
    reserve,
    shift,
)
from accountant.tables import entries
from accountant.transactions import Duplicate, transaction
from accountant.workers import Worker, is_alive

__all__ = ["REQUEST_ID", "Ledger", "Release", "Replay", "Reservation", "State"]

State = Literal["reserved", "dispatched", "answered", "failed", "voided"]

REQUEST_ID = re.compile(r"[!-~]{1,200}")
"""What a request id looks like: visible ASCII without spaces."""

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Release:
    """An entry as its analyst may see it."""

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


class Ledger(Accounts):
    """The only writer of accounts and entries. Several processes may share one database.

    Every method raises :class:`LedgerUnavailable` when the database fails; then nothing may be
    asked, and nothing that was not settled may leave.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        """The engine is the caller's to dispose of; see ``transactions.ledger_engine``."""
        super().__init__(engine)
        self._worker = Worker(engine)

    async def close(self) -> None:
        """Says that this worker is gone. Its unfinished entries can be burned from now on."""
        await self._worker.close()

    async def reserve(
        self,
        *,
        analyst_id: UUID,
        dataset: str,
        request_id: str | None,
        request_digest: str,
        plan_digest: str,
        sql: str,
        events: Sequence[Event],
        loss: Loss,
    ) -> Reservation | Replay:
        """Debits the charge from the analyst's account and the data set's, or from neither.

        When it returns, the debit is durable.

        Args:
            analyst_id: who asks.
            dataset: about what.
            request_id: the analyst's own name of the request, unique for the analyst; None if it
                cannot be repeated.
            request_digest: sha256 of all that was asked under the request id.
            plan_digest: identifies the plan.
            sql: what the analyst wrote.
            events: the mechanisms that will touch the data.
            loss: the charge.

        Raises:
            BudgetExceeded: it does not fit under one of the ceilings.
            NoAccount: an account is not open, or the analyst is disabled.
            RequestIdConflict: the request id stands for another question.
            RequestInProgress: the same request is being answered.
            RequestFailed: the same request failed, or its worker died; the charge is kept.
            ValueError: the request id or the SQL cannot be stored.
        """
        if request_id is not None and not REQUEST_ID.fullmatch(request_id):
            raise ValueError("a request id is 1 to 200 visible ASCII characters")
        if any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in sql):
            raise ValueError("the SQL is not text that Postgres can store")
        question = Question(
            analyst_id,
            dataset,
            request_id,
            request_digest,
            plan_digest,
            sql,
            [to_json(event) for event in events],
            loss,
        )
        for _ in range(_ATTEMPTS):
            worker_id = await self._worker.id()
            try:
                async with transaction(self._engine) as connection:
                    return await reserve(connection, worker_id, question)
            except WorkerLost:
                await self._worker.forget(worker_id)
            except Duplicate:
                pass  # The same request id came in at the same time: look at what it became.
        raise LedgerUnavailable

    async def dispatch(self, entry_id: UUID) -> None:
        """Marks, durably, that protected data is about to be touched.

        Raises:
            WrongState: the entry is not ``reserved``.
        """
        await self._move(entry_id, "reserved", "dispatched", dispatched_at=func.now())

    async def settle(self, entry_id: UUID, answer: Mapping[str, Any]) -> None:
        """Stores the noisy answer. It may leave only after this returned.

        Raises:
            WrongState: the entry is not ``dispatched``: the answer must not leave.
        """
        await self._move(
            entry_id, "dispatched", "answered", answer=dict(answer), finished_at=func.now()
        )

    async def fail(self, entry_id: UUID) -> None:
        """Gives up after data may have been touched; the charge is kept.

        Raises:
            WrongState: the entry is not ``dispatched``.
        """
        await self._move(entry_id, "dispatched", "failed", finished_at=func.now())

    async def void(self, entry_id: UUID) -> None:
        """Gives up before data was touched, and gives the charge back.

        Raises:
            WrongState: the entry is not ``reserved``: data may have been touched.
        """
        async with transaction(self._engine) as connection:
            query = select(entries).where(entries.c.id == entry_id)
            entry = (await connection.execute(query)).one_or_none()
            if entry is None:
                raise WrongState(entry_id, "voided")
            # Accounts before entries, as in every transaction that locks both.
            await connection.execute(
                both_accounts(entry.dataset, entry.analyst_id).with_for_update()
            )
            move = _move(entry_id, "reserved", "voided", finished_at=func.now())
            if not (await connection.execute(move)).rowcount:
                raise WrongState(entry_id, "voided")
            await shift(connection, entry.dataset, entry.analyst_id, charge_of(entry), -1)

    async def _move(self, entry_id: UUID, source: State, target: State, **values: Any) -> None:
        async with transaction(self._engine) as connection:
            moved = await connection.execute(_move(entry_id, source, target, **values))
            if not moved.rowcount:
                raise WrongState(entry_id, target)

    async def burn_orphans(self) -> int:
        """Fails the unfinished entries of workers that are gone; their charges are kept.

        For start-up. Entries of processes that live are left alone.

        Returns:
            How many entries were burned.
        """
        unfinished = entries.c.state.in_(["reserved", "dispatched"])
        burned = 0
        async with transaction(self._engine) as connection:
            owners = await connection.execute(
                select(entries.c.worker_id).where(unfinished).distinct()
            )
            for worker_id in owners.scalars().all():
                if await is_alive(connection, worker_id):
                    continue
                burn = (
                    update(entries)
                    .where(unfinished, entries.c.worker_id == worker_id)
                    .values(state="failed", finished_at=func.now())
                )
                burned += (await connection.execute(burn)).rowcount
        return burned

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
        query = select(entries).where(entries.c.analyst_id == analyst_id)
        if dataset is not None:
            query = query.where(entries.c.dataset == dataset)
        if before is not None:
            older = select(entries.c.number).where(
                entries.c.id == before, entries.c.analyst_id == analyst_id
            )
            query = query.where(entries.c.number < older.scalar_subquery())
        query = query.order_by(entries.c.number.desc()).limit(limit)
        async with transaction(self._engine) as connection:
            return [_release(row) for row in await connection.execute(query)]

    async def release(self, analyst_id: UUID, release_id: UUID) -> Release | None:
        """One of the analyst's own releases; None for another's, as for one that is not there."""
        query = select(entries).where(
            entries.c.id == release_id, entries.c.analyst_id == analyst_id
        )
        async with transaction(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _release(row)


def _move(entry_id: UUID, source: State, target: State, **values: Any) -> Update:
    """The move, which takes place only from ``source``: two that race cannot both win."""
    return (
        update(entries)
        .where(entries.c.id == entry_id, entries.c.state == source)
        .values(state=target, **values)
    )


def _release(row: Row[Any]) -> Release:
    return Release(
        id=row.id,
        dataset=row.dataset,
        request_id=row.request_id,
        sql=row.sql,
        charge=charge_of(row),
        state=row.state,
        reserved_at=row.reserved_at,
        finished_at=row.finished_at,
        answer=row.answer,
    )
