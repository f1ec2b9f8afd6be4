"""What is measured of each group, as integer cells with a proven sensitivity.

Neighbouring databases differ by all rows of one privacy unit. The cells of a group are sums, over
units, of what each unit contributes, and what a unit contributes depends on its own rows alone. So
the most that one unit can change the cells of all groups together is the norm of its own
contribution, which the emitted SQL bounds. Everything is counted in grid steps, whole numbers from
the first row on, so sums are exact in any order.

The bound on counts, sums and means is on the L1 norm over all groups at once: a unit whose
contributions add up to more than the limit has all of them scaled down by the same factor, rounded
towards zero. Nothing is sampled, no group is dropped, and rows spread over many groups cost no more
than rows in one (docs/decisions/0003).

Measures are looked up often. Hashes leave ticks out, as those of expressions leave facts out:
fractions take long to hash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from analyzer.expressions import Expr
from mechanisms.calibration import Sensitivity


@dataclass(frozen=True, slots=True)
class Count:
    """Rows where the argument is not NULL (all rows without one), at most ``cap`` for a unit.

    One unit adds non-negative cells that sum to at most ``cap / tick`` over all groups: that is
    the L1 norm, and it bounds the L2 norm.
    """

    argument: Expr | None
    cap: int
    tick: Fraction = field(hash=False)
    """One, unless contributions to several groups may have to be scaled down."""
    sets: int = 1
    """Grouping sets in which every row counts alike; ``cap`` counts all sets."""
    cells = 1

    @property
    def arguments(self) -> tuple[Expr, ...]:
        return () if self.argument is None else (self.argument,)

    @property
    def limit(self) -> int:
        """The most that one unit contributes, in L1 over all cells and groups, in grid steps."""
        return self.cap * self.tick.denominator // self.tick.numerator

    @property
    def sensitivity(self) -> Sensitivity:
        return _in_sets(self.limit, self.sets)


@dataclass(frozen=True, slots=True)
class People:
    """Units that have a row in the group (with the argument not NULL, where there is one).

    One unit adds 0 or 1 to one cell in each of at most ``max_groups`` groups: L1 norm at most
    ``max_groups``, L2 norm at most its root.
    """

    argument: Expr | None
    max_groups: int
    cells = 1
    tick = Fraction(1)

    @property
    def arguments(self) -> tuple[Expr, ...]:
        return () if self.argument is None else (self.argument,)

    @property
    def sensitivity(self) -> Sensitivity:
        return Sensitivity(self.max_groups, self.max_groups)


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a unit's clamped values.

    One unit's totals over all groups have absolute values that sum to at most
    cap * max(|lower|, |upper|): the L1 norm, which bounds the L2 norm.
    """

    argument: Expr
    lower: int
    upper: int
    tick: Fraction = field(hash=False)
    cap: int
    cells = 1

    @property
    def arguments(self) -> tuple[Expr, ...]:
        return (self.argument,)

    @property
    def limit(self) -> int:
        return self.cap * max(abs(self.lower), abs(self.upper))

    @property
    def sensitivity(self) -> Sensitivity:
        return Sensitivity(self.limit, self.limit**2)


@dataclass(frozen=True, slots=True)
class Axis:
    """A number on a grid between its clamping bounds, all in grid steps."""

    argument: Expr
    lower: int
    upper: int
    tick: Fraction = field(hash=False)

    @property
    def width(self) -> int:
        return self.upper - self.lower


