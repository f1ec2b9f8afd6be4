"""Public keys that are computed: the listed values are exactly those that rows can show.

A table holds every value that its columns are declared to have (for times and fractions: those
around every step). What a key is on those rows is held against what the analyzer lists.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache

import psycopg
import pytest
from sqlglot import exp

from analyzer.analyze import analyze
from analyzer.bind_expressions import ExpressionBinder
from analyzer.catalog import Catalog, Table
from analyzer.domains import MOST_INPUTS, as_column, size
from analyzer.emit_keys import canonical, choices
from analyzer.expressions import Computed, Expr, Ref, Steps
from analyzer.functions import build
from analyzer.functions.base import coerce, constant
from analyzer.parse import parse
from analyzer.plan import SelectionKey, Statement
from analyzer.printing import Printer
from analyzer.ranges import column_facts
from analyzer.scope import Entry, Scope
from analyzer.types import Type
from server.engines.postgres import _as_text
from server.policy import parse_policy
from tests.analyzer.live import connect, values_of

POLICY = """
dataset = "steps"
[privacy_unit]
table = "people"
key = "id"
[contribution]
max_rows_contributed = 20
max_groups_contributed = 5
[budgets]
analyst = { epsilon = 10, delta = "1e-5" }
dataset = { epsilon = 50, delta = "1e-4" }
[losses]
default = { epsilon = 1, delta = "1e-9" }
maximum = { epsilon = 5, delta = "1e-6" }
[tables.people.columns]
id = { type = "integer", nullable = false }
age = { type = "integer", lower = 18, upper = 80 }
kids = { type = "integer", lower = -2, upper = 3, nullable = false }
steps = { type = "bigint", lower = 0, upper = 30000 }
sex = { type = "text", values = ["Female", "male ", ""] }
active = { type = "boolean" }
born = { type = "date", lower = 1990-02-27, upper = 1992-03-01 }
old = { type = "date", lower = 1900-01-01, upper = 1999-12-31 }
seen = { type = "timestamp", lower = 2019-12-30, upper = 2020-03-02, nullable = false }
met = { type = "timestamptz", lower = 2020-01-01, upper = 2020-01-02 }
bmi = { type = "numeric(5,2)", lower = 10, upper = 20 }
weight = { type = "double precision", lower = -3, upper = 9, tick = 0.1 }
town = { type = "text", values_from = "towns.name" }
note = { type = "text" }
[tables.visits]
path = ["person -> people.id"]
[tables.visits.columns]
person = { type = "integer" }
day = { type = "date", nullable = false }
[tables.towns]
protected = false
[tables.towns.columns]
name = { type = "text", nullable = false }
"""
SCHEMA = """
CREATE TABLE people (
    id integer PRIMARY KEY, age integer, kids integer NOT NULL, steps bigint, sex text,
    active boolean, born date, old date, seen timestamp NOT NULL, met timestamptz,
    bmi numeric(5,2), weight double precision, town text, note text
);
CREATE TABLE visits (person integer, day date NOT NULL);
CREATE TABLE towns (name text NOT NULL);
INSERT INTO towns VALUES ('Oslo'), ('BODO'), ('');
"""
_BORN = [date(1990, 2, 27) + timedelta(days=i) for i in range(734)]
_OLD = [date(1900, 1, 1) + timedelta(days=i) for i in range(0, 36525, 7)] + [date(1999, 12, 31)]
_HOURS = [datetime(2019, 12, 30) + timedelta(hours=i) for i in range(24 * 64)]
_SEEN = [t + d for t in _HOURS for d in (timedelta(0), timedelta(microseconds=3_599_999_999))]
_BMI = [Decimal(i) / 100 for i in range(1000, 2001)]
_WEIGHT = [i / 20 for i in range(-60, 181)]


def _rows() -> list[list[object]]:
    """Every value of every column, and enough mixtures of the small ones for all pairs of them."""
    return [
        [
            i,
            [None, *range(18, 81)][i % 64],
            i // 64 % 6 - 2,
            [None, 30_000, i * 37 % 30_000][i % 7 % 3],
            [None, "Female", "male ", ""][i // 3 % 4],
            [None, True, False][i // 2 % 3],
            [None, *_BORN][i % 735],
            [None, *_OLD][i % (len(_OLD) + 1)],
            _SEEN[i % len(_SEEN)],
            datetime(2020, 1, 1) + timedelta(minutes=i % 2880),
            [None, *_BMI][i % 1002],
            [None, *_WEIGHT][i % 242],
            [None, "Oslo", "BODO", ""][i % 4],
            f"note {i % 5}",
        ]
        for i in range(5_400)
    ]


_STRANGE = [
    [9001, -(2**31), 2**31 - 1, 2**63 - 1, "else", None, "infinity", "4714-11-24 BC", "infinity",
     "-infinity", "NaN", "NaN", "Nowhere", None],
    [9002, 17, 4, -1, "x", True, "1990-02-26", "2000-01-01", "2019-12-29 23:59:59.999999",
     "infinity", "999.99", "Infinity", "oslo", ""],
    [9003, 81, -3, 30_001, "FEMALE", False, "1992-03-02", "5874897-12-31", "2020-03-03",
     "2030-01-01", "-999.99", "1e300", "Hamar", "x"],
]  # fmt: skip
"""Rows with a value outside of the declared ones in every column that can have one."""


def _fill(uri: str, rows: list[list[object]]) -> None:
    with connect(uri) as connection:
        for statement in SCHEMA.strip().split(";\n"):
            connection.execute(statement.encode())
        with connection.cursor() as cursor, cursor.copy("COPY people FROM STDIN") as copy:
            for row in rows:
                copy.write_row([None if v is None else str(v) for v in row])


@pytest.fixture(scope="module")
def full(postgres):
    with connect(postgres.template("steps", lambda uri: _fill(uri, _rows()))) as connection:
        yield connection


@pytest.fixture(scope="module")
def strange(postgres):
    def build_it(uri: str) -> None:
        _fill(uri, [*_rows(), *_STRANGE])

    with connect(postgres.template("strange", build_it)) as connection:
        yield connection


@cache
def catalog() -> Catalog:
    return parse_policy(POLICY)


def _fields(table: Table) -> tuple[tuple[str, Ref], ...]:
    return tuple(
        (c.name, Ref("t0", c.name, c.type, c.nullable, column_facts(c, protected=True)))
        for c in table.columns.values()
    )


def bound(written: str) -> Expr:
    """A key as the analyst writes it, over ``people``."""
    item = parse(f"SELECT {written} AS x FROM people").expressions[0]
    assert isinstance(item, exp.Alias)
    scope = Scope((Entry("people", _fields(catalog().tables["people"])),))
    return coerce(ExpressionBinder(scope, (), "a test").bind(item.this), Type.TEXT)


def _run(connection: psycopg.Connection, text: str, printer: Printer) -> list[object]:
    whole = printer.statement(text)
    return [row[0] for row in connection.execute(whole.sql.encode(), values_of(whole))]


def shown(connection: psycopg.Connection, key: Expr) -> set[object]:
    """What rows show as the key."""
    printer = Printer({})
    text = canonical(printer.expression(key), key)
    return set(_run(connection, f"SELECT DISTINCT {text} FROM people AS t0", printer))


def listed(connection: psycopg.Connection, key: Expr) -> list[object]:
    """What the plan lists as the key's values."""
    printer = Printer(dict(catalog().tables))
    return _run(connection, choices(printer, key), printer)


