"""Typed scalar expressions: what is left of the analyst's text once every name is resolved.

Each node carries what the passes need to know about its value, so that no pass has to guess:
its SQL type, whether it can be NULL, and its :class:`Facts`. Those follow from the rest of it, so
hashes leave them out: expressions are looked up often, and fractions take long to hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from analyzer.catalog import Scalar, ValuesFrom
from analyzer.types import Type

if TYPE_CHECKING:
    from analyzer.relation import OwnAggregate, Relation


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers that a value can be. None is unbounded on that side."""

    lower: Fraction | None = None
    upper: Fraction | None = None

    @property
    def magnitude(self) -> Fraction | None:
        """The largest absolute value, or None when unbounded."""
        if self.lower is None or self.upper is None:
            return None
        return max(abs(self.lower), abs(self.upper))

    def within(self, other: Interval) -> bool:
        low_ok = other.lower is None or (self.lower is not None and self.lower >= other.lower)
        high_ok = other.upper is None or (self.upper is not None and self.upper <= other.upper)
        return low_ok and high_ok

    def union(self, other: Interval) -> Interval:
        lower = None if None in (self.lower, other.lower) else min(self.lower, other.lower)  # type: ignore[type-var]
        upper = None if None in (self.upper, other.upper) else max(self.upper, other.upper)  # type: ignore[type-var]
        return Interval(lower, upper)


UNBOUNDED = Interval()


@dataclass(frozen=True, slots=True)
class Steps:
    """Evenly spaced values: from ``first`` to ``last``, both included, where ``count`` > 0."""

    first: Fraction
    """A number; for dates and timestamps the days since 1970-01-01."""
    last: Fraction
    step: Fraction | str
    """A distance, in days for dates; for timestamps a unit of the calendar, such as ``month``."""
    count: int


@dataclass(frozen=True, slots=True)
class Computed:
    """What an expression gives for all public values of its inputs; PostgreSQL works it out."""

    size: int | None
    """The most values that are taken, NULL aside; None where an input's list is in the database."""
    expression: Expr | None = field(default=None, compare=False, repr=False)
    """The expression, where another relation refers to it as a column; None: the one itself."""


