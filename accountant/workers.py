"""Which server processes live: each holds an advisory lock of its own for as long as it does.

Postgres lets go of the lock when the process dies, however it dies; no clock and no timeout is
involved. A process that only lost its connection counts as gone too: its unfinished entries may be
burned under its hands, and then their answers are not let out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sqlalchemy import ARRAY, Integer, cast, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.tables import workers
from accountant.transactions import no_driver_errors

_LOCK_CLASS = int.from_bytes(b"epsq")


async def living(connection: AsyncConnection, worker_ids: Iterable[int]) -> frozenset[int]:
    """Those whose lock somebody holds. Of the others nobody can until the transaction ends."""
    ids = func.unnest(cast(list(worker_ids), ARRAY(Integer))).table_valued("id").render_derived()
    not_held = func.pg_try_advisory_xact_lock_shared(_LOCK_CLASS, ids.c.id)
    rows = await connection.execute(select(ids.c.id, not_held))
    return frozenset(worker_id for worker_id, free in rows if not free)


class Worker:
    """This process, as the ledger knows it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._id = 0

    async def id(self) -> int:
        """The worker's id; the first call registers it.

        Raises:
            LedgerUnavailable: the database failed.
        """
        async with self._turn:
            if self._connection is None:
                with no_driver_errors():
                    await self._register()
            return self._id

    async def forget(self, worker_id: int) -> None:
        """Gives up an id whose lock is lost; the next call of :meth:`id` takes a new one."""
        async with self._turn:
            if worker_id == self._id:
                await self._release()

    async def close(self) -> None:
        """Lets go of the lock."""
        async with self._turn:
            await self._release()

    async def _register(self) -> None:
        connection = await self._engine.connect()
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            row = insert(workers).returning(workers.c.id)
            worker_id = (await connection.execute(row)).scalar_one()
            # Between these two it looks dead, but no entry has its id yet.
            await connection.execute(select(func.pg_advisory_lock(_LOCK_CLASS, worker_id)))
            # Somebody who looked for the dead in that moment has given it up.
            found = update(workers).where(workers.c.id == worker_id).values(gone_at=None)
            await connection.execute(found)
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        self._connection, self._id = connection, worker_id

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Back in the pool, the session would keep its lock.
            await connection.invalidate()
            await connection.close()
