"""Whatever dies, and whenever: the charge is kept, and no answer leaves that was not settled."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

import accountant.accounts
from accountant.errors import (
    LedgerUnavailable,
    RequestFailed,
    RequestInProgress,
    WrongState,
)
from accountant.ledger import Ledger, Replay, Reservation
from accountant.transactions import transaction
from tests.accountant.conftest import DATASET, EPSILON, question
from tests.postgres import Postgres

ROOT = Path(__file__).parents[2]
HALF = EPSILON // 2


async def crash(ledger: Ledger) -> None:
    """Ends the ledger's worker as a crash would: its connection is gone, nothing is tidied up."""
    await ledger._worker.close()


async def spent(ledger: Ledger, analyst: UUID) -> int:
    return (await ledger.balances(analyst, DATASET)).analyst.spent.epsilon


async def burned_until_gone(ledger: Ledger) -> int:
    """Burns orphans, waiting for Postgres to notice that a killed client is gone."""
    for _ in range(500):
        if burned := await ledger.burn_orphans():
            return burned
        await asyncio.sleep(0.02)
    return 0


@pytest.mark.parametrize("stop_in", ["reserved", "dispatched"])
async def test_a_killed_process_stays_charged(
    stop_in: str,
    open_ledger: Callable[[], Ledger],
    alice: UUID,
    ledger_uri: str,
    books: Callable[[], None],
):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.accountant.crashing",
        ledger_uri,
        str(alice),
        stop_in,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        entry = UUID((await process.stdout.readline()).decode().strip())
        bystander = open_ledger()
        assert await bystander.burn_orphans() == 0, "it lives"
        with pytest.raises(RequestInProgress):
            await bystander.reserve(question(alice, HALF, request_id="r"))
    finally:
        process.kill()
        await process.wait()

    successor = open_ledger()
    assert await burned_until_gone(successor) == 1
    assert await successor.burn_orphans() == 0
    assert await spent(successor, alice) == HALF
    release = await successor.release(alice, entry)
    assert release is not None
    assert (release.state, release.answer) == ("failed", None)
    with pytest.raises(RequestFailed):
        await successor.reserve(question(alice, HALF, request_id="r"))
    books()


@pytest.mark.parametrize("after", ["reserve", "dispatch", "settle"])
async def test_a_crash_after_each_step(
    after: str, open_ledger: Callable[[], Ledger], alice: UUID, books: Callable[[], None]
):
    first, second = open_ledger(), open_ledger()
    asked = question(alice, HALF, request_id="r")
    entry = await first.reserve(asked)
    if after in {"dispatch", "settle"}:
        await first.dispatch(entry.id)
    if after == "settle":
        await first.settle(entry.id, {"rows": [[1]]})
    await crash(first)

    if after == "settle":
        assert await second.burn_orphans() == 0
        replay = await second.reserve(asked)
        assert isinstance(replay, Replay)
        assert replay.answer == {"rows": [[1]]}
    else:
        with pytest.raises(RequestFailed):  # even before anybody burned it
            await second.reserve(asked)
        assert await second.burn_orphans() == 1
        with pytest.raises(RequestFailed):
            await second.reserve(asked)
    assert await spent(second, alice) == HALF
    books()


async def test_the_entries_of_the_living_are_left_alone(open_ledger, alice):
    first, second = open_ledger(), open_ledger()
    entry = await first.reserve(question(alice, HALF))
    assert await second.burn_orphans() == 0
    assert await first.burn_orphans() == 0
    await first.dispatch(entry.id)
    await first.settle(entry.id, {"rows": []})


