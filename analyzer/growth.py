"""How joins multiply rows, held to a bound that is known before any row is read.

A person with k rows makes k^n rows in n-fold joins of those rows, and k can be large. A query that
is quick without one person and times out with her tells that she is there, whatever its noise. The
size of tables is not known here, so what is bounded is the power: each relation in a join counts
one, unless the join finds at most one row of it. And where rows do multiply, a person may have only
so many of them, the fewer the more is computed for each pair (docs/decisions/0007).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from analyzer.expressions import Exists, Expr, Ref, Within, walk
from analyzer.refusals import TooComplex
from analyzer.relation import (
    Ceiling,
    Derived,
    Grouped,
    Join,
    Query,
    Relation,
    Scan,
    Union,
    conjuncts,
)
from analyzer.stages import aggregates_in
from analyzer.types import Type
from analyzer.units import aliases, is_pinned, rows_per_unit

MAX_GROWTH = 2
"""Two relations of many rows a person may meet, as visits and visits of one person do."""
MAX_MULTIPLIED = 4_000
"""Where relations multiply, a person with more rows than that in one of them is left out of it.

A function of the person's own rows, as all that is bounded; 16 million pairs take about a second.
"""
BYTES_OF_A_ROW = 100
"""So many bytes of text count as one row more: comparing them takes as long as an operation."""
_MOST_WORK = 2**27
"""Operations over all pairs of one person's rows: some twenty seconds."""


def check_growth(query: Query) -> Query:
    """The query, with a ceiling in the aggregations in which a person's rows multiply each other.

    Raises:
        TooComplex: more than ``MAX_GROWTH`` relations multiply each other.
    """
    measured, found = aggregates_in(query.stages), []
    for block, one in enumerate(query.aggregations):
        own = [aggregate for aggregate in measured if aggregate.block == block]
        ceiling = None
        if _Growth().most(one.source, one.where, [*one.keys, *own]) > 1:
            ceiling = _ceiling([*_computed(one.source, conjuncts(one.where), one.keys, own)])
        found.append(replace(one, ceiling=ceiling))
    return replace(query, aggregations=tuple(found))


def _ceiling(computed: Sequence[Expr]) -> Ceiling:
    """What one person may have, by all that is computed for a pair of rows.

    Halved, and not divided: a question in other words, which makes an operation more, is mostly the
    same question still. AND is no operation for the same reason.
    """
    parts = [part for expression in computed for part in walk(expression)]
    work = sum(e.facts.work - isinstance(e, Ref) for e in computed)
    rows = MAX_MULTIPLIED
    while rows**2 * work > _MOST_WORK:
        rows //= 2
    texts = (p for p in parts if isinstance(p, Ref) and p.type is Type.TEXT)
    return Ceiling(rows, frozenset((ref.alias, ref.name) for ref in texts))


def _computed(relation: Relation, *expressions: Iterable[Expr]) -> Iterator[Expr]:
    """What is computed for rows of a relation: ``expressions``, and what is in its subqueries."""
    for expression in (one for some in expressions for one in some):
        yield expression
        for part in walk(expression):
            if isinstance(part, Exists):
                yield from _computed(part.source, conjuncts(part.where))
            elif isinstance(part, Within):
                yield from _computed(part.source, [part.column])
    match relation:
        case Derived():
            yield from _computed(relation.source, conjuncts(relation.where), relation.columns)
        case Grouped():
            yield from _computed(relation.source)
        case Union():
            for arm in relation.arms:
                yield from _computed(arm)
        case Join():
            yield from _computed(relation.left, conjuncts(relation.on))
            yield from _computed(relation.right)


def _checked(growth: int) -> int:
    if growth > MAX_GROWTH:
        raise TooComplex(
            f"More than {MAX_GROWTH} tables multiply each other's rows.",
            detail="How long that takes would depend on how many rows one person has.",
            hint="Join on unique keys, or group each table by the privacy unit's key in a subquery"
            " first.",
        )
    return growth


class _Growth:
    """The power of one aggregation's rows, and of those of its subqueries."""

    def __init__(self) -> None:
        self._inside = 0
        """The largest of subqueries that are grouped: what they multiply does not show outside."""

    def most(self, source: Relation, where: Expr | None, others: Iterable[Expr]) -> int:
        """The largest power that any part reaches.

        Raises:
            TooComplex: it is more than ``MAX_GROWTH``.
        """
        return max(_checked(self._filtered(source, where, others)), self._inside)

    def _filtered(self, source: Relation, where: Expr | None, others: Iterable[Expr]) -> int:
        """The power of ``source`` and of what is looked up for each of its rows."""
        demanded = conjuncts(where)
        return self._growth(source, demanded) + self._looked_up([*demanded, *others])

    def _looked_up(self, computed: Iterable[Expr]) -> int:
        """Subqueries run for a row one after another, so the largest of them counts."""
        powers = [0]
        for expression in computed:
            for part in walk(expression):
                if isinstance(part, Exists):
                    powers.append(self._for_each_row(part))
                elif isinstance(part, Within):
                    _checked(self._growth(part.source, ()))  # found out once, not for every row
        return max(powers)

    def _for_each_row(self, exists: Exists) -> int:
        """The power of a subquery that is run for a row."""
        outside = [ref.alias for ref in exists.reads if isinstance(ref, Ref)]
        if is_pinned(exists.source, outside, conjuncts(exists.where)):
            self._growth(exists.source, ())  # one row of it, which may be made of many
            return self._looked_up(conjuncts(exists.where))
        return self._filtered(exists.source, exists.where, ())

    def _growth(self, relation: Relation, known: Sequence[Expr]) -> int:
        """The power of a relation, ``known`` being conditions that its rows have to meet."""
        if isinstance(relation, Scan):
            one = relation.owner is not None and rows_per_unit(relation.table) == 1
            return 0 if one else 1
        if isinstance(relation, Derived):
            return self._filtered(relation.source, relation.where, relation.columns)
        if isinstance(relation, Grouped):
            inside = _checked(self._growth(relation.source, ()))
            self._inside = max(self._inside, inside)
            return min(inside, 0 if relation.rows == 1 else 1)
        if isinstance(relation, Union):
            return max(self._growth(arm, ()) for arm in relation.arms)
        return self._joined(relation, known)

    def _joined(self, join: Join, known: Sequence[Expr]) -> int:
        conditions = conjuncts(join.on)
        left = self._growth(join.left, known)
        right = self._growth(join.right, () if join.outer else known)
        usable = conditions if join.outer else [*conditions, *known]
        if is_pinned(join.right, aliases(join.left), usable):
            right = 0
        elif not join.outer and is_pinned(join.left, aliases(join.right), usable):
            left = 0
        return left + right + self._looked_up(conditions)
