"""The mirror: what it shows, what it leaves out, and whose rows are whose."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from server.shadow import Asked, Balance, CannotAdmit
from tests.fixture import CITIES
from tests.shadow.conftest import CATALOG


def test_the_declared_tables_are_there_with_their_types_and_keys(room):
    ada = room.login()
    found = ada.execute(
        "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull"
        " FROM pg_attribute WHERE attnum > 0 AND attrelid IN"
        " (SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace)"
        " ORDER BY attrelid, attnum"
    ).fetchall()
    assert ("visits", "cost", "numeric(12,2)", False) in found
    assert ("visits", "visited_at", "timestamp without time zone", True) in found
    declared = {(t.name, c) for t in CATALOG.tables.values() for c in t.columns}
    assert {row[:2] for row in found} == declared
    keys = ada.execute(
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype IN ('p', 'u', 'f') AND connamespace = 'public'::regnamespace ORDER BY 1, 2"
    ).fetchall()
    assert keys == [
        ("cities", "PRIMARY KEY (name)"),
        ("items", "FOREIGN KEY (visit_id) REFERENCES visits(id)"),
        ("items", "PRIMARY KEY (id)"),
        ("patients", "PRIMARY KEY (id)"),
        ("visits", "FOREIGN KEY (patient_id) REFERENCES patients(id)"),
        ("visits", "PRIMARY KEY (id)"),
    ]


def test_comments_say_what_is_declared(room):
    ada = room.login()

    def comment(column: str):
        return ada.execute(
            "SELECT col_description('patients'::regclass, attnum) FROM pg_attribute"
            " WHERE attrelid = 'patients'::regclass AND attname = %s",
            [column],
        ).fetchone()[0]

    assert comment("id") == "The key of the privacy unit."
    assert comment("age") == "Counts as between 0 and 120."
    assert comment("sex") == "Values: female, male, other."
    assert comment("city") == "Values: those of cities.name."
    assert comment("zip") is None
    assert ada.execute("SELECT obj_description('visits'::regclass)").fetchone() == (
        "Protected: ask for aggregates. patient_id leads to patients.id.",
    )


def test_public_tables_have_their_rows_and_protected_ones_none(room):
    ada = room.login()
    assert tuple(ada.execute("SELECT * FROM cities ORDER BY name").fetchall()) == CITIES
    owner = room.login("_epsql")
    for table in ("patients", "visits", "items"):
        assert owner.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_the_gateway_answers_what_is_guarded(room):
    names = {name for _, name in room.shadow.names("clinic").guarded}
    assert names == {"patients", "visits", "items", "yearly"}


def test_a_public_table_that_is_too_large_is_guarded_until_it_is_not(room, monkeypatch):
    async def too_many(table):
        return None

    ada = room.login()
    small = room.shadow._public_rows
    monkeypatch.setattr(room.shadow, "_public_rows", too_many)
    room.runner.run(room.shadow.resync())
    assert ("public", "cities") in room.shadow.names("clinic").guarded
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ada.execute("SELECT * FROM cities")
    monkeypatch.setattr(room.shadow, "_public_rows", small)
    room.runner.run(room.shadow.resync())
    assert ("public", "cities") not in room.shadow.names("clinic").guarded
    assert len(ada.execute("SELECT * FROM cities").fetchall()) == len(CITIES)


def test_rows_that_do_not_fit_leave_the_old_ones(room, monkeypatch):
    async def broken(table):
        return b"Oslo\teast\nOslo\twest\n"  # two of one key

    monkeypatch.setattr(room.shadow, "_public_rows", broken)
    room.runner.run(room.shadow.resync())
    assert len(room.login().execute("SELECT * FROM cities").fetchall()) == len(CITIES)


def test_error_bars_have_the_types_that_answers_have(room):
    described = (
        room.login()
        .execute(
            "SELECT error_bar(count(*)) AS a, error_bar(avg(bmi)) AS b, ci_low(count(*)) AS c,"
            " ci_high(avg(weight)) AS d, ci_low(avg(cost)) AS e, error_bar(max(born)) AS f,"
            " ci_low(max(born)) AS g FROM cities, (SELECT NULL::numeric AS bmi, NULL::float8 AS"
            " weight, NULL::numeric AS cost, NULL::date AS born) x WHERE false HAVING false"
        )
        .description
    )
    types = [psycopg.adapters.types[column.type_code].name for column in described]
    assert types == ["int8", "float8", "int8", "float8", "numeric", "int8", "date"]


def test_error_bars_are_never_computed_here(room):
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="stands around an aggregate"):
        room.login().execute("SELECT error_bar(count(*)) FROM cities")


def balance(left: str) -> Balance:
    return Balance("analyst", "patients", "open", Decimal(3), Decimal(left), Decimal(0), Decimal(0))


def asked(state: str = "answered", answer: str | None = '{"rows": [[1]]}') -> Asked:
    return Asked(
        str(uuid4()),
        datetime(2026, 1, 1, tzinfo=UTC),
        state,
        "SELECT count(*) FROM patients",
        Decimal("0.5"),
        Decimal(0),
        None,
        answer,
    )


def test_everybody_sees_their_own_budget_history_and_releases(room):
    shadow, run = room.shadow, room.runner.run
    ada, bob = room.login("ada"), room.login("bob")
    one, two = asked(), asked("failed", None)
    run(shadow.show_budget("ada", "clinic", [balance("2.5")]))
    run(shadow.show_budget("ada", "clinic", [balance("2")]))
    run(shadow.show_budget("bob", "clinic", [balance("1")]))
    run(shadow.show_asked("ada", "clinic", [one, two]))
    run(shadow.show_asked("ada", "clinic", [one]))
    assert ada.execute("SELECT epsilon_left FROM epsql.budget").fetchall() == [(2,)]
    assert bob.execute("SELECT epsilon_left FROM epsql.budget").fetchall() == [(1,)]
    assert len(ada.execute("SELECT * FROM epsql.history").fetchall()) == 2
    assert ada.execute("SELECT answer->'rows' FROM epsql.releases").fetchall() == [([[1]],)]
    for table in ("history", "releases"):
        assert bob.execute(f"SELECT * FROM epsql.{table}").fetchall() == []


def test_nobody_sees_the_rows_of_others_by_a_condition_that_tells(room):
    """Row security is asked before whatever could fail, or print, on a row."""
    room.runner.run(room.shadow.show_budget("ada", "clinic", [balance("2")]))
    eve = room.login("eve")
    eve.execute("SET row_security = on")
    assert (
        eve.execute("SELECT 1 FROM epsql.budget WHERE 1 / (scope = 'x')::int > 0").fetchall() == []
    )
    eve.execute("SET row_security = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        eve.execute("SELECT * FROM epsql.budget")


def test_the_history_keeps_the_newest(room, monkeypatch):
    monkeypatch.setattr("server.shadow.books.KEPT", 3)
    room.login("cyd")
    room.runner.run(room.shadow.show_asked("cyd", "clinic", [asked() for _ in range(5)]))
    cyd = room.login("cyd")
    assert len(cyd.execute("SELECT * FROM epsql.history").fetchall()) == 3
    assert len(cyd.execute("SELECT * FROM epsql.releases").fetchall()) == 3


def test_settings_and_columns_are_on_view(room):
    ada = room.login(options="-c epsql.epsilon=0.5")
    query = "SELECT setting FROM epsql.settings WHERE name = %s"
    assert ada.execute(query, ["epsql.epsilon"]).fetchone() == ("0.5",)
    assert ada.execute(query, ["epsql.delta"]).fetchone() == (None,)
    found = ada.execute(
        "SELECT lower, upper, public_values, values_from FROM epsql.columns"
        " WHERE table_name = 'patients' AND column_name IN ('age', 'sex', 'city')"
        " ORDER BY column_name"
    ).fetchall()
    assert found == [
        ("0", "120", None, None),
        (None, None, None, "cities.name"),
        (None, None, ["female", "male", "other"], None),
    ]


@pytest.mark.parametrize("name", ["pg_monitor", "public", "none"])
def test_names_that_postgres_keeps_are_not_admitted(room, name):
    with pytest.raises(CannotAdmit):
        room.runner.run(room.shadow.admit(name))


def test_one_analyst_has_so_many_sessions(room):
    for _ in range(10):
        room.login("dan")
    with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
        room.login("dan")
    room.login("ada")


def test_nothing_that_an_analyst_writes_is_in_its_log(room):
    """Not what fails, not a parameter, and not what a session turns on to be printed."""
    ada = room.login()
    for setting in ("debug_print_parse", "debug_print_plan", "debug_print_rewritten"):
        ada.execute(f"SET {setting} = on")
    ada.execute("SELECT 'canary' AS canary")
    for sql, parameters in (
        ("SELEC canary", None),
        ("SELECT canary FROM patients", None),
        ("SELECT %s::integer", ["canary"]),
        ("SELECT 1 / (length(%s) - 6)", ["canary"]),
        ("SELECT repeat('canary', 100000000) || repeat('canary', 100000000)", None),
    ):
        with pytest.raises(psycopg.Error):
            ada.execute(sql, parameters)
    with pytest.raises(psycopg.OperationalError):
        room.login("canary", database="nowhere")
    assert "canary" not in (room.shadow.socket.parent / "log").read_text()
