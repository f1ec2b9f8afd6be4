"""Window functions over one person's rows, in the select list of a subquery.

Sound where the privacy unit's key is among what is partitioned by: then a value is made of rows of
one unit, and in an order that depends on nothing else. So rows that come first in no order of the
analyst's are put in order by all that the subquery shows of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from sqlglot import exp

from analyzer.bind_clauses import sorted_by
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_own import SubqueryBinder, fields_of
from analyzer.expressions import (
    Call,
    Computed,
    Expr,
    Facts,
    Interval,
    OverRows,
    Ref,
    SortKey,
    Within,
    walk,
)
from analyzer.functions.base import build, coerce, constant, merged, static_integer
from analyzer.own_aggregates import MOST_ROWS, own_aggregate, typed_argument
from analyzer.refusals import SyntaxRefused, UnboundedInfluence, Unsupported
from analyzer.relation import Derived, max_rows_of
from analyzer.scope import name_of
from analyzer.syntax import only, position_of
from analyzer.types import Type
from analyzer.units import owner_of, owner_places, place

_NUMBERING: dict[type[exp.Expression], str] = {
    exp.RowNumber: "row_number",
    exp.Rank: "rank",
    exp.DenseRank: "dense_rank",
}
_NEAR: dict[type[exp.Expression], str] = {
    exp.Lag: "lag",
    exp.Lead: "lead",
    exp.FirstValue: "first_value",
}
_SUMS: dict[type[exp.Expression], str] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
}
_MOST_STEPS = 1_000


class RowBinder(SubqueryBinder):
    """Binds the select list of a subquery over rows, windows among it."""

    @property
    def max_rows(self) -> int:
        """What the data owner expects of one unit."""
        return max_rows_of(self.source, self.binder.catalog.max_rows_contributed)

    def unknown(self, node: exp.Expression) -> Expr:
        if isinstance(node, exp.Window) and self.owned.owner is not None:
            return self._window(node, self.owned.owner)
        return super().unknown(node)

    def _window(self, node: exp.Window, owner: Expr) -> Expr:
        only(node, "this", "partition_by", "order", "over")
        inside = ExpressionBinder(self.scope, self.parameters, "a window")
        partition = tuple(
            coerce(inside.bind(n), Type.TEXT) for n in node.args.get("partition_by") or []
        )
        order = sorted_by(node.args.get("order"), inside.bind)
        window = self._function(node.this, inside, owner)
        return self._over(window, partition, order, position_of(node))

    def _over(
        self,
        window: OverRows,
        partition: Sequence[Expr],
        order: Sequence[SortKey],
        position: int | None,
    ) -> OverRows:
        places = owner_places(self.source)
        if not any(isinstance(e, Ref) and place(e) in places for e in partition):
            raise UnboundedInfluence(
                "A window over a person's rows is partitioned by the privacy unit's key.",
                detail="Otherwise rows of everybody would decide about each row.",
                hint="Add the key: OVER (PARTITION BY key ORDER BY ...), or DISTINCT ON (key).",
                position=position,
            )
        parts = (*window.args, *partition, *(key.expression for key in order))
        if any(isinstance(part, OverRows) for e in parts for part in walk(e)):
            raise Unsupported(
                "Windows do not stand in windows.",
                hint="Compute the inner one in a subquery.",
                position=position,
            )
        facts = replace(
            window.facts,
            size=1 + sum(e.facts.size for e in parts),
            work=1 + sum(e.facts.work for e in parts),
            protected=True,
            # It is no function of what its own row shows.
            inputs=None,
            domain=None if isinstance(window.facts.domain, Computed) else window.facts.domain,
        )
        return replace(window, facts=facts, partition=tuple(partition), order=tuple(order))

    def order(
        self, clause: exp.Expression | None, labels: Sequence[str], columns: Sequence[Expr]
    ) -> list[SortKey]:
        """ORDER BY of a SELECT, where names are first those of its columns."""

        def bound(node: exp.Expression) -> Expr:
            if isinstance(node, exp.Literal) and node.is_int and 0 < int(node.name) <= len(labels):
                return columns[int(node.name) - 1]
            if isinstance(node, exp.Column) and not node.args.get("table"):
                name = name_of(node.this)
                if labels.count(name) == 1:
                    return columns[labels.index(name)]
            return self.bind(node)

        return sorted_by(clause, bound)

    def numbered(
        self, partition: Sequence[Expr], order: Sequence[SortKey], position: int | None
    ) -> OverRows:
        """The number of a row in its partition.

        Raises:
            UnboundedInfluence: the partition is not one unit's, or the rows are nobody's.
        """
        if self.owned.owner is None:
            raise Unsupported("DISTINCT ON is not supported over public rows.", position=position)
        return self._over(
            self._numbering("row_number", self.owned.owner), partition, order, position
        )

    def _numbering(self, name: str, owner: Expr) -> OverRows:
        one, most = Fraction(1), Fraction(self.max_rows)
        room = Interval(one, MOST_ROWS - 1), Interval(one, most)
        facts = Facts(Type.INT8, *room, one, on_grid=True)
        return OverRows(name, (), None, owner, Type.INT8, False, facts)

    def _function(self, node: exp.Expression, inside: ExpressionBinder, owner: Expr) -> OverRows:
        if type(node) in _NUMBERING:
            only(node)
            return self._numbering(_NUMBERING[type(node)], owner)
        if type(node) in _NEAR:
            only(node, "this", *(() if isinstance(node, exp.FirstValue) else ("offset",)))
            value, offset = coerce(inside.bind(node.this), Type.TEXT), node.args.get("offset")
            steps = 1 if offset is None else self._steps(node, inside.bind(offset))
            detail = "" if isinstance(node, exp.FirstValue) else f", {steps}"
            near = merged([value], value.facts.stored, **_kept(value.facts))
            facts = replace(near, per_unit=False)
            name = _NEAR[type(node)]
            return OverRows(name, (value,), None, owner, value.type, True, facts, detail=detail)
        name = _SUMS.get(type(node), "")
        if not name:
            raise Unsupported(
                "This window function is not supported over a person's rows.",
                hint="Use row_number, rank, dense_rank, lag, lead, first_value, count, sum, avg,"
                " min or max.",
                position=position_of(node),
            )
        only(node, "this", "big_int")
        if isinstance(node.this, exp.Distinct):
            raise Unsupported("DISTINCT is not supported in a window.", position=position_of(node))
        star = isinstance(node.this, exp.Star)
        argument = None if star else typed_argument(name, inside.bind(node.this))
        made = own_aggregate(
            name,
            argument,
            None,
            distinct=False,
            max_rows=self.max_rows,
            protected=True,
            per_unit=False,
        )
        args = () if argument is None else (argument,)
        return OverRows(name, args, made, owner, made.type, made.nullable, made.facts)

    def _steps(self, node: exp.Expression, offset: Expr) -> int:
        return static_integer(type(node).__name__.lower(), offset, 0, _MOST_STEPS)


def _kept(facts: Facts) -> dict[str, Any]:
    """What holds of a value in another row too."""
    return {
        "physical": facts.physical,
        "declared": facts.declared,
        "tick": facts.tick,
        "on_grid": facts.on_grid,
        "domain": None if isinstance(facts.domain, Computed) else facts.domain,
        "total_domain": facts.total_domain and not isinstance(facts.domain, Computed),
    }


def first_rows(
    rows: RowBinder, tree: exp.Select, labels: Sequence[str], columns: Sequence[Expr]
) -> Derived:
    """``SELECT DISTINCT ON (key, ...)``: the first row of each key, in the order of ORDER BY.

    Raises:
        Refusal: the privacy unit's key is not among the keys, or ORDER BY begins with others.
    """
    on = [coerce(rows.bind(n), Type.TEXT) for n in tree.args["distinct"].args["on"].expressions]
    order = rows.order(tree.args.get("order"), labels, columns)
    if not all(key.expression in on for key in order[: len(on)]):
        raise SyntaxRefused(
            "ORDER BY has to begin with the expressions of DISTINCT ON.",
            position=position_of(tree.args["order"]),
        )
    number = rows.numbered(on, order, position_of(tree))
    columns = in_full_order([*columns, number])
    alias, around = rows.binder.spend(None), rows.binder.spend(None)
    owned = rows.owned
    inside = Derived(alias, rows.source, rows.where, tuple(columns), owned.owner, owned.rows)
    fields = fields_of(inside, [*labels, ""])
    first = build("=", [fields[-1][1], constant(1)])
    most = 1 if all(key.facts.per_unit for key in on) else owned.rows
    return Derived(
        around, inside, first, tuple(ref for _, ref in fields[:-1]), owner_of(inside), most
    )


def in_full_order(columns: Sequence[Expr]) -> list[Expr]:
    """The columns of a SELECT, the windows among them with an order in which no two rows are equal
    that show any difference."""
    found = [part for column in columns for part in walk(column)]
    if not any(isinstance(part, OverRows) for part in found):
        return list(columns)
    ties = tuple(dict.fromkeys(part for part in found if isinstance(part, Ref)))
    return [_tied(column, ties) for column in columns]


def _tied(expression: Expr, ties: tuple[Ref, ...]) -> Expr:
    if isinstance(expression, OverRows):
        return replace(expression, ties=ties)
    if isinstance(expression, Call):
        return replace(expression, args=tuple(_tied(arg, ties) for arg in expression.args))
    if isinstance(expression, Within):
        return replace(expression, value=_tied(expression.value, ties))
    return expression
