"""Analysts, accounts and their ceilings: what the operator decides, and the log of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.errors import (
    AnalystExists,
    CapBelowSpent,
    NoAccount,
    Scope,
    UnknownAnalyst,
)
from accountant.filters import MOST, Budget
from accountant.tables import accounts, admin_log, analysts
from accountant.transactions import Duplicate, transaction

ANALYST_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True)
class Analyst:
    """Somebody who may ask. The id never changes, and is never given to anybody else."""

    id: UUID
    name: str
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """A ceiling and what is spent under it. Integers: epsilon and rho in 1e-12, delta in 1e-18."""

    dataset: str
    analyst_id: UUID | None
    """None for the data set's own account, over all analysts."""
    epsilon_cap: int
    epsilon_spent: int
    delta_cap: int
    delta_spent: int
    rho_spent: int


@dataclass(frozen=True, slots=True)
class Balances:
    """The two accounts that a release by one analyst on one data set is charged to."""

    analyst: Account
    dataset: Account


def account_of(row: Row[Any]) -> Account:
    """The account in a row of the table ``accounts``."""
    return Account(
        dataset=row.dataset,
        analyst_id=row.analyst_id,
        epsilon_cap=row.epsilon_cap,
        epsilon_spent=row.epsilon_spent,
        delta_cap=row.delta_cap,
        delta_spent=row.delta_spent,
        rho_spent=row.rho_spent,
    )


def both_accounts(dataset: str, analyst_id: UUID) -> Select[Any]:
    """The data set's account, then the analyst's: every lock is taken in this order."""
    return (
        select(accounts)
        .where(accounts.c.dataset == dataset)
        .where(accounts.c.analyst_id.is_(None) | (accounts.c.analyst_id == analyst_id))
        .order_by(accounts.c.analyst_id.nulls_first())
    )


async def record(
    connection: AsyncConnection,
    *,
    by: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any],
    reason: str,
) -> None:
    """Writes a line of the admin log, in the transaction of what it tells about."""
    line = {
        "actor": by,
        "action": action,
        "subject": subject,
        "detail": dict(detail),
        "reason": reason,
    }
    await connection.execute(insert(admin_log).values(line))


