"""What the operator decides about accounts: ceilings, windows, freezing, epochs.

Every decision is an entry of the journal, in the transaction that carries it out: who, what, why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection

from accountant.accounts import (
    Account,
    AccountKey,
    AccountState,
    Balances,
    Scope,
    WindowKind,
    keys_of,
    window_number,
)
from accountant.errors import AccountClosed, CapBelowSpent, NoAccount, WrongWay
from accountant.filters import MOST, Budget, holds
from accountant.journal import Writing
from accountant.loading import account_of, cap_columns
from accountant.people import People, must_name_a_group
from accountant.tables import accounts, analysts, datasets, head, members
from accountant.transactions import transaction

Holder: TypeAlias = UUID | str | None
"""Whose account: an analyst's by id, a group's by name, or everyone's."""
CapVerb = Literal["set", "grant", "raise", "lower"]


class Administration(People):
    """The operator's side of the ledger.

    Every method raises :class:`LedgerUnavailable` when the database fails.
    """

    async def open_dataset(
        self,
        dataset: str,
        units: Sequence[str],
        epsilon_cap: int,
        delta_cap: int,
        *,
        by: str = "operator",
        reason: str = "",
    ) -> None:
        """Opens the accounts over everyone, one for each unit; leaves those that are there.

        Accounts from before units had names get the name of the only unit.

        Raises:
            ValueError: a cap is not an integer from 0 to 2**63 - 1; or there are accounts without a
                unit's name, and several units that they could be of.
        """
        cap = _checked(Budget(epsilon_cap, delta_cap))
        async with self._journal.writing() as writing:
            connection = writing.connection
            row = insert_or_skip(datasets).values(name=dataset).on_conflict_do_nothing()
            await connection.execute(row)
            nameless = (accounts.c.dataset == dataset) & (accounts.c.unit == "")
            if (await connection.execute(select(accounts.c.id).where(nameless))).first():
                if len(units) != 1:
                    raise ValueError(
                        f"the accounts of {dataset} are of one unit: open it with that one first"
                    )
                await connection.execute(update(accounts).where(nameless).values(unit=units[0]))
                writing.note("name unit", by=by, reason=reason, dataset=dataset, unit=units[0])
            for unit in units:
                await _open(writing, AccountKey(dataset, unit, "everyone", ""), cap, by, reason)

    async def open_account(
        self,
        holder: UUID | str,
        dataset: str,
        epsilon_cap: int,
        delta_cap: int,
        *,
        by: str = "operator",
        reason: str = "",
    ) -> None:
        """Opens an analyst's or a group's account for every unit of an open data set.

        Those that are there are left as they are.

        Raises:
            ValueError: a cap is not an integer from 0 to 2**63 - 1, or the group's name is not one.
            NoAccount: there is no such analyst, or the data set is not open.
        """
        cap = _checked(Budget(epsilon_cap, delta_cap))
        if isinstance(holder, str):
            must_name_a_group(holder)
        async with self._journal.writing() as writing:
            connection = writing.connection
            if isinstance(holder, UUID):
                known = select(analysts.c.id).where(analysts.c.id == holder)
                if (await connection.execute(known)).first() is None:
                    raise NoAccount
            units = [row.unit for row in await connection.execute(_where(dataset, None, None))]
            if not units:
                raise NoAccount
            for unit in units:
                key = AccountKey(dataset, unit, scope_of(holder), holder_text(holder))
                await _open(writing, key, cap, by, reason)

    async def set_cap(
        self,
        holder: Holder,
        dataset: str,
        *,
        epsilon_cap: int | None = None,
        delta_cap: int | None = None,
        verb: CapVerb = "set",
        unit: str | None = None,
        by: str = "operator",
        reason: str = "",
    ) -> list[Account]:
        """Moves the ceiling of the holder's accounts, for one unit or for each of them.

        What is not given stays. ``grant`` adds to what is there; the other verbs say what it will
        be, and ``raise`` and ``lower`` only go their way.

        Raises:
            ValueError: a cap is not an integer from 0 to 2**63 - 1.
            NoAccount: there is no such account.
            AccountClosed: it is closed.
            CapBelowSpent: more is spent already. Spending is never undone.
            WrongWay: it would raise where it should lower, or lower where it should raise.
        """
        async with self._journal.writing() as writing:
            changed = []
            for account in await _locked(writing, dataset, holder, unit):
                cap = _moved(account, verb, epsilon_cap, delta_cap)
                facts = {"verb": verb, "epsilon_cap": cap.epsilon, "delta_cap": cap.delta}
                changed.append(
                    await _change(writing, account, "set cap", facts, cap_columns(cap), by, reason)
                )
        return changed

    async def set_state(
        self,
        holder: Holder,
        dataset: str,
        state: AccountState,
        *,
        unit: str | None = None,
        by: str = "operator",
        reason: str = "",
    ) -> list[Account]:
        """Freezes accounts, thaws them (``open``), or closes them for good.

        Nothing is charged to an account that is not open, so with everyone's the data set is shut.

        Raises:
            NoAccount: there is no such account.
            AccountClosed: it is closed.
        """
        kind = {"frozen": "freeze", "open": "thaw", "closed": "close"}[state]
        async with self._journal.writing() as writing:
            return [
                await _change(writing, account, kind, {}, {"state": state}, by, reason)
                for account in await _locked(writing, dataset, holder, unit)
            ]

    async def set_window(
        self,
        holder: Holder,
        dataset: str,
        kind: WindowKind | None,
        epsilon_cap: int = 0,
        delta_cap: int = 0,
        *,
        unit: str | None = None,
        by: str = "operator",
        reason: str = "",
    ) -> list[Account]:
        """Paces accounts: what may be spent in a day, week or month. None for no pace.

        What was spent in the present window counts only where there was one of the same kind.

        Raises:
            ValueError: a cap is not an integer from 0 to 2**63 - 1.
            NoAccount: there is no such account.
            AccountClosed: it is closed.
        """
        cap = _checked(Budget(epsilon_cap, delta_cap))
        facts: dict[str, Any] = {
            "window": kind,
            "epsilon_cap": cap.epsilon,
            "delta_cap": cap.delta,
        }
        async with self._journal.writing() as writing:
            changed = []
            for account in await _locked(writing, dataset, holder, unit):
                columns: dict[str, Any] = {
                    "window_kind": kind,
                    "window_epsilon_cap": cap.epsilon,
                    "window_delta_cap": cap.delta,
                }
                if account.window is None or account.window.kind != kind:
                    columns["window_number"] = window_number(kind, writing.at) if kind else 0
                    columns |= dict.fromkeys(_WINDOW_SPENT, 0)
                changed.append(
                    await _change(writing, account, "set window", facts, columns, by, reason)
                )
        return changed

    async def advance_epoch(self, dataset: str, *, by: str = "operator", reason: str = "") -> int:
        """Says that the data is not what it was: stored answers are not given again.

        Returns:
            The new epoch.

        Raises:
            NoAccount: the data set is not open.
        """
        change = (
            update(datasets)
            .where(datasets.c.name == dataset)
            .values(epoch=datasets.c.epoch + 1)
            .returning(datasets.c.epoch)
        )
        async with self._journal.writing() as writing:
            epoch: int | None = (await writing.connection.execute(change)).scalar_one_or_none()
            if epoch is None:
                raise NoAccount
            writing.note("advance epoch", by=by, reason=reason, dataset=dataset, epoch=epoch)
        return epoch

    async def accounts(self, dataset: str | None = None) -> list[Account]:
        """Every account, or those of one data set; everyone's first, then groups and analysts."""
        query = select(accounts).order_by(
            accounts.c.dataset,
            func.array_position(["everyone", "group", "analyst"], accounts.c.scope),
            accounts.c.id,
        )
        if dataset is not None:
            query = query.where(accounts.c.dataset == dataset)
        async with transaction(self._engine) as connection:
            at = await _clock(connection)
            return [account_of(row).at(at) for row in await connection.execute(query)]

    async def balances(self, analyst_id: UUID, dataset: str) -> Balances:
        """The accounts that the analyst's releases on the data set are charged to.

        Raises:
            NoAccount: the analyst's or everyone's is not open.
        """
        memberships = select(members.c.group_name).where(members.c.analyst_id == analyst_id)
        query = select(accounts).where(
            accounts.c.dataset == dataset,
            ((accounts.c.scope == "analyst") & (accounts.c.holder == str(analyst_id)))
            | ((accounts.c.scope == "group") & accounts.c.holder.in_(memberships))
            | (accounts.c.scope == "everyone"),
        )
        async with transaction(self._engine) as connection:
            at = await _clock(connection)
            rows = await connection.execute(query)
            found = {account.key: account for account in (account_of(row).at(at) for row in rows)}
        units = tuple(sorted({key.unit for key in found}))
        groups = tuple(sorted({key.holder for key in found if key.scope == "group"}))
        keys = [key for key in keys_of(dataset, units, analyst_id, groups) if key in found]
        if {"analyst", "everyone"} - {key.scope for key in keys}:
            raise NoAccount
        return Balances(tuple(found[key] for key in keys))