EXACT = """
age
kids
age / 10
(age / 10) * 10
age % 2
kids % 2
mod(age, 7)
div(age, 10)
floor(age / 10.0) * 10
ceil(age / 7.0)
round(age, -1)
trunc(age / 4.0)
-kids
abs(kids)
sign(kids)
kids * kids
power(kids, 2)
sqrt(kids)
ln(age)
1 / kids
100 / kids
age / 20 + kids
age - kids * 10
greatest(age, 50)
least(age, kids)
nullif(kids, 0)
coalesce(age, -1)
CASE WHEN age < 30 THEN age ELSE 99 END
CASE kids WHEN 0 THEN 'none' ELSE kids::text END
age > 30
age > 30 AND active
age IS NULL
active::integer + kids
kids::boolean
age::text
age::numeric(3,1)
(age * 1000)::smallint
kids::numeric / 4
kids::double precision / 4
width_bucket(age, 20, 70, 5)
width_bucket(bmi, 10, 20, 4)
width_bucket(weight, -3, 9, 4)
round(bmi)
round(bmi, 1)
floor(bmi / 5) * 5
trunc(weight)
floor(weight)
ceil(weight * 2)
bmi::integer
bmi::numeric(3,1)
steps / 1000
lower(sex)
upper(sex)
initcap(sex)
btrim(sex)
left(sex, 1)
right(sex, 2)
length(sex)
sex || '!'
concat(sex, '-', kids::text)
replace(sex, 'a', 'o')
substr(sex, 2, 2)
strpos(sex, 'a')
sex LIKE 'F%'
starts_with(sex, 'm')
coalesce(sex, 'unknown')
upper(town)
left(coalesce(town, 'none'), 2)
born
born + 1
born - 30
born + kids
born - DATE '1990-01-01'
(born - DATE '1990-01-01') / 100
EXTRACT(year FROM born)
EXTRACT(isoyear FROM born)
EXTRACT(quarter FROM born)
EXTRACT(month FROM born)
EXTRACT(week FROM born)
EXTRACT(dow FROM born)
EXTRACT(doy FROM born)
EXTRACT(epoch FROM born)
EXTRACT(year FROM born) * 100 + EXTRACT(month FROM born)
date_trunc('month', born)
to_char(born, 'YYYY-MM')
to_char(born, 'YYYY-"Q"Q')
to_char(born, 'FMMonth')
to_char(born, 'IYYY-IW')
date_part('year', born)
EXTRACT(year FROM age(DATE '2024-02-29', born))
date_trunc('week', born)
date_trunc('quarter', born)::date
born::timestamp
born::text
born > '1991-01-01'
EXTRACT(year FROM old)
EXTRACT(year FROM old) / 10
floor(EXTRACT(year FROM old) / 10) * 10
date_trunc('year', old)
date_trunc('month', old)
EXTRACT(year FROM seen)
EXTRACT(dow FROM seen)
EXTRACT(hour FROM seen)
date_trunc('year', seen)
date_trunc('quarter', seen)
date_trunc('month', seen)
date_trunc('week', seen)
date_trunc('day', seen)
date_trunc('hour', seen)
date_trunc('month', seen)::date
seen::date
EXTRACT(month FROM date_trunc('month', seen))
date_trunc('day', seen) + INTERVAL '1 month'
EXTRACT(dow FROM seen::date)
date_bin('6 hours', seen, TIMESTAMP '2001-01-01 01:00:00')
date_bin('7 days', seen, '2030-01-02')
to_char(seen, 'Day')
EXTRACT(century FROM old)
EXTRACT(decade FROM born)
date_trunc('day', seen) + INTERVAL '6 hours' * floor(EXTRACT(hour FROM seen) / 6)
""".strip().splitlines()
"""Keys whose listed values are those of the rows, no more and no fewer."""
WIDER = """
nullif(age / 10, length(note))
isfinite(born)
CASE WHEN age < 18 THEN 'child' WHEN age < 65 THEN 'adult' END
steps
sign(age)
EXTRACT(month FROM seen)
EXTRACT(doy FROM seen)
EXTRACT(minute FROM seen)
EXTRACT(month FROM age(DATE '2024-02-29', born))
EXTRACT(day FROM seen - TIMESTAMP '2020-01-01')
seen::date + kids
date_trunc('month', seen + INTERVAL '1 month')
date_trunc('month', met AT TIME ZONE 'Europe/Oslo')
(met AT TIME ZONE 'UTC')::date
date_trunc('day', seen - INTERVAL '1 day')
length(left(note, 8))
strpos(left(note, 3), 'n')
CASE WHEN note LIKE '%1' THEN age ELSE kids END
floor(weight) * kids
""".strip().splitlines()
"""Keys of which more values are listed than rows show."""


