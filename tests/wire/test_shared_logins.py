"""A login that many people share, and the token that says which of them asks."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors, pq

from server.wire.backend import Backend, Owed
from server.wire.messages import Message
from tests.wire.conftest import SHARED, new_question, until

E12 = 10**12


@pytest.fixture
def tool(door):
    if SHARED not in door.tokens:
        door.analyst(SHARED)
    with door.connect(SHARED) as connection:
        yield connection


@pytest.fixture
def spent(door):
    before = door.spent(SHARED) if SHARED in door.tokens else 0
    return lambda: door.spent(SHARED) - before


def test_without_a_token_the_login_is_charged(door, tool, spent):
    tool.execute(new_question())
    assert spent() == E12


def test_with_a_token_the_person_is(door, name, tool, spent):
    bob = door.analyst()
    for who in (name, bob):
        tool.execute(f"SET epsql.analyst_token = '{door.tokens[who]}'")
        tool.execute(new_question())
        assert tool.execute("SHOW epsql.budget").fetchone()[0].startswith("yours: epsilon 999,")
        assert door.spent(who) == E12
    tool.execute("RESET epsql.analyst_token")
    tool.execute(new_question())
    assert (door.spent(name), door.spent(bob), spent()) == (E12, E12, E12)


def test_it_is_a_setting_like_any_other(door, name, tool, spent):
    with tool.transaction():
        tool.execute(f"SET LOCAL epsql.analyst_token = '{door.tokens[name]}'", prepare=True)
        tool.execute(new_question())
    with pytest.raises(ZeroDivisionError), tool.transaction():
        tool.execute(f"SET epsql.analyst_token = '{door.tokens[name]}'")
        raise ZeroDivisionError
    tool.execute(f"SET epsql.analyst_token = '{door.tokens[name]}'; {new_question()}; DISCARD TEMP")
    tool.execute("RESET ALL")
    tool.execute(new_question())
    assert (door.spent(name), spent()) == (2 * E12, E12)


def test_the_token_is_not_to_be_seen_in_the_shadow(door, name, tool):
    """Other people of the login see its sessions, and what they do."""
    token = door.tokens[name]
    for prepare in (False, True):
        tool.execute(f"SET epsql.analyst_token = '{token}'", prepare=prepare)
    for sql in (
        "SHOW epsql.analyst_token",
        "SELECT current_setting('epsql.analyst_token')",
        "SELECT statement FROM pg_prepared_statements",
        "SELECT * FROM pg_settings WHERE name LIKE 'epsql.%'",
    ):
        assert token.split("_", 2)[2] not in repr(tool.execute(sql.encode()).fetchall())
    assert token.split("_", 2)[2] not in repr(door.seen)


@pytest.mark.parametrize(
    "sql",
    [
        "SET epsql.analyst_token TO TO '{}'",
        "SET epsql.analyst_token = '{}",
        "SELECT '{}'",
        "SELECT 1 -- {}",
        "SET TimeZone = 'UTC'; SELECT 1 /* {} */",
        "SET epsql.analyst_token = '{0}'; SELECT '{0}'",
        "BEGIN; SELEC {}",
    ],
)
@pytest.mark.parametrize("simple", [True, False])
def test_a_token_in_any_other_text_goes_no_further(door, name, tool, sql, simple, monkeypatch):
    sent: list[Message] = []

    def noted(backend: Backend, message: Message, owed: Owed) -> None:
        sent.append(message)
        _send(backend, message, owed)

    monkeypatch.setattr(Backend, "send", noted)
    text = sql.format(door.tokens[name]).encode()
    raised = tool.pgconn.exec_(text) if simple else tool.pgconn.exec_params(text, None)
    assert raised.error_field(pq.DiagnosticField.SQLSTATE) in {b"22023", b"42601"}
    assert sent
    assert door.tokens[name].split("_", 2)[2] not in repr(sent)
    assert tool.execute("SELECT 1").fetchone() == (1,)


_send = Backend.send


def test_a_handle_is_no_token(door, name, tool, spent):
    tool.execute(f"SET epsql.analyst_token = '{door.tokens[name]}'")
    handle = tool.execute("SHOW epsql.analyst_token").fetchone()[0]
    assert handle.startswith(name + " ")
    with door.connect(SHARED) as another:
        with pytest.raises(errors.InsufficientPrivilege):
            another.execute(f"SET epsql.analyst_token = '{handle}'")
        with pytest.raises(errors.InvalidParameterValue):
            another.execute(f"SELECT set_config('epsql.analyst_token', '{handle}', false)")
    assert spent() == 0


def test_who_is_not_named_asks_for_nobody(door, name, ada):
    bob = door.analyst()
    with pytest.raises(errors.InsufficientPrivilege, match="one analyst"):
        ada.execute(f"SET epsql.analyst_token = '{door.tokens[bob]}'")
    with pytest.raises(psycopg.OperationalError):
        door.connect(name, options=f"-c epsql.analyst_token={door.tokens[bob]}")
    ada.execute(new_question())
    assert (door.spent(name), door.spent(bob)) == (E12, 0)


@pytest.mark.parametrize("token", ["nonsense", "epsql_0123456789abcdef_" + "x" * 43])
def test_a_token_of_nobody(door, tool, token):
    with pytest.raises(errors.InsufficientPrivilege):
        tool.execute(f"SET epsql.analyst_token = '{token}'")
    admin = door.run(door.identity.new_token(None))
    with pytest.raises(errors.InsufficientPrivilege):
        tool.execute(f"SET epsql.analyst_token = '{admin}'")


def test_the_schema_epsql_is_that_of_the_person(door, name, tool):
    bob = door.analyst()
    mine = "SELECT sum(epsilon), count(*) FROM epsql.history"
    left = "SELECT epsilon_left FROM epsql.budget WHERE scope = 'analyst'"
    tool.execute(f"SET epsql.analyst_token = '{door.tokens[name]}'")
    tool.execute(new_question())
    assert tool.execute(mine).fetchone() == (1, 1)
    assert tool.execute(left).fetchone() == (999,)
    assert tool.execute("SELECT count(*) FROM epsql.releases", prepare=True).fetchone() == (1,)
    tool.execute(f"SET epsql.analyst_token = '{door.tokens[bob]}'")
    assert tool.execute(mine).fetchone() == (None, 0)
    assert tool.execute(left).fetchone() == (1000,)
    tool.execute("BEGIN")
    tool.execute(f"SET LOCAL epsql.analyst_token = '{door.tokens[name]}'")
    assert tool.execute(left).fetchone() == (999,)
    tool.execute("ROLLBACK")
    assert tool.execute(left).fetchone() == (1000,)
    tool.execute("RESET epsql.analyst_token")
    assert tool.execute("SELECT DISTINCT analyst FROM epsql.budget").fetchone() == (SHARED,)


def test_whose_token_ends_is_seen_no_more(door, name, tool):
    tool.execute(f"SET epsql.analyst_token = '{door.tokens[name]}'")
    assert tool.execute("SELECT DISTINCT analyst FROM epsql.budget").fetchone() == (name,)
    door.run(door.identity.revoke(door.tokens[name].split("_")[1]))
    assert tool.execute("SELECT DISTINCT analyst FROM epsql.budget").fetchone() == (SHARED,)


def test_nothing_is_kept_of_a_session_that_is_over(door, name):
    with door.connect(SHARED) as tool:
        tool.execute(f"SET epsql.analyst_token = '{door.tokens[name]}'")
        handle = tool.execute("SHOW epsql.analyst_token").fetchone()[0]
        assert _known(door, handle)
    until(lambda: not _known(door, handle))


def _known(door, handle: str) -> bool:
    with psycopg.connect(
        host=str(door.shadow.socket.parent), user="_epsql", dbname="clinic"
    ) as own:
        found = own.execute("SELECT FROM epsql.people WHERE handle = %s", [handle]).fetchall()
    return bool(found)


def test_a_person_whose_token_ends_asks_no_more(door, name, tool, spent):
    tool.execute(f"SET epsql.analyst_token = '{door.tokens[name]}'")
    tool.execute(new_question())
    door.run(door.identity.revoke(door.tokens[name].split("_")[1]))
    with pytest.raises(errors.InsufficientPrivilege):
        tool.execute(new_question())
    assert (door.spent(name), spent()) == (E12, 0)
