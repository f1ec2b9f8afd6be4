"""Several privacy units: patients within households, and doctors beside them.

A neighbour is without one patient, or without one household with all its members, or without one
doctor; none of them changes the exact cells by more than is declared.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from analyzer import blocks
from analyzer.analyze import analyze
from analyzer.plan import PrivatePlan, QueryOptions
from analyzer.refusals import Refusal
from server.policy import parse_policy
from tests.fixture import budgets
from tests.guarantee.replay import Replay, violations
from tests.postgres import Postgres
from tests.released import changed

_UNITS = """
dataset = "town"

[[privacy_units]]
table = "patients"
key = "id"

[[privacy_units]]
table = "households"
key = "id"
max_members_contributed = 3

[[privacy_units]]
table = "doctors"
key = "id"

[contribution]
max_rows_contributed = 5
max_groups_contributed = 2
"""
_TABLES = """
[tables.households]
unique = [["id"]]
[tables.households.columns]
id = { type = "integer", nullable = false }
region = { type = "text", values = ["north", "south"] }

[tables.addresses]
path = ["household_id -> households.id"]
unique = [["id"]]
[tables.addresses.columns]
id = { type = "integer", nullable = false }
household_id = { type = "integer" }

[tables.patients]
path = ["address_id -> addresses.id", "household_id -> households.id"]
[tables.patients.columns]
id = { type = "integer", nullable = false }
address_id = { type = "integer" }
sex = { type = "text", values = ["f", "m"] }
age = { type = "integer", lower = 0, upper = 100 }
name = { type = "text" }

[tables.visits]
path = ["patient_id -> patients.id"]
[tables.visits.columns]
id = { type = "integer", nullable = false }
patient_id = { type = "integer" }
kind = { type = "text", values = ["a", "b"] }
reason = { type = "text" }
cost = { type = "integer", lower = -50, upper = 100 }

