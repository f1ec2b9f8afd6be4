"""Who may ask: analysts, and the groups that they are in.

Every decision is an entry of the journal, in the transaction that carries it out: who, what, why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.accounts import SCOPES
from accountant.errors import AnalystExists, UnknownAnalyst
from accountant.headfile import HeadFile
from accountant.journal import Journal
from accountant.tables import analysts, members
from accountant.transactions import Duplicate, transaction

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
"""What the name of an analyst or a group looks like: no two look alike."""


def must_name_a_group(name: str) -> None:
    """Raises ValueError where no group can have the name.

    Budgets show an account by its group's name, or by the word that stands for everyone or oneself.
    """
    if not NAME.fullmatch(name) or name in SCOPES:
        raise ValueError(
            "a group's name is a to z, then up to 62 of a-z 0-9 _ . -, and none of "
            + ", ".join(SCOPES)
        )


@dataclass(frozen=True, slots=True)
class Analyst:
    """Somebody who may ask. The id never changes, and is never given to anybody else."""

    id: UUID
    name: str
    created_at: datetime
    disabled_at: datetime | None


class People:
    """Analysts and groups.

    Every method raises :class:`LedgerUnavailable` when the database fails.
    """

    def __init__(self, engine: AsyncEngine, head_file: HeadFile | None = None) -> None:
        self._engine = engine
        self._journal = Journal(engine, head_file)

    async def add_analyst(self, name: str, *, by: str = "operator", reason: str = "") -> Analyst:
        """Adds an analyst.

        Raises:
            ValueError: the name is not of the form ``[a-z][a-z0-9_.-]{0,62}``.
            AnalystExists: the name is taken.
        """
        if not NAME.fullmatch(name):
            raise ValueError("an analyst's name is a to z, then up to 62 of a-z 0-9 _ . -")
        try:
            async with self._journal.writing() as writing:
                row = insert(analysts).values(id=uuid4(), name=name, created_at=writing.at)
                added = await writing.connection.execute(row.returning(analysts))
                analyst = Analyst(*added.one())
                writing.note(
                    "add analyst", by=by, reason=reason, name=name, analyst=str(analyst.id)
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
        async with self._journal.writing() as writing:
            since = func.coalesce(analysts.c.disabled_at, writing.at) if disabled else None
            change = update(analysts).where(analysts.c.name == name).values(disabled_at=since)
            changed = await writing.connection.execute(change.returning(analysts))
            row = changed.one_or_none()
            if row is None:
                raise UnknownAnalyst(name)
            kind = "disable analyst" if disabled else "enable analyst"
            writing.note(kind, by=by, reason=reason, name=name, analyst=str(row.id))
        return Analyst(*row)

    async def find_analyst(self, name: str) -> Analyst:
        """The analyst of that name, disabled or not.

        Raises:
            UnknownAnalyst: nobody has the name.
        """
        async with transaction(self._engine) as connection:
            return await find(connection, name)

    async def list_analysts(self) -> list[Analyst]:
        """Every analyst there ever was, by name."""
        async with transaction(self._engine) as connection:
            rows = await connection.execute(select(analysts).order_by(analysts.c.name))
            return [Analyst(*row) for row in rows]

    async def join_group(
        self, group: str, name: str, *, by: str = "operator", reason: str = ""
    ) -> None:
        """Makes an analyst a member: from now on the group's accounts are charged as well.

        What the analyst spent before is not charged to the group.

        Raises:
            ValueError: see :func:`must_name_a_group`.
            UnknownAnalyst: nobody has the analyst's name.
        """
        must_name_a_group(group)
        async with self._journal.writing() as writing:
            analyst = await find(writing.connection, name)
            row = {"group_name": group, "analyst_id": analyst.id}
            joining = insert_or_skip(members).values(row).on_conflict_do_nothing()
            joined = await writing.connection.execute(joining.returning(members.c.group_name))
            if joined.first() is not None:
                facts = {"group": group, "name": name, "analyst": str(analyst.id)}
                writing.note("join group", by=by, reason=reason, **facts)

    async def leave_group(
        self, group: str, name: str, *, by: str = "operator", reason: str = ""
    ) -> None:
        """Ends a membership. What the group spent stays spent.

        Raises:
            UnknownAnalyst: nobody has the analyst's name.
        """
        async with self._journal.writing() as writing:
            analyst = await find(writing.connection, name)
            leaving = delete(members).where(
                members.c.group_name == group, members.c.analyst_id == analyst.id
            )
            left = await writing.connection.execute(leaving.returning(members.c.group_name))
            if left.first() is not None:
                facts = {"group": group, "name": name, "analyst": str(analyst.id)}
                writing.note("leave group", by=by, reason=reason, **facts)

    async def groups(self) -> dict[str, list[str]]:
        """The names of the members of every group that has some."""
        query = (
            select(members.c.group_name, analysts.c.name)
            .join(analysts, analysts.c.id == members.c.analyst_id)
            .order_by(members.c.group_name, analysts.c.name)
        )
        found: dict[str, list[str]] = {}
        async with transaction(self._engine) as connection:
            for group, name in await connection.execute(query):
                found.setdefault(group, []).append(name)
        return found


async def find(connection: AsyncConnection, name: str) -> Analyst:
    """The analyst of a name.

    Raises:
        UnknownAnalyst: nobody has it.
    """
    query = select(analysts).where(analysts.c.name == name)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise UnknownAnalyst(name)
    return Analyst(*row)
