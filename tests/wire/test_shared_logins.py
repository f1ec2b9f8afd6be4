"""A login that many people share, and the token that says which of them asks."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from tests.wire.conftest import SHARED, new_question

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
        assert token.split("_")[2] not in repr(tool.execute(sql.encode()).fetchall())
    assert token.split("_")[2] not in repr(door.seen)


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


def test_a_person_whose_token_ends_asks_no_more(door, name, tool, spent):
    tool.execute(f"SET epsql.analyst_token = '{door.tokens[name]}'")
    tool.execute(new_question())
    door.run(door.identity.revoke(door.tokens[name].split("_")[1]))
    with pytest.raises(errors.InsufficientPrivilege):
        tool.execute(new_question())
    assert (door.spent(name), spent()) == (E12, 0)
