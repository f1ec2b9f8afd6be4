"""Aggregates over noisy rows. PostgreSQL computes them of what was published, so they cost nothing.

They are those whose value depends on no order of rows and whose size is bounded, whatever the rows:
no lists and no joined texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from sqlglot import exp

from analyzer.bind_clauses import only_where, truth
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_quantiles import fraction_of
from analyzer.expressions import Expr, Facts, Interval, SortKey
from analyzer.functions.base import coerce, constant, numbers
from analyzer.ranges import NOISY
from analyzer.refusals import NoMechanism, Unsupported, WrongType
from analyzer.syntax import only
from analyzer.types import Type

_TOTALS: dict[type[exp.Expression], str] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Stddev: "stddev_samp",
    exp.StddevSamp: "stddev_samp",
    exp.StddevPop: "stddev_pop",
    exp.Variance: "var_samp",
    exp.VariancePop: "var_pop",
}
"""Of one number. They are computed as exact numerics."""
PAIRS: dict[type[exp.Expression], str] = {
    exp.Corr: "corr",
    exp.CovarPop: "covar_pop",
    exp.CovarSamp: "covar_samp",
    exp.RegrAvgx: "regr_avgx",
    exp.RegrAvgy: "regr_avgy",
    exp.RegrCount: "regr_count",
    exp.RegrIntercept: "regr_intercept",
    exp.RegrR2: "regr_r2",
    exp.RegrSlope: "regr_slope",
    exp.RegrSxx: "regr_sxx",
    exp.RegrSxy: "regr_sxy",
    exp.RegrSyy: "regr_syy",
}
"""Of two numbers, (y, x), in double precision."""
_EXTREMES: dict[type[exp.Expression], str] = {exp.Min: "min", exp.Max: "max"}
_TRUTHS: dict[type[exp.Expression], str] = {exp.LogicalAnd: "bool_and", exp.LogicalOr: "bool_or"}
_ORDERED: dict[type[exp.Expression], str] = {
    exp.PercentileCont: "percentile_cont",
    exp.PercentileDisc: "percentile_disc",
    exp.Mode: "mode",
}
"""With WITHIN GROUP."""
_SUMS = {Type.INT4: Type.INT8, Type.FLOAT8: Type.FLOAT8}
_UNORDERED = (Type.BOOL, Type.UUID)
_COUNTS = Facts(Type.INT8, Interval(Fraction(0), Fraction(2**40)))


@dataclass(frozen=True, slots=True)
class NoisyAggregate:
    """An aggregate over noisy rows, without its window."""

    function: str
    arguments: tuple[Expr, ...]
    type: Type
    facts: Facts
    nullable: bool = True
    distinct: bool = False
    within: SortKey | None = None
    """What WITHIN GROUP orders by."""


def noisy_aggregate(
    binder: ExpressionBinder, node: exp.Expression, *, windowed: bool
) -> NoisyAggregate | None:
    """What an aggregate means over noisy rows, maybe with FILTER; None where it is none.

    Raises:
        Refusal: it is one, and does not fit, or cannot have the window that it has.
    """
    kept = None
    if isinstance(node, exp.Filter):
        only(node, "this", "expression")
        kept, node = truth(binder.bind(node.expression.this), "FILTER"), node.this
    if isinstance(node, exp.WithinGroup):
        if windowed:
            raise Unsupported("WITHIN GROUP takes no window.")
        return _ordered(binder, node, kept)
    kind = type(node)
    if kind is exp.Count:
        return _count(binder, node, kept, windowed=windowed)
    if kind in _TOTALS or kind in _EXTREMES:
        return _of_one(binder, node, kept, windowed=windowed)
    if kind in PAIRS:
        only(node, "this", "expression")
        y, x = numbers(PAIRS[kind], [binder.bind(n) for n in (node.this, node.expression)])
        args = (only_where(kept, y), x)
        if kind is exp.RegrCount:
            return NoisyAggregate(PAIRS[kind], args, Type.INT8, _COUNTS, nullable=False)
        return NoisyAggregate(PAIRS[kind], args, Type.FLOAT8, Facts(Type.FLOAT8))
    if kind in _TRUTHS:
        only(node, "this")
        return NoisyAggregate(
            _TRUTHS[kind],
            (only_where(kept, truth(binder.bind(node.this), _TRUTHS[kind])),),
            Type.BOOL,
            Facts(Type.BOOL),
        )
    return None


def refuse_aggregate() -> NoMechanism:
    """What is said of all others."""
    return NoMechanism(
        "There is no such aggregate over noisy results.",
        hint="There are sum, avg, count, min, max, variances, correlations, the regr_ functions,"
        " bool_and, bool_or, mode and percentiles. Lists and texts of rows are not made.",
    )


def _count(
    binder: ExpressionBinder, node: exp.Expression, kept: Expr | None, *, windowed: bool
) -> NoisyAggregate:
    only(node, "this", "big_int")
    if isinstance(node.this, exp.Star):
        args = () if kept is None else (only_where(kept, constant(1)),)
        return NoisyAggregate("count", args, Type.INT8, _COUNTS, nullable=False)
    what, distinct = _distinct(node.this, windowed=windowed)
    value = only_where(kept, coerce(binder.bind(what), Type.TEXT))
    return NoisyAggregate("count", (value,), Type.INT8, _COUNTS, nullable=False, distinct=distinct)


def _of_one(
    binder: ExpressionBinder, node: exp.Expression, kept: Expr | None, *, windowed: bool
) -> NoisyAggregate:
    only(node, "this")
    name = (_TOTALS | _EXTREMES)[type(node)]
    if isinstance(node.this, exp.Star):
        raise WrongType(f"{name} takes a value, not *.")
    what, distinct = _distinct(node.this, windowed=windowed)
    value = only_where(kept, coerce(binder.bind(what), Type.TEXT))
    if name in ("min", "max"):
        if value.type in _UNORDERED:
            raise WrongType(f"{name} does not take {value.type.value}.")
        facts = Facts(value.facts.stored, value.facts.physical)
        return NoisyAggregate(name, (value,), value.type, facts)
    (value,) = numbers(name, [value])
    type_ = Type.FLOAT8 if value.type is Type.FLOAT8 else Type.NUMERIC
    if name == "sum":
        type_ = _SUMS.get(value.type, Type.NUMERIC)
    facts = Facts(Type.NUMERIC, NOISY if name in ("sum", "avg") else Interval())
    return NoisyAggregate(name, (value,), type_, facts, distinct=distinct)


def _ordered(
    binder: ExpressionBinder, node: exp.Expression, kept: Expr | None
) -> NoisyAggregate | None:
    only(node, "this", "expression")
    what, order = node.this, node.expression
    name = _ORDERED.get(type(what))
    if name is None:
        return None
    only(what, "this")
    only(order, "expressions")
    ordered = order.expressions[0]
    only(ordered, "this", "desc", "nulls_first")
    if len(order.expressions) != 1 or (name == "mode") != (what.args.get("this") is None):
        raise WrongType(f"{name} takes one ORDER BY, and a fraction unless it is mode.")
    value = only_where(kept, coerce(binder.bind(ordered.this), Type.TEXT))
    type_, facts = value.type, Facts(value.facts.stored, value.facts.physical)
    if name == "percentile_cont":
        (value,) = numbers(name, [value])
        type_, facts = Type.FLOAT8, Facts(Type.FLOAT8)
    args = () if name == "mode" else (binder.bind(what.this),)
    for fraction in args:
        fraction_of(name, fraction)
    within = SortKey(value, bool(ordered.args.get("desc")), nulls_first=False)
    return NoisyAggregate(name, args, type_, facts, within=within)


def _distinct(node: exp.Expression, *, windowed: bool) -> tuple[exp.Expression, bool]:
    if not isinstance(node, exp.Distinct):
        return node, False
    only(node, "expressions")
    if windowed or len(node.expressions) != 1:
        raise Unsupported("DISTINCT takes one expression, and no window.")
    inner: exp.Expression = node.expressions[0]
    return inner, True