@pytest.mark.parametrize("written", [*EXACT, *WIDER])
def test_the_listed_keys_are_those_that_rows_can_show(full, written):
    key = bound(written)
    rows, keys = shown(full, key), listed(full, key)
    assert len(keys) == len(set(keys)), "a key is listed twice"
    assert rows <= set(keys), f"not listed: {sorted(map(str, rows - set(keys)))[:5]}"
    if written in EXACT:
        nulls = {None} if key.nullable else set()
        assert set(keys) == rows | nulls
    most = size(key.facts.domain)
    assert most is None or len([k for k in keys if k is not None]) <= most


@pytest.mark.parametrize("written", ["note", "length(note)", "met", "seen", "old + kids * 1000000"])
def test_there_is_no_list_where_values_are_not_known_or_too_many(written):
    domain = bound(written).facts.domain
    assert domain is None or (size(domain) or 0) > MOST_INPUTS


@pytest.mark.parametrize(
    "written",
    [
        "EXTRACT(month FROM met AT TIME ZONE 'UTC')",
        "width_bucket(length(note), 0, 9, 3)",
        "length(left(note, 4))",
    ],
)
def test_where_no_row_can_have_another_value_the_keys_are_all_there_is(strange, written):
    key = bound(written)
    assert isinstance(key.facts.domain, Steps)
    assert key.facts.total_domain
    assert shown(strange, key) <= set(listed(strange, key))