Domain = tuple[Scalar, ...] | ValuesFrom | Steps | Computed
"""All values that an expression can show as a public group key, NULL aside."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an expression's value, besides its type."""

    stored: Type
    """The type that the emitted SQL really computes in: wide enough that nothing overflows."""
    physical: Interval = UNBOUNDED
    """What the database can hold here, whatever the owner declared. Proves totality. Dates and
    timestamps are counted in days since 1970-01-01; of a text it is the length in characters."""
    declared: Interval = UNBOUNDED
    """What the owner declared, carried through the expression. Gives the clamping bounds."""
    tick: Fraction | None = None
    """The grid that declared values lie on; None where there is none."""
    on_grid: bool = False
    """True when ``tick`` is no wish of the owner: all that comes of declared values lies on it."""
    endless: bool = False
    """True when a number can have thousands of decimals, as a numeric without a scale can."""
    domain: Domain | None = None
    """The public values; None where there is no public list."""
    total_domain: bool = False
    """True when no row can have a value outside ``domain`` (a boolean, a CASE of constants)."""
    per_unit: bool = False
    """True when all rows of one privacy unit have the same value here."""
    owner: bool = False
    """True when this is the row's privacy unit key itself."""
    holds_owner: bool = False
    """True when the unit key takes part in the value."""
    protected: bool = False
    """True when the value comes from a protected row."""
    inputs: tuple[Expr, ...] | None = field(default=None, compare=False, repr=False)
    """Expressions with public values of which this is a function, where its own are computed from
    theirs; see ``analyzer.domains``."""
    size: int = 1
    """Operations behind the value, with the columns of subqueries written out each time: that is
    how often PostgreSQL may compute them, and how long a chain of subqueries can make a value."""
    work: int = 1
    """The same, each as often as it is slower than one on numbers: some tenth of a microsecond."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A column of a relation in scope, by our own alias."""

    alias: str
    name: str
    type: Type = field(hash=False)
    nullable: bool = field(hash=False)
    facts: Facts = field(hash=False)
    origin: tuple[str, str] | None = None
    """(declared table, column) when it is a table's own column, unchanged."""
    label: str = field(default="", compare=False)
    """What the analyst calls it. For messages only."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant; ``value`` None is NULL. ``untyped`` is a bare string or NULL that takes the type
    of its surroundings, as in PostgreSQL."""

    value: Scalar | None
    type: Type = field(hash=False)
    facts: Facts = field(hash=False)
    untyped: bool = False

    @property
    def nullable(self) -> bool:
        return self.value is None


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator of the allow-list, applied to arguments of the right types."""

    function: str
    args: tuple[Expr, ...]
    type: Type = field(hash=False)
    nullable: bool = field(hash=False)
    facts: Facts = field(hash=False)
    detail: str = field(default="")
    """A static argument that is part of the function's name, such as a cast's target."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate over the rows of a group; becomes noisy. Without arguments it counts rows."""

    kind: str
    """What is computed, such as ``count``, ``avg`` or ``quantile``; see ``analyzer.measuring``."""
    arguments: tuple[Expr, ...]
    type: Type = field(hash=False)
    facts: Facts = field(hash=False)
    name: str = field(default="", compare=False)
    """What the analyst calls it. For messages only."""
    fraction: Fraction | None = None
    """Which quantile: 0 is the smallest value, 1 the largest."""
    continuous: bool = False
    """Whether the quantile lies between two values, or is one of them."""
    block: int = 0
    """Which of the query's aggregations it belongs to."""

    nullable = False


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether ``source`` has a row where ``where`` holds.

    Of protected rows it sees those of the row's own unit only: ``where`` demands that their unit
    keys are equal. So the answer for a row depends on its own unit.
    """

    source: Relation = field(hash=False)
    where: Expr | None
    reads: tuple[Expr, ...]
    """The columns of the row, and of rows around it, that ``where`` reads."""
    facts: Facts = field(hash=False)

    type = Type.BOOL
    nullable = False


@dataclass(frozen=True, slots=True)
class Within:
    """Whether ``value`` is among the values of ``column`` in a public relation, as IN says it."""

    value: Expr
    column: Expr
    source: Relation = field(hash=False)
    facts: Facts = field(hash=False)

    type = Type.BOOL

    @property
    def nullable(self) -> bool:
        return self.value.nullable or self.column.nullable


@dataclass(frozen=True, slots=True)
class SortKey:
    """One item of ORDER BY."""

    expression: Expr
    descending: bool
    nulls_first: bool
    output: int | None = None
    """The column of the select list that is sorted by, where it is one."""


@dataclass(frozen=True, slots=True)
class OverRows:
    """A window function over the rows that one unit has in a SELECT, so it stays that unit's. It
    is a part of a column of a subquery, and of nothing else."""

    function: str
    args: tuple[Expr, ...]
    aggregate: OwnAggregate | None = field(hash=False)
    """What is added up, where it is that; its argument is the one of ``args``."""
    owner: Expr
    """The unit key of each row, which is partitioned by in any case."""
    type: Type = field(hash=False)
    nullable: bool = field(hash=False)
    facts: Facts = field(hash=False)
    partition: tuple[Expr, ...] = ()
    order: tuple[SortKey, ...] = ()
    ties: tuple[Ref, ...] = field(default=(), compare=False)
    """What puts rows in order that are equal in ``order``: all columns that the SELECT reads. It
    follows from the rest of the SELECT."""
    detail: str = ""
    """More arguments, which are constants."""

    @property
    def ordered_by_all(self) -> bool:
        """Whether rows that are equal in ``order`` are told apart."""
        return self.function in ("row_number", "lag", "lead", "first_value")


Expr = Ref | Constant | Call | Aggregate | Exists | Within | OverRows


def children(expression: Expr) -> tuple[Expr, ...]:
    """The parts of an expression, all over the same row: not what a subquery in it reads."""
    match expression:
        case Ref() | Constant():
            return ()
        case Call():
            return expression.args
        case Aggregate():
            return expression.arguments
        case Exists():
            return expression.reads
        case Within():
            return (expression.value,)
        case OverRows():
            keys = (key.expression for key in expression.order)
            return (*expression.args, *expression.partition, *keys, *expression.ties)


def aliases_in(expression: Expr) -> set[str]:
    """The aliases of the relations whose columns an expression reads."""
    return {part.alias for part in walk(expression) if isinstance(part, Ref)}


def walk(expression: Expr) -> list[Expr]:
    """The expression and everything below it, parents first."""
    found: list[Expr] = []
    waiting: list[Expr] = [expression]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting.extend(reversed(children(one)))
    return found
