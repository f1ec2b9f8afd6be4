"""Debits a second, and for each fsync: group commit beside one row lock a request."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from accountant.events import LaplaceEvent
from accountant.ledger import Ledger, Request
from accountant.losses import loss_of_events
from accountant.transactions import ledger_engine, transaction
from migrations import migrate
from server.embedded import EmbeddedPostgres

_SECONDS = 6.0
_PLENTY = 10**18
_EVENTS = (LaplaceEvent(Fraction(1000), 1),)
_LOSS = loss_of_events(_EVENTS, Fraction(0))
_SQL = "SELECT sex, count(*) FROM patients WHERE age >= 40 GROUP BY sex"


def run(postgres: EmbeddedPostgres) -> list[tuple[str, ...]]:
    """Rows of a table, and last what the disk under the database can do by itself."""
    gc.freeze()  # as the server does
    rows = [("what", "at once", "debits/s", "debits/commit", "debits/fsync", "our CPU us/debit")]
    for name, people, clients, scenario in (
        ("one row lock a request, one account", 1, 16, _row_locks),
        ("one row lock a request, 1000 accounts", 1000, 1000, _row_locks),
        ("group commit, one account", 1, 16, _grouped),
        ("group commit, one account", 1, 512, _grouped),
        ("group commit, 1000 accounts", 1000, 1000, _grouped),
    ):
        done = asyncio.run(_measured(postgres, people, clients, scenario))
        rows.append(
            (
                name,
                str(clients),
                f"{done.debits / _SECONDS:.0f}",
                f"{done.debits / max(done.commits, 1):.1f}",
                f"{done.debits / max(done.fsyncs, 1):.1f}",
                f"{1e6 * done.cpu / max(done.debits, 1):.0f}",
            )
        )
    flushes = _flushes(Path(tempfile.gettempdir()))
    rows.append((f"the disk: {flushes:.0f} flushes/s", "", "", "", "", ""))
    return rows


def _flushes(directory: Path) -> float:
    """How often a second the disk says that 8 kB are on it."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 2.0:
            os.pwrite(file.fileno(), bytes(8192), 8192 * (count % 128))
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)


_Debit = Callable[[UUID], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Done:
    """What some seconds came to."""

    debits: int
    commits: int
    fsyncs: int
    """Of the write-ahead log, by all processes of Postgres, as Postgres counts them."""
    cpu: float
    """Processor seconds of ours."""


async def _measured(
    postgres: EmbeddedPostgres,
    people: int,
    clients: int,
    scenario: Callable[[Ledger, AsyncEngine], Awaitable[_Debit]],
) -> _Done:
    """Debits for some seconds, on a new ledger."""
    postgres.drop_database("bench")
    postgres.create_database("bench")
    migrate(postgres.url("bench"))
    async with _open_ledger(postgres) as (ledger, _):
        await ledger.open_dataset("clinic", ["patients"], _PLENTY, 0)
        analysts = [(await ledger.add_analyst(f"a{number}")).id for number in range(people)]
        for analyst in analysts:
            await ledger.open_account(analyst, "clinic", _PLENTY, 0)
    commits, fsyncs = _counted(postgres)
    async with _open_ledger(postgres) as (ledger, engine):
        debit = await scenario(ledger, engine)
        worked, ends = time.process_time(), time.perf_counter() + _SECONDS
        done = await asyncio.gather(
            *(_client(debit, analysts[number % people], ends) for number in range(clients))
        )
        worked = time.process_time() - worked
    after = _counted(postgres)
    return _Done(sum(done), after[0] - commits, after[1] - fsyncs, worked)


@asynccontextmanager
async def _open_ledger(postgres: EmbeddedPostgres) -> AsyncIterator[tuple[Ledger, AsyncEngine]]:
    engine = ledger_engine(postgres.url("bench"), pool_size=18)
    ledger = Ledger(engine)
    try:
        yield ledger, engine
    finally:
        await ledger.close()
        await engine.dispose()


async def _client(debit: _Debit, analyst: UUID, ends: float) -> int:
    """Debits one after another; returns how many."""
    count = 0
    while time.perf_counter() < ends:
        await debit(analyst)
        count += 1
    return count


def _counted(postgres: EmbeddedPostgres) -> tuple[int, int]:
    """Transactions that wrote, and fsyncs of their log. Sessions tell of these when they end."""
    time.sleep(0.5)
    with psycopg.connect(postgres.url("bench")) as connection:
        row = connection.execute("""
            SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
                   (SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal')
        """).fetchone()
    assert row is not None
    return row[0], row[1]


async def _grouped(ledger: Ledger, _: AsyncEngine) -> _Debit:
    def debit(analyst: UUID) -> Awaitable[object]:
        request = Request(
            analyst_id=analyst,
            dataset="clinic",
            units=("patients",),
            request_id=None,
            request_digest="0" * 64,
            plan_digest="1" * 64,
            question_digest="2" * 64,
            sql=_SQL,
            events=_EVENTS,
            loss=_LOSS,
            replayable=False,
        )
        return ledger.reserve(request)

    return debit


async def _row_locks(_: Ledger, engine: AsyncEngine) -> _Debit:
    """As a ledger does it that has a transaction for each request: lock, check, debit, insert."""
    places = asyncio.Semaphore(16)
    both = "scope = 'everyone' OR holder = :analyst"
    lock = text(
        f"SELECT epsilon_spent, epsilon_cap FROM accounts WHERE {both} ORDER BY id FOR UPDATE"
    )
    update = text(f"UPDATE accounts SET epsilon_spent = epsilon_spent + :epsilon WHERE {both}")
    insert = text("INSERT INTO requests (sql) VALUES (:sql)")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE requests (id bigserial PRIMARY KEY, sql text)"))

    async def debit(analyst: UUID) -> None:
        whose = {"analyst": str(analyst)}
        async with places, transaction(engine) as connection:
            rows = (await connection.execute(lock, whose)).all()
            assert all(row.epsilon_spent + _LOSS.epsilon <= row.epsilon_cap for row in rows)
            await connection.execute(update, {**whose, "epsilon": _LOSS.epsilon})
            await connection.execute(insert, {"sql": _SQL})

    return debit