@dataclass(frozen=True, slots=True)
class Shares:
    """A row's whole weight split over cells by where its values lie between their bounds.

    With u = x - lower and w = upper - x, always u + w = width. One axis gives the cells u and w,
    for a mean. One axis squared gives u^2, 2uw and w^2, which add up to width^2: with the count and
    the sum, the sum of squares follows, for a variance. Two axes give u1*u2, u1*w2, w1*u2, w1*w2,
    which add up to width1 * width2, for a covariance. A row's cells are never negative and always
    add up to the same ``row_weight``, so those of a unit are its rows times that, kept to at most
    cap * row_weight over all groups: the L1 norm, which bounds the L2 norm. Count, sums and
    products all follow from one draw: regr_sxx and regr_syy are rows times a variance, regr_sxy
    rows times a covariance, and regr_r2 is a covariance squared over two variances.
    """

    axes: tuple[Axis, ...]
    squared: bool
    cap: int
    sets: int = 1

    @property
    def arguments(self) -> tuple[Expr, ...]:
        return tuple(axis.argument for axis in self.axes)

    @property
    def cells(self) -> int:
        return 3 if self.squared else 2 ** len(self.axes)

    @property
    def tick(self) -> Fraction:
        """Cells in rows: what one row adds to all of them together is one."""
        return Fraction(1, self.row_weight)

    @property
    def row_weight(self) -> int:
        weight = math.prod(axis.width for axis in self.axes)
        return weight**2 if self.squared else weight

    @property
    def limit(self) -> int:
        return self.cap * self.row_weight

    @property
    def sensitivity(self) -> Sensitivity:
        return _in_sets(self.limit, self.sets)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows by where their value lies: one cell for each of ``cells`` buckets of ``step`` grid
    steps.

    A row adds 1 to one cell, and a unit's rows add at most ``cap / tick`` over all cells and
    groups: the L1 norm, which bounds the L2 norm. All quantiles of the argument follow from the
    noisy cells.
    """

    axis: Axis
    step: int
    cap: int
    tick: Fraction = field(hash=False)
    sets: int = 1

    @property
    def arguments(self) -> tuple[Expr, ...]:
        return (self.axis.argument,)

    @property
    def cells(self) -> int:
        return self.axis.width // self.step + 1

    @property
    def limit(self) -> int:
        return self.cap * self.tick.denominator // self.tick.numerator

    @property
    def sensitivity(self) -> Sensitivity:
        return _in_sets(self.limit, self.sets)


@dataclass(frozen=True, slots=True)
class Distinct:
    """How many different values a group has, of which one unit brings at most ``cap`` in all.

    Each unit offers at most ``cap`` pairs of group and value, chosen by its own rows alone, and a
    group's cell is the number of values that any unit offers. With or without one unit, the cells
    of all groups differ by at most its pairs: L1 norm at most ``cap``, which bounds the L2 norm.
    """

    argument: Expr
    cap: int
    cells = 1
    tick = Fraction(1)

    @property
    def arguments(self) -> tuple[Expr, ...]:
        return (self.argument,)

    @property
    def sensitivity(self) -> Sensitivity:
        return Sensitivity(self.cap, self.cap**2)


Regular = Count | People | Sum | Shares
"""Sums over units of what each contributes to a group: all in one part of the statement."""
Measure = Regular | Histogram | Distinct


def _in_sets(limit: int, sets: int) -> Sensitivity:
    """Of non-negative cells that sum to ``limit``, the same in each of ``sets`` grouping sets.

    Each set holds limit / sets of the L1 norm, and its L2 norm is at most that; the sets have
    cells of their own, so their squares add up.
    """
    return Sensitivity(limit, -(-(limit**2) // sets))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of one unit a query may use."""

    one_row: bool
    """A unit has at most one row, by the declared keys: nothing needs bounding but the value."""
    max_rows: int
    """Rows of one unit that count, over all groups of one grouping set."""
    max_groups: int
    """Groups in which one unit counts as a person, over all grouping sets."""
    one_group: bool
    """All rows of a unit are in one group."""
    some_groups: bool
    """A unit can be in more groups than ``max_groups``."""
    sets: int = 1
    """Grouping sets; one for a plain GROUP BY."""
    alike: int = 1
    """Grouping sets that each have an equal share of a unit; one where groups of a unit are left
    out, as those that are left may all be of one set."""

    def many_groups(self) -> Bounds:
        """The same for a query with further keys."""
        return replace(self, one_group=False)


def axes(measure: Measure) -> tuple[Axis, ...]:
    """The clamped arguments of a measure."""
    match measure:
        case Sum():
            return (Axis(measure.argument, measure.lower, measure.upper, measure.tick),)
        case Shares():
            return measure.axes
        case Histogram():
            return (measure.axis,)
        case _:
            return ()


def decimal(value: Fraction) -> Decimal:
    """A rational with a power-of-ten denominator, exactly; others are never made here."""
    return Decimal(value.numerator) / Decimal(value.denominator)
