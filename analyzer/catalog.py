"""What the data owner declared, as frozen values. An undeclared thing does not exist here.

A :class:`Catalog` is built by ``server.policy`` from a policy file; the analyzer only reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from analyzer.asks import Ask
from analyzer.types import Type

Scalar = bool | int | Decimal | str | date | datetime
"""A SQL constant in Python; ``None`` stands for NULL where it is allowed."""
Given = Scalar | tuple[Scalar | None, ...] | None
"""The value of a parameter; a tuple is an array."""


@dataclass(frozen=True, slots=True)
class ValuesFrom:
    """The public table and column that list the values of a protected column."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column."""

    name: str
    type: Type
    nullable: bool = True
    precision: int | None = None
    """For ``numeric(p, s)``: p. None for numeric without a precision and for other types."""
    scale: int | None = None
    lower: Fraction | None = None
    """Clamping bounds, both or neither; numbers only, and dates and timestamps as days since
    1970-01-01 (in UTC where they have a zone). Values outside are moved to the bound."""
    upper: Fraction | None = None
    tick: Fraction | None = None
    """The grid on which sums are taken, e.g. 1/10; numbers only. None: epsql chooses."""
    values: tuple[Scalar, ...] | None = None
    """All public values of the column, without NULL; NULL is one more where ``nullable``."""
    values_from: ValuesFrom | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a path to the privacy unit: ``this.column = table.key``."""

    column: str
    table: str
    key: str


@dataclass(frozen=True, slots=True)
class Table:
    """One declared table. ``name`` is what analysts write; ``schema.relation`` is where it
    lives."""

    name: str
    schema: str
    relation: str
    columns: Mapping[str, Column] = field(hash=False)
    protected: bool
    path: tuple[Hop, ...] = ()
    """From a protected table to the table of the first unit on the way, the last hop ending at the
    unit key. Empty for a unit's own table and for public tables."""
    keys: tuple[tuple[str, ...], ...] = ()
    """Column sets declared unique. In a unit's own table the first one is the unit key."""
    max_rows_contributed: int | None = None
    """Overrides the data set's default for queries over this table."""
    max_groups_contributed: int | None = None
    unit_index: bool = False
    """Whether an index of the database begins with the owner: rows are then read in its order."""
    description: str = ""


VIEW_SCHEMA = "public"
"""Where a view is, for those who write its schema: the policy gives it none."""


@dataclass(frozen=True, slots=True)
class View:
    """A query that the data owner declared under a name. It reads declared tables only."""

    name: str
    sql: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class PrivacyUnit:
    """Whose presence is protected: all rows that lead to one value of ``table.key``.

    A unit may lie within another, as a patient does in a household: then rows of its members are
    rows of the unit around as well. It is called by the name of its table.
    """

    table: str
    key: str
    path: tuple[Hop, ...] = ()
    """From the unit's own table to the unit around it; empty where there is none."""
    max_members_contributed: int | None = None
    """How many of the units within it count in an answer; None where there are none."""


@dataclass(frozen=True, slots=True)
class Most:
    """The most that a single release may cost. Of epsilon and rho, one may be left open."""

    epsilon: Fraction | None
    delta: Fraction
    rho: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings of one account."""

    epsilon: Fraction
    delta: Fraction


@dataclass(frozen=True, slots=True)
class Catalog:
    """One data set as its owner declared it."""

    dataset: str
    units: tuple[PrivacyUnit, ...]
    tables: Mapping[str, Table]
    max_rows_contributed: int
    """Default: rows of one unit that count, over all groups; more are weighted down."""
    max_groups_contributed: int
    """Default: groups that one unit can appear in, where the keys do not already say fewer."""
    default_ask: Ask
    most: Most
    analyst_limits: Limits
    """What a new analyst's account gets unless the operator says otherwise."""
    dataset_limits: Limits
    """The cap over all analysts together."""
    version: str
    """A digest of the policy; part of every plan's identity."""
    description: str = ""
    max_keys: int = 10_000
    """The most group keys that are shown as declared keys; more are thresholded."""
    min_error_scale: Fraction = field(default=Fraction(1, 2))
    """The least scale of noise, in steps of the grid: below it, noise hides too little."""
    views: Mapping[str, View] = field(default_factory=dict)
    """By the names that analysts write; none of them a table's."""

    def unit_of(self, table: Table) -> PrivacyUnit:
        """Whose the rows of a protected table are."""
        name = table.path[-1].table if table.path else table.name
        return next(unit for unit in self.units if unit.table == name)

    def around(self, unit: PrivacyUnit) -> PrivacyUnit | None:
        """The unit that a unit lies within."""
        if not unit.path:
            return None
        return next(one for one in self.units if one.table == unit.path[-1].table)
