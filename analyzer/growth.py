"""How joins multiply rows, held to a bound that is known before any row is read.

A person with k rows makes k^n rows in n-fold joins of those rows, and k can be large. A query that
is quick without one person and times out with her tells that she is there, whatever its noise. The
size of tables is not known here, so what is bounded is the power: each relation in a join counts
one, unless the join finds at most one row of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from analyzer.expressions import Exists, Expr, Ref, Within, walk
from analyzer.refusals import TooComplex
from analyzer.relation import Derived, Grouped, Join, Query, Relation, Scan, Union, conjuncts
from analyzer.stages import aggregates_in
from analyzer.units import aliases, is_pinned, rows_per_unit

MAX_GROWTH = 2
"""Two relations of many rows a person may meet, as visits and visits of one person do."""


MAX_MULTIPLIED = 4_000
"""Where relations multiply, a person with more rows than that in one of them is left out of it.

A function of the person's own rows, as all that is bounded; 16 million pairs take about a second.
"""


def check_growth(query: Query) -> Query:
    """The query, with the aggregations marked in which a person's rows multiply each other.

    Raises:
        TooComplex: more than ``MAX_GROWTH`` relations multiply each other.
    """
    measured, found = aggregates_in(query.stages), []
    for block, one in enumerate(query.aggregations):
        own = [aggregate for aggregate in measured if aggregate.block == block]
        growth = _checked(_filtered(one.source, one.where, [*one.keys, *own]))
        found.append(replace(one, multiplies=growth > 1))
    return replace(query, aggregations=tuple(found))


def _checked(growth: int) -> int:
    if growth > MAX_GROWTH:
        raise TooComplex(
            f"More than {MAX_GROWTH} tables multiply each other's rows.",
            detail="How long that takes would depend on how many rows one person has.",
            hint="Join on unique keys, or group each table by the privacy unit's key in a subquery"
            " first.",
        )
    return growth


def _filtered(source: Relation, where: Expr | None, others: Iterable[Expr]) -> int:
    """The power of ``source`` and of what is looked up for each of its rows."""
    computed = [*([] if where is None else [where]), *others]
    return _growth(source, conjuncts(where)) + _looked_up(computed)


def _looked_up(computed: Iterable[Expr]) -> int:
    """Subqueries run for a row one after another, so the largest of them counts."""
    powers = [0]
    for expression in computed:
        for part in walk(expression):
            if isinstance(part, Exists):
                powers.append(_for_each_row(part))
            elif isinstance(part, Within):
                _checked(_growth(part.source, ()))  # found out once, not for every row
    return max(powers)


def _for_each_row(exists: Exists) -> int:
    """The power of a subquery that is run for a row."""
    outside = [ref.alias for ref in exists.reads if isinstance(ref, Ref)]
    if is_pinned(exists.source, outside, conjuncts(exists.where)):
        return _looked_up([] if exists.where is None else [exists.where])
    return _filtered(exists.source, exists.where, ())


def _growth(relation: Relation, known: Sequence[Expr]) -> int:
    """The power of a relation, ``known`` being conditions that its rows have to meet."""
    if isinstance(relation, Scan):
        one = relation.owner is not None and rows_per_unit(relation.table) == 1
        return 0 if one else 1
    if isinstance(relation, Derived):
        return _filtered(relation.source, relation.where, relation.columns)
    if isinstance(relation, Grouped):
        return min(_checked(_growth(relation.source, ())), 0 if relation.rows == 1 else 1)
    if isinstance(relation, Union):
        return max(_growth(arm, ()) for arm in relation.arms)
    return _joined(relation, known)


def _joined(join: Join, known: Sequence[Expr]) -> int:
    conditions = conjuncts(join.on)
    left = _growth(join.left, known)
    right = _growth(join.right, () if join.outer else known)
    usable = conditions if join.outer else [*conditions, *known]
    if is_pinned(join.right, aliases(join.left), usable):
        right = 0
    elif not join.outer and is_pinned(join.left, aliases(join.right), usable):
        left = 0
    return left + right + _looked_up(conditions)
