"""From noisy cells to the answer: select list, HAVING, ORDER BY and LIMIT, in SQL over noisy
values.

PostgreSQL computes it, so arithmetic, NULLs and sorting are its own; only noisy values go in. Each
group comes in variants: variant 0 is the answer, and for every cell two more have that cell moved
up (odd) and down (even) by its error bar. How far the outputs move gives their error bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from analyzer.expressions import Aggregate, Call, Expr, Facts, Interval, Ref
from analyzer.functions import build
from analyzer.functions.base import constant
from analyzer.measures import Count, Mean, Measure, decimal
from analyzer.plan import Statement
from analyzer.printing import Printer
from analyzer.relation import Query, SortKey
from analyzer.types import Type

_CELL = Interval(Fraction(-(2**64)), Fraction(2**64))
_VARIANT = Ref("noisy", "v", Type.INT4, False, Facts(Type.INT4))


def cell(index: int) -> Ref:
    return Ref("noisy", f"c{index}", Type.NUMERIC, False, Facts(Type.NUMERIC, _CELL))


def value_of(measure: Measure, first: int) -> Expr:
    """The noisy aggregate as an expression over the cells from index ``first`` on."""
    if isinstance(measure, Mean):
        return _mean(measure, first)
    noisy: Expr = cell(first)
    if measure.tick == 1:
        return noisy
    scaled = build("*", [noisy, constant(decimal(measure.tick))])
    return build("round", [scaled]) if isinstance(measure, Count) else scaled


def _mean(measure: Mean, first: int) -> Expr:
    """``lower + (upper - lower) * U / (U + W)``, with at least one row in the denominator.

    The answer is kept within the clamping bounds, which costs no privacy. The variants may pass
    them by the width of the bounds, so that the error bar of a very noisy mean is not cut to
    nothing.
    """
    low, high = measure.lower * measure.tick, measure.upper * measure.tick
    above, below = cell(first), cell(first + 1)
    rows = build("greatest", [build("+", [above, below]), constant(measure.width)])
    share = build("*", [build("/", [above, rows]), constant(decimal(high - low))])
    mean = build("+", [constant(decimal(low)), share])
    answer = build("=", [_VARIANT, constant(0)])
    kept = build(
        "case", [answer, _within(mean, low, high), _within(mean, 2 * low - high, 2 * high - low)]
    )
    decimals = 4
    while measure.tick < Fraction(1, 10 ** (decimals - 4)):
        decimals += 1
    return build("round", [kept, constant(min(decimals, 15))])


def _within(value: Expr, low: Fraction, high: Fraction) -> Expr:
    floor = build("greatest", [value, constant(decimal(low))])
    return build("least", [floor, constant(decimal(high))])


def replaced(expression: Expr, values: Mapping[Expr, Expr]) -> Expr:
    """``expression`` with every aggregate in place of its noisy value."""
    if isinstance(expression, Aggregate):
        return values[expression]
    if isinstance(expression, Call):
        return replace(expression, args=tuple(replaced(a, values) for a in expression.args))
    return expression


def finish_statement(
    query: Query, key_types: Sequence[Type], bars: Sequence[int], values: Mapping[Expr, Expr]
) -> Statement:
    """The SQL over noisy rows; ``bars`` has each cell's error bar in grid steps."""
    printer = Printer({}, first_parameter=2)
    outputs = [printer.expression(replaced(e, values)) for _, e in query.outputs]
    columns = [f"{text} AS o{i}" for i, text in enumerate(outputs)]
    order = []
    for i, key in enumerate(query.order):
        columns.append(f"{printer.expression(replaced(key.expression, values))} AS s{i}")
        order.append(_sort(i, key))
    kept = "v = 0"
    if query.having is not None:
        columns.append(f"{printer.expression(replaced(query.having, values))} AS kept")
        kept += " AND kept"
    limit = "" if query.limit is None else f" LIMIT {query.limit}"
    offset = f" OFFSET {query.offset}" if query.offset else ""
    listed = "".join(f", outputs.o{i}" for i in range(len(outputs)))
    text = f"""WITH noisy AS (
{_noisy(key_types, bars)}
), outputs AS (
SELECT noisy.r, noisy.v, {", ".join(columns)} FROM noisy
), places AS (
SELECT r, row_number() OVER (ORDER BY {", ".join([*order, "r"])}) AS place FROM outputs WHERE {kept}
ORDER BY place{limit}{offset}
)
SELECT places.place, outputs.v{listed}
FROM places JOIN outputs ON (outputs.r = places.r) ORDER BY places.place, outputs.v"""
    return Statement(text, tuple(printer.parameters))


def _sort(index: int, key: SortKey) -> str:
    direction = "DESC" if key.descending else "ASC"
    return f"s{index} {direction} NULLS {'FIRST' if key.nulls_first else 'LAST'}"


def _noisy(key_types: Sequence[Type], bars: Sequence[int]) -> str:
    names = [f"k{i} {t.value}" for i, t in enumerate(key_types)]
    names += [f"c{i} numeric" for i in range(len(bars))]
    variants = [[0] * len(bars)]
    for i, bar in enumerate(bars):
        variants += [[step if j == i else 0 for j in range(len(bars))] for step in (bar, -bar)]
    rows = ", ".join(f"({', '.join(map(str, [v, *steps]))})" for v, steps in enumerate(variants))
    moved = "".join(f", (j.c{i} + s.c{i}) AS c{i}" for i in range(len(bars)))
    keys = "".join(f", j.k{i}" for i in range(len(key_types)))
    listed = ", ".join(["v", *(f"c{i}" for i in range(len(bars)))])
    return (
        f"SELECT j.r, s.v{keys}{moved}\n"
        f"FROM jsonb_to_recordset(CAST($1 AS jsonb)) AS j ({', '.join(['r integer', *names])})\n"
        f"CROSS JOIN (VALUES {rows}) AS s ({listed})"
    )
