"""One clinic for the tests of the analyzer and of the guarantee: policy, schema and data.

The people are patients; visits lead to them in one hop, items in two; cities are public. The data
set D has Alice, id 7, aged 27, who alone lives in Svolvaer. Its neighbours are made by
:func:`without`, :func:`with_whale` and :func:`with_poison`::

    load(postgres.fresh(), clinic(patients=200, visits=800))
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import psycopg
from psycopg import sql

from analyzer.catalog import Catalog
from server.policy import parse_policy

ALICE = 7
WHALE = 8_000_001
CITIES = (
    ("Bergen", "west"),
    ("Bodo", "north"),
    ("Hamar", "east"),
    ("Oslo", "east"),
    ("Svolvaer", "north"),
    ("Tromso", "north"),
)
KINDS = ("emergency", "planned", "remote")
DIAGNOSES = ("asthma", "diabetes", "flu", "fracture", "hiv", "migraine")


def budgets(analyst: int = 10, dataset: int = 50) -> str:
    """The part of a policy that says what answers may cost; both are caps of epsilon."""
    return f"""
[budgets.analyst]
epsilon = {analyst}
delta = "1e-5"

[budgets.dataset]
epsilon = {dataset}
delta = "1e-4"

[losses.default]
epsilon = 1
delta = "1e-9"

[losses.maximum]
epsilon = 5
delta = "1e-6"
"""


def policy(analyst: int = 10, dataset: int = 50) -> str:
    """The clinic's, with other caps where more or less is to be spent."""
    return _CLINIC + budgets(analyst, dataset) + _TABLES


_CLINIC = """
dataset = "clinic"

[privacy_unit]
table = "patients"
key = "id"

[contribution]
max_rows_contributed = 20
max_groups_contributed = 5
"""
_TABLES = """
[tables.patients.columns]
id = { type = "integer", nullable = false }
name = { type = "text" }
age = { type = "integer", lower = 0, upper = 120 }
sex = { type = "text", nullable = false, values = ["female", "male", "other"] }
city = { type = "text", values_from = "cities.name" }
zip = { type = "text" }
bmi = { type = "numeric(5,2)", lower = 10, upper = 70 }
weight = { type = "double precision", lower = 0, upper = 300, tick = 0.1 }
points = { type = "bigint" }
active = { type = "boolean", nullable = false }
born = { type = "date" }

[tables.visits]
path = ["patient_id -> patients.id"]
unique = [["id"]]

[tables.visits.columns]
id = { type = "bigint", nullable = false }
patient_id = { type = "integer" }
cost = { type = "numeric(12,2)", lower = 0, upper = 10000 }
balance = { type = "numeric", lower = -500, upper = 500, tick = 0.01 }
diagnosis = { type = "text" }
kind = { type = "text", values = ["emergency", "planned", "remote"] }
visited_at = { type = "timestamp", nullable = false }
score = { type = "double precision", lower = -1, upper = 1 }

[tables.items]
path = ["visit_id -> visits.id", "patient_id -> patients.id"]
unique = [["id"]]
max_rows_contributed = 40

[tables.items.columns]
id = { type = "bigint", nullable = false }
visit_id = { type = "bigint" }
label = { type = "text", nullable = false }
quantity = { type = "integer", nullable = false, lower = 1, upper = 10 }

[tables.cities]
protected = false
unique = [["name"]]

[tables.cities.columns]
name = { type = "text", nullable = false }
region = { type = "text", nullable = false }
"""
POLICY = policy()

SCHEMA = """
CREATE TABLE cities (name text PRIMARY KEY, region text NOT NULL);
CREATE TABLE patients (
    id integer PRIMARY KEY, name text, age integer, sex text NOT NULL, city text, zip text,
    bmi numeric(5,2), weight double precision, points bigint, active boolean NOT NULL, born date
);
CREATE TABLE visits (
    id bigint PRIMARY KEY, patient_id integer REFERENCES patients, cost numeric(12,2),
    balance numeric, diagnosis text, kind text, visited_at timestamp NOT NULL,
    score double precision
);
CREATE TABLE items (
    id bigint PRIMARY KEY, visit_id bigint REFERENCES visits, label text NOT NULL,
    quantity integer NOT NULL
);
CREATE TABLE salaries (patient_id integer, amount integer);
"""
"""``salaries`` is there in the database and not in the policy: it does not exist for an analyst."""

Rows = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Clinic:
    """The rows of each table, in the order of its columns."""

    patients: Rows
    visits: Rows
    items: Rows
    cities: Rows = CITIES


@cache
def catalog() -> Catalog:
    """The clinic as its owner declares it."""
    return parse_policy(POLICY)


@cache
def clinic(patients: int = 2_000, visits: int = 8_000, items: int = 0) -> Clinic:
    """D of that size, always the same. One visit in fifty has no owner; values lie in bounds.

    ``items`` belong to visits at random, those without an owner among them. At least 7 patients.
    """
    chance = random.Random(1)
    return Clinic(
        patients=tuple(_patient(chance, number) for number in range(1, patients + 1)),
        visits=tuple(_visit(chance, number, patients) for number in range(1, visits + 1)),
        items=tuple(_item(chance, number, visits) for number in range(1, items + 1)),
    )


def _patient(chance: random.Random, number: int) -> tuple[Any, ...]:
    alice = number == ALICE
    elsewhere = [name for name, _ in CITIES if name != "Svolvaer"]
    return (
        number,
        "Alice" if alice else f"person {number}",
        27 if alice else _maybe(chance, chance.randint(0, 100)),
        chance.choice(("female", "male")),
        "Svolvaer" if alice else _maybe(chance, chance.choice(elsewhere)),
        "8300" if alice else f"{chance.randint(0, 60):04}",
        _maybe(chance, Decimal(chance.randint(1500, 4500)) / 100),
        _maybe(chance, chance.randint(400, 1400) / 10),
        _maybe(chance, chance.randint(-(10**12), 10**12)),
        chance.random() < 0.5,
        _maybe(chance, date(1930, 1, 1) + timedelta(days=chance.randint(0, 30_000))),
    )


