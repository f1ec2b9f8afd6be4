"""Every function of the allow-list, one by one: never fails, keeps to its facts, means what it says.

A function without a sample here fails the first test. Each sample is an analyst's text over the
columns of ``tests.analyzer.expressions``; it is bound, printed, and run on edge values and on tame
ones of a live PostgreSQL.
"""

from __future__ import annotations

import random
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import psycopg
import pytest

from analyzer.bind_expressions import ExpressionBinder
from analyzer.dates import days
from analyzer.expressions import Call, Expr, Interval, walk
from analyzer.functions import FUNCTIONS, build
from analyzer.functions.base import coerce
from analyzer.functions.zones import ZONES
from analyzer.parse import parse_as
from analyzer.refusals import Refusal
from analyzer.scope import Entry, Scope
from analyzer.syntax import Tree
from analyzer.types import Type
from tests.analyzer.expressions import COLUMNS, Maker, expressions, refs, table_columns
from tests.analyzer.live import (
    TYPES,
    Outcome,
    connect,
    edge_rows,
    make_table,
    outside,
    run,
    tame_rows,
)

SAMPLES: dict[str, list[str]] = {
    "+": ["i + 1", "i + l", "n + f", "i1 + i1 + i1"],
    "-": ["i - l", "n - 1"],
    "*": ["i * i", "l * l", "n * n", "f * 2"],
    "/": ["i / l", "7 / i", "n / n1", "f / f1", "i / 10"],
    "%": ["i % l", "n % 3", "mod(i, 7)"],
    "div": ["div(i, 3)", "div(n, n1)", "div(l, i)"],
    "neg": ["-i", "-n", "-f"],
    "abs": ["abs(i)", "abs(n)", "abs(f)"],
    "sign": ["sign(i)", "sign(n)"],
    "ceil": ["ceil(n)", "ceiling(f)", "ceil(i)"],
    "floor": ["floor(n / 10) * 10", "floor(f)"],
    "trunc": ["trunc(n)", "trunc(n, 2)", "trunc(n, -3)"],
    "round": ["round(n)", "round(n, 2)", "round(m, 1)", "round(i, -1)"],
    "sqrt": ["sqrt(i)", "sqrt(n)", "sqrt(f)", "sqrt(abs(n))", "power(n, 0.5)", "power(f, 0.5)"],
    "ln": ["ln(i)", "ln(n)", "ln(f)", "ln(abs(i) + 1)", "ln(abs(i))", "ln(length(t))"],
    "log": ["log(n)", "log10(f)", "log(2, n)", "log(0.5, n)", "log(i)", "log(2, m)"],
    "exp": ["exp(n)", "exp(f)", "exp(i)", "exp(m / 100)"],
    "power": ["power(i, 2)", "pow(n, 3)", "power(f, 2)", "power(m, 2.0)"],
    "width_bucket": [
        "width_bucket(n, 0, 100, 10)",
        "width_bucket(f, -1.5, 1.5, 6)",
        "width_bucket(m, 0, 1, 3)",
        "width_bucket(l, 0, 3, 7)",
    ],
    "=": ["i = 1", "n = f", "t = 'a'", "d = s"],
    "<>": ["i <> 1", "u <> '00000000-0000-0000-0000-000000000000'"],
    "<": ["d < '2020-01-01'", "n < f"],
    "<=": ["s <= d"],
    ">": ["z > '2020-01-01 00:00:00+00'", "f > 1"],
    ">=": ["n >= 1"],
    "IS DISTINCT FROM": ["n IS DISTINCT FROM f"],
    "IS NOT DISTINCT FROM": ["t IS NOT DISTINCT FROM NULL"],
    "and": ["b AND b1"],
    "or": ["b OR b1"],
    "not": ["NOT b"],
    "is null": ["z IS NULL"],
    "is not null": ["t IS NOT NULL"],
    "is true": ["b IS TRUE"],
    "is false": ["b IS FALSE"],
    "case": [
        "CASE WHEN b THEN i ELSE n END",
        "CASE i WHEN 1 THEN 'a' END",
        "CASE WHEN i > 2 THEN 2 WHEN i < -1 THEN -1 ELSE i END",
        "CASE WHEN 3 <= n1 THEN 3 WHEN n1 <= 0.5 THEN 0 ELSE n1 END",
        "CASE WHEN f > 2 OR f < 1 THEN NULL ELSE f END",
        "CASE WHEN i > 2 OR i > 6 THEN i WHEN i < 2 AND i < 0 THEN 3 ELSE i END",
        "CASE WHEN i BETWEEN 0 AND 3 AND b THEN i WHEN NOT (i > 1) THEN i ELSE 7 END",
        "CASE WHEN n NOT BETWEEN SYMMETRIC 2 AND 0 THEN 1 ELSE n END",
        "CASE WHEN NOT (b AND i > 1) THEN i WHEN i > 1 OR b THEN i1 END",
        "CASE WHEN d > '2020-01-01' THEN '2020-01-01' WHEN d < '1990-01-01' THEN '1990-01-01' ELSE d END",
    ],
    "coalesce": ["coalesce(i, l, 0)", "coalesce(d, '2020-01-01')"],
    "greatest": ["greatest(i, n, 0)", "greatest(d, d1)", "greatest(t, 'm')"],
    "least": ["least(i, n, 0)", "least(f, 1)"],
    "nullif": ["nullif(i, 0)", "nullif(t, '')"],
    "lower": ["lower(t)"],
    "upper": ["upper(t || 'x')"],
    "initcap": ["initcap(t)"],
    "btrim": ["btrim(t)", "trim(t)", "trim(BOTH 'ax' FROM t)", "btrim(t, '')"],
    "ltrim": ["ltrim(t)", "ltrim(t, 'ab ')"],
    "rtrim": ["rtrim(t)", "trim(TRAILING ' x' FROM t)"],
    "||": ["t || t1 || 'x'", "t || i", "'n' || l || b", "d || ' ' || t", "u || t"],
    "concat": ["concat(t, t1, 'x', NULL)", "concat(t)", "concat(t, i, d, u)"],
    "concat_ws": ["concat_ws(', ', t, t1, 'x', NULL)", "concat_ws('', t)", "concat_ws('-', t, i)"],
    "reverse": ["reverse(t)"],
    "split_part": ["split_part(t, ' ', 1)", "split_part(t, 'a', 2)", "split_part(t, '', 1)"],
    "translate": ["translate(t, 'abx', 'AB')", "translate(t, '', 'b')"],
    "lpad": ["lpad(t, 5, '0')", "lpad(t, 3)", "lpad(t, 0, 'ab')", "lpad(i::text, 12, 'xy')"],
    "rpad": ["rpad(t, 5, 'ab')", "rpad(t, 1000)", "rpad(t, 4, '')"],
    "replace": ["replace(t, 'a', 'bcd')", "replace(t, '', 'b')", "replace(t, 'a', '')"],
    "length": ["length(t)", "char_length(t)", "character_length(left(t, 5))"],
    "strpos": ["strpos(t, 'a')", "position('a' IN t)", "strpos(t, t1)", "strpos(left(t, 0), '')"],
    "left": ["left(t, 3)", "left(t, 0)"],
    "right": ["right(t, 3)"],
    "substr": [
        "substr(t, 2, 3)",
        "substring(t FROM 2 FOR 3)",
        "substring(t FROM -1 FOR 3)",
        "substring(t FOR 2)",
        "substr(t, 2)",
        "substr(t, 1000000, 1000000)",
    ],
    "starts_with": ["starts_with(t, t1)"],
    "like": [
        "t LIKE 'a%'",
        "t LIKE '!%%' ESCAPE '!'",
        "t NOT LIKE '%#_%' ESCAPE '#'",
        "t LIKE '%\\%' ESCAPE ''",
        "t LIKE 'ab!a!!' ESCAPE '!'",
    ],
    "ilike": ["t ILIKE 'A%'", "t ILIKE '%B!_%' ESCAPE '!'"],
    "extract": [
        *(
            f"EXTRACT({f} FROM d)"
            for f in [
                "year",
                "isoyear",
                "quarter",
                "month",
                "week",
                "day",
                "doy",
                "dow",
                "isodow",
                "epoch",
            ]
        ),
        *(
            f"EXTRACT({f} FROM s)"
            for f in [
                "year",
                "isoyear",
                "quarter",
                "month",
                "week",
                "day",
                "doy",
                "dow",
                "isodow",
                "hour",
                "minute",
                "second",
                "epoch",
                "milliseconds",
                "microseconds",
                "decade",
                "century",
                "millennium",
            ]
        ),
        "EXTRACT(epoch FROM z)",
        "date_part('year', s)",
        "date_part('Second', s) + date_part('epoch', d)",
        "EXTRACT(year FROM s1 + INTERVAL '1 year')",
        "EXTRACT(epoch FROM s) - EXTRACT(epoch FROM s1)",
    ],
    "to_char": [
        *(
            f"to_char({x}, '{form}')"
            for x in ("s", "d")
            for form in (
                *("YYYY", "YY", "MM", "DD", "Q", "YYYY-MM", "YYYY-MM-DD", "YYYY/MM/DD HH24:MI"),
                *('YYYY-"Q"Q', 'IYYY-"W"IW', "YYYY-IW", "WW", "DDD", "D", "ID", "Mon YYYY", "MON"),
                *(
                    "FMMonth",
                    "FMDay, DD.MM.",
                    "Dy",
                    "DY",
                    "HH24",
                    "HH12:MI:SS AM",
                    "Month, Day",
                    '"year" YYYY',
                    "",
                    "- .",
                    "IYYY_MM",
                ),
            )
        ),
        "to_char(s1 + INTERVAL '1000 years', 'YYYY-MM')",
    ],
    "age": [
        "EXTRACT(year FROM age(d, d1))",
        "EXTRACT(YEAR FROM age(s, d))",
        "extract(year from age(s, s1))",
        "EXTRACT(year FROM age(DATE '2024-02-29', d))",
        "EXTRACT(year FROM age(d, TIMESTAMP '2023-02-28 12:00:00'))",
        "EXTRACT(month FROM age(s, d))",
        "EXTRACT(day FROM age(d, d1))",
    ],
    "date_trunc": [
        *(
            f"date_trunc('{u}', s)"
            for u in ["year", "quarter", "month", "week", "day", "hour", "minute", "second"]
        ),
        "date_trunc('week', s1 + INTERVAL '1000 years')",
        "date_trunc('month', d)::date",
    ],
    "date - date": ["d - d1", "d - DATE '2000-01-01'", "'2000-01-01' - d"],
    "date + integer": ["d + 1", "30 + d", "d + i", "d1 + i1 * 3", "d + i + i"],
    "date - integer": ["d - 1", "d - i", "d - i1 - i1"],
    "time + interval": [
        "s + INTERVAL '1 day'",
        "INTERVAL '1 year 2 months' + s",
        "d + INTERVAL '3' MONTH",
        "s1 + INTERVAL '1000 years'",
        "s + INTERVAL '-1000 years -365000 days'",
        "s + INTERVAL '90 seconds' + INTERVAL '2 weeks'",
    ],
    "time - interval": [
        "s - INTERVAL '1 month'",
        "d - INTERVAL '1 hour'",
        "s1 - INTERVAL '1000 years'",
    ],
    "time - time": [
        "EXTRACT(epoch FROM s - s1)",
        "s - s1 < INTERVAL '1 month'",
        "INTERVAL '-36 hours' <= s - d",
        "s - s1 BETWEEN INTERVAL '0' DAY AND '1 year 2 days'::interval",
        "s - '2020-01-01' > z - z",
        "coalesce(s - s1, d - s) = greatest(s - d, d1 - s1, NULL)",
        "nullif(s - s1, d - s) IS NULL",
        "TIMESTAMPTZ '2020-01-01 00:00:00+02' - z > INTERVAL '0 days'",
    ],
    "interval field": [
        *(f"EXTRACT({f} FROM s - s1)" for f in ["day", "hour", "minute", "second", "epoch"]),
        "date_part('day', s - d)",
        "EXTRACT(hour FROM CASE WHEN b THEN s - s1 ELSE d - s END)",
        "EXTRACT(epoch FROM s - (s1 + INTERVAL '1000 years')) / 86400",
    ],
    "time + interval * number": [
        "date_trunc('hour', s) + INTERVAL '5 minutes' * FLOOR(EXTRACT(MINUTE FROM s) / 5)",
        "d + i1 * INTERVAL '1 day'",
        "s - INTERVAL '2 weeks' * i",
        "s + '90 seconds'::interval * l",
        "s1 + (f1::integer * INTERVAL '1000 days')",
    ],
    "date_bin": [
        "date_bin('15 minutes', s, TIMESTAMP '2001-01-01')",
        "date_bin(INTERVAL '7 days', s, '2001-02-03 04:05:06.789')",
        "date_bin('1 day 1 second'::interval, d::timestamp, DATE '1999-12-31')",
        "date_bin('365 days', s1, '9000-01-01')",
    ],
    "at time zone": [
        "z AT TIME ZONE 'UTC'",
        "s AT TIME ZONE 'Europe/Oslo'",
        "z AT TIME ZONE 'Asia/Kolkata' AT TIME ZONE 'America/Los_Angeles'",
        "(z AT TIME ZONE 'Pacific/Auckland')::date",
    ],
    "to_timestamp": ["to_timestamp(l)", "to_timestamp(f)", "to_timestamp(n / 1000)"],
    "isfinite": ["isfinite(d)", "isfinite(s)", "isfinite(z)"],
    "cast": [
        "n::integer",
        "f::bigint",
        "l::integer",
        "i::boolean",
        "b::integer",
        "i::text",
        "u::text",
        "s::date",
        "d::timestamp",
        "f::numeric",
        "n::double precision",
        "i::smallint",
        "n::smallint",
        "l1::smallint",
    ],
    "cast digits": [
        "n::numeric(5,2)",
        "f::numeric(3)",
        "i::numeric(4,1)",
        "n1::numeric(30,15)",
        "m::numeric(2,2)",
    ],
    "cast text": [
        "t::integer",
        "t::bigint",
        "t::numeric",
        "left(t, 2)::smallint",
        "concat(' ', i::text, ' ')::integer",
        "(l::text || '0')::bigint",
        "(i::text || '.50')::numeric",
        "concat('.', i1::text)::double precision",
    ],
}
CASES = [(name, written) for name, texts in SAMPLES.items() for written in texts]
_TYPED_OTHERWISE = {
    "date_trunc('month', d)::date": "PostgreSQL goes through the session's time zone",
    "i::smallint": "a smallint is an integer here",
    "n::smallint": "a smallint is an integer here",
    "l1::smallint": "a smallint is an integer here",
    "left(t, 2)::smallint": "a smallint is an integer here",
    "log10(f)": "sqlglot does not tell log10(x) from log(10, x)",
}