class Accounts:
    """The operator's side of the ledger. Every change is in the admin log: who, what, when, why.

    Every method raises :class:`LedgerUnavailable` when the database fails.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add_analyst(self, name: str, *, by: str = "operator", reason: str = "") -> Analyst:
        """Adds an analyst.

        Raises:
            ValueError: the name is not of the form ``[a-z][a-z0-9_.-]{0,62}``.
            AnalystExists: the name is taken.
        """
        if not ANALYST_NAME.fullmatch(name):
            raise ValueError("an analyst's name is a to z, then up to 62 of a-z 0-9 _ . -")
        row = insert(analysts).values(id=uuid4(), name=name).returning(analysts)
        try:
            async with transaction(self._engine) as connection:
                analyst = Analyst(*(await connection.execute(row)).one())
                detail = {"id": str(analyst.id)}
                await record(
                    connection,
                    by=by,
                    action="add analyst",
                    subject=name,
                    detail=detail,
                    reason=reason,
                )
        except Duplicate:
            raise AnalystExists(name) from None
        return analyst

    async def disable_analyst(
        self, name: str, *, by: str = "operator", reason: str = ""
    ) -> Analyst:
        """Shuts an analyst out: no token of theirs is accepted, no release is reserved.

        Raises:
            UnknownAnalyst: nobody has the name.
        """
        return await self._set_disabled(name, disabled=True, by=by, reason=reason)

    async def enable_analyst(self, name: str, *, by: str = "operator", reason: str = "") -> Analyst:
        """Lets a disabled analyst in again, with the accounts as they were.

        Raises:
            UnknownAnalyst: nobody has the name.
        """
        return await self._set_disabled(name, disabled=False, by=by, reason=reason)

    async def _set_disabled(self, name: str, *, disabled: bool, by: str, reason: str) -> Analyst:
        since = func.coalesce(analysts.c.disabled_at, func.now()) if disabled else None
        change = (
            update(analysts)
            .where(analysts.c.name == name)
            .values(disabled_at=since)
            .returning(analysts)
        )
        async with transaction(self._engine) as connection:
            row = (await connection.execute(change)).one_or_none()
            if row is None:
                raise UnknownAnalyst(name)
            action = "disable analyst" if disabled else "enable analyst"
            await record(connection, by=by, action=action, subject=name, detail={}, reason=reason)
        return Analyst(*row)

    async def find_analyst(self, name: str) -> Analyst:
        """The analyst of that name, disabled or not.

        Raises:
            UnknownAnalyst: nobody has the name.
        """
        async with transaction(self._engine) as connection:
            query = select(analysts).where(analysts.c.name == name)
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise UnknownAnalyst(name)
        return Analyst(*row)

    async def list_analysts(self) -> list[Analyst]:
        """Every analyst there ever was, by name."""
        async with transaction(self._engine) as connection:
            rows = await connection.execute(select(analysts).order_by(analysts.c.name))
            return [Analyst(*row) for row in rows]

    async def open_dataset(
        self,
        dataset: str,
        epsilon_cap: int,
        delta_cap: int,
        *,
        by: str = "operator",
        reason: str = "",
    ) -> None:
        """Opens the account over all analysts; leaves it as it is if it is there.

        Raises:
            ValueError: a cap is not an integer from 0 to 2**63 - 1.
        """
        await self._open(None, dataset, epsilon_cap, delta_cap, by=by, reason=reason)

    async def open_account(
        self,
        analyst_id: UUID,
        dataset: str,
        epsilon_cap: int,
        delta_cap: int,
        *,
        by: str = "operator",
        reason: str = "",
    ) -> None:
        """Opens an analyst's account on an open data set; leaves it as it is if it is there.

        Raises:
            ValueError: a cap is not an integer from 0 to 2**63 - 1.
            NoAccount: there is no such analyst, or the data set is not open.
        """
        await self._open(analyst_id, dataset, epsilon_cap, delta_cap, by=by, reason=reason)

    async def _open(
        self,
        analyst_id: UUID | None,
        dataset: str,
        epsilon_cap: int,
        delta_cap: int,
        *,
        by: str,
        reason: str,
    ) -> None:
        _check_caps(epsilon_cap, delta_cap)
        values = {
            "dataset": dataset,
            "analyst_id": analyst_id,
            "epsilon_cap": epsilon_cap,
            "delta_cap": delta_cap,
        }
        opening = (
            insert_or_skip(accounts)
            .values(values)
            .on_conflict_do_nothing()
            .returning(accounts.c.id)
        )
        async with transaction(self._engine) as connection:
            if analyst_id is not None:
                await _require(connection, select(analysts.c.id).where(analysts.c.id == analyst_id))
                await _require(connection, _one_account(None, dataset))
            if (await connection.execute(opening)).first() is not None:
                await record(
                    connection,
                    by=by,
                    action="open account",
                    subject=_subject(analyst_id, dataset),
                    detail={"epsilon_cap": epsilon_cap, "delta_cap": delta_cap},
                    reason=reason,
                )

    async def set_cap(
        self,
        analyst_id: UUID | None,
        dataset: str,
        *,
        epsilon_cap: int | None = None,
        delta_cap: int | None = None,
        by: str = "operator",
        reason: str = "",
    ) -> Account:
        """Moves the ceiling of an analyst's account, or of the data set's for ``None``.

        What is not given stays.

        Raises:
            ValueError: a cap is not an integer from 0 to 2**63 - 1.
            NoAccount: the account is not open.
            CapBelowSpent: more is spent already. Spending is never undone.
        """
        async with transaction(self._engine) as connection:
            query = _one_account(analyst_id, dataset).with_for_update()
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise NoAccount
            epsilon = row.epsilon_cap if epsilon_cap is None else epsilon_cap
            delta = row.delta_cap if delta_cap is None else delta_cap
            _check_caps(epsilon, delta)
            if epsilon < row.epsilon_spent or delta < row.delta_spent:
                scope: Scope = "dataset" if analyst_id is None else "analyst"
                raise CapBelowSpent(scope, Budget(row.epsilon_spent, row.delta_spent))
            change = (
                update(accounts)
                .where(accounts.c.id == row.id)
                .values(epsilon_cap=epsilon, delta_cap=delta)
                .returning(accounts)
            )
            changed = (await connection.execute(change)).one()
            detail = {
                "epsilon_cap": [row.epsilon_cap, epsilon],
                "delta_cap": [row.delta_cap, delta],
            }
            await record(
                connection,
                by=by,
                action="set cap",
                subject=_subject(analyst_id, dataset),
                detail=detail,
                reason=reason,
            )
        return account_of(changed)

    async def accounts(self, dataset: str | None = None) -> list[Account]:
        """Every account, or those of one data set; each data set's own one comes first."""
        query = select(accounts).order_by(
            accounts.c.dataset, accounts.c.analyst_id.is_not(None), accounts.c.id
        )
        if dataset is not None:
            query = query.where(accounts.c.dataset == dataset)
        async with transaction(self._engine) as connection:
            return [account_of(row) for row in await connection.execute(query)]

    async def balances(self, analyst_id: UUID, dataset: str) -> Balances:
        """The analyst's account on the data set, and the data set's.

        Raises:
            NoAccount: one of them is not open.
        """
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(both_accounts(dataset, analyst_id))).all()
        if len(rows) != 2:
            raise NoAccount
        return Balances(dataset=account_of(rows[0]), analyst=account_of(rows[1]))


def _check_caps(epsilon_cap: int, delta_cap: int) -> None:
    for cap in (epsilon_cap, delta_cap):
        if type(cap) is not int or not 0 <= cap <= MOST:
            raise ValueError("a cap is an integer from 0 to 2**63 - 1")


def _one_account(analyst_id: UUID | None, dataset: str) -> Select[Any]:
    query = select(accounts).where(accounts.c.dataset == dataset)
    # "IS NOT DISTINCT FROM" would match NULL too, but no index serves it.
    if analyst_id is None:
        return query.where(accounts.c.analyst_id.is_(None))
    return query.where(accounts.c.analyst_id == analyst_id)


async def _require(connection: AsyncConnection, query: Select[Any]) -> None:
    if (await connection.execute(query)).first() is None:
        raise NoAccount


def _subject(analyst_id: UUID | None, dataset: str) -> str:
    return dataset if analyst_id is None else f"{dataset}/{analyst_id}"
