"""The shadow, as the wire front uses it: started, kept, and told what each analyst may see."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from psycopg import AsyncConnection, sql

from analyzer.catalog import Catalog, Table
from analyzer.statement_names import Names
from server.engines import EngineFailed
from server.shadow import (
    Asked,
    Balance,
    CannotAdmit,
    ShadowFailed,
    Statement,
    books,
    hardening,
    mirror,
)
from server.shadow.cluster import SUPERUSER, Cluster

PublicRows = Callable[[Table], Awaitable[bytes | None]]
"""The rows of a public table in COPY's text format; None where they are too many to copy."""

_NO_ROLE = re.compile("pg_.*|public|none")
_NO_DATABASE = ("template0", "template1")
_LOCK_SECONDS = 2


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    """What the sessions of analysts may use."""

    sessions: int = 100
    sessions_per_analyst: int = 20
    statement_seconds: int = 60
    """After that a statement in the shadow is cancelled, whatever the session set."""
    idle_seconds: int = 7200
    """After that a session that does nothing in a transaction is cut off. Longer than the gateway
    may take for an answer, during which the shadow waits."""
    resync_seconds: float = 3600.0
    """How often the rows of public tables are copied anew."""


class Shadow:
    """One cluster, with a database for each data set and a role for each analyst.

    Args:
        catalogs: the data sets.
        public_rows: asked for every public table, at the start and at every :meth:`resync`.
        binaries: the directory of Postgres' programs; None looks for one.
        parent: where the cluster's directory is made; None is the place for temporary files.
        limits: of the sessions.

    Raises:
        ShadowFailed: there is no Postgres, or a data set cannot have a database.
    """

    def __init__(
        self,
        catalogs: Sequence[Catalog],
        public_rows: PublicRows,
        *,
        binaries: Path | None = None,
        parent: Path | None = None,
        limits: ShadowLimits | None = None,
    ) -> None:
        self._catalogs = {catalog.dataset: catalog for catalog in catalogs}
        for name in _NO_DATABASE:
            if name in self._catalogs:
                raise ShadowFailed(f"a data set cannot be called {name}")
        self._public_rows = public_rows
        self._limits = limits or ShadowLimits()
        self._cluster = Cluster(binaries, parent, self._limits.sessions)
        self._names = {name: _all_guarded(catalog) for name, catalog in self._catalogs.items()}
        self._admin: dict[str, AsyncConnection] = {}
        self._busy = asyncio.Lock()
        self._admitted: set[str] = set()
        self._keeper: asyncio.Task[None] | None = None
        self.beginning = 0
        """How many times it was made: what was shown before the last one is gone."""

    @property
    def socket(self) -> Path:
        """The Unix socket. Log in with the analyst's name, the data set's name as the database, and
        no password: the directory lets nobody else in."""
        return self._cluster.socket

    def names(self, dataset: str) -> Names:
        """Which relations of a data set the gateway answers, for ``analyzer.classify``.

        They are the protected tables, the views, and the public tables that are too large to copy.
        """
        return self._names[dataset]

    async def open(self) -> Self:
        """Starts the cluster and mirrors every data set.

        Raises:
            ShadowFailed: it cannot be had or does not start.
        """
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            await self._start()
            await self.resync()
            self._keeper = asyncio.create_task(self._keep())
            undo.pop_all()
        return self

    async def close(self) -> None:
        """Stops the cluster and removes it. Sessions are cut."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._stop()

    async def admit(self, analyst: str) -> None:
        """Makes the analyst's role, unless it is there. Call it at every login.

        Raises:
            CannotAdmit: no role can have that name.
            ShadowFailed: the shadow is gone.
        """
        if _NO_ROLE.fullmatch(analyst):
            raise CannotAdmit("Postgres keeps this name for itself")
        if analyst in self._admitted:
            return
        async with self._owner(next(iter(self._catalogs))) as connection:
            if analyst not in self._admitted:
                await connection.execute(hardening.role(analyst, self._limits.sessions_per_analyst))
                self._admitted.add(analyst)

    async def know_person(self, handle: str, analyst: str, dataset: str) -> None:
        """A session whose ``epsql.analyst_token`` is this handle sees the analyst's rows.

        Raises:
            ShadowFailed: the shadow is gone.
        """
        async with self._owner(dataset) as connection:
            await connection.execute(books.KNOW_PERSON, [handle, analyst])

    async def forget_people(self, handles: Sequence[str], dataset: str) -> None:
        """The handles are nobody's any more.

        Raises:
            ShadowFailed: the shadow is gone, and with it the handles.
        """
        async with self._owner(dataset) as connection:
            await connection.execute(books.FORGET_PEOPLE, [list(handles)])

    async def show_budget(self, analyst: str, dataset: str, balances: Sequence[Balance]) -> None:
        """What the analyst sees in ``epsql.budget`` from now on.

        Raises:
            ShadowFailed: the shadow is gone.
        """
        async with self._owner(dataset) as connection, connection.transaction():
            await connection.execute(books.FORGET_BUDGET, [analyst])
            for balance in balances:
                await connection.execute(books.SHOW_BUDGET, books.budget_row(analyst, balance))

    async def show_asked(self, analyst: str, dataset: str, asked: Sequence[Asked]) -> None:
        """Adds to what the analyst sees in ``epsql.history`` and ``epsql.releases``, or replaces
        what has the same release id. The newest thousand stay.

        Raises:
            ShadowFailed: the shadow is gone.
        """
        async with self._owner(dataset) as connection, connection.transaction():
            for one in asked:
                await connection.execute(books.SHOW_ASKED, books.asked_row(analyst, one))
                if one.answer is not None:
                    await connection.execute(books.SHOW_ANSWER, books.answer_row(analyst, one))
            whose = {"analyst": analyst, "kept": books.KEPT}
            await connection.execute(books.FORGET_ASKED, whose)
            await connection.execute(books.FORGET_ANSWERS, whose)

    async def resync(self) -> None:
        """Copies the rows of public tables anew. A table that cannot be copied stays as it is."""
        for dataset, catalog in self._catalogs.items():
            for table in catalog.tables.values():
                if not table.protected:
                    with suppress(EngineFailed, ShadowFailed, psycopg.Error):
                        await self._copy(dataset, table)

    async def healthy(self) -> bool:
        """Whether the cluster answers."""
        try:
            async with self._owner(next(iter(self._catalogs))) as connection:
                await connection.execute("SELECT 1")
        except ShadowFailed:
            return False
        return True

    async def _start(self) -> None:
        try:
            await asyncio.to_thread(self._cluster.start)
            await self._furnish()
        except psycopg.Error as error:
            await self._stop()
            # Its words quote the policy alone, and are for the operator.
            raise ShadowFailed(f"the policy cannot be mirrored: {error}") from None
        except BaseException:
            await self._stop()
            raise
        self.beginning += 1

    async def _stop(self) -> None:
        for connection in self._admin.values():
            await connection.close()
        self._admin.clear()
        self._admitted.clear()
        self._names = {name: _all_guarded(catalog) for name, catalog in self._catalogs.items()}
        await asyncio.to_thread(self._cluster.stop)

    async def _begin_again(self) -> None:
        """Makes all of it anew, because Postgres is gone. Whoever logs in later finds it."""
        async with self._busy:
            await self._stop()
            with suppress(ShadowFailed, OSError):  # else it is tried again in a second
                await self._start()
        await self.resync()

    async def _furnish(self) -> None:
        """Hardens the template, and makes a database of it for each data set."""
        async with await self._connect("template1") as connection:
            await _run(connection, hardening.template())
            await connection.execute("DROP DATABASE postgres")
            for name, catalog in self._catalogs.items():
                await connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE template1").format(sql.Identifier(name))
                )
                await _run(connection, hardening.database(name, mirror.schemas(catalog)))
            await _run(connection, hardening.cluster())
        for name, catalog in self._catalogs.items():
            self._admin[name] = await self._connect(name)
            async with self._admin[name].transaction():
                await _run(self._admin[name], mirror.image(catalog))
                await _run(self._admin[name], books.books(catalog))

    async def _copy(self, dataset: str, table: Table) -> None:
        rows = await self._public_rows(table)
        place = mirror.place_of(table)
        if rows is None:
            # First: until the guard is up, the gateway answers.
            self._names[dataset] = Names(self._names[dataset].guarded | {place})
        async with self._owner(dataset) as connection, connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            await connection.execute(mirror.emptied(table))
            if rows is None:
                await connection.execute(mirror.guarded(table))
                return
            async with connection.cursor().copy(mirror.filled(table)) as copy:
                await copy.write(rows)
            await connection.execute(mirror.opened(table))
        self._names[dataset] = Names(self._names[dataset].guarded - {place})

    async def _tidy(self) -> None:
        """Gives back the room of rows that were replaced; autovacuum is off."""
        for dataset in self._catalogs:
            with suppress(ShadowFailed, psycopg.Error):
                async with self._owner(dataset) as connection:
                    await connection.execute(books.TIDY)

    async def _keep(self) -> None:
        """Cuts off what takes too long, and copies public tables from time to time."""
        loop = asyncio.get_running_loop()
        copied = loop.time()
        while True:
            await asyncio.sleep(1)
            if not self._cluster.running():
                await self._begin_again()
            with suppress(ShadowFailed, psycopg.Error):
                async with self._owner(next(iter(self._catalogs))) as connection:
                    await connection.execute(
                        _CUT,
                        {
                            "me": SUPERUSER,
                            "active": self._limits.statement_seconds,
                            "idle": self._limits.idle_seconds,
                        },
                    )
            if loop.time() - copied > self._limits.resync_seconds:
                copied = loop.time()
                await self.resync()
                await self._tidy()

    @asynccontextmanager
    async def _owner(self, dataset: str) -> AsyncIterator[AsyncConnection]:
        """The superuser's connection to a database, for one task at a time."""
        async with self._busy:
            try:
                if dataset not in self._admin:
                    raise ShadowFailed("the shadow is not there")
                if self._admin[dataset].closed:  # Postgres restarts itself when a session crashes
                    self._admin[dataset] = await self._connect(dataset)
                yield self._admin[dataset]
            except psycopg.OperationalError as error:
                raise ShadowFailed(f"the shadow does not answer ({error.sqlstate})") from None

    async def _connect(self, database: str) -> AsyncConnection:
        return await AsyncConnection.connect(
            host=str(self._cluster.home),
            user=SUPERUSER,
            dbname=database,
            autocommit=True,
            options="-c default_transaction_read_only=off -c statement_timeout=0",
        )


def _all_guarded(catalog: Catalog) -> Names:
    return Names(mirror.table_places(catalog) | mirror.view_places(catalog))


async def _run(connection: AsyncConnection, statements: Iterable[Statement]) -> None:
    for statement in statements:
        await connection.execute(statement)


_CUT = """
SELECT CASE state WHEN 'active' THEN pg_cancel_backend(pid) ELSE pg_terminate_backend(pid) END
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename <> %(me)s
  AND (state = 'active' AND query_start < clock_timestamp() - make_interval(secs => %(active)s)
       OR state LIKE 'idle in transaction%%'
          AND state_change < clock_timestamp() - make_interval(secs => %(idle)s))
"""