def test_every_function_has_a_sample():
    assert set(SAMPLES) == set(FUNCTIONS)
    for name, written in CASES:
        used = {node.function for node in walk(bound(written)) if isinstance(node, Call)}
        assert name in used, f"{written} does not use {name}"


def bound(written: str, bounds: dict[str, tuple[int, int]] | None = None) -> Expr:
    """The typed form of an expression's text over the table of edge values."""
    fields = tuple(refs(table_columns(bounds)).items())
    binder = ExpressionBinder(Scope((Entry("edge", fields),)), (), "a test")

    def bind(tree: Tree) -> Expr:
        return coerce(binder.bind(tree.expressions[0].this), Type.TEXT)

    return parse_as(f"SELECT {written} AS x FROM edge", bind)


def _build_edge(uri: str) -> None:
    with connect(uri) as connection:
        make_table(connection, edge_rows(48))


def _build_tame(uri: str) -> None:
    with connect(uri) as connection:
        make_table(connection, tame_rows(60))


@pytest.fixture(scope="module")
def edge(postgres):
    with connect(postgres.template("edge", _build_edge)) as connection:
        yield connection


@pytest.fixture(scope="module")
def tame(postgres):
    with connect(postgres.template("tame", _build_tame)) as connection:
        yield connection


_PRINTED = re.compile(r"([0-9]+)-([0-9]{2})-([0-9]{2})(?: ([0-9:.]+))?(?:[+]00)?( BC)?")
_CYCLE = 400
"""Years after which the calendar repeats, in 146,097 days."""


