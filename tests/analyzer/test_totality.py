"""No expression fails on any value, and what is said of its value holds: on a live PostgreSQL.

Refusing to answer is free; failing on some row tells that the row is there. So every expression that
``analyzer.functions`` can build has to have a value on every row, of the type and in the range that
its facts say.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction

import psycopg
import pytest

from analyzer.bind_expressions import ExpressionBinder
from analyzer.dates import cut, days
from analyzer.expressions import Domain, Expr, Interval, Steps
from analyzer.parse import parse
from analyzer.printing import Printer
from analyzer.scope import Entry, Scope
from analyzer.types import Type
from tests.analyzer.expressions import Maker, Node, expressions, refs, table_columns, text
from tests.analyzer.live import (
    TAME_BOUNDS,
    Outcome,
    beyond,
    connect,
    days_of,
    described,
    edge_rows,
    make_table,
    outside,
    run,
    tame_rows,
)

HARD = {
    "number": [0, 1, -1, 2, -(2**31), 2**31 - 1, 2**63 - 1, 2**63, 10**30, Decimal("0.5"),
               Decimal("1e-30"), Decimal("-99999999999999.9999"), None],
    "text": ["", "a", "o'x\\", "%", None],
    "bool": [True, False, None],
    "date": ["0001-01-01", "9999-12-31", None],
    "timestamp": ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", None],
    "zoned": ["2020-01-01 00:00:00+05", None],
    "uuid": ["00000000-0000-0000-0000-000000000000", None],
}  # fmt: skip
"""Constants of each kind that are hard on some operation."""

_BATCH = 40


def _build(uri: str) -> None:
    with connect(uri) as connection:
        make_table(connection, edge_rows(48))


@pytest.fixture(scope="module")
def edge(postgres):
    with connect(postgres.template("edge", _build)) as connection:
        yield connection


def _build_huge(uri: str) -> None:
    """One row whose texts are so long that what needs a few bytes for each of theirs finds no
    memory for it."""
    with connect(uri) as connection:
        make_table(connection, edge_rows(1))
        connection.execute(b"UPDATE edge SET t = repeat('7', 270000000), t1 = ' '")


@pytest.fixture(scope="module")
def huge(postgres):
    with connect(postgres.template("huge", _build_huge)) as connection:
        yield connection


def _judge(
    connection: psycopg.Connection, cases: list[tuple[Node, Expr]], *, declared: bool
) -> dict[str, list[str]]:
    failures: dict[str, list[str]] = defaultdict(list)
    for start in range(0, len(cases), _BATCH):
        batch = cases[start : start + _BATCH]
        outcomes = run(connection, [expression for _, expression in batch])
        for (node, expression), outcome in zip(batch, outcomes, strict=True):
            for kind, what in _complaints(expression, outcome, declared=declared):
                failures[kind].append(f"{text(node)} :: {what}")
    return failures


def _complaints(
    expression: Expr, outcome: Outcome | str, *, declared: bool
) -> list[tuple[str, str]]:
    if isinstance(outcome, str):
        return [("fails", outcome)]
    facts, found = expression.facts, []
    if outcome.stored is not facts.stored:
        found.append(("is stored as", f"{outcome.stored.value}, not {facts.stored.value}"))
    if None in outcome.values and not expression.nullable:
        found.append(("is NULL", "though not nullable"))
    for value in {v for v in outcome.values if v is not None}:
        # To the last digit: what is above zero by ever so little is divided by without a word.
        if _outside(value, outcome.stored, facts.physical, Fraction(0)):
            found.append(("leaves its physical range", f"{value[:40]} {facts.physical}"))
        if declared and _outside(value, outcome.stored, facts.declared, _SLACK):
            found.append(("leaves its declared range", f"{value[:40]} {facts.declared}"))
        if declared and facts.on_grid and facts.tick and _number(value) % facts.tick:
            found.append(("is off its grid", f"{value[:40]} {facts.tick}"))
        if (facts.total_domain or declared) and not _within(value, outcome.stored, facts.domain):
            found.append(("is not among its public values", f"{value[:40]} {facts.domain}"))
    return found


_TIMES = (Type.DATE, Type.TIMESTAMP, Type.TIMESTAMPTZ)
_SLACK = Fraction(1, 10**12)


def _outside(value: str, stored: Type, interval: Interval, slack: Fraction) -> bool:
    """Numbers by value, dates and times in days, texts by their length."""
    if stored.is_number:
        return outside(value, stored, interval, slack)
    if stored is Type.TEXT:
        return beyond(Fraction(len(value)), interval)
    if stored not in _TIMES:
        return False
    days = days_of(value)
    if days is not None:
        return beyond(days, interval)
    return (interval.lower if value.startswith("-") else interval.upper) is not None


def _number(value: str) -> Fraction:
    """A number, or the days of a date."""
    days = None if value.replace(".", "").lstrip("-").isdigit() else days_of(value)
    return Fraction(value) if days is None else days


def _within(value: str, stored: Type, domain: Domain | None) -> bool:
    """Whether a value is one of the public values; of a list that PostgreSQL works out, yes."""
    if isinstance(domain, Steps):
        exact = _number(value)
        on = cut(exact, domain.step) == exact if isinstance(domain.step, str) else True
        on = on and (isinstance(domain.step, str) or (exact - domain.first) % domain.step == 0)
        return on and domain.first <= exact <= domain.last
    if not isinstance(domain, tuple):
        return True
    if stored.is_number:
        return Decimal(value) in domain
    if stored is Type.BOOL:
        return (value == "t") in domain
    if stored in _TIMES:
        return _number(value) in {days(known) for known in domain if isinstance(known, date)}
    return value in domain


@pytest.mark.parametrize(
    "seed, count",
    [(1, 400), pytest.param(2, 6_000, marks=pytest.mark.slow)],
)
def test_no_expression_fails_on_any_value(edge, seed, count):
    maker = Maker(random.Random(seed), constants=HARD)
    cases = expressions(maker, refs(table_columns()), count)
    failures = _judge(edge, cases, declared=False)
    assert not failures, described(failures)


def _nested(form: str, times: int, inside: str) -> str:
    for _ in range(times):
        inside = form.format(inside)
    return inside


FOUND = [
    # NULL, though no argument can be: a key that is true, false or NULL where it says true or false.
    "n1 + 1 > 0",
    "CAST(f1 AS integer)",
    "floor(f1 * 1.5)",
    # NaN leaves the range of a numeric with a precision, and fails further up.
    "CAST(m AS integer) * 2000000",
    "CAST(m AS numeric(30, 15))",
    "1 / floor(least(-99.9 * greatest(0.5, m, l), i - i))",
    # Integers are stored wider than their type.
    "CAST(i1 + 2147483647 AS boolean)",
    "i1 * i1 * i1 * i1 * i1",
    "i1 / -1 % -1",
    # The type of NULLIF is what = makes of its first argument.
    "nullif(i, 1.5) / 2",
    "nullif(i, l) + nullif(l, f)",
    "CAST(d AS timestamp)",
    "EXTRACT(epoch FROM d) + (d1 - d)",
    "div(i1, 0.25)",
    "CAST(t AS integer) + CAST(t AS numeric)",
    "t || t || t || t",
    # A number of all the digits that there are has no room to be rounded up.
    "round(n)",
    "ceil(n)",
    "floor(n)",
    "round(n, -1)",
    "CAST(n AS numeric(30, 15))",
    "CAST(n AS bigint)",
    # PostgreSQL rounds quotients, powers and long products: 1 / 3.0 * 3 is less than 1.
    "1 / (greatest(least(i1, 2), 1) / 3.0 * 3 - 0.99999999999999999999)",
    "ln(greatest(least(i1, 2), 1) / 3.0 * 3 - 0.99999999999999999999)",
    "sqrt(greatest(least(i1, 2), 1) / 3.0 * 3 - 0.999999999999999999995)",
    "1 / (power(greatest(least(n1, 1), 1.00000000000000001), 2) - 1.00000000000000002)",
    f"1 / {_nested('power({}, 3)', 5, 'greatest(least(n1, 1), 0.0000001)')}",
    f"1 / ({' * '.join(['greatest(least(n1, 1), 0.0000001)'] * 9)})",
]
"""What once failed, or had a value that its facts ruled out."""


def _bound(written: str, bounds: Mapping[str, tuple[int, int]] | None = None) -> Expr:
    """The expression that a text means over the columns of ``edge``."""
    fields = tuple(refs(table_columns(bounds or {})).items())
    binder = ExpressionBinder(Scope((Entry("edge", fields),)), (), "a test")
    return binder.bind(parse(f"SELECT {written} AS x FROM edge").expressions[0].this)


@pytest.mark.parametrize("written", FOUND)
def test_what_was_found_once(edge, written):
    expression = _bound(written)
    (outcome,) = run(edge, [expression])
    assert not _complaints(expression, outcome, declared=False)


def _tight(chance: random.Random, depth: int) -> str:
    """A number whose range is narrow, and mostly not of few decimals."""
    if depth == 0:
        low, high = sorted(
            chance.sample(("0.0000001", "0.3", "1", "1.1", "3", "7.0"), 2), key=float
        )
        column = chance.choice(("i1", "l1", "n", "n1", "m", "f1", "EXTRACT(second FROM s1)"))
        return f"greatest(least({column}, {high}), {low})"
    a, b = (_tight(chance, depth - 1) for _ in range(2))
    operation = chance.choice(("/", "/", "*", "+", "-", "power", "sqrt", "ln", "-(x)"))
    if operation == "power":
        return f"power({a}, {chance.choice((2, 3))})"
    if operation in ("sqrt", "ln"):
        return f"{operation}({a})"
    return f"(- {a})" if operation == "-(x)" else f"({a} {operation} {b})"


@pytest.mark.parametrize("seed", range(3))
def test_ranges_hold_to_the_last_digit(edge, seed):
    chance = random.Random(seed)
    for _ in range(100):
        written = _tight(chance, chance.choice((1, 2, 3)))
        expression = _bound(written)
        (outcome,) = run(edge, [expression])
        assert not _complaints(expression, outcome, declared=False), written


@pytest.mark.parametrize(
    "written",
    [
        *("upper(t)", "trim(t)", "trim(TRAILING FROM t)", "CAST(t AS numeric)", "t ILIKE '%7_8%'"),
        *(
            pytest.param(more, marks=pytest.mark.slow)
            for more in (
                *("initcap(t)", "trim(LEADING FROM t)", "t || t1", "replace(t, '7', '77')"),
                *("length(t)", "left(t, 9)", "right(t, 9)", "substr(t, 5)", "strpos(t, 'x')"),
                *("starts_with(t, '77')", "t > t1", "greatest(t, t1)", "t LIKE '%7_8%'"),
            )
        ),
    ],
)
def test_texts_can_be_huge(huge, written):
    expression = _bound(written)
    if expression.type is Type.TEXT:
        expression = _bound(f"length({written})")
    (outcome,) = run(huge, [expression])
    assert isinstance(outcome, Outcome), outcome


@pytest.mark.parametrize("inside", ["i", "greatest(least(n, 0.9999999), 0.0000001)"])
def test_ranges_keep_few_digits(inside):
    """Each power has three times the digits of what is in it: 20 of them would take all memory."""
    facts = _bound(_nested("power({}, 3)", 10, inside), TAME_BOUNDS).facts
    for end in (facts.physical.lower, facts.physical.upper, facts.declared.lower):
        assert end is None or max(abs(end.numerator), end.denominator) < 10**121


@pytest.mark.parametrize(
    "written, cut",
    [
        (f"t LIKE '%{'a' * 9}%'", None),
        (f"t LIKE '%{'a' * 998}%'", 10_000),
        (f"t LIKE '%{'a' * 98}%'", 100_000),
        (f"t ILIKE '%{'a' * 9}%'", 1_000_000),
        (f"t ILIKE '%{'a' * 9_000}%'", 10_000),
        ("strpos(t, 'abc')", None),
        (f"strpos(t, '{'a' * 100}')", 100_000),
        ("strpos(t, t1)", 10_000),
        (f"strpos(left(t, 9), '{'a' * 100}')", 9),
    ],
)
def test_a_long_search_is_in_a_short_text(written, cut):
    """Ten thousand characters in a million took PostgreSQL half a minute of one row, during which
    it looked at no time limit."""
    text = Printer({}).expression(_bound(written))
    assert re.findall(r'left\([^(]*"t", (\d+)\)', text) == ([] if cut is None else [str(cut)])


@pytest.mark.parametrize("written", ["strpos(t, t)", "strpos(t || t1, t)", "strpos(t1, t)"])
def test_what_is_longer_than_what_it_is_looked_for_in_is_not_found(huge, written):
    (outcome,) = run(huge, [_bound(written)])
    assert isinstance(outcome, Outcome)
    assert outcome.values == ("0",)


TAME = {
    "number": [0, 1, -1, 2, 3, 100, Decimal("0.5"), Decimal("-2.25"), None],
    "text": ["", "a", "o'x", None],
    "bool": [True, False, None],
    "date": ["2020-02-29", None],
    "timestamp": ["2020-02-29 12:34:56.5", None],
    "zoned": ["2020-02-29 12:00:00+00:00", None],
    "uuid": ["00000000-0000-0000-0000-000000000000", None],
}


def _build_tame(uri: str) -> None:
    with connect(uri) as connection:
        make_table(connection, tame_rows(60))


@pytest.fixture(scope="module")
def tame(postgres):
    with connect(postgres.template("tame", _build_tame)) as connection:
        yield connection


@pytest.mark.parametrize("seed, count", [(3, 400), pytest.param(4, 6_000, marks=pytest.mark.slow)])
def test_values_within_bounds_stay_within_declared_bounds(tame, seed, count):
    """The sensitivity rests on it, together with the clamp: a range that is too narrow would cut
    honest values off."""
    maker = Maker(random.Random(seed), constants=TAME)
    columns = refs(table_columns(TAME_BOUNDS))
    cases = [(n, e) for n, e in expressions(maker, columns, 2 * count) if e.type.is_number][:count]
    bounded = [e for _, e in cases if e.facts.declared.magnitude is not None]
    assert len(bounded) > len(cases) / 3, "too few expressions have bounds for this to say much"
    failures = _judge(tame, cases, declared=True)
    assert not failures, described(failures)