_WINDOW_SPENT = [f"window_{part}_spent" for part in ("epsilon", "delta", "rho", "slack")]


def scope_of(holder: Holder) -> Scope:
    """Whose account the holder's is."""
    if holder is None:
        return "everyone"
    return "analyst" if isinstance(holder, UUID) else "group"


def holder_text(holder: Holder) -> str:
    """The holder as the key of an account has it."""
    return "" if holder is None else str(holder)


def _checked(cap: Budget) -> Budget:
    for part in (cap.epsilon, cap.delta):
        if type(part) is not int or not 0 <= part <= MOST:
            raise ValueError("a cap is an integer from 0 to 2**63 - 1")
    return cap


async def _clock(connection: AsyncConnection) -> datetime:
    """The ledger's time, which does not go back where that of its host does."""
    now = select(func.greatest(head.c.at, func.clock_timestamp()))
    at: datetime = (await connection.execute(now)).scalar_one()
    return at


def _where(dataset: str, holder: Holder, unit: str | None) -> Select[Any]:
    query = select(accounts).where(
        accounts.c.dataset == dataset,
        accounts.c.scope == scope_of(holder),
        accounts.c.holder == holder_text(holder),
    )
    return (query if unit is None else query.where(accounts.c.unit == unit)).order_by(
        accounts.c.unit
    )