[tables.doctors]
[tables.doctors.columns]
id = { type = "integer", nullable = false }
field = { type = "text", values = ["x", "y"] }
"""
POLICY = _UNITS + budgets() + _TABLES
CATALOG = parse_policy(POLICY)
NESTED = (
    "SELECT count(*) FROM patients",
    "SELECT sex, count(*), avg(age) FROM patients GROUP BY sex",
    "SELECT count(*), sum(cost), count(DISTINCT patient_id), count(DISTINCT reason) FROM visits",
    "SELECT kind, count(*), sum(cost), avg(cost) FROM visits GROUP BY kind",
    "SELECT reason, count(*), sum(cost) FROM visits GROUP BY reason",
    "SELECT reason, kind, count(DISTINCT patient_id) FROM visits GROUP BY ROLLUP (1, 2)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY cost) FROM visits",
    "SELECT p.sex, count(*) FROM patients p JOIN visits v ON v.patient_id = p.id GROUP BY 1",
    "SELECT name, count(*) FROM patients GROUP BY name",
    "SELECT avg(n) FROM (SELECT patient_id, count(*) AS n FROM visits GROUP BY patient_id) s",
)
OTHERS = {
    "SELECT region, count(*) FROM households GROUP BY region": ("households",),
    "SELECT count(*) FROM addresses": ("households",),
    "SELECT field, count(*) FROM doctors GROUP BY field": ("doctors",),
    "SELECT (SELECT count(*) FROM doctors) AS d, (SELECT count(*) FROM visits) AS v": (
        "doctors",
        "households",
        "patients",
    ),
}
_HIDDEN = "id <> coalesce(nullif(current_setting('test.{}', true), ''), '-1')::int"


def _build(uri: str, seed: int) -> None:
    """Households of one to eight, some people without one, a few with very many rows."""
    chance = random.Random(seed)
    with psycopg.connect(uri, autocommit=True) as connection:
        for text in (
            "CREATE SCHEMA kept",
            "CREATE TABLE kept.households (id int, region text)",
            "CREATE TABLE kept.addresses (id int, household_id int)",
            "CREATE TABLE kept.patients (id int, address_id int, sex text, age int, name text)",
            "CREATE TABLE kept.visits (id int, patient_id int, kind text, reason text, cost int)",
            "CREATE TABLE kept.doctors (id int, field text)",
        ):
            connection.execute(text.encode())
        people = 0
        for house in range(1, 6):
            connection.execute(
                "INSERT INTO kept.households VALUES (%s, %s)",
                (house, chance.choice(("north", None))),
            )
            connection.execute("INSERT INTO kept.addresses VALUES (%s, %s)", (90 + house, house))
            for _ in range(chance.randint(1, 8)):
                people += 1
                _person(connection, chance, people, 90 + house)
        for _ in range(2):
            people += 1
            _person(connection, chance, people, None)
        for doctor in range(4):
            connection.execute(
                "INSERT INTO kept.doctors VALUES (%s, %s)", (doctor, chance.choice("xy"))
            )
        homes = f"SELECT id FROM kept.households WHERE {_HIDDEN.format('household')}"
        there = (
            f"SELECT p.* FROM kept.patients p LEFT JOIN kept.addresses a ON a.id = p.address_id"
            f" WHERE p.{_HIDDEN.format('patient')} AND (a.id IS NULL OR a.household_id IN ({homes}))"
        )
        for text in (
            f"CREATE VIEW public.households AS SELECT * FROM kept.households WHERE id IN ({homes})",
            (
                "CREATE VIEW public.addresses AS SELECT * FROM kept.addresses"
                f" WHERE household_id IN ({homes})"
            ),
            f"CREATE VIEW public.patients AS {there}",
            (
                "CREATE VIEW public.visits AS SELECT v.* FROM kept.visits v"
                " WHERE v.patient_id IN (SELECT id FROM public.patients)"
            ),
            (
                "CREATE VIEW public.doctors AS SELECT * FROM kept.doctors"
                f" WHERE {_HIDDEN.format('doctor')}"
            ),
        ):
            connection.execute(text.encode())


def _person(
    connection: psycopg.Connection, chance: random.Random, person: int, address: int | None
) -> None:
    row = (person, address, chance.choice("fm"), chance.randint(-5, 120), chance.choice("uvw"))
    connection.execute("INSERT INTO kept.patients VALUES (%s, %s, %s, %s, %s)", row)
    for visit in range(chance.choice((0, 1, 3, 40))):
        reason = chance.choice(("r", "s", "t", f"only {person}", None))
        made = (visit, person, chance.choice("ab"), reason, chance.randint(-80, 150))
        connection.execute("INSERT INTO kept.visits VALUES (%s, %s, %s, %s, %s)", made)


@pytest.fixture(scope="module")
def towns(postgres: Postgres) -> Iterator[list[Replay]]:
    found = []
    for seed in (1, 2, 3):
        uri = postgres.fresh()
        _build(uri, seed)
        found.append(Replay(uri))
    yield found
    for town in found:
        town.connection.close()


def everything_wrong(plan: PrivatePlan, towns: list[Replay]) -> list[str]:
    """What breaks the guarantee for any patient, household or doctor, in words."""
    found = []
    for town in towns:
        whole = town.exact(plan)
        for unit in ("patient", "household", "doctor"):
            keys = town.execute(f"SELECT id FROM kept.{unit}s ORDER BY id")
            for (key,) in keys:
                with town.having(unit, str(key)):
                    fewer = town.exact(plan)
                found += [f"without {unit} {key}: {t}" for t in violations(plan, whole, fewer)]
    return found


@pytest.mark.parametrize("sql", NESTED)
def test_neither_a_member_nor_a_household_changes_more_than_is_declared(
    sql: str, towns: list[Replay]
) -> None:
    plan = analyze(sql, CATALOG)
    assert plan.units == ("households", "patients")
    assert everything_wrong(plan, towns) == []


@pytest.mark.parametrize("sql", OTHERS)
def test_each_block_has_units_of_its_own(sql: str, towns: list[Replay]) -> None:
    plan = analyze(sql, CATALOG)
    assert plan.units == OTHERS[sql]
    assert everything_wrong(plan, towns) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT kind, count(*) FROM visits GROUP BY kind",
        "SELECT sex, avg(age) FROM patients GROUP BY sex",
        "SELECT reason, count(DISTINCT patient_id) FROM visits GROUP BY reason",
    ],
)
def test_without_the_bound_on_households_a_household_is_found(
    sql: str, towns: list[Replay]
) -> None:
    """Planted: all members of a household count."""
    plan = analyze(sql, CATALOG)
    exact = plan.blocks[0].exact
    assert "(w.member <= 3)" in exact.sql
    planted = changed(
        plan, exact=replace(exact, sql=exact.sql.replace("(w.member <= 3)", "(w.member <= 99)"))
    )
    found = everything_wrong(planted, towns)
    assert any("without household" in text for text in found)


def test_without_room_for_who_takes_the_place_a_member_is_found(
    towns: list[Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: one member counts, and the next in the household is not thought of."""
    one = parse_policy(POLICY.replace("max_members_contributed = 3", "max_members_contributed = 1"))
    sql = "SELECT kind, sum(cost) FROM visits GROUP BY kind"
    options = QueryOptions(max_rows_contributed=1)
    assert everything_wrong(analyze(sql, one, options=options), towns) == []
    monkeypatch.setattr(blocks, "factor", lambda _: 1)
    found = everything_wrong(analyze(sql, one, options=options), towns)
    assert any("without patient" in text for text in found)


