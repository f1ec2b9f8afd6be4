"""The schema ``epsql``, as an analyst asks it."""

from __future__ import annotations

import os
import signal
import time
from decimal import Decimal

import psycopg
import pytest

from server.observations import Tripped
from server.shadow import TRIPWIRE
from server.wire import asks
from server.wire.own import PASSED_ON
from tests.wire.conftest import new_question

ASK = "SELECT count(*) FROM patients"
LEFT = "SELECT epsilon_left FROM epsql.budget WHERE scope = 'analyst'"


def test_the_budget_is_the_one_of_now(ada):
    assert ada.execute(LEFT).fetchall() == [(Decimal(1000),)]
    ada.execute(ASK)
    assert ada.execute(LEFT).fetchall() == [(Decimal(999),)]
    assert ada.execute(
        "SELECT scope, unit, state, epsilon_cap FROM epsql.budget ORDER BY 1"
    ).fetchall() == [
        ("analyst", "patients", "open", 1000),
        ("everyone", "patients", "open", 900000),
    ]


def test_what_was_spent_by_the_other_door_is_seen_too(door, name, ada):
    assert ada.execute(LEFT).fetchone() == (1000,)
    with door.connect(name) as other:
        other.execute(ASK)
    assert ada.execute(LEFT).fetchone() == (999,)


def test_a_prepared_statement_sees_the_budget_of_now_each_time(ada):
    for times in range(3):
        assert ada.execute(LEFT, prepare=True).fetchone() == (1000 - times,)
        ada.execute(new_question())


@pytest.mark.parametrize("binary", [False, True])
def test_history_and_releases_have_what_was_asked(ada, binary):
    ada.execute("SELECT sex, count(*) FROM patients GROUP BY sex")
    rows = ada.execute("SELECT sql, state, epsilon FROM epsql.history", binary=binary).fetchall()
    assert rows == [("SELECT sex, count(*) FROM patients GROUP BY sex", "answered", 1)]
    (answer,) = ada.execute("SELECT answer FROM epsql.releases", binary=binary).fetchone()
    assert [row[0] for row in answer["rows"]] == ["female", "male", "other"]


def test_nobody_sees_what_others_asked(door, ada):
    ada.execute(ASK)
    with door.connect(door.analyst()) as bob:
        for table in ("history", "releases"):
            assert bob.execute(f"SELECT * FROM epsql.{table}").fetchall() == []
        assert bob.execute(LEFT).fetchall() == [(1000,)]


def test_many_questions_are_all_there(ada, monkeypatch):
    monkeypatch.setattr("server.wire.standing._PAGE", 2)
    for _ in range(5):
        ada.execute(new_question())
    assert ada.execute("SELECT count(*) FROM epsql.history").fetchone() == (5,)
    ada.execute(new_question())
    assert ada.execute("SELECT count(*) FROM epsql.history").fetchone() == (6,)


def test_looking_costs_nothing(door, name, ada):
    ada.execute("TABLE epsql.budget")
    ada.execute("TABLE epsql.history")
    assert door.spent(name) == 0


def test_every_setting_is_listed_with_its_meaning(ada):
    rows = ada.execute("SELECT name, meaning FROM epsql.settings").fetchall()
    assert {name for name, _ in rows} == {f"epsql.{name}" for name in (*asks.SETTINGS, PASSED_ON)}
    assert all(meaning for _, meaning in rows)


def test_a_public_table_that_grew_too_large_goes_to_the_gateway_at_once(door, ada, monkeypatch):
    async def too_many(table):
        return None

    assert ("public", "cities") not in door.shadow.names("clinic").guarded
    monkeypatch.setattr(door.shadow, "_public_rows", too_many)
    door.run(door.shadow.resync())
    assert ("public", "cities") in door.shadow.names("clinic").guarded
    assert ada.execute("SELECT count(*) FROM cities").fetchone() == (6,)
    monkeypatch.undo()
    door.run(door.shadow.resync())
    assert ada.execute("SELECT count(*) FROM cities").fetchone() == (6,)


def test_the_operator_hears_of_what_trips(door, ada):
    def trips() -> int:
        return sum(isinstance(one, Tripped) for one in door.seen)

    before = trips()
    ada.execute(ASK)
    ada.execute("EXPLAIN SELECT count(*) FROM patients")
    ada.execute("SELECT * FROM patients LIMIT 0")
    ada.execute("SELECT 'patients'::regclass")
    assert trips() == before
    words = "in a way that epsql does not answer"
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=words):
        ada.execute(f"SELECT epsql.{TRIPWIRE}()")
    assert trips() == before + 1
    ada.execute(ASK, prepare=True)
    ((name,),) = ada.execute("SELECT name FROM pg_prepared_statements").fetchall()
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=words):
        ada.execute(f"EXECUTE {name}")
    assert trips() == before + 2


def test_a_shadow_that_was_killed_comes_back_with_all_that_was_asked(door, name):
    with door.connect(name) as before:
        before.execute(ASK)
        assert before.execute("SELECT count(*) FROM epsql.history").fetchone() == (1,)
        home = door.shadow.socket.parent
        os.kill(int((home / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            for _ in range(200):
                before.execute("SELECT 1")
                time.sleep(0.05)
    for _ in range(200):
        if door.run(door.shadow.healthy()) and home != door.shadow.socket.parent:
            break
        time.sleep(0.05)
    assert not home.exists()
    with door.connect(name) as after:
        assert after.execute("SELECT count(*) FROM epsql.history").fetchone() == (1,)
        assert after.execute(LEFT).fetchone() == (999,)
        after.execute("SELECT * FROM cities")


def test_several_statements_in_one_text(ada):
    cursor = ada.execute(f"{ASK}; {LEFT}")
    cursor.nextset()
    # Brought up to date before the text begins.
    assert cursor.fetchone() == (1000,)
