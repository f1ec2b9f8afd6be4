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
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from analyzer.expressions import Aggregate, Expr
from analyzer.functions.arithmetic import round_half_away
from analyzer.refusals import BadArgument
from mechanisms.calibration import Sensitivity

_MOST_STEPS = 2**52
"""What one unit may add to a cell: far inside int8, so no sum in SQL or noise can overflow."""
_SHARE = Fraction(1, 100)
"""The grid of counts whose rows may be scaled down."""
_FINEST = 2**44
"""Where a grid is finer than this share of the range, epsql chooses a coarser one."""


@dataclass(frozen=True, slots=True)
class Count:
    """Rows where the argument is not NULL (all rows without one), at most ``cap`` for a unit.

    One unit adds non-negative cells that sum to at most ``cap / tick`` over all groups: that is
    the L1 norm, and it bounds the L2 norm.
    """

    argument: Expr | None
    cap: int
    tick: Fraction
    """One, unless contributions to several groups may have to be scaled down."""
    cells = 1

    @property
    def limit(self) -> int:
        """The most that one unit contributes, in L1 over all cells and groups, in grid steps."""
        return int(self.cap / self.tick)

    @property
    def sensitivity(self) -> Sensitivity:
        return Sensitivity(self.limit, self.limit**2)


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
    tick: Fraction
    cap: int
    cells = 1

    @property
    def limit(self) -> int:
        return self.cap * max(abs(self.lower), abs(self.upper))

    @property
    def sensitivity(self) -> Sensitivity:
        return Sensitivity(self.limit, self.limit**2)


@dataclass(frozen=True, slots=True)
class Mean:
    """Two cells: the distance of the values from the lower bound, and from the upper bound.

    A row at x adds U = x - lower >= 0 to one cell and W = upper - x >= 0 to the other, together
    always upper - lower. So a unit's cells over all groups sum to its rows times the width, kept
    to at most cap * (upper - lower): the L1 norm, which bounds the L2 norm. Sum and count of the
    mean both follow from the pair, for the price of one.
    """

    argument: Expr
    lower: int
    upper: int
    tick: Fraction
    cap: int
    cells = 2

    @property
    def width(self) -> int:
        return self.upper - self.lower

    @property
    def limit(self) -> int:
        return self.cap * self.width

    @property
    def sensitivity(self) -> Sensitivity:
        return Sensitivity(self.limit, self.limit**2)


Measure = Count | People | Sum | Mean


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of one unit a query may use."""

    one_row: bool
    """A unit has at most one row, by the declared keys: nothing needs bounding but the value."""
    max_rows: int
    """Rows of one unit that count, over all groups."""
    max_groups: int
    """Groups in which one unit counts as a person."""
    one_group: bool
    """All rows of a unit are in one group."""


def people(argument: Expr | None, bounds: Bounds) -> Measure:
    """How many units a group has; with one row each, that is how many rows."""
    if bounds.one_row:
        return Count(argument, 1, Fraction(1))
    return People(argument, bounds.max_groups)


def measure(aggregate: Aggregate, bounds: Bounds) -> Measure:
    """What has to be measured for an aggregate.

    Raises:
        BadArgument: the argument has no clamping bounds, or they leave nothing to measure.
    """
    if aggregate.kind == "count_units":
        return people(aggregate.argument, bounds)
    cap = 1 if bounds.one_row else bounds.max_rows
    if aggregate.kind == "count":
        return Count(aggregate.argument, cap, Fraction(1) if bounds.one_group else _SHARE)
    assert aggregate.argument is not None
    lower, upper = _bounds(aggregate)
    tick = _grid(aggregate.argument, upper - lower, max(abs(lower), abs(upper)), cap)
    low, high = round_half_away(lower / tick), round_half_away(upper / tick)
    if (aggregate.kind == "avg" and low == high) or low == high == 0:
        raise BadArgument(
            f"The argument of {aggregate.kind.upper()} is always the same.",
            hint="Count rows with count(*) instead.",
        )
    kind = Sum if aggregate.kind == "sum" else Mean
    return kind(aggregate.argument, low, high, tick, cap)


def _bounds(aggregate: Aggregate) -> tuple[Fraction, Fraction]:
    assert aggregate.argument is not None
    declared = aggregate.argument.facts.declared
    if declared.lower is None or declared.upper is None:
        raise BadArgument(
            f"The argument of {aggregate.kind.upper()} has no bounds,"
            " so one person's influence has none.",
            detail="No bounds are declared for a column in it, or a division may pass any.",
            hint="Set them in the query: LEAST(GREATEST(x, 0), 200) keeps x between 0 and 200.",
        )
    return declared.lower, declared.upper


def _grid(argument: Expr, width: Fraction, magnitude: Fraction, cap: int) -> Fraction:
    """The argument's own grid, or the largest power of ten that splits its range a million ways."""
    tick = argument.facts.tick
    if tick is None or width / tick > _FINEST or magnitude * cap / tick > _MOST_STEPS:
        tick = Fraction(1)
        span = width or magnitude or Fraction(1)
        while span / tick < 10**6:
            tick /= 10
        while span / tick >= 10**7:
            tick *= 10
    if magnitude * cap / tick > _MOST_STEPS:
        raise BadArgument(
            "The bounds are too far from zero for their width.",
            hint="Subtract a constant inside the aggregate, for example avg(x - 1000000).",
        )
    return tick


def decimal(value: Fraction) -> Decimal:
    """A rational with a power-of-ten denominator, exactly; others are never made here."""
    return Decimal(value.numerator) / Decimal(value.denominator)
