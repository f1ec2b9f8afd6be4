"""What is computed from noisy groups, as a chain of stages: SELECTs over noisy values only.

A stage reads the noisy groups of one block, or stages before it. All of it is arithmetic on what
was published already, so none of it costs privacy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analyzer.expressions import Aggregate, Expr, Ref, SortKey, walk
from analyzer.types import Type

SCALARS = "scalars"
"""The alias of references to subqueries that stand for one value; their names are stages."""
KEYS = "grouped"
"""The alias under which the keys of a stage with groups are referred to."""
CALLS = "calls"
"""The alias of references to the calls of a stage, which are printed in their place."""
ARRAY = "array"
"""The call that makes one output of several percentiles. Only noisy values meet in one."""
COMPANIONS = ("error_bar", "ci_low", "ci_high")
"""Functions that show an output's error bar, or the ends of the interval that it makes."""


@dataclass(frozen=True, slots=True)
class Over:
    """The window of a window function."""

    partition: tuple[Expr, ...]
    order: tuple[SortKey, ...]
    frame: str
    """SQL of our own, such as ``ROWS BETWEEN 2 PRECEDING AND CURRENT ROW``; empty by default."""


@dataclass(frozen=True, slots=True)
class NoisyCall:
    """A window function, or an aggregate over noisy rows (which has no window)."""

    ref: Ref
    """What stands for it in expressions: a column of :data:`CALLS`."""
    function: str
    arguments: tuple[Expr, ...]
    over: Over | None
    distinct: bool = False
    within: SortKey | None = None
    """What WITHIN GROUP orders by."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an earlier stage, or with None the noisy groups of a block."""

    alias: str
    stage: int | None
    block: int = 0


@dataclass(frozen=True, slots=True)
class Paired:
    """A join of noisy rows. Which rows meet is decided on the answer, not on its variants."""

    kind: str
    """``JOIN``, ``LEFT JOIN`` or ``CROSS JOIN``."""
    left: Source
    right: Source
    on: Expr | None


@dataclass(frozen=True, slots=True)
class Arm:
    """A part of UNION: an earlier stage, and the columns that it gives."""

    rows: Rows
    columns: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Stacked:
    """UNION ALL: the rows of all arms, as columns ``o0, o1, ...``."""

    alias: str
    arms: tuple[Arm, ...]
    stored: tuple[Type, ...]
    """What the columns of all arms are stored as."""


@dataclass(frozen=True, slots=True)
class OneRow:
    """No FROM: one row without columns."""

    alias: str


Item = Rows | Stacked | OneRow
Source = Item | Paired


@dataclass(frozen=True, slots=True)
class Groups:
    """GROUP BY over noisy rows; without keys, all rows are one group."""

    keys: tuple[Expr, ...]
    having: Expr | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One SELECT over noisy rows."""

    source: Source
    where: Expr | None
    groups: Groups | None
    calls: tuple[NoisyCall, ...]
    outputs: tuple[tuple[str, Expr], ...]
    """Names and values; later stages read them as columns ``o0, o1, ...``."""
    companions: tuple[str | None, ...]
    """For each output, the function of :data:`COMPANIONS` that shows it, or None: as it is."""
    distinct: bool
    order: tuple[SortKey, ...]
    limit: int | None
    offset: int

    @property
    def crosses(self) -> bool:
        """Whether a row depends on the cells of several groups."""
        if self.calls or self.groups is not None or isinstance(self.source, Paired):
            return True
        return any(is_scalar(e) for one in expressions(self) for e in walk(one))


def cells_of(block: int) -> str:
    """The alias of a block's noisy groups."""
    return f"noisy{block}"


def is_scalar(expression: Expr) -> bool:
    return isinstance(expression, Ref) and expression.alias == SCALARS


def aliased(source: Source) -> Iterator[Item]:
    """The items of FROM, from left to right."""
    if isinstance(source, Paired):
        yield from aliased(source.left)
        yield from aliased(source.right)
    else:
        yield source


def expressions(stage: Stage) -> Iterator[Expr]:
    """All expressions of a stage, each once."""
    yield from _conditions(stage.source)
    if stage.where is not None:
        yield stage.where
    if stage.groups is not None:
        yield from stage.groups.keys
        if stage.groups.having is not None:
            yield stage.groups.having
    for call in stage.calls:
        yield from of_call(call)
    for _, expression in stage.outputs:
        yield expression
    for key in stage.order:
        yield key.expression


def aggregates_in(stages: Sequence[Stage]) -> list[Aggregate]:
    """The different aggregates over protected rows, in order of appearance."""
    found = [e for stage in stages for one in expressions(stage) for e in walk(one)]
    return list(dict.fromkeys(e for e in found if isinstance(e, Aggregate)))


def of_call(call: NoisyCall) -> Iterator[Expr]:
    """What a call reads."""
    yield from call.arguments
    if call.within is not None:
        yield call.within.expression
    if call.over is not None:
        yield from call.over.partition
        for key in call.over.order:
            yield key.expression


def _conditions(source: Source) -> Iterator[Expr]:
    if isinstance(source, Stacked):
        for arm in source.arms:
            yield from arm.columns
    if isinstance(source, Paired):
        yield from _conditions(source.left)
        yield from _conditions(source.right)
        if source.on is not None:
            yield source.on


_Outputs = list[list[frozenset[Aggregate]]]
"""The aggregates behind each output of each stage."""


def aggregates_of(stages: Sequence[Stage]) -> list[frozenset[Aggregate]]:
    """For each output of the last stage, the aggregates over protected rows behind its value.

    Not those behind conditions and groups: which rows there are is decided on the answer, so a key
    that noisy rows are grouped by holds still like any other.
    """
    outputs: _Outputs = []
    for stage in stages:
        known = {(SCALARS, str(i)): used for i, (used, *_) in enumerate(outputs)}
        for item in aliased(stage.source):
            columns = _columns(item, outputs)
            known.update({(item.alias, f"o{i}"): used for i, used in enumerate(columns)})
        for call in stage.calls:
            behind = [_behind(e, known) for e in of_call(call)]
            known[call.ref.alias, call.ref.name] = frozenset().union(*behind)
        outputs.append([_behind(e, known) for _, e in stage.outputs])
    return outputs[-1]


def _columns(item: Item, outputs: _Outputs) -> Sequence[frozenset[Aggregate]]:
    """The aggregates behind each column of an item of FROM."""
    if isinstance(item, Rows) and item.stage is not None:
        return outputs[item.stage]
    if not isinstance(item, Stacked):
        return ()
    arms = []
    for arm in item.arms:
        known = {
            (arm.rows.alias, f"o{i}"): used for i, used in enumerate(_columns(arm.rows, outputs))
        }
        arms.append([_behind(column, known) for column in arm.columns])
    return [frozenset().union(*used) for used in zip(*arms, strict=True)]


def _behind(
    expression: Expr, known: dict[tuple[str, str], frozenset[Aggregate]]
) -> frozenset[Aggregate]:
    found: set[Aggregate] = set()
    for one in walk(expression):
        if isinstance(one, Aggregate):
            found.add(one)
        elif isinstance(one, Ref):
            found |= known.get((one.alias, one.name), frozenset())
    return frozenset(found)
