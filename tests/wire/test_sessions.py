"""Sessions from outside: cancelled, ended, cut off, left alone; and tokens that end meanwhile."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors

from server.wire import messages
from tests.wire.conftest import PATIENCE, Door, new_question, until
from tests.wire.raw import Raw, logged_in

COUNT = "SELECT count(*) FROM patients"
E12 = 10**12


class Held:
    """A data database that answers when it is told to."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._engine: Any = door.gateway.datasets["clinic"].engine
        self.asked = threading.Event()
        self._go = asyncio.Event()

    async def fetch(self, statements: Any) -> Any:
        self.asked.set()
        await self._go.wait()
        async for rows in type(self._engine).fetch(self._engine, statements):
            yield rows

    def release(self) -> None:
        self._door.loop.call_soon_threadsafe(self._go.set)


@contextmanager
def held(door: Door) -> Iterator[Held]:
    one = Held(door)
    one._engine.fetch = one.fetch
    try:
        yield one
    finally:
        one.release()
        del one._engine.fetch


@contextmanager
def asking(connection: psycopg.Connection, sql: str | None = None) -> Iterator[list[BaseException]]:
    """A query in another thread; the error that it gets, afterwards."""
    found: list[BaseException] = []

    def ask() -> None:
        try:
            connection.execute((sql or new_question()).encode())
        except psycopg.Error as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_cancel_reaches_a_question_and_stays_charged(door, name, ada):
    with held(door) as data, asking(ada) as found:
        assert data.asked.wait(PATIENCE)
        ada.cancel_safe()
    assert isinstance(found[0], errors.QueryCanceled)
    assert door.spent(name) == E12
    assert ada.execute("SELECT 1").fetchone() == (1,)


def test_a_cancel_when_nothing_runs_does_not_hit_what_comes_next(door, ada):
    for _ in range(5):
        ada.cancel_safe()
        assert ada.execute("SELECT 1").fetchone() == (1,)
        assert ada.execute(COUNT).fetchone()


def test_a_cancel_reaches_the_shadow(door, name, ada):
    slow = "SELECT count(*) FROM generate_series(1, 10000) a, generate_series(1, 1000000) b"
    with asking(ada, slow) as found:
        while not found:
            ada.cancel_safe()
            time.sleep(0.05)
    assert isinstance(found[0], errors.QueryCanceled)


def test_the_secret_of_another_session_cancels_nothing(door, name, ada):
    with held(door) as data, asking(ada) as found:
        assert data.asked.wait(PATIENCE)
        for secret in (b"\0" * 4, b"\0" * 32, b"x"):
            raw = Raw.dial(door.port)
            raw.send(messages.cancel_request(ada.info.backend_pid, secret))
            assert raw.rest() == []
        data.release()
    assert found == []
    assert door.spent(name) == E12


def test_statement_timeout_stops_a_question(door, name, ada):
    ada.execute("SET statement_timeout = '2s'")
    with held(door) as data, asking(ada) as found:
        assert data.asked.wait(PATIENCE)
    assert isinstance(found[0], errors.QueryCanceled)
    assert door.spent(name) == E12


def test_who_goes_away_is_cancelled_and_stays_charged(door, name):
    raw = logged_in(door.where(name))
    with held(door) as data:
        raw.send(messages.query(new_question().encode()))
        assert data.asked.wait(PATIENCE)
        raw.owner.close()
        raw.socket.close()
        until(lambda: type(door.seen[-1]).__name__ == "CancelledAfterDebit")
    assert door.spent(name) == E12


@pytest.mark.parametrize(
    "sql",
    ["SELECT pg_cancel_backend({pid})", "SELECT pg_terminate_backend({pid})",
     "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid='{pid}'"],
)  # fmt: skip
def test_tools_stop_their_own_sessions_by_number(door, name, ada, sql):
    stop = sql.format(pid=ada.execute("SELECT pg_backend_pid()").fetchone()[0])
    with held(door) as data, asking(ada) as found:
        assert data.asked.wait(PATIENCE)
        other = door.analyst()
        with door.connect(other) as stranger:
            assert stranger.execute(stop).fetchall() == []
        with door.connect(name) as own:
            assert own.execute(stop).fetchall() == [(True,)]
    ended = errors.AdminShutdown if "terminate" in sql else errors.QueryCanceled
    assert isinstance(found[0], ended)
    assert door.spent(name) == E12