async def _locked(
    writing: Writing, dataset: str, holder: Holder, unit: str | None
) -> list[Account]:
    """The holder's accounts, which nobody else changes before this transaction ends."""
    rows = (await writing.connection.execute(_where(dataset, holder, unit))).all()
    found = [account_of(row).at(writing.at) for row in rows]
    if not found:
        raise NoAccount
    if any(account.state == "closed" for account in found):
        raise AccountClosed
    return found


async def _open(writing: Writing, key: AccountKey, cap: Budget, by: str, reason: str) -> None:
    values = {**key._asdict(), **cap_columns(cap), "created_at": writing.at}
    opening = insert_or_skip(accounts).values(values).on_conflict_do_nothing()
    opened = await writing.connection.execute(opening.returning(accounts.c.id))
    if opened.first() is not None:
        facts = {**key._asdict(), "epsilon_cap": cap.epsilon, "delta_cap": cap.delta}
        writing.note("open account", by=by, reason=reason, **facts)


async def _change(
    writing: Writing,
    account: Account,
    kind: str,
    facts: Mapping[str, Any],
    columns: Mapping[str, Any],
    by: str,
    reason: str,
) -> Account:
    """Changes one account, and says so."""
    key = account.key
    change = (
        update(accounts)
        .where(*(accounts.c[name] == value for name, value in key._asdict().items()))
        .values(**columns)
        .returning(accounts)
    )
    row = (await writing.connection.execute(change)).one()
    writing.note(kind, by=by, reason=reason, **key._asdict(), **facts)
    return account_of(row).at(writing.at)


def _moved(
    account: Account, verb: CapVerb, epsilon_cap: int | None, delta_cap: int | None
) -> Budget:
    """The new ceiling of an account."""
    old = account.cap
    if verb == "grant":
        given = _checked(Budget(epsilon_cap or 0, delta_cap or 0))
        cap = _checked(Budget(old.epsilon + given.epsilon, old.delta + given.delta))
    else:
        cap = _checked(
            Budget(
                old.epsilon if epsilon_cap is None else epsilon_cap,
                old.delta if delta_cap is None else delta_cap,
            )
        )
    lowers = cap.epsilon < old.epsilon or cap.delta < old.delta
    raises = cap.epsilon > old.epsilon or cap.delta > old.delta
    if (verb == "raise" and lowers) or (verb == "lower" and raises):
        raise WrongWay(verb)
    if lowers and not holds(account.spent, cap):
        spent = account.spent
        raise CapBelowSpent(account.key.scope, Budget(spent.epsilon, spent.delta))
    return cap
