"""Attacks of the catalogue that need a Postgres client: each names its case."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import errors, pq

from server.engines import EngineFailed
from server.wire import messages
from server.wire.messages import SYNC, Bind, Execute, Message, Parse
from tests.wire.conftest import new_question
from tests.wire.raw import kinds, logged_in, said

COUNT = "SELECT count(*) FROM patients"
E12 = 10**12


def test_a_second_statement_is_looked_at_like_the_first(door, name, ada):
    """WIR-01."""
    result = ada.pgconn.exec_(f"{COUNT}; SELECT name FROM patients".encode())
    assert result.error_field(pq.DiagnosticField.SQLSTATE) == b"42501"
    assert door.spent(name) == E12
    result = ada.pgconn.exec_params(f"{COUNT}; SELECT name FROM patients".encode(), [])
    assert result.error_field(pq.DiagnosticField.SQLSTATE) == b"42601"
    assert door.spent(name) == E12


def test_prepared_once_and_executed_often_is_paid_each_time(door, name, ada):
    """WIR-02. Other parameters are another question, however often the text was prepared."""
    for age in range(10):
        ada.execute(COUNT + " WHERE age > %s", [age], prepare=True)
    assert door.spent(name) == 10 * E12


@pytest.mark.parametrize("kind", [b"F", b"d", b"c", b"f", b"r", b"w", b"\0"])
def test_messages_that_are_no_sql_reach_nothing(door, name, kind):
    """WIR-03."""
    raw = logged_in(door.where(name))
    raw.send(Message(kind, b"\0" * 12), messages.query(b"SELECT 1"))
    found = raw.until(b"Z")
    answered = [m for m in found if m.kind == b"E"]
    for error in answered:
        assert messages.read_report(error.body)[b"C"] in {b"08P01", b"0A000"}
    assert answered or kinds(found) == b"TDCZ"
    raw.socket.close()
    raw.owner.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SET standard_conforming_strings = off",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "SET client_encoding = 'SJIS'",
        "SET client_encoding TO GBK",
        "SET NAMES 'BIG5'",
        "SET session_preload_libraries = 'x'",
        "SET SESSION AUTHORIZATION _epsql",
        "SET ROLE _epsql",
    ],
)
def test_settings_that_change_what_a_text_means(ada, sql):
    """WIR-04, PAR-18."""
    with pytest.raises(psycopg.Error):
        ada.execute(sql)
    assert ada.execute("SHOW standard_conforming_strings").fetchone() == ("on",)


def test_a_schema_in_front_hides_no_protected_table(door, name, ada):
    """WIR-04: names mean what the search path says; to us, and to the shadow."""
    ada.execute("SET search_path = epsql, public")
    assert ada.execute(new_question()).fetchone()
    ada.execute("SET search_path = epsql")
    with pytest.raises(errors.UndefinedTable):
        ada.execute(COUNT)
    assert ada.execute(new_question().replace("patients", "public.patients")).fetchone()
    assert door.spent(name) == 2 * E12


@pytest.mark.parametrize(
    "condition, value",
    [
        ("weight > %b", float("nan")),
        ("weight > %b", float("inf")),
        ("weight > %s::double precision", "NaN"),
        ("bmi > %b", Decimal("NaN")),
        ("bmi > %b", Decimal("1e400")),
        ("name LIKE %b", "Ali\\"),
        ("age = ANY(%b)", [[1, 2], [3, 4]]),
        ("age = ANY(%b)", list(range(2_000))),
        ("name = %b", "\u0000"),
    ],
)
def test_parameters_are_looked_at_before_the_debit(door, name, ada, condition, value):
    """WIR-06."""
    with pytest.raises((psycopg.Error, psycopg.DataError)) as refused:
        ada.execute(f"{COUNT} WHERE {condition}", [value])
    assert getattr(refused.value, "sqlstate", None) != "ZP000"
    assert door.spent(name) == 0


def test_too_many_parameters_are_no_question(door, name):
    """WIR-06."""
    raw = logged_in(door.where(name))
    values = tuple(b"1" for _ in range(65_535))
    raw.send(Parse(b"", f"{COUNT} WHERE age > $1".encode()).message)
    raw.send(Bind(b"", b"", (), values).message, Execute(b"").message, SYNC)
    found = raw.until(b"Z")
    assert said(found)[b"C"] == b"08P01"
    assert door.spent(name) == 0
    raw.owner.close()


def test_nothing_runs_after_an_error_before_sync(door, name):
    """WIR-07."""
    raw = logged_in(door.where(name))
    one = Parse(b"", COUNT.encode()).message, Bind(b"", b"").message, Execute(b"").message
    raw.send(Parse(b"", b"SELEC").message, *one, *one, SYNC)
    assert kinds(raw.until(b"Z")) == b"EZ"
    assert door.spent(name) == 0
    raw.owner.close()


@pytest.mark.parametrize(
    "before, after",
    [("BEGIN", "ROLLBACK"), ("BEGIN; SAVEPOINT s", "ROLLBACK TO s; COMMIT"), ("", "SELECT 1/0")],
)
def test_the_debit_is_not_of_the_transaction(door, name, ada, before, after):
    """LED-05."""
    ada.pgconn.exec_(f"{before}; {COUNT}; {after}".encode())
    assert door.spent(name) == E12
    if ada.info.transaction_status != pq.TransactionStatus.IDLE:
        ada.execute("ROLLBACK")
    assert door.spent(name) == E12


def test_what_the_database_says_reaches_nobody(door, name, ada):
    """ERR-19: one fixed error, whose fields do not depend on what went wrong."""
    engine: Any = door.gateway.datasets["clinic"].engine

    async def broken(_: Any) -> Any:
        rows: tuple[Any, ...] = ()
        for nothing in rows:
            yield nothing
        raise EngineFailed("22012")

    engine.fetch = broken
    try:
        with pytest.raises(psycopg.Error) as failed:
            ada.execute(new_question())
    finally:
        del engine.fetch
    told = failed.value.diag
    assert (told.sqlstate, told.message_primary) == ("ZP000", "The query failed after the debit.")
    silent = ("context", "internal_query", "statement_position", "schema_name", "column_name")
    assert all(getattr(told, one) is None for one in silent)
    assert door.spent(name) == E12


def test_tags_and_notices_are_of_the_noisy_answer(ada):
    """KEY-07: how many rows there are is what is seen, and the notice has nothing besides."""
    heard: list[str] = []
    ada.add_notice_handler(lambda d: heard.append(f"{d.message_primary} {d.message_detail}"))
    ada.execute("SET epsql.delta = '1e-6'")
    cursor = ada.execute("SELECT diagnosis, count(*) AS n FROM visits GROUP BY diagnosis")
    assert cursor.statusmessage == f"SELECT {len(cursor.fetchall())}"
    sql = "SELECT diagnosis, count(*) AS n FROM visits WHERE cost > 1e9 GROUP BY diagnosis"
    assert ada.execute(sql).fetchall() == []
    full, empty = (text.partition("left")[0] for text in heard)
    assert full.partition(" at 95 %; ")[2] == empty.partition("; ")[2] or empty.startswith("cost")