@pytest.mark.parametrize(
    "sql,code",
    [
        ("SELECT count(*) FROM patients p JOIN doctors d ON d.id = p.id", "ZP003"),
        ("SELECT count(*) FROM patients p JOIN households h ON h.id = p.address_id", "ZP003"),
        (
            (
                "SELECT count(*) FROM patients p WHERE EXISTS"
                " (SELECT 1 FROM doctors d WHERE d.id = p.id)"
            ),
            "ZP003",
        ),
        (
            (
                "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM doctors d WHERE d.id = p.id)),"
                " (SELECT count(*) FROM doctors) FROM patients p"
            ),
            "ZP003",
        ),
        (
            (
                "SELECT (SELECT count(*) FROM doctors), count(*) FILTER (WHERE EXISTS"
                " (SELECT 1 FROM doctors d WHERE d.id = p.id)) FROM patients p"
            ),
            "ZP003",
        ),
        ("SELECT address_id, count(*) FROM patients GROUP BY address_id", "42501"),
        ("SELECT count(DISTINCT address_id) FROM patients", "42501"),
        (
            "SELECT count(*) FROM (SELECT id FROM patients UNION ALL SELECT id FROM doctors) u",
            "ZP003",
        ),
    ],
)
def test_what_would_have_two_owners_is_refused(sql: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        analyze(sql, CATALOG)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM patients p JOIN addresses a ON a.id = p.address_id",
        "SELECT count(*) FROM households h JOIN patients p ON p.address_id = h.id",
    ],
)
def test_what_a_household_says_of_its_patients_has_to_be_said_of_them(sql: str) -> None:
    with pytest.raises(Refusal) as refused:
        analyze(sql, CATALOG)
    assert "column of patients" in refused.value.hint


BESIDE = parse_policy(
    POLICY.replace("[tables.doctors]", '[tables.doctors]\nunique = [["number"], ["id"]]').replace(
        "field = {", 'number = { type = "integer", nullable = false }\nfield = {'
    )
    + """
[tables.shifts]
path = ["doctor_id -> doctors.id"]
[tables.shifts.columns]
doctor_id = { type = "integer" }
"""
)
"""Doctors have a number beside their key, unique too and listed before it."""


@pytest.mark.parametrize(
    "sql,code",
    [
        ("SELECT count(*) FROM doctors d JOIN shifts s ON s.doctor_id = d.number", "ZP003"),
        (
            (
                "SELECT count(*) FROM doctors d WHERE EXISTS"
                " (SELECT 1 FROM shifts s WHERE s.doctor_id = d.number)"
            ),
            "ZP003",
        ),
        ("SELECT id, count(*) FROM doctors GROUP BY id", "42501"),
    ],
)
def test_another_unique_key_is_no_owner(sql: str, code: str) -> None:
    """Once the first unique key was taken for the unit's: rows of two doctors met as one's."""
    with pytest.raises(Refusal) as refused:
        analyze(sql, BESIDE)
    assert refused.value.code == code


def test_the_owner_is_the_unit_key_wherever_it_is_listed() -> None:
    sql = "SELECT count(*) FROM doctors d JOIN shifts s ON s.doctor_id = d.id"
    (block,) = analyze(sql, BESIDE).blocks
    assert '"id" AS owner' in block.exact.sql
