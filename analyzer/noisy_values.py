"""Noisy aggregates as expressions over the noisy cells of a group.

Everything here is arithmetic on noisy values, so it costs no privacy. An answer is kept where it
can lie at all (a mean within its bounds, a variance at zero or more); the variants that error bars
are made of may pass that by the whole width, so that the bar of a very noisy number is not cut to
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from analyzer.expressions import Aggregate, Expr, Facts, Interval, Ref
from analyzer.functions import build
from analyzer.functions.base import constant
from analyzer.measures import Count, Measure, Shares, decimal
from analyzer.stages import cells_of
from analyzer.types import Type

_CELL = Interval(Fraction(-(2**64)), Fraction(2**64))
_ZERO, _ONE, _QUARTER = Fraction(0), Fraction(1), Fraction(1, 4)


def cell(block: int, index: int) -> Ref:
    return Ref(cells_of(block), f"c{index}", Type.NUMERIC, False, Facts(Type.NUMERIC, _CELL))


def quantile(block: int, index: int) -> Ref:
    return Ref(cells_of(block), f"q{index}", Type.NUMERIC, False, Facts(Type.NUMERIC, _CELL))


def value_of(aggregate: Aggregate, measures: Sequence[Measure], first: Sequence[int]) -> Expr:
    """The noisy aggregate.

    Args:
        aggregate: any but a quantile, which comes as a column of its own.
        measures: what was measured for it.
        first: the first cell of each measure, in the aggregate's block.
    """
    block = aggregate.block
    shares = [m for m in measures if isinstance(m, Shares)]
    if shares:
        return _from_shares(aggregate.kind, tuple(_shape(m) for m in shares), block, tuple(first))
    measure = measures[0]
    return _from_cell(block, first[0], measure.tick, whole=isinstance(measure, Count))


@dataclass(frozen=True, slots=True)
class _Side:
    """The numbers of an axis, without what it measures."""

    lower: int
    upper: int
    tick: Fraction

    @property
    def width(self) -> Fraction:
        """In the units of the data."""
        return (self.upper - self.lower) * self.tick


@dataclass(frozen=True, slots=True)
class _Shape:
    """The numbers of a :class:`Shares`, which its value depends on."""

    sides: tuple[_Side, ...]
    squared: bool
    cells: int
    row_weight: int


def _shape(measure: Shares) -> _Shape:
    sides = tuple(_Side(axis.lower, axis.upper, axis.tick) for axis in measure.axes)
    return _Shape(sides, measure.squared, measure.cells, measure.row_weight)


# Most queries ask for the same few numbers, and analysis has little time.
@lru_cache(maxsize=1024)
def _from_cell(block: int, index: int, tick: Fraction, *, whole: bool) -> Expr:
    noisy = cell(block, index)
    if tick == 1:
        return noisy
    scaled = build("*", [noisy, _number(tick)])
    return build("round", [scaled]) if whole else scaled


@lru_cache(maxsize=1024)
def _from_shares(kind: str, shapes: tuple[_Shape, ...], block: int, first: tuple[int, ...]) -> Expr:
    moments = [_Moments(shape, block, first[i]) for i, shape in enumerate(shapes)]
    main = moments[0]
    match kind:
        case "avg":
            return main.rounded(main.mean(0), 1)
        case "var_pop" | "var_samp":
            return main.rounded(main.variance(sample=kind == "var_samp"), 2)
        case "stddev_pop" | "stddev_samp":
            return main.rounded(_root(main.variance(sample=kind == "stddev_samp")), 1)
        case "covar_pop" | "covar_samp":
            return main.rounded(main.covariance(sample=kind == "covar_samp"), 2)
        case "squares":
            return main.rounded(main.in_all(main.variance()), 2)
        case "regr_sxy":
            return main.rounded(main.in_all(main.covariance()), 2)
        case "regr_slope":
            return _fine(_slope(main, moments[1]))
        case "regr_intercept":
            along = build("*", [_slope(main, moments[1]), main.mean(1)])
            return _fine(build("-", [main.mean(0), along]))
    if kind == "regr_r2":
        return _fine(_determination(*moments))
    spread = build("*", [_root(moments[1].variance()), _root(moments[2].variance())])
    return _fine(main.kept(_ratio(main.covariance(), spread), -_ONE, _ONE))


class _Moments:
    """Moments of the axes of a :class:`Shares`, each axis running from 0 to 1 between its
    bounds."""

    def __init__(self, shape: _Shape, block: int, first: int) -> None:
        self.shape = shape
        self.variant = Ref(cells_of(block), "v", Type.INT4, False, Facts(Type.INT4))
        self.cells = [cell(block, first + i) for i in range(shape.cells)]
        total = self.cells[0] if len(self.cells) == 1 else build("+", self.cells[:2])
        for one in self.cells[2:]:
            total = build("+", [total, one])
        # At least one row: a count of none is something that only noise may say.
        self.total = build("greatest", [total, constant(shape.row_weight)])

    def share(self, *cells: Expr) -> Expr:
        """The part of the rows' weight that lies in the cells."""
        top = cells[0]
        for one in cells[1:]:
            top = build("+", [top, one])
        return build("/", [top, self.total])

    def mean(self, axis: int) -> Expr:
        """The mean of an axis in the units of the data, kept within its bounds."""
        one = self.shape.sides[axis]
        low, high = one.lower * one.tick, one.upper * one.tick
        return self.kept(_stretched(self._mean(axis), one), low, high)

    def _mean(self, axis: int) -> Expr:
        if self.shape.squared:
            half = build("/", [self.cells[1], constant(2)])
            return self.share(self.cells[0], half)
        if len(self.cells) == 2:
            return self.share(self.cells[0])
        return self.share(self.cells[0], self.cells[1 if axis == 0 else 2])

    def variance(self, *, sample: bool = False) -> Expr:
        """E[t^2] - E[t]^2, at least 0 and at most 1/4, times the width squared."""
        mean = self._mean(0)
        spread = build("-", [self.share(self.cells[0]), build("*", [mean, mean])])
        width = self.shape.sides[0].width
        return self._scaled(self.kept(spread, _ZERO, _QUARTER), width * width, sample=sample)

    def covariance(self, *, sample: bool = False) -> Expr:
        """E[st] - E[s]E[t], at most 1/4 in magnitude, times both widths."""
        product = build("*", [self._mean(0), self._mean(1)])
        joint = build("-", [self.share(self.cells[0]), product])
        widths = self.shape.sides[0].width * self.shape.sides[1].width
        return self._scaled(self.kept(joint, -_QUARTER, _QUARTER), widths, sample=sample)

    def _scaled(self, value: Expr, factor: Fraction, *, sample: bool) -> Expr:
        scaled = build("*", [value, _number(factor)])
        if not sample:
            return scaled
        rows = self._rows()
        fewer = build("greatest", [build("-", [rows, constant(1)]), constant(1)])
        return build("*", [scaled, build("/", [rows, fewer])])

    def in_all(self, mean: Expr) -> Expr:
        """The sum that a mean is of, over the rows of the group: at least one."""
        return build("*", [mean, self._rows()])

    def _rows(self) -> Expr:
        return build("/", [self.total, constant(self.shape.row_weight)])

    def kept(self, value: Expr, low: Fraction, high: Fraction) -> Expr:
        """``value`` where it can lie; in variants, where it can lie or as far outside again."""
        answer = build("=", [self.variant, constant(0)])
        wide = _within(value, low - (high - low), high + (high - low))
        return build("case", [answer, _within(value, low, high), wide])

    def rounded(self, value: Expr, power: int) -> Expr:
        """To a few digits more than the grid has: the rest is not worth printing."""
        decimals, tick = 4, min(side.tick for side in self.shape.sides)
        while tick**power < Fraction(1, 10 ** (decimals - 4)) and decimals < 15:
            decimals += 1
        return build("round", [value, constant(decimals)])


