"""Group commit: what arrives together is decided in order and committed once.

A commit waits for the disk. While it does, commands gather; the next transaction takes them all. So
the disk bounds the number of transactions, and not the number of reservations.

What was read or written is remembered for the next batch, which believes it only if the journal,
locked, ends where it ended then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TypeAlias

from accountant.books import Books, Command, Memory, Settle
from accountant.decisions import decide
from accountant.errors import LedgerError, LedgerUnavailable
from accountant.journal import Journal
from accountant.loading import load, load_living, store
from accountant.requests import Replay, Reservation
from accountant.transactions import Duplicate
from accountant.workers import Worker

Outcome: TypeAlias = Reservation | Replay | LedgerError | None
_Waiting: TypeAlias = "tuple[Command, asyncio.Future[Reservation | Replay | None]]"

_log = logging.getLogger(__name__)

_MOST = 512
"""How many commands one transaction takes: a bound on how long it locks."""
_MOST_TEXT = 1 << 24
"""How many characters of replies and cells it takes, unless one command alone has more. A value in
Postgres has at most 1 GB, and a command must not fail because of its neighbours."""
_ATTEMPTS = 3


class WorkerLost(Exception):
    """Our own lock is gone, so others may burn our entries: reserve under a new id."""


class Scribe:
    """Takes commands one by one, and writes them in batches."""

    def __init__(self, journal: Journal, worker: Worker) -> None:
        self._journal = journal
        self._worker = worker
        self._waiting: deque[_Waiting] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._memory = Memory()

    async def write(self, command: Command) -> Reservation | Replay | None:
        """What the command came to; when this returns, it is durable.

        A task that is cancelled here may have had its command written or not.

        Raises:
            LedgerError: the command was refused, and changed nothing; or LedgerUnavailable.
        """
        answer: asyncio.Future[Reservation | Replay | None] = asyncio.Future()
        self._waiting.append((command, answer))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return await answer

    async def _flush(self) -> None:
        """Writes batch after batch until nobody waits."""
        try:
            while self._waiting:
                await self._write_batch(self._next_batch())
        finally:
            self._flushing = None

    def _next_batch(self) -> list[_Waiting]:
        """Takes from those that wait, in order, at least one."""
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < _MOST:
            size += _text_of(self._waiting[0][0])
            if batch and size > _MOST_TEXT:
                break
            batch.append(self._waiting.popleft())
        return [waiting for waiting in batch if not waiting[1].done()]

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        outcomes: list[Outcome] = [LedgerUnavailable() for _ in batch]
        try:
            outcomes = await self._written([command for command, _ in batch])
        except LedgerError:
            pass  # Logged where it was found. Nothing was written, or it is not known.
        except Exception as error:  # noqa: BLE001 - a bug must not leave anybody waiting for ever
            about = {"database": "ledger", "failure": error}
            _log.error("a batch was not written: %s", type(error).__name__, extra=about)
        finally:
            for (_, answer), outcome in zip(batch, outcomes, strict=True):
                if answer.done():
                    continue
                if isinstance(outcome, LedgerError):
                    answer.set_exception(outcome)
                else:
                    answer.set_result(outcome)

    async def _written(self, commands: list[Command]) -> list[Outcome]:
        """What the commands came to, committed.

        Raises:
            LedgerUnavailable: the database failed.
        """
        for _ in range(_ATTEMPTS):
            worker_id = await self._worker.id()
            try:
                return await self._transact(worker_id, commands)
            except WorkerLost:
                await self._worker.forget(worker_id)
            except Duplicate:
                break
        raise LedgerUnavailable

    async def _transact(self, worker_id: int, commands: list[Command]) -> list[Outcome]:
        memory, self._memory = self._memory, Memory()  # what comes of a failure is not known
        async with self._journal.writing() as writing:
            books = Books(writing.chain, worker_id, memory.of(writing.chain))
            await load(writing.connection, books, commands)
            await load_living(writing.connection, books)
            if worker_id not in books.alive:
                raise WorkerLost
            outcomes = [_outcome(books, command) for command in commands]
            await store(writing.connection, books)
        self._memory = books.remembered()
        return outcomes


def _text_of(command: Command) -> int:
    """How many characters it stores beside its record."""
    if not isinstance(command, Settle):
        return 0
    return len(command.answer) + (len(command.cells.rows) if command.cells else 0)


def _outcome(books: Books, command: Command) -> Outcome:
    """The value or the refusal. A refusal changes nothing, so its neighbours are not disturbed."""
    try:
        return decide(books, command)
    except LedgerError as refusal:
        return refusal
