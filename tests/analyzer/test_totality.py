"""No expression fails on any value, and what is said of its value holds: on a live PostgreSQL.

Refusing to answer is free; failing on some row tells that the row is there. So every expression that
``analyzer.functions`` can build has to have a value on every row, of the type and in the range that
its facts say.
"""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import psycopg
import pytest

from analyzer.expressions import Expr
from tests.analyzer.expressions import Maker, Node, expressions, refs, table_columns, text
from tests.analyzer.live import (
    TAME_BOUNDS,
    Outcome,
    connect,
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
    if not expression.type.is_number:
        return found
    for value in set(outcome.values) - {None}:
        if outside(value, outcome.stored, facts.physical, Fraction(1, 10**12)):
            found.append(("leaves its physical range", f"{value[:40]} {facts.physical}"))
        if declared and outside(value, outcome.stored, facts.declared, Fraction(1, 10**12)):
            found.append(("leaves its declared range", f"{value[:40]} {facts.declared}"))
    return found


@pytest.mark.parametrize(
    "seed, count",
    [(1, 400), pytest.param(2, 6_000, marks=pytest.mark.slow)],
)
def test_no_expression_fails_on_any_value(edge, seed, count):
    maker = Maker(random.Random(seed), constants=HARD)
    cases = expressions(maker, refs(table_columns()), count)
    failures = _judge(edge, cases, declared=False)
    assert not failures, described(failures)


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
