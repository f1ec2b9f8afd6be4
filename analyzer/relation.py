"""The typed relational form: what the rows of a query are, before anything is aggregated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from analyzer.catalog import PrivacyUnit, Table
from analyzer.expressions import Call, Expr, Facts, Ref
from analyzer.stages import Stage
from analyzer.types import Type


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose the rows of a relation are; ``analyzer.units`` derives it."""

    owner: Expr | None
    """The unit key of each row; None when all rows are public."""
    rows: int | None
    """The most rows that one unit can own, or None when the keys do not bound it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """All rows of one declared table, under an alias of ours."""

    alias: str
    table: Table
    owner: Ref | None
    """The column that says whose row it is; None for a public table."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A SELECT without aggregation: some rows of ``source``, with computed columns."""

    alias: str
    source: Relation
    where: Expr | None
    columns: tuple[Expr, ...]
    """Printed as ``c0, c1, ...``."""
    owner: Expr | None
    """Printed as ``owner``."""
    rows: int | None
    """The most rows of one privacy unit, or None when unbounded."""


@dataclass(frozen=True, slots=True)
class OwnAggregate:
    """An exact aggregate over the rows that one unit has in a group, so it stays that unit's."""

    function: str
    """``count``, ``sum``, ``avg``, ``min``, ``max``, ``bool_and`` or ``bool_or``."""
    argument: Expr | None
    """A column of the relation that is grouped, or what a window reads; None counts rows."""
    distinct: bool
    condition: Ref | None
    """FILTER: which rows take part."""
    type: Type
    nullable: bool
    facts: Facts


@dataclass(frozen=True, slots=True)
class Grouped:
    """A relation grouped by its owner and by ``keys``, so each row is still one unit's.

    Columns of ``source`` are all that it reads. A grouped public relation has no owner.
    """

    alias: str
    source: Derived
    keys: tuple[Ref, ...]
    """Printed as ``k0, k1, ...``."""
    aggregates: tuple[OwnAggregate, ...]
    """Printed as ``a0, a1, ...``."""
    rows: int | None


@dataclass(frozen=True, slots=True)
class Union:
    """All rows of several subqueries that have the same columns and all have owners, or none."""

    alias: str
    arms: tuple[Derived, ...]
    stored: tuple[Type, ...]
    """What the columns ``c0, c1, ...`` of all arms are stored as."""
    rows: int | None


@dataclass(frozen=True, slots=True)
class Join:
    """``left`` is kept whole in a left join; an inner join without condition is a cross join."""

    outer: bool
    left: Relation
    right: Relation
    on: Expr | None


Relation = Scan | Derived | Grouped | Union | Join


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How much one person may have in a table where rows multiply each other; who has more is left
    out of it."""

    rows: int
    """The most rows."""
    texts: frozenset[tuple[str, str]]
    """Columns whose text takes time for every pair of rows, by our alias and their name: so many
    bytes of them count as one row more (``growth.BYTES_OF_A_ROW``)."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One aggregation over protected rows, resolved and typed; it becomes a block of the plan.

    Without a unit, it is a list of public rows: their columns are the keys, and nothing is added
    up.

    Stages read its group keys as columns ``k0, k1, ...`` of its noisy groups, and its aggregates
    are the :class:`~analyzer.expressions.Aggregate` nodes that carry its number.
    """

    source: Relation
    owned: Ownership
    where: Expr | None
    keys: tuple[Expr, ...]
    unit: PrivacyUnit | None
    """Whose the rows are; None where they are public."""
    around: PrivacyUnit | None = None
    """The unit that those units lie within, whose rows they are as well."""
    sets: tuple[int, ...] = (0,)
    """Grouping sets by their GROUPING numbers, the last key in the lowest bit; (0,) is plain."""
    ceiling: Ceiling | None = None
    """Where a person's rows multiply each other in a join."""
    limit: int | None = None
    """How many public rows are enough, whichever they are."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a text asks: aggregations over protected rows, and all that is computed from them."""

    aggregations: tuple[Aggregation, ...]
    stages: tuple[Stage, ...]
    """What is computed from the noisy groups; the last one is the answer."""


def conjuncts(*conditions: Expr | None) -> list[Expr]:
    """The parts of conditions that all have to hold."""
    found: list[Expr] = []
    for condition in conditions:
        if isinstance(condition, Call) and condition.function == "and":
            found.extend(conjuncts(*condition.args))
        elif condition is not None:
            found.append(condition)
    return found


def scans(relation: Relation) -> Iterable[Scan]:
    """The tables that a relation reads, in order of appearance."""
    if isinstance(relation, Scan):
        yield relation
    elif isinstance(relation, Derived | Grouped):
        yield from scans(relation.source)
    elif isinstance(relation, Union):
        for arm in relation.arms:
            yield from scans(arm)
    else:
        yield from scans(relation.left)
        yield from scans(relation.right)


def max_rows_of(relation: Relation, usual: int) -> int:
    """What the data owner expects of one unit in a relation, for the clamping bounds of counts."""
    own = [scan.table.max_rows_contributed for scan in scans(relation)]
    return max((n for n in own if n is not None), default=usual)


def visible_scans(relation: Relation) -> list[Scan]:
    """The tables of a FROM whose columns are visible as they are: not those inside subqueries."""
    if isinstance(relation, Join):
        return [*visible_scans(relation.left), *visible_scans(relation.right)]
    return [relation] if isinstance(relation, Scan) else []
