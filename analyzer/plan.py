"""The plan: everything about an answer that is decided before any row is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from fractions import Fraction

from accountant.events import Event
from accountant.losses import Loss
from analyzer.catalog import Scalar
from analyzer.types import Type
from mechanisms.calibration import Noise, Sensitivity


class SelectionKey(Enum):
    """Stands in a statement for the operator's secret; the engine puts the number in its place.

    It keys the choice of groups where a unit has more than may count. No guarantee rests on its
    secrecy; it only keeps analysts from predicting the choice.
    """

    OPERATORS = "selection key"


SELECTION_KEY = SelectionKey.OPERATORS

Parameter = Scalar | SelectionKey | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL text of our own printing, with its typed parameters ``$1 ..`` in order.

    Every placeholder stands inside ``CAST($n AS type)`` in the text; values travel as text.
    """

    sql: str
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Draw:
    """One vector of cells that gets noise of one scale: one event."""

    label: str
    """What it measures, e.g. ``count(*)`` or ``avg(age)``, for people."""
    cells: tuple[int, ...]
    """Which integer columns of its block's exact rows (counted after the key columns) belong to
    it."""
    sensitivity: Sensitivity
    noise: Noise
    tick: Fraction
    """The value of one grid step in the units of the data."""
    error_bar: int
    """Half-width at 95 % of one noisy cell, in grid steps."""


@dataclass(frozen=True, slots=True)
class OutputColumn:
    name: str
    type: Type
    noisy: bool
    """False for what carries no error bar: group keys, constants, and error bars themselves."""
    draws: tuple[int, ...]
    """The draws that this number is computed from."""


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What an analyst may set for one query besides the loss. None is the data owner's default."""

    max_rows_contributed: int | None = None
    max_groups_contributed: int | None = None
    non_negative: bool = False
    """Whether counts below zero are shown as zero. Costs nothing; averages of such counts over
    groups come out too large."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a part of the exact statement holds."""

    cells: tuple[int, ...]
    """The cells of its columns in order; with buckets, the cells of its buckets in order."""
    buckets: bool
    """Whether a row is one bucket of a group, in one column, or a whole group."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile that is read off the noisy histogram of a draw."""

    draw: int
    """The index of the draw in its block."""
    fraction: Fraction
    continuous: bool
    """Between two values, or one of them."""
    lower: Fraction
    """Where the first bucket begins, in the units of the data."""
    width: Fraction
    """The width of a bucket; buckets of one grid step stand for one value each."""
    single: bool
    """Whether a bucket stands for one value, its beginning."""
    upper: Fraction
    """The upper clamping bound."""


@dataclass(frozen=True, slots=True)
class Block:
    """One aggregation of protected rows: what is asked of the data, and how it is blurred."""

    exact: Statement
    """Runs on the protected data. One row a group: ``key_types`` key columns, then one integer for
    each cell. For public keys exactly the public keys appear, whatever the data. With several
    parts, two columns come before the keys: the part's number and the bucket."""
    parts: tuple[Part, ...]
    """The first has one row for every group that there is, and comes first."""
    key_types: tuple[Type, ...]
    public_keys: bool
    draws: tuple[Draw, ...]
    selection: int | None
    """For keys that are not public: the index of the draw that counts units; else None."""
    threshold: int | None
    members: int
    """What one privacy unit adds to a group's number of people at most."""
    quantiles: tuple[Quantile, ...]
    most_rows: int | None = None
    """For a list of public rows, how many there may be; None where protected rows are measured."""

    @property
    def cells(self) -> int:
        """How many noisy cells a group has."""
        return sum(len(draw.cells) for draw in self.draws)


@dataclass(frozen=True, slots=True)
class PrivatePlan:
    """A pure function of the SQL, the parameters, the ask, the catalog, and of the clock if the SQL
    reads it."""

    dataset: str
    policy_version: str
    units: tuple[str, ...]
    """The privacy units whose rows the answer is made of, sorted: each is charged the loss. A unit
    is called by the name of its table. Where all rows are public there is no loss, and all units
    are named: whose account the question is noted in says nothing."""
    blocks: tuple[Block, ...]
    """The aggregations of the query. All their draws are calibrated together."""
    finish: Statement
    """Runs on noisy values only: ``$1`` is a JSON array that holds, for each block, an array of
    ``{"r": row number, "k0": .., "c0": ..}``, numbered from 0, and last an array of the error bars
    of all draws. Gives ``place, output 0, ..., error bar 0, ...`` in the order of places; an error
    bar is NULL where an output is exact or no number."""
    columns: tuple[OutputColumn, ...]
    events: tuple[Event, ...]
    loss: Loss
    notices: tuple[str, ...]
    question: str
    """Identifies what is measured, by the policy and with the parameters; see
    ``analyzer.digests``."""
    digest: str
    """Identifies the release: the same with noise and thresholds."""
    now: datetime | None = None
    """What the clock says in it; None where the SQL does not read it."""

    @property
    def draws(self) -> tuple[Draw, ...]:
        """Those of all blocks, in order; output columns count them so."""
        return tuple(draw for block in self.blocks for draw in block.draws)