def _slope(joint: _Moments, squares: _Moments) -> Expr:
    return _ratio(joint.covariance(), squares.variance())


def _determination(joint: _Moments, x: _Moments, y: _Moments) -> Expr:
    """The square of the correlation; 1 where y alone is always the same, as PostgreSQL has it."""
    both = build("*", [x.variance(), y.variance()])
    covariance = joint.covariance()
    squared = joint.kept(_ratio(build("*", [covariance, covariance]), both), _ZERO, _ONE)
    level = build(
        "and", [build("=", [y.variance(), constant(0)]), build(">", [x.variance(), constant(0)])]
    )
    return build("case", [level, constant(1), squared])


def _ratio(top: Expr, bottom: Expr) -> Expr:
    return build("/", [top, bottom])


def _root(value: Expr) -> Expr:
    return build("sqrt", [value])


def _fine(value: Expr) -> Expr:
    return build("round", [value, constant(10)])


def _stretched(share: Expr, side: _Side) -> Expr:
    return build("+", [_number(side.lower * side.tick), build("*", [share, _number(side.width)])])


def _within(value: Expr, low: Fraction, high: Fraction) -> Expr:
    return build("least", [build("greatest", [value, _number(low)]), _number(high)])


def _number(value: Fraction) -> Expr:
    exact: Decimal = decimal(value)
    return constant(int(exact) if exact == exact.to_integral_value() else exact, Type.NUMERIC)