def _days(value: str) -> Fraction:
    """A printed date or time of any year in days since 1970-01-01; infinity is far away."""
    if value.endswith("infinity"):
        return Fraction(-(10**9) if value.startswith("-") else 10**9)
    match = _PRINTED.fullmatch(value)
    assert match, value
    year = 1 - int(match[1]) if match[5] else int(match[1])
    cycles, rest = divmod(year, _CYCLE)
    day = date(2000 + rest, int(match[2]), int(match[3]))
    clock = datetime.combine(day, time.fromisoformat(match[4] or "00:00:00"))
    return days(clock) + (cycles - 2000 // _CYCLE) * 146_097


def _leaves(value: str | None, kind: Type, interval: Interval) -> bool:
    assert value is not None
    if kind.is_number:
        return outside(value, kind, interval, Fraction(1, 10**12))
    if kind not in (Type.TEXT, Type.DATE, Type.TIMESTAMP, Type.TIMESTAMPTZ):
        return False
    measured = Fraction(len(value)) if kind is Type.TEXT else _days(value)
    return not Interval(measured, measured).within(interval)


def test_days_of_printed_dates():
    assert _days("1970-01-02 12:00:00") == Fraction(3, 2)
    assert _days("0001-12-31 BC") == days(date(1, 1, 1)) - 1
    assert _days("10000-01-01") == days(date(9999, 12, 31)) + 1


@pytest.mark.parametrize("name, written", CASES)
def test_it_has_a_value_on_every_row_of_the_type_and_in_the_range_it_says(edge, name, written):
    expression = bound(written)
    (outcome,) = run(edge, [expression])
    assert isinstance(outcome, Outcome), outcome
    assert outcome.stored is expression.facts.stored
    assert expression.nullable or None not in outcome.values
    for value in set(outcome.values) - {None}:
        assert not _leaves(value, outcome.stored, expression.facts.physical), (
            value,
            expression.facts.physical,
        )


def _plainly(connection: psycopg.Connection, written: str) -> tuple[Type, list[str | None]]:
    cursor = connection.execute(f"SELECT {written} FROM edge AS t0 ORDER BY ctid".encode())
    assert cursor.description is not None
    return TYPES[cursor.description[0].type_code], [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("name, written", [c for c in CASES if c[1] not in _TYPED_OTHERWISE])
def test_it_has_the_type_that_postgres_gives_it(edge, name, written):
    cursor = edge.execute(f"SELECT {written} FROM edge AS t0 WHERE false".encode())
    assert TYPES[cursor.description[0].type_code] is bound(written).type


def _row_by_row(connection: psycopg.Connection, written: str) -> list[str | None]:
    """PostgreSQL's own values; ``fails`` where a row makes it fail."""
    (count,) = connection.execute(b"SELECT count(*) FROM edge").fetchone() or (0,)
    found: list[str | None] = []
    for at in range(int(count)):
        text = f"SELECT {written} FROM (SELECT * FROM edge ORDER BY ctid LIMIT 1 OFFSET {at}) AS t0"
        try:
            found.append(next(iter(connection.execute(text.encode())))[0])
        except psycopg.Error:
            found.append("fails")
    return found


# An interval of 1,000 years and as many days back leaves the years 1 to 9999 between its steps.
@pytest.mark.parametrize("name, written", [c for c in CASES if "1000 years -365000" not in c[1]])
def test_it_means_what_postgres_means_by_it(tame, name, written):
    expression = bound(written)
    (outcome,) = run(tame, [expression])
    assert isinstance(outcome, Outcome), outcome
    try:
        theirs = _plainly(tame, written)[1]
    except psycopg.Error:
        theirs = _row_by_row(tame, written)
    if not written.startswith(("t::", "left(t, 2)::")):
        assert theirs.count("fails") <= len(theirs) * 0.9, "too little to compare"
    for mine, plain in zip(outcome.values, theirs, strict=True):
        assert plain == "fails" or _same(mine, plain, expression.type), (mine, plain)


def _same(mine: str | None, plain: str | None, kind: Type) -> bool:
    if mine is None or plain is None or not kind.is_number:
        return mine == plain
    a, b = Decimal(mine), Decimal(plain)
    return abs(a - b) <= Decimal("1e-9") * max(Decimal(1), abs(b))


_BOUNDS = {
    "i": (-3, 9),
    "i1": (0, 40),
    "l": (0, 1000),
    "n": (1, 20),
    "m": (-5, 5),
    "f": (-2, 2),
    "f1": (1, 3),
}


@pytest.mark.parametrize("name, written", [c for c in CASES if bound(c[1]).type.is_number])
def test_values_inside_declared_bounds_stay_in_the_declared_range(tame, name, written):
    expression = bound(written, _BOUNDS)
    kept = " AND ".join(
        f"(t0.{c} IS NULL OR t0.{c} BETWEEN {a} AND {b})" for c, (a, b) in _BOUNDS.items()
    )
    inside = [
        row[0] == "t"
        for row in tame.execute(f"SELECT {kept} FROM edge AS t0 ORDER BY ctid".encode())
    ]
    (outcome,) = run(tame, [expression])
    assert isinstance(outcome, Outcome), outcome
    for value, is_inside in zip(outcome.values, inside, strict=True):
        if value is not None and is_inside:
            assert not outside(
                value, outcome.stored, expression.facts.declared, Fraction(1, 10**12)
            ), value


def _build_calendar(uri: str) -> None:
    """Tame rows on every day of nine years, leap years among them, and on the first and last."""
    days_ = [date(1996, 1, 1) + timedelta(days=i) for i in range(9 * 366)]
    days_ += [date.min, date.max, date(1, 1, 31), date(9999, 1, 1)]
    names = list(COLUMNS)
    rows = tame_rows(len(days_))
    for i, (row, day) in enumerate(zip(rows, days_, strict=True)):
        row[names.index("d")] = day.isoformat()
        row[names.index("s")] = f"{day.isoformat()} {i % 24:02}:{i % 60:02}:{i % 60:02}.999999"
    with connect(uri) as connection:
        make_table(connection, rows)


@pytest.fixture(scope="module")
def calendar(postgres):
    with connect(postgres.template("calendar", _build_calendar)) as connection:
        yield connection


@pytest.mark.parametrize(
    "written",
    [
        written
        for name in ("extract", "date_trunc", "time + interval", "age", "date_bin")
        for written in SAMPLES[name]
        if "epoch FROM z" not in written and "1000 years" not in written
    ],
)
def test_parts_of_dates_stay_in_their_range_on_every_day_and_mean_the_same(calendar, written):
    expression = bound(written)
    (outcome,) = run(calendar, [expression])
    assert isinstance(outcome, Outcome), outcome
    for value in set(outcome.values) - {None}:
        assert not _leaves(value, outcome.stored, expression.facts.physical), value
    for mine, plain in zip(outcome.values, _plainly(calendar, written)[1], strict=True):
        assert _same(mine, plain, expression.type), (mine, plain)


@pytest.mark.parametrize(
    "spelled, whole, exact",
    [
        ("12", 12, 12),
        (" -7\t", -7, -7),
        ("+0010", 10, 10),
        ("1.50", None, Decimal("1.5")),
        (".5", None, Decimal("0.5")),
        ("5.", None, 5),
        ("12x", None, None),
        ("x12", None, None),
        ("1 2", None, None),
        ("1e5", None, None),
        ("", None, None),
        (".", None, None),
        ("NaN", None, None),
        ("1234567890", None, 1234567890),
        ("1" * 16, None, None),
        ("12\n13", None, None),
    ],
)
def test_a_text_is_a_number_only_where_all_of_it_spells_one(tame, spelled, whole, exact):
    for to, expected in (("integer", whole), ("numeric", exact)):
        text = bound(f"concat(left(t, 0), '{spelled}')::{to}")
        (outcome,) = run(tame, [text])
        assert isinstance(outcome, Outcome), outcome
        (value,) = set(outcome.values)
        assert (None if value is None else Decimal(value)) == expected


def _build_collations(uri: str) -> None:
    """The table of edge values, its texts declared with collations that do not mix."""
    _build_edge(uri)
    with connect(uri) as connection:
        for column, collation in (("t", "C"), ("t1", "POSIX")):
            change = f'ALTER TABLE edge ALTER {column} TYPE text COLLATE "{collation}"'
            connection.execute(change.encode())


@pytest.fixture(scope="module")
def collations(postgres):
    with connect(postgres.template("collations", _build_collations)) as connection:
        yield connection


MEETING = """
t = t1
t < t1
t IS DISTINCT FROM t1
greatest(t, t1) = 'x'
least(t1, t) || t
coalesce(t, t1) = 'x'
CASE WHEN b THEN t ELSE t1 END > 'a'
CASE t WHEN t1 THEN 1 END
nullif(t, t1)
lower(t || t1)
initcap(concat(t, 'x', t1))
strpos(t, t1)
strpos(t || t1, t || 'x')
starts_with(t, t1)
(t || t1) LIKE 'a%'
(t || t1) ILIKE 'A%'
replace(t || t1, 'a', 'b')
t IN (t1, 'a')
t BETWEEN t1 AND t1 || 'z'
""".strip().splitlines()


def test_texts_of_two_collations_meet_without_failing_on_a_row(collations):
    with pytest.raises(psycopg.errors.IndeterminateCollation):
        collations.execute(b"SELECT t = t1 FROM edge")
    maker = Maker(random.Random(11), constants={"text": ["a"], "bool": [True], "number": [1]})
    columns = refs(table_columns())
    made = [expression for _, expression in expressions(maker, columns, 400)]
    written = [*MEETING, *(text for _, text in CASES)]
    for expression in [*map(bound, written), *made]:
        (outcome,) = run(collations, [expression])
        assert isinstance(outcome, Outcome), outcome


REFUSED = """
now() > s | now()
current_date > d | CURRENT_DATE
clock_timestamp() > s | now()
s - s1 < '30 days' | interval
s - i > 1 | operator
s - s1 > 30 | interval
EXTRACT(month FROM s - s1) = 1 | 86400
(s - s1) * 2 > INTERVAL '1 day' | interval
s + INTERVAL '1 month' * i | differ in length
s + INTERVAL '1 day' * n | whole numbers
date_bin('1 month', s, '2001-01-01') | differ in length
date_bin('0 days', s, '2001-01-01') | wider
date_bin('1 day', d, '2001-01-01') | timestamp
date_bin('1 day', s, s1) | two ways
date_bin(t, s, '2001-01-01') | constant
coalesce(s - s1, INTERVAL '1 month') = s - s1 | stands beside
z + INTERVAL '1 day' | time zone
z::date | AT TIME ZONE
z::timestamp | AT TIME ZONE
s::timestamptz | AT TIME ZONE
EXTRACT(year FROM z) | AT TIME ZONE
date_trunc('month', z) | AT TIME ZONE
EXTRACT(hour FROM d) | date has no hour
EXTRACT(julian FROM d) | constants
date_trunc('decade', s) | constants
date_part('hour', d) = 2 | date has no hour
date_part(t, d) = 2 | constants
date_part('year', z) = 2 | AT TIME ZONE
to_char(s, t) = '2020' | format
to_char(s, 'TMMonth') = 'mai' | format
to_char(s, 'YYYY "it''s"') = '2020' | format
to_char(s, 'J') = '2020' | format
to_char(i, '999') = '1' | date or a timestamp
to_char(z, 'YYYY') = '2020' | AT TIME ZONE
age(d, d1) > INTERVAL '1 year' | CURRENT_DATE -
EXTRACT(hour FROM age(d, d1)) = 1 | Days are
EXTRACT(year FROM age(d, i)) = 1 | date or a timestamp
EXTRACT(year FROM age(z, d)) = 1 | AT TIME ZONE
z AT TIME ZONE t | constants
z AT TIME ZONE 'Mars/Base' | constants
s + INTERVAL '1001 years' | 1000 years
s + INTERVAL '1 fortnight' | whole numbers
s + INTERVAL '1.5 days' | whole numbers
d + n | INTERVAL
d + l | INTERVAL
d + d1 | INTERVAL
t::date | DATE
t::boolean | CASE
n::text | integer
f::text | integer
t::varchar(3) | left
t::char(3) | Cast to
n::real | Cast to
n::numeric(40,2) | between 1 and 30
s::timestamp(0) | Cast to
power(n, 4) | constants
power(n, n1) | constants
log(n, 2) | constant
log(1, n) | constant
width_bucket(n, 0, n1, 5) | constants
width_bucket(n, 5, 5, 5) | less than
width_bucket(n, 0, 5, 0) | constant integer
substr(t, 1, -1) | constant integer
substr(t, i) | constant integer
substring(t FROM 'a') | constant integer
left(t, i) | constant integer
replace(t, t1, 'a') | constants
split_part(t, t1, 1) | constant text
split_part(t, 'a', 0) | constant integer
split_part(t, 'a', i) | constant integer
lpad(t, i) | constant integer
lpad(t, 10, t1) | constant text
concat_ws(t, t1, 'a') | constant text
translate(t, 'aaaaaaaaaaaaaaaaaaaaaa', 'b') | constant text
trim(BOTH t1 FROM t) | constant text
t || n | CAST
concat(t, b) | CAST
i || i = '1' | text
t SIMILAR TO 'a' | LIKE
t LIKE 'a!' ESCAPE '!' | escape
t LIKE 'a' ESCAPE 'xy' | one character
t LIKE t1 ESCAPE '!' | constants
random() > 0.5 | Noise
f % 2.0 = 1 | numeric
sin(f) | docs/sql.md
""".strip().splitlines()


@pytest.mark.parametrize("line", REFUSED)
def test_what_could_fail_is_refused_with_what_to_do_instead(line):
    written, expected = (part.strip() for part in line.split(" | "))
    with pytest.raises(Refusal) as refused:
        bound(written)
    said = f"{refused.value.message} {refused.value.detail} {refused.value.hint}"
    assert expected in said


def test_every_zone_is_known_to_postgres(edge):
    for zone in ZONES:
        edge.execute(b"SELECT timestamp '2020-01-01' AT TIME ZONE $1", [zone])


def test_a_text_that_doubles_again_and_again_is_refused():
    doubled = bound("left(t, 1000)")
    with pytest.raises(Refusal, match="could grow"):
        for _ in range(10):
            doubled = build("||", [doubled, doubled])
