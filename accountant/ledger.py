"""The ledger: what was asked, what it was charged, and what was answered.

Its decisions are in ``books``, its statements in ``loading``, its transactions in ``journal`` and
``scribe``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.accounts import Balances
from accountant.books import STEPS, Books, Dispatch, Fail, Reserve, Settle, State, Void
from accountant.decisions import found
from accountant.headfile import HeadFile
from accountant.history import History, Release
from accountant.loading import load
from accountant.records import Chain, Receipt
from accountant.requests import (
    REQUEST_ID,
    Cells,
    Earlier,
    EffectiveNoise,
    Replay,
    Request,
    Reservation,
)
from accountant.scribe import Scribe
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


_Found: TypeAlias = Reservation | Replay | None


class Ledger(History):
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

    async def look(
        self, request: Request, seen: Chain | None = None
    ) -> Reservation | Replay | None:
        """What :meth:`reserve` would come to, where that is an answer for nothing; else None.

        It reads, and writes nothing: who has asked before waits for nobody.

        Args:
            request: what is asked for.
            seen: the end of the journal, if the asker has looked at it already.

        Raises:
            RequestIdConflict: the request id stands for another question.
        """

        async def find(connection: AsyncConnection, end: Chain) -> tuple[_Found, int]:
            books = Books(end, 0)
            await load(connection, books, [Reserve(request, UUID(int=0))])
            answer = found(books, request)
            return answer, 0 if answer is None else _size(answer)

        key = (
            request.analyst_id,
            request.dataset,
            request.units,
            request.request_id,
            request.request_digest,
            request.plan_digest,
            request.replayable,
        )
        answer, end = await self._recall.of(("look", *key), find, seen)
        if isinstance(answer, Reservation):
            accounts = tuple(account.at(end.at) for account in answer.balances.accounts)
            return replace(answer, balances=Balances(accounts))
        return answer

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
        """Gives up after data may have been touched, or after stored cells were found that somebody
        else was given; the charge is kept.

        Raises:
            WrongState: the release is not ``dispatched``, or a replay that is not ``reserved``.
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


def _size(found: Reservation | Replay) -> int:
    """About how many characters it has."""
    if isinstance(found, Replay):
        return len(json.dumps(found.answer))
    return len(found.cells.rows) if found.cells else 0
