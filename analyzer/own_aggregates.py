"""Exact aggregates over the rows of one unit: what they are, and SQL for them that cannot fail.

The result is one more property of that unit, so any deterministic function will do. It must not
depend on the order of rows either, because that can depend on rows of others: sums are exact
numerics, and of equal values that look different (1.0 and 1.00) one form is chosen.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from analyzer.expressions import UNBOUNDED, Expr, Facts, Interval, Ref
from analyzer.functions.base import as_type, coerce, operand, operand_range
from analyzer.functions.text import to_convert
from analyzer.refusals import Unsupported, WrongType
from analyzer.relation import OwnAggregate
from analyzer.types import Type

FUNCTIONS = ("count", "sum", "avg", "min", "max", "bool_and", "bool_or")
_SORTABLE = (Type.TEXT, Type.DATE, Type.TIMESTAMP, Type.TIMESTAMPTZ, Type.INTERVAL)
MOST_ROWS = Fraction(2**63)
"""More rows than any query can make: proves ranges, and bounds nothing."""


def typed_argument(function: str, argument: Expr) -> Expr:
    """The argument of an aggregate, an untyped constant read as what the function takes.

    Raises:
        WrongType: the function does not take values of its type.
    """
    expected = Type.TEXT
    if function in ("sum", "avg"):
        expected = Type.NUMERIC
    elif function.startswith("bool"):
        expected = Type.BOOL
    argument = coerce(argument, expected)
    kind = argument.type
    fits = {
        "count": True,
        "sum": kind.is_number,
        "avg": kind.is_number,
        "min": kind.is_number or kind in _SORTABLE,
        "max": kind.is_number or kind in _SORTABLE,
    }
    if not fits.get(function, kind is Type.BOOL):
        raise WrongType(f"{function} does not take {kind.value}.")
    return argument


def own_aggregate(
    function: str,
    argument: Expr | None,
    condition: Ref | None,
    *,
    distinct: bool,
    max_rows: int,
    protected: bool,
    per_unit: bool,
    empty: bool = False,
) -> OwnAggregate:
    """An aggregate over one unit's rows in a group, with the facts of its result.

    Args:
        function: one of ``FUNCTIONS``.
        argument: what it is over, checked by :func:`typed_argument`; None for ``count(*)``.
        condition: its FILTER.
        distinct: whether equal values count once.
        max_rows: rows of one unit that the data owner expects. Counts and sums get their clamping
            bounds from it, and no more: values beyond them are clamped, not forbidden.
        protected: whether the rows are.
        per_unit: whether a unit has one group only.
        empty: whether the group can have no row, as the one group of all rows can.

    Raises:
        Unsupported: DISTINCT in a sum or a mean.
    """
    if distinct and function in ("sum", "avg"):
        raise Unsupported(
            f"{function.upper()}(DISTINCT ...) is not supported.",
            hint="Take SELECT DISTINCT with the unit key in a subquery first.",
        )
    parts = [part.facts for part in (argument, condition) if part is not None]
    size, work = 1 + sum(part.size for part in parts), 1 + sum(part.work for part in parts)
    sure = argument is None and condition is None and not empty
    facts = _facts(function, argument, max_rows, least=Fraction(1 if sure else 0))
    facts = replace(facts, protected=protected, size=size, work=work, per_unit=per_unit)
    nullable = function != "count" and (
        empty or condition is not None or (argument is not None and argument.nullable)
    )
    type_ = _type(function, argument)
    # The largest of equal values is the value itself, with or without DISTINCT.
    distinct = distinct and function == "count"
    return OwnAggregate(function, argument, distinct, condition, type_, nullable, facts)


def _type(function: str, argument: Expr | None) -> Type:
    """PostgreSQL's result type."""
    if function == "count":
        return Type.INT8
    assert argument is not None
    kind = argument.type
    if function in ("sum", "avg") and kind.is_integer:
        return Type.INT8 if function == "sum" and kind is Type.INT4 else Type.NUMERIC
    return kind


def _facts(function: str, argument: Expr | None, max_rows: int, *, least: Fraction) -> Facts:
    """``least``: what a count is at least: a group that has a row counts it, but for a filter."""
    if function == "count":
        return Facts(
            Type.INT8,
            Interval(least, MOST_ROWS - 1),
            Interval(least, Fraction(max_rows)),
            Fraction(1),
            on_grid=True,
        )
    assert argument is not None
    old = argument.facts
    if function in ("min", "max"):
        return replace(old, owner=False, holds_owner=old.owner or old.holds_owner)
    if function.startswith("bool"):
        return Facts(Type.BOOL, domain=(False, True), total_domain=True)
    physical = operand_range(argument)
    holds = old.owner or old.holds_owner
    if function == "avg":
        return Facts(Type.NUMERIC, physical, old.declared, holds_owner=holds)
    return Facts(
        Type.NUMERIC,
        _times(physical, MOST_ROWS),
        _times(old.declared, Fraction(max_rows)),
        old.tick,
        old.on_grid,
        holds_owner=holds,
    )


def _times(interval: Interval, rows: Fraction) -> Interval:
    """The sums of one row up to ``rows`` rows that lie in ``interval``."""
    if interval.lower is None or interval.upper is None:
        return UNBOUNDED
    return Interval(
        min(interval.lower, interval.lower * rows), max(interval.upper, interval.upper * rows)
    )


def render(aggregate: OwnAggregate, argument: str, condition: str, *, over: bool = False) -> str:
    """The aggregate as SQL over printed columns, in its ``facts.stored``, which is for the caller
    to see to where OVER follows (``over``)."""
    text = _render_call(aggregate, argument)
    if over:
        return text
    if aggregate.condition is not None:
        text = _filtered(text, condition)
    if aggregate.function not in ("min", "max"):
        return text
    return plain(text, aggregate.facts.stored)


def _filtered(text: str, condition: str) -> str:
    return f"{text} FILTER (WHERE {condition})"


def _render_call(aggregate: OwnAggregate, argument: str) -> str:
    name, subject = aggregate.function, aggregate.argument
    if subject is None:
        return "count(*)"
    if name in ("sum", "avg"):
        # sum(bigint) is a numeric, so it does not overflow; sum(integer) would be a bigint.
        if subject.facts.stored.is_integer:
            return f"{name}({as_type(argument, subject, Type.INT8)})"
        return f"{name}({operand(argument, subject, Type.NUMERIC)})"
    if subject.type is Type.TEXT and name != "count":
        # The database's own order is total: of equal texts there is one spelling. A column's own
        # collation need not be.
        argument = f'({to_convert(argument, subject)} COLLATE "default")'
    elif subject.type is Type.TEXT and aggregate.distinct:
        # They are sorted, in the collation that copies none of them.
        argument = f'({to_convert(argument, subject)} COLLATE "C")'
    return f"{name}({'DISTINCT ' * aggregate.distinct}{argument})"


def group_form(text: str, stored: Type) -> str:
    """A printed column as GROUP BY compares it: equal exactly where the bytes of texts are."""
    if stored is Type.TEXT:
        return f'({text} COLLATE "C")'
    return plain(text, stored)


def plain(text: str, stored: Type) -> str:
    """The one form of all values that are equal to the printed one."""
    if stored is Type.NUMERIC:
        return f"trim_scale({text})"
    if stored is Type.FLOAT8:
        return f"({text} + CAST(0 AS double precision))"  # minus zero becomes zero
    if stored is Type.TEXT:
        return f'({text} COLLATE "default")'
    return text