def test_a_list_that_is_worked_out_promises_nothing_about_rows_outside():
    # Of ages 18 to 80 it is 0 alone; of 500 it is 1. A threshold must not rely on one group.
    key = bound("greatest(CASE WHEN age > 200 THEN 1 ELSE 0 END, 0)")
    assert isinstance(key.facts.domain, Computed)
    assert not key.facts.total_domain


def test_a_column_of_a_subquery_shows_what_the_expression_behind_it_shows(full):
    inner = bound("age / 10")
    column = as_column(Ref("d", "c0", inner.type, inner.nullable, inner.facts), inner)
    outer = build("*", [column, constant(2)])
    assert set(listed(full, column)) == {None, *map(str, range(1, 9))}
    assert set(listed(full, outer)) == {None, *map(str, range(2, 17, 2))}


def _answer(connection: psycopg.Connection, statement: Statement) -> dict[object, int]:
    parameters = ["1" if isinstance(p, SelectionKey) else _as_text(p) for p in statement.parameters]
    rows = connection.execute(statement.sql.encode(), parameters)
    return {row[0]: int(row[1]) for row in rows}


@pytest.mark.parametrize("written", EXACT)
def test_rows_with_other_keys_are_left_out_and_the_keys_are_those_listed(strange, written):
    plan = analyze(f"SELECT {written} AS k, count(*) FROM people GROUP BY 1", catalog())
    key = bound(written)
    if not plan.blocks[0].public_keys:
        assert (size(key.facts.domain) or 0) > catalog().max_keys
        return
    answer = _answer(strange, plan.blocks[0].exact)
    keys = listed(strange, key)
    assert set(answer) == set(keys)
    printer = Printer({})
    text = canonical(printer.expression(key), key)
    values = _run(strange, f"SELECT {text} FROM people AS t0", printer)
    assert sum(answer.values()) == len([v for v in values if v in set(keys)])


def _people(sql: str) -> int:
    """How many groups a person can be counted in."""
    (draw,) = analyze(sql, catalog()).draws
    return draw.sensitivity.l1


def test_a_property_of_the_person_puts_all_rows_of_one_person_in_one_group():
    joined = "FROM visits v JOIN people p ON p.id = v.person GROUP BY 1"
    for key in ("p.age / 10", "EXTRACT(year FROM p.born)", "upper(p.sex)", "p.age % 2 + p.kids"):
        assert _people(f"SELECT {key}, count(DISTINCT v.person) {joined}") == 1
    assert _people(f"SELECT EXTRACT(quarter FROM v.day), count(DISTINCT v.person) {joined}") == 4
    assert _people(f"SELECT EXTRACT(dow FROM v.day), count(DISTINCT v.person) {joined}") == 5


def test_a_list_of_any_length_is_not_written_out_while_analyzing():
    key = bound("steps * 1000000 + kids")
    assert size(key.facts.domain) == 30_000 * 1_000_000 + 6
    plan = analyze("SELECT steps * 1000000, count(*) FROM people GROUP BY 1", catalog())
    assert not plan.blocks[0].public_keys
