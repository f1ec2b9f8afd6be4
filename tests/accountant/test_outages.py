"""Outages: the operator hears what is wrong, and no word of the driver's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from accountant.outages import outage

CANARY = "canary-47110815"


def tried(**what: bool) -> Any:
    """As libpq has it after an attempt to connect."""
    return SimpleNamespace(**({"needs_password": False, "used_password": False} | what))


@pytest.mark.parametrize(
    "error, words",
    [
        (psycopg.OperationalError(CANARY), "it cannot be reached"),
        (psycopg.OperationalError(CANARY, pgconn=tried()), "nobody answers"),
        (
            psycopg.OperationalError(CANARY, pgconn=tried(used_password=True)),
            "it lets nobody in with this role, password and database",
        ),
        (
            psycopg.OperationalError(CANARY, pgconn=tried(used_password=True, needs_password=True)),
            "it wants a password, and none is given",
        ),
        (psycopg.errors.DiskFull(CANARY), "its disk is full (SQLSTATE 53100)"),
        (psycopg.errors.UndefinedTable(CANARY), "a table is not there (SQLSTATE 42P01)"),
        (psycopg.errors.DivisionByZero(CANARY), "SQLSTATE 22012"),
        (TimeoutError(CANARY), "TimeoutError"),
    ],
    ids=repr,
)
def test_the_reason_is_in_our_words(error: Exception, words: str) -> None:
    assert outage(error).startswith(words)
    assert CANARY not in outage(error)


def test_a_port_where_nobody_listens() -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(f"postgresql://me:{CANARY}@127.0.0.1:1/ledger")
    assert outage(refused.value).startswith("nobody answers")


def test_what_a_real_server_says_is_not_repeated(ledger_uri: str) -> None:
    with psycopg.connect(ledger_uri) as connection, pytest.raises(psycopg.Error) as failed:
        connection.execute(f'SELECT "{CANARY}"'.encode())
    assert outage(failed.value) == "a column is not there (SQLSTATE 42703)"
