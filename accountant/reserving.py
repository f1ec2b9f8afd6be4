"""One reservation, inside its transaction: lock, look for the request id, check, debit, insert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accountant.accounts import Balances, account_of, both_accounts
from accountant.errors import (
    BudgetExceeded,
    NoAccount,
    RequestFailed,
    RequestIdConflict,
    RequestInProgress,
    Scope,
)
from accountant.filters import Budget, fits, remaining
from accountant.losses import Loss
from accountant.tables import accounts, analysts, entries
from accountant.workers import is_alive


@dataclass(frozen=True, slots=True)
class Reservation:
    """The charge is debited; data may be touched after :meth:`Ledger.dispatch`."""

    id: UUID
    balances: Balances
    """After the debit."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The same request was answered before; this is that answer, free of charge."""

    id: UUID
    answer: Any
    charge: Loss
    """What the answer was charged when it was released."""


@dataclass(frozen=True, slots=True)
class Question:
    """The arguments of :meth:`Ledger.reserve`, checked."""

    analyst_id: UUID
    dataset: str
    request_id: str | None
    request_digest: str
    plan_digest: str
    sql: str
    events: list[dict[str, Any]]
    loss: Loss


class WorkerLost(Exception):
    """Our own lock is gone, so others may burn our entries: reserve under a new id."""


async def reserve(
    connection: AsyncConnection, worker_id: int, question: Question
) -> Reservation | Replay:
    """Reserves in this transaction, which must be at READ COMMITTED.

    Raises:
        WorkerLost: the worker's lock is gone.
        Duplicate: another transaction took the request id at the same time; nothing is debited.
        LedgerError: as :meth:`Ledger.reserve`.
    """
    if not await is_alive(connection, worker_id):
        raise WorkerLost
    dataset, analyst_id = question.dataset, question.analyst_id
    locked = both_accounts(dataset, analyst_id).with_for_update()
    rows = (await connection.execute(locked)).all()
    enabled = select(analysts.c.id).where(
        analysts.c.id == analyst_id, analysts.c.disabled_at.is_(None)
    )
    if len(rows) != 2 or (await connection.execute(enabled)).first() is None:
        raise NoAccount
    earlier = await _earlier(connection, question)
    if earlier is not None:
        return earlier
    # The analyst's own ceiling first: it is the one that the analyst can do something about.
    _check("analyst", rows[1], question.loss)
    _check("dataset", rows[0], question.loss)
    balances = await shift(connection, dataset, analyst_id, question.loss, 1)
    entry_id = uuid4()
    await connection.execute(
        insert(entries).values(
            id=entry_id,
            analyst_id=analyst_id,
            dataset=dataset,
            request_id=question.request_id,
            request_digest=question.request_digest,
            plan_digest=question.plan_digest,
            sql=question.sql,
            events=question.events,
            epsilon=question.loss.epsilon,
            delta=question.loss.delta,
            rho=question.loss.rho,
            state="reserved",
            worker_id=worker_id,
        )
    )
    return Reservation(entry_id, balances)


async def _earlier(connection: AsyncConnection, question: Question) -> Replay | None:
    """What the request id already stands for."""
    if question.request_id is None:
        return None
    query = select(entries).where(
        entries.c.analyst_id == question.analyst_id,
        entries.c.request_id == question.request_id,
        entries.c.state != "voided",
    )
    entry = (await connection.execute(query)).one_or_none()
    if entry is None:
        return None
    if (entry.request_digest, entry.dataset) != (question.request_digest, question.dataset):
        raise RequestIdConflict
    if entry.state == "answered":
        return Replay(entry.id, entry.answer, charge_of(entry))
    if entry.state != "failed" and await is_alive(connection, entry.worker_id):
        raise RequestInProgress
    raise RequestFailed


def _check(scope: Scope, row: Row[Any], charge: Loss) -> None:
    spent = Loss(row.epsilon_spent, row.delta_spent, row.rho_spent, 0)
    cap = Budget(row.epsilon_cap, row.delta_cap)
    if not fits(spent, cap, charge):
        raise BudgetExceeded(scope, remaining(spent, cap), charge)


async def shift(
    connection: AsyncConnection, dataset: str, analyst_id: UUID, charge: Loss, times: Literal[1, -1]
) -> Balances:
    """Debits both accounts, which are locked, or gives the charge back."""
    change = (
        update(accounts)
        .where(accounts.c.dataset == dataset)
        .where(accounts.c.analyst_id.is_(None) | (accounts.c.analyst_id == analyst_id))
        .values(
            epsilon_spent=accounts.c.epsilon_spent + times * charge.epsilon,
            delta_spent=accounts.c.delta_spent + times * charge.delta,
            rho_spent=accounts.c.rho_spent + times * charge.rho,
        )
        .returning(accounts)
    )
    rows = (await connection.execute(change)).all()
    own, shared = sorted(rows, key=lambda row: row.analyst_id is None)
    return Balances(analyst=account_of(own), dataset=account_of(shared))


def charge_of(row: Row[Any]) -> Loss:
    """The charge in a row of the table ``entries``."""
    return Loss(row.epsilon, row.delta, row.rho, 0)
