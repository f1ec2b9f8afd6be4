"""Minima, maxima and percentiles over groups: quantiles, of numbers and of dates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

from sqlglot import exp

from analyzer.bind_arrays import fractions_of
from analyzer.bind_expressions import ExpressionBinder
from analyzer.expressions import Call, Constant, Expr
from analyzer.functions.base import merged
from analyzer.functions.times import is_time
from analyzer.refusals import BadArgument, NoMechanism, Unsupported, WrongType
from analyzer.stages import ARRAY
from analyzer.syntax import only
from analyzer.timelines import as_moment, as_number
from analyzer.types import Type

EXTREMES: dict[type[exp.Expression], str] = {exp.Min: "min", exp.Max: "max"}
PERCENTILES: dict[type[exp.Expression], str] = {
    exp.PercentileCont: "percentile_cont",
    exp.PercentileDisc: "percentile_disc",
}
_MOST = 100
"""Fractions of one array."""

Argument = Callable[[str, exp.Expression], Expr]
"""Binds the argument of the aggregate of that name: a number, a date or a timestamp."""
Made = Callable[[str, Expr, Type, Fraction], Expr]
"""The aggregate of that name, with its argument, type and fraction."""


def extreme(node: exp.Expression, argument: Argument, made: Made) -> Expr:
    """``min(x)`` and ``max(x)``."""
    only(node, "this")
    name = EXTREMES[type(node)]
    return _quantile(name, argument(name, node.this), Fraction(name == "max"), made)


def percentile(
    node: exp.Expression, argument: Argument, made: Made, rows: ExpressionBinder
) -> Expr:
    """``percentile_cont(f) WITHIN GROUP (ORDER BY x)`` and its like; ``rows`` binds fractions."""
    what, order = node.this, node.expression
    only(node, "this", "expression")
    only(what, "this")
    only(order, "expressions")
    name = PERCENTILES[type(what)]
    continuous = name == "percentile_cont"
    ordered = order.expressions[0]
    only(ordered, "this", "desc", "nulls_first")
    if len(order.expressions) != 1 or (ordered.args.get("desc") and not continuous):
        raise NoMechanism(
            f"{name} takes one ascending ORDER BY here.",
            hint="For the other end, ask for 1 minus the fraction.",
        )
    several = fractions_of(rows, what.this)
    fractions = [rows.bind(what.this)] if several is None else several
    shares = [fraction_of(name, fraction) for fraction in fractions]
    if ordered.args.get("desc"):
        shares = [1 - share for share in shares]
    subject = argument(name, ordered.this)
    values = [_quantile(name, subject, share, made) for share in shares]
    return values[0] if several is None else _array(name, values)


def _array(name: str, values: Sequence[Expr]) -> Expr:
    """All values as one. They are read off one histogram, so they cost what one costs."""
    if not 1 <= len(values) <= _MOST:
        raise BadArgument(f"{name} takes from 1 to {_MOST} fractions.")
    if any(value.type is not Type.FLOAT8 for value in values):
        raise Unsupported(
            f"{name} gives an array of double precision only.",
            hint=f"Write percentile_cont, or {name} for each fraction: together they cost as much.",
        )
    facts = merged(values, Type.FLOAT8S)
    return Call(ARRAY, tuple(values), Type.FLOAT8S, nullable=False, facts=facts)


def fraction_of(name: str, fraction: Expr) -> Fraction:
    """Raises:
    BadArgument: it is no constant between 0 and 1."""
    value = fraction.value if isinstance(fraction, Constant) else None
    if not isinstance(value, int | Decimal) or not 0 <= value <= 1:
        raise BadArgument(f"{name} takes a constant fraction between 0 and 1.")
    return Fraction(value)


def _quantile(name: str, argument: Expr, share: Fraction, made: Made) -> Expr:
    continuous = name == "percentile_cont"
    if not is_time(argument.type):
        type_ = Type.FLOAT8 if continuous else argument.type
        return made(name, argument, type_, share)
    if continuous:
        raise WrongType(
            f"percentile_cont takes a number, not {argument.type.value}.",
            hint="percentile_disc takes dates and timestamps.",
        )
    number = as_number(argument)
    return as_moment(made(name, number, number.type, share), argument.type)
