"""Debits a second, and for each flush of the disk: group commit beside one row lock a request."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from uuid import UUID

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
    """Rows of a table. The flushes are measured on the disk that the database is on."""
    flushes = _flushes(Path(tempfile.gettempdir()))
    rows = [("what", "at once", "debits/s", "debits/commit", "debits/flush", "our CPU us/debit")]
    for name, people, clients, scenario in (
        ("one row lock a request, one account", 1, 16, _row_locks),
        ("group commit, one account", 1, 16, _grouped),
        ("group commit, one account", 1, 512, _grouped),
        ("group commit, 1000 accounts", 1000, 1000, _grouped),
    ):
        debits, commits, cpu = asyncio.run(_measured(postgres, people, clients, scenario))
        rate = debits / _SECONDS
        shown = (f"{rate:.0f}", f"{debits / max(commits, 1):.1f}", f"{rate / flushes:.2f}")
        rows.append((name, str(clients), *shown, f"{1e6 * cpu / max(debits, 1):.0f}"))
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


async def _measured(
    postgres: EmbeddedPostgres,
    people: int,
    clients: int,
    scenario: Callable[[Ledger, AsyncEngine], Awaitable[_Debit]],
) -> tuple[int, int, float]:
    """Debits, commits and processor seconds of some seconds, on a new ledger."""
    postgres.drop_database("bench")
    postgres.create_database("bench")
    migrate(postgres.url("bench"))
    engine = ledger_engine(postgres.url("bench"), pool_size=18)
    ledger = Ledger(engine)
    try:
        await ledger.open_dataset("clinic", ["patients"], _PLENTY, 0)
        analysts = [(await ledger.add_analyst(f"a{number}")).id for number in range(people)]
        for analyst in analysts:
            await ledger.open_account(analyst, "clinic", _PLENTY, 0)
        debit = await scenario(ledger, engine)
        await debit(analysts[0])
        before, worked = await _commits(engine), time.process_time()
        ends = time.perf_counter() + _SECONDS
        done = await asyncio.gather(
            *(_client(debit, analysts[number % people], ends) for number in range(clients))
        )
        worked = time.process_time() - worked
        await asyncio.sleep(1.5)  # the counters of Postgres are a second behind
        return sum(done), await _commits(engine) - before, worked
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


async def _commits(engine: AsyncEngine) -> int:
    query = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    async with engine.connect() as connection:
        count: int = (await connection.execute(query)).scalar_one()
    return count


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
    lock = text("SELECT epsilon_spent, epsilon_cap FROM accounts ORDER BY id LIMIT 2 FOR UPDATE")
    update = text("UPDATE accounts SET epsilon_spent = epsilon_spent + :epsilon")
    insert = text("INSERT INTO requests (sql) VALUES (:sql)")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE requests (id bigserial PRIMARY KEY, sql text)"))

    async def debit(_: UUID) -> None:
        async with places, transaction(engine) as connection:
            rows = (await connection.execute(lock)).all()
            assert all(row.epsilon_spent + _LOSS.epsilon <= row.epsilon_cap for row in rows)
            await connection.execute(update, {"epsilon": _LOSS.epsilon})
            await connection.execute(insert, {"sql": _SQL})

    return debit