def test_a_session_ends_with_its_token(door, name):
    second = door.run(door.identity.new_token(name))
    with door.connect(name) as old, door.connect(name, password=second) as new:
        door.run(door.identity.revoke(door.tokens[name].split("_")[1]))
        with pytest.raises(psycopg.OperationalError, match="no longer valid"):
            old.execute(new_question())
        assert old.closed
        assert new.execute(new_question()).fetchone()
        door.run(door.ledger.disable_analyst(name, by="test"))
        with pytest.raises(psycopg.OperationalError):
            new.execute("EXPLAIN " + COUNT)
    assert door.spent(name) == E12


def test_the_shadow_of_a_session_dies(door, name, ada):
    pid = ada.info.backend_pid

    async def kill() -> None:
        async with door.shadow._owner("clinic") as owner:
            await owner.execute("SELECT pg_terminate_backend(%s)", [pid])

    door.run(kill())
    with pytest.raises(psycopg.OperationalError):
        ada.execute("SELECT 1")
    with door.connect(name) as again:
        assert again.execute(COUNT).fetchone()


def test_a_client_that_does_not_read_costs_no_memory(door, name):
    """It gets its rows as fast as it takes them, and other sessions go on meanwhile."""
    raw = logged_in(door.where(name))
    rows = 200_000
    raw.send(messages.query(b"SELECT repeat('x', 100) FROM generate_series(1, %d)" % rows))
    with door.connect(name) as other:
        assert other.execute("SELECT 1").fetchone() == (1,)
    found = raw.until(b"Z")
    assert len(found) == rows + 3
    raw.owner.close()


def test_two_sessions_do_not_hear_each_other(door, name):
    with door.connect(name) as one, door.connect(door.analyst()) as two:
        one.execute("SET epsql.epsilon = '0.5'")
        one.execute("PREPARE p AS SELECT 1")
        assert two.execute("SHOW epsql.epsilon").fetchone() == ("",)
        with pytest.raises(errors.InvalidSqlStatementName):
            two.execute("EXECUTE p")
        with pytest.raises(errors.InsufficientPrivilege):
            two.execute("NOTIFY one")


def test_nothing_of_a_session_is_in_the_log(door, name, ada):
    secret = "canary-4711"
    for sql in (f"SELECT '{secret}'", f"SELECT count(*) FROM patients WHERE name = '{secret}'"):
        ada.execute(sql)
    with pytest.raises(psycopg.Error):
        ada.execute(f"SELECT {secret.replace('-', '_')} FROM patients")
    said = repr(door.seen)
    assert secret not in said
    assert "canary" not in said
    assert door.tokens[name] not in said


def test_cancels_at_any_time_leave_the_session_whole(door, name, ada):
    """Whatever a cancel hits, the next statement is answered as if there had been none."""
    chance = random.Random(7)
    texts = ["SELECT 7", "SELECT count(*) FROM patients WHERE age > {}", "SHOW datestyle",
             "EXPLAIN SELECT count(*) FROM patients", "SELECT 7; SELECT count(*) FROM visits WHERE id > {}"]  # fmt: skip
    ended = threading.Event()

    def cancel() -> None:
        while not ended.is_set():
            ada.cancel_safe()
            time.sleep(chance.random() / 200)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    answered = 0
    try:
        for number in range(40):
            sql = chance.choice(texts).format(2_000 + number)
            try:
                answered += len(ada.execute(sql.encode(), prepare=chance.random() < 0.5).fetchall())
            except errors.QueryCanceled:
                pass
            except errors.SyntaxError:
                assert ";" in sql  # several statements cannot be prepared
    finally:
        ended.set()
        canceller.join()
    until(lambda: not _was_cancelled(ada))
    assert ada.execute("SELECT 7").fetchone() == (7,)
    assert ada.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def _was_cancelled(connection: psycopg.Connection) -> bool:
    """A cancel that is on its way when its sender has stopped may still arrive."""
    try:
        connection.execute("SELECT 1")
    except errors.QueryCanceled:
        return True
    return False