async def test_a_worker_that_lost_its_lock_cannot_settle_what_was_burned(
    open_ledger: Callable[[], Ledger], alice: UUID, postgres: Postgres, books: Callable[[], None]
):
    first, second = open_ledger(), open_ledger()
    entry = await first.reserve(question(alice, HALF // 2))
    await first.dispatch(entry.id)
    assert first._worker._connection is not None
    raw = await first._worker._connection.get_raw_connection()
    pid = raw.driver_connection.info.backend_pid  # type: ignore[union-attr]
    postgres.execute(psycopg.sql.SQL("SELECT pg_terminate_backend({})").format(pid))

    assert await burned_until_gone(second) == 1
    with pytest.raises(WrongState):
        await first.settle(entry.id, {"rows": [[1]]})
    # It goes on under a new id, which counts as alive.
    fresh = await first.reserve(question(alice, HALF // 2))
    assert await second.burn_orphans() == 0
    await first.dispatch(fresh.id)
    books()


CALLS: dict[str, Callable[[Ledger, UUID, UUID], Awaitable[object]]] = {
    "reserve": lambda ledger, alice, _: ledger.reserve(question(alice, 1)),
    "dispatch": lambda ledger, _, entry: ledger.dispatch(entry),
    "settle": lambda ledger, _, entry: ledger.settle(entry, {}),
    "fail": lambda ledger, _, entry: ledger.fail(entry),
    "void": lambda ledger, _, entry: ledger.void(entry),
    "burn_orphans": lambda ledger, _, __: ledger.burn_orphans(),
    "balances": lambda ledger, alice, _: ledger.balances(alice, DATASET),
    "releases": lambda ledger, alice, _: ledger.releases(alice),
    "release": lambda ledger, alice, entry: ledger.release(alice, entry),
    "add_analyst": lambda ledger, _, __: ledger.add_analyst("bob"),
    "find_analyst": lambda ledger, _, __: ledger.find_analyst("alice"),
    "set_cap": lambda ledger, alice, _: ledger.set_cap(alice, DATASET, epsilon_cap=EPSILON),
    "accounts": lambda ledger, _, __: ledger.accounts(),
}


def assert_says_nothing(error: LedgerUnavailable, log: pytest.LogCaptureFixture) -> None:
    assert str(error) == "the ledger is not available"
    assert error.__suppress_context__ or error.__context__ is None
    assert "select count(*)" not in log.text
    assert "terminat" not in log.text


async def test_a_database_that_is_down_refuses_everything_and_says_nothing(
    ledger: Ledger,
    alice: UUID,
    postgres: Postgres,
    ledger_uri: str,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO)
    entry = await ledger.reserve(question(alice, HALF))
    postgres.take_down(ledger_uri)
    for call in CALLS.values():
        with pytest.raises(LedgerUnavailable) as caught:
            await call(ledger, alice, entry.id)
        assert_says_nothing(caught.value, caplog)
    postgres.bring_up(ledger_uri)
    assert await spent(ledger, alice) == HALF
    # The worker's lock went down with the database, so a new worker reserves.
    await ledger.reserve(question(alice, HALF))


async def test_nobody_notices_that_all_connections_died_while_nobody_asked(
    ledger: Ledger, alice: UUID, postgres: Postgres, ledger_uri: str, books: Callable[[], None]
):
    """As after a restart: each connection of the pool is found dead by what is asked first."""
    for _ in range(2):
        known = await asyncio.gather(*(ledger.balances(alice, DATASET) for _ in range(6)))
        assert len(set(known)) == 1
        await ledger.reserve(question(alice, 1))
        postgres.take_down(ledger_uri)
        postgres.bring_up(ledger_uri)
        again = await asyncio.gather(
            *(ledger.balances(alice, DATASET) for _ in range(6)),
            ledger.look(question(alice, 1)),
            ledger.reserve(question(alice, 1)),
        )
        assert isinstance(again[-1], Reservation)
    assert await spent(ledger, alice) == 4
    books()


@pytest.mark.parametrize("call", CALLS)
async def test_a_read_only_database_refuses_everything(
    call: str, open_ledger: Callable[[], Ledger], alice: UUID, ledger_uri: str
):
    with psycopg.connect(ledger_uri, autocommit=True) as connection:
        database = psycopg.sql.Identifier(connection.info.dbname)
        connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
                database
            )
        )
    with pytest.raises(LedgerUnavailable):
        await CALLS[call](open_ledger(), alice, uuid4())


@pytest.mark.parametrize("state", ["53100", "53200", "40P01", "57P01", "58030"])
async def test_a_database_that_fails_in_the_middle_writes_nothing_and_goes_on_after(
    state: str, ledger: Ledger, alice: UUID, ledger_uri: str, books: Callable[[], None]
):
    """A full disk (53100), no memory, a deadlock, a shutdown, a broken disk: at the last statement."""
    held = await ledger.reserve(question(alice, HALF))
    with psycopg.connect(ledger_uri) as connection:
        connection.execute(
            f"""
            CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'canary' USING ERRCODE = '{state}'; END $$;
            CREATE TRIGGER break_it BEFORE INSERT ON entries FOR EACH ROW
            EXECUTE FUNCTION break_it();
        """.encode()
        )
    for call in (
        ledger.reserve(question(alice, 1)),
        ledger.dispatch(held.id),
        ledger.set_cap(alice, DATASET, epsilon_cap=9 * EPSILON),
    ):
        with pytest.raises(LedgerUnavailable) as caught:
            await call
        assert "canary" not in str(caught.value)
    with psycopg.connect(ledger_uri) as connection:
        connection.execute("DROP TRIGGER break_it ON entries")
    assert await spent(ledger, alice) == HALF
    await ledger.dispatch(held.id)
    books()


def may_mount() -> bool:
    """Whether we may have a mount of our own, which nobody else sees."""
    program = shutil.which("unshare")
    trial = [program or "false", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="no mounts of our own here")
def test_a_disk_that_is_really_full_is_an_outage_and_no_loss():
    """A file system of its own runs full under the ledger, and gets room again."""
    # Not pytest's directory, which the account that runs Postgres cannot reach.
    with tempfile.TemporaryDirectory(prefix="epsql-disk-") as place:
        done = subprocess.run(
            ["unshare", "-m", sys.executable, "-m", "tests.accountant.full_disk", place],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "fine\n", done.stderr
    assert "SQLSTATE 53100" in done.stderr


async def test_the_constraints_hold_when_the_filter_does_not(
    ledger: Ledger, alice: UUID, monkeypatch: pytest.MonkeyPatch, books: Callable[[], None]
):
    monkeypatch.setattr(accountant.accounts, "holds", lambda spent, cap: True)
    await ledger.reserve(question(alice, EPSILON))
    with pytest.raises(LedgerUnavailable):
        await ledger.reserve(question(alice, 1))
    assert await spent(ledger, alice) == EPSILON
    books()


async def test_every_transaction_waits_for_the_disk(
    open_ledger: Callable[[], Ledger], ledger_uri: str
):
    with psycopg.connect(ledger_uri, autocommit=True) as connection:
        database = psycopg.sql.Identifier(connection.info.dbname)
        connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(database)
        )
    async with transaction(open_ledger()._engine) as inside:
        shown = await inside.exec_driver_sql("SHOW synchronous_commit")
        assert shown.scalar_one() == "on"
