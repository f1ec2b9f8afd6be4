"""From noisy cells to the answer, in SQL over noisy values only.

PostgreSQL computes it, so arithmetic, NULLs, windows and sorting are its own. Error bars come of
variants (see ``analyzer.finish_variants``): an output's bar is how far its value moves when each
noisy cell moves by its own error bar, independent of the others, so that the moves add in squares.
That is propagation of errors to first order: exact for sums and differences, good for smooth
functions where noise is small beside the values, and a guess where it is not. Which rows there are,
and which groups they make, is decided on the answer alone and has no error bar.

What is rounded at the end moves by less than a step or not at all, so its bar is that of the value
before, and the most that the rounding itself moves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from analyzer.dates import DATES
from analyzer.expressions import Call, Expr, Ref
from analyzer.finish_stages import StagePrinter, distinct_rows, limits, sorting
from analyzer.finish_variants import Cells, noisy_groups
from analyzer.functions.base import between
from analyzer.functions.times import is_time
from analyzer.measures import decimal
from analyzer.plan import Statement
from analyzer.stages import ARRAY, Rows, Stacked, Stage, aliased, is_scalar
from analyzer.timelines import has_bar, in_days
from analyzer.types import Type

_NOT_AT_ALL = Fraction(0)
_FIRST, _LAST = str(DATES.lower), str(DATES.upper)
"""Years 1 to 9999, in days since 1970-01-01."""
_FAR = "CAST(1e100 AS numeric)"
"""Moves as far as this, and what is no number, have no error bar."""


def finish_statement(
    stages: Sequence[Stage],
    noisy: Sequence[bool],
    blocks: Sequence[Cells],
    values: Mapping[Expr, Expr],
) -> Statement:
    """The SQL over noisy rows: place, outputs and error bars (NULL where there is none).

    Args:
        stages: what is computed; the last one is the answer.
        noisy: for each output of the last stage, whether it is noisy.
        blocks: the noisy columns of each block's groups.
        values: what the aggregates are in terms of those columns.
    """
    crossed = any(stage.crosses for stage in stages)
    printer = StagePrinter(values)
    printer.texts += noisy_groups(blocks, crossed=crossed)
    *before, last = stages
    for index, stage in enumerate(before):
        printer.stage(index, stage)
        printer.cut(index, stage)
    end = len(before)
    unrounded = {
        i: [_unrounded(number, stages) for number in _numbers(e)]
        for i, (_, e) in enumerate(last.outputs)
        if noisy[i]
    }
    more = [e for i, own in unrounded.items() for e, _ in own if e != last.outputs[i][1]]
    printer.stage(end, last, more)
    moved: dict[int, list[_Moved]] = {}
    for i, own in unrounded.items():
        columns = [f"m{more.index(e)}" if e != last.outputs[i][1] else f"o{i}" for e, _ in own]
        moved[i] = [
            _Moved(f"b{i}_{j}" if j else f"b{i}", column, step)
            for j, (column, (_, step)) in enumerate(zip(columns, own, strict=True))
        ]
    tables = ",\n".join([*printer.texts, *_bars(end, last, moved, crossed=crossed)])
    return printer.statement(f"WITH {tables}\n{_answer(last)}")


@dataclass(frozen=True, slots=True)
class _Moved:
    """A number of an output that noise moves."""

    bar: str
    """The column that says how far."""
    column: str
    """The column that has it, before the last rounding."""
    rounding: Fraction
    """The most by which that rounding moved it."""


def _numbers(output: Expr) -> tuple[Expr, ...]:
    """The numbers of an output that have error bars, moments in days."""
    if isinstance(output, Call) and output.function == ARRAY:
        return output.args
    return (in_days(output),) if has_bar(output.type) else ()


def _unrounded(expression: Expr, stages: Sequence[Stage]) -> tuple[Expr, Fraction]:
    """The value before the last rounding, and the most by which that moved it."""
    steps = []
    while isinstance(expression, Call) and (rounded := _rounding(expression)) is not None:
        steps.append(rounded)
        expression = expression.args[0]
    return expression, sum(steps, _rounded_before(expression, stages))


def _rounding(call: Call) -> Fraction | None:
    """How far a call that only rounds its first argument can move it; None for all others."""
    if call.function in ("round", "trunc", "ceil", "floor"):
        step = Fraction(10) ** -int(call.detail)
        return step / 2 if call.function == "round" else step
    numbers = call.type.is_integer and call.args[0].type.is_number
    if call.function == "cast" and numbers and not call.args[0].type.is_integer:
        return Fraction(1, 2)
    return None


def _rounded_before(expression: Expr, stages: Sequence[Stage]) -> Fraction:
    """The same for a column that an earlier stage rounded."""
    if not isinstance(expression, Ref):
        return _NOT_AT_ALL
    if is_scalar(expression):
        return _unrounded(stages[int(expression.name)].outputs[0][1], stages)[1]
    found = [item for s in stages for item in aliased(s.source) if item.alias == expression.alias]
    arms = [arm for item in found if isinstance(item, Stacked) for arm in item.arms]
    before = [
        stages[rows.stage].outputs[int(expression.name[1:])][1]
        for rows in [*found, *(arm.rows for arm in arms)]
        if isinstance(rows, Rows) and rows.stage is not None
    ]
    return max((_unrounded(e, stages)[1] for e in before), default=_NOT_AT_ALL)


def _bars(
    index: int, stage: Stage, moved: Mapping[int, Sequence[_Moved]], *, crossed: bool
) -> list[str]:
    """How far each output moves, pair by pair and in all; then what is shown of each row."""
    moves, squares = ["q.r"], ["m.r"]
    for one in (one for own in moved.values() for one in own):
        # NaN is larger than all numbers here.
        step = (
            f"max(numeric_smaller(abs(CAST(q.{one.column} AS numeric)"
            f" - CAST(b.{one.column} AS numeric)), {_FAR}))"
        )
        known = f"(count(q.{one.column}) = 2) AND ({step} < {_FAR})"
        moves.append(f"CASE WHEN {known} THEN CAST({step} AS double precision) END AS {one.bar}")
        total = f"{'avg' if crossed else 'sum'}(m.{one.bar} * m.{one.bar})"
        known = f"count(m.{one.bar}) = count(*)"
        squares.append(f"CASE WHEN {known} THEN sqrt({total}) END AS {one.bar}")
    rows = f"o{index} AS b"
    if stage.distinct:
        rows = f"{distinct_rows(index, stage)} JOIN {rows} ON (b.r = d.r)"
    found = []
    if any(moved.values()):
        pairs = f"o{index} AS q JOIN o{index} AS b ON (b.r = q.r) AND (b.v = 0) WHERE (q.v > 0)"
        each = f"SELECT {', '.join(moves)} FROM {pairs} GROUP BY q.r, (q.v + 1) / 2"
        every = f"SELECT {', '.join(squares)} FROM moves AS m GROUP BY m.r"
        found = [f"moves AS (\n{each}\n)", f"bars AS (\n{every}\n)"]
        rows += " LEFT JOIN bars AS m ON (m.r = b.r)"
    columns, bars = [], []
    for i, (_, expression) in enumerate(stage.outputs):
        text, companion = f"b.o{i}", stage.companions[i]
        told = [_bar(one, expression.type) for one in moved.get(i, ())]
        bar = told[0] if told else "CAST(NULL AS numeric)"
        if expression.type is Type.FLOAT8S and told:
            bar = f"CAST(ARRAY[{', '.join(told)}] AS numeric[])"
        if companion is not None:
            number = f"b.{moved[i][0].column}" if is_time(expression.type) else text
            text = _companion(companion, number, expression.type, bar)
            bar = "CAST(NULL AS numeric)"
        columns.append(f"{text} AS o{i}")
        bars.append(f"{bar} AS b{i}")
    keys = [f"b.s{i}" for i, key in enumerate(stage.order) if key.output is None]
    listed = ", ".join(["b.r", *columns, *bars, *keys])
    return [*found, f"shown AS (\nSELECT {listed} FROM {rows} WHERE (b.v = 0)\n)"]


def _bar(one: _Moved, type_: Type) -> str:
    """An error bar as it is shown: whole for integers, rounded up; else six digits."""
    bar = f"m.{one.bar}"
    if one.rounding:
        bar = f"({bar} + CAST({decimal(one.rounding):f} AS double precision))"
    exact = f"CAST({bar} AS numeric)"
    if type_.is_integer or type_ is Type.DATE:
        return f"ceil({exact})"
    digits = f"5 - CAST(floor(log({bar})) AS integer)"
    return f"CASE WHEN {bar} > 0 THEN round({exact}, {digits}) ELSE {exact} END"


def _companion(name: str, number: str, type_: Type, bar: str) -> str:
    """What is shown of a value in its place: its error bar, or an end of its interval.

    Args:
        name: one of ``COMPANIONS``.
        number: the value; of moments, the days since 1970-01-01.
        type_: the type of the value.
        bar: half the interval, in the units of ``number``.
    """
    if name == "error_bar":
        return bar
    sign = "-" if name == "ci_low" else "+"
    end = f"(CAST({number} AS numeric) {sign} {bar})"
    if type_.is_number:
        return end
    if type_ is Type.DATE:
        end = f"round({end})"
    # A bar can be longer than the calendar.
    kept = between(end, Type.NUMERIC, _FIRST, _LAST)
    start = "1970-01-01 00:00:00+00" if type_ is Type.TIMESTAMPTZ else "1970-01-01"
    moment = f"CAST('{start}' AS {type_.value}) + {kept} * CAST('24 hours' AS interval)"
    return f"CAST({moment} AS {type_.value})"


def _answer(stage: Stage) -> str:
    order = ", ".join([*sorting(stage.order, "a"), "a.r"])
    count = range(len(stage.outputs))
    listed = ", ".join([*(f"a.o{i}" for i in count), *(f"a.b{i}" for i in count)])
    return (
        f"SELECT row_number() OVER (ORDER BY {order}) AS place, {listed} FROM shown AS a"
        f"\nORDER BY place{limits(stage)}"
    )
