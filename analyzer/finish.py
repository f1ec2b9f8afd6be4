"""From noisy cells to the answer: select list, HAVING, ORDER BY and LIMIT, in SQL over noisy
values.

PostgreSQL computes it, so arithmetic, NULLs and sorting are its own; only noisy values go in. Each
group comes in variants: variant 0 is the answer, and for every cell two more have that cell moved
up (odd) and down (even) by its error bar. How far the outputs move gives their error bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analyzer.expressions import Aggregate, Call, Expr
from analyzer.plan import Statement
from analyzer.printing import Printer
from analyzer.relation import Query, SortKey
from analyzer.types import Type


def replaced(expression: Expr, values: Mapping[Expr, Expr]) -> Expr:
    """``expression`` with every aggregate in place of its noisy value."""
    if isinstance(expression, Aggregate):
        return values[expression]
    if isinstance(expression, Call):
        return replace(expression, args=tuple(replaced(a, values) for a in expression.args))
    return expression


@dataclass(frozen=True, slots=True)
class Cells:
    """The noisy columns of a group."""

    bars: Mapping[int, int]
    """The cells that are columns of their own, and their error bars in grid steps."""
    quantiles: int
    """How many quantiles come with each group, each with its value moved up and down."""


def finish_statement(
    query: Query, key_types: Sequence[Type], cells: Cells, values: Mapping[Expr, Expr]
) -> Statement:
    """The SQL over noisy rows."""
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
{_noisy(key_types, cells)}
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


def _noisy(key_types: Sequence[Type], cells: Cells) -> str:
    """The groups as they came, each once for every variant."""
    names = [f"k{i} {t.value}" for i, t in enumerate(key_types)]
    names += [f"c{i} numeric" for i in cells.bars]
    names += [f"q{i}{way} numeric" for i in range(cells.quantiles) for way in ("", "u", "d")]
    variants = [[0] * len(cells.bars)]
    for i, bar in enumerate(cells.bars.values()):
        variants += [
            [step if j == i else 0 for j in range(len(cells.bars))] for step in (bar, -bar)
        ]
    first = len(variants)
    variants += [[0] * len(cells.bars)] * (2 * cells.quantiles)
    rows = ", ".join(f"({', '.join(map(str, [v, *steps]))})" for v, steps in enumerate(variants))
    columns = ["j.r", "s.v", *(f"j.k{i}" for i in range(len(key_types)))]
    columns += [f"(j.c{i} + s.c{i}) AS c{i}" for i in cells.bars]
    columns += [
        f"CASE s.v WHEN {first + 2 * i} THEN j.q{i}u WHEN {first + 2 * i + 1} THEN j.q{i}d"
        f" ELSE j.q{i} END AS q{i}"
        for i in range(cells.quantiles)
    ]
    listed = ", ".join(["v", *(f"c{i}" for i in cells.bars)])
    return (
        f"SELECT {', '.join(columns)}\n"
        f"FROM jsonb_to_recordset(CAST($1 AS jsonb)) AS j ({', '.join(['r integer', *names])})\n"
        f"CROSS JOIN (VALUES {rows}) AS s ({listed})"
    )