def _visit(chance: random.Random, number: int, patients: int) -> tuple[Any, ...]:
    owner = chance.randint(1, patients) if chance.random() < 0.9 else chance.randint(1, 9)
    return (
        number,
        None if number % 50 == 0 else min(owner, patients),
        _maybe(chance, Decimal(chance.randint(0, 1_000_000)) / 100),
        _maybe(chance, Decimal(chance.randint(-50_000, 50_000)) / 100),
        _maybe(chance, chance.choice(DIAGNOSES)),
        _maybe(chance, chance.choice(KINDS)),
        datetime(2020, 1, 1) + timedelta(minutes=chance.randint(0, 2_000_000)),
        _maybe(chance, chance.uniform(-1, 1)),
    )


def _item(chance: random.Random, number: int, visits: int) -> tuple[Any, ...]:
    visit = None if number % 50 == 0 else chance.randint(1, visits)
    return number, visit, f"item {chance.randint(1, 9)}", chance.randint(1, 10)


def _maybe(chance: random.Random, value: Any) -> Any:
    return None if chance.random() < 0.1 else value


def without(data: Clinic, unit: int = ALICE) -> Clinic:
    """The neighbour that lacks all rows of one patient."""
    gone = {visit[0] for visit in data.visits if visit[1] == unit}
    return replace(
        data,
        patients=tuple(row for row in data.patients if row[0] != unit),
        visits=tuple(row for row in data.visits if row[1] != unit),
        items=tuple(row for row in data.items if row[1] not in gone),
    )


def with_whale(data: Clinic, visits: int = 10_000, items: int = 0) -> Clinic:
    """W: the neighbour with one more patient, who has very many rows in very many groups."""
    first = 8_000_000
    person = (WHALE, "Whale", 120, "male", "Oslo", "0001", Decimal(70), 300.0, 1, True, None)
    more = tuple(
        (
            first + i,
            WHALE,
            Decimal(10_000),
            Decimal(500 if i % 2 else -500),
            f"rare {i % 977}",
            KINDS[i % 3],
            datetime(2021, 1, 1) + timedelta(days=i % 1000),
            1.0 if i % 2 else -1.0,
        )
        for i in range(visits)
    )
    pieces = tuple((first + i, first + i % visits, f"rare {i % 977}", 10) for i in range(items))
    return replace(
        data,
        patients=(*data.patients, person),
        visits=(*data.visits, *more),
        items=(*data.items, *pieces),
    )


TROUBLE: Sequence[str | None] = (
    "",
    "ends in \\",
    "x" * 5_000,
    "%_\\%",
    "\u00e5\u0301 \U0001f600",
    None,
)
FLOATS = ("NaN", "Infinity", "-Infinity", "-0", "1e308", "-1e308", "5e-324", "-5e-324", None)


def _poisoned_patient(unit: int, i: int) -> tuple[Any, ...]:
    return (
        unit,
        TROUBLE[i % 6],
        (-(2**31), 2**31 - 1, None, 0)[i % 4],
        "unlisted" if i % 3 == 0 else "female",
        ("Alicetown", None, "", "Oslo")[i % 4],
        TROUBLE[(i + 1) % 6],
        ("NaN", Decimal("-999.99"), Decimal("999.99"), None)[i % 4],
        FLOATS[i % 9],
        (-(2**63), 2**63 - 1, 0)[i % 3],
        i % 2 == 0,
        ("infinity", "-infinity", "4714-11-24 BC", "5874897-12-31")[i % 4],
    )


def _poisoned_visit(units: Sequence[int], i: int) -> tuple[Any, ...]:
    return (
        units[0] + i,
        None if i % 4 == 3 else units[i % 12],
        ("NaN", Decimal("-9999999999.99"), Decimal("9999999999.99"), None)[i % 4],
        ("NaN", "Infinity", "-Infinity", "1e-1000", f"1{'0' * 4000}")[i % 5],
        TROUBLE[i % 6],
        ("unlisted", None, "planned")[i % 3],
        ("infinity", "-infinity", "294276-12-31", "4714-11-24 BC")[i % 4],
        FLOATS[i % 9],
    )


def with_poison(data: Clinic) -> Clinic:
    """P: values at the ends of their types and far out of bounds, in rows with and without owner.

    They belong to patients 9,000,001 to 9,000,012, so it is not one neighbour but a dozen.
    """
    units = range(9_000_001, 9_000_013)
    people = tuple(_poisoned_patient(unit, i) for i, unit in enumerate(units))
    visits = tuple(_poisoned_visit(units, i) for i in range(36))
    items = tuple(
        (units[0] + i, None if i % 5 == 0 else units[0] + i, TROUBLE[i % 5], -(2**31))
        for i in range(36)
    )
    return replace(
        data,
        patients=(*data.patients, *people),
        visits=(*data.visits, *visits),
        items=(*data.items, *items),
    )


EMPTY = Clinic((), (), (), ())
"""No row at all, not even a public one."""


def load(uri: str, data: Clinic) -> str:
    """Makes the tables in an empty database and fills them; returns the URI."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(SCHEMA)
        for table in ("cities", "patients", "visits", "items"):
            _fill(connection, table, getattr(data, table))
        connection.execute("ANALYZE")
    return uri


def _fill(connection: psycopg.Connection, table: str, rows: Rows) -> None:
    with connection.cursor() as cursor:
        statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([None if v is None else str(v) for v in row])
