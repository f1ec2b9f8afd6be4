"""GROUP BY and DISTINCT in a subquery: exact aggregates over each unit's own rows.

Sound where the unit key is among what is grouped by: then a group's rows are all of one unit, and
so is the row that it becomes. The same columns without the key would mix people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from analyzer.bind_clauses import Item, aggregates, condition, inner, key_node, output_name, truth
from analyzer.bind_expressions import ExpressionBinder, no_value_of_groups
from analyzer.domains import as_column
from analyzer.expressions import Expr, Ref
from analyzer.functions.base import coerce
from analyzer.own_aggregates import own_aggregate, typed_argument
from analyzer.refusals import UnboundedInfluence, Unsupported, WrongGrouping, WrongType
from analyzer.relation import Derived, Grouped, OwnAggregate, Ownership, Relation, max_rows_of
from analyzer.scope import Fields, Scope, Subqueries
from analyzer.syntax import only, position_of
from analyzer.types import Type
from analyzer.units import owner_of, owner_places, place

if TYPE_CHECKING:
    from analyzer.bind_relations import RelationBinder

_AGGREGATES: dict[type[exp.Expression], str] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or",
}


class SubqueryBinder(ExpressionBinder):
    """Binds the select list of a subquery, over what its FROM and WHERE give."""

    def __init__(
        self,
        binder: RelationBinder,
        scope: Scope,
        source: Relation,
        where: Expr | None,
        owned: Ownership,
    ) -> None:
        super().__init__(scope, binder.parameters, "a subquery's select list")
        self.binder = binder
        self.source = source
        self.where = where
        self.owned = owned


class OwnBinder(SubqueryBinder):
    """Binds expressions over one unit's groups, and collects what the groups have to hold.

    The rows are computed first (keys, arguments, filters: a plain subquery), then grouped, then
    the select list is computed of keys and aggregates (a plain subquery again).
    """

    def __init__(
        self,
        binder: RelationBinder,
        scope: Scope,
        source: Relation,
        where: Expr | None,
        owned: Ownership,
    ) -> None:
        super().__init__(binder, scope, source, where, owned)
        self.rows = ExpressionBinder(scope, binder.parameters, "GROUP BY")
        self.names: tuple[str, str] | None = None
        self.columns: list[Expr] = []
        self.keys: list[Expr] = []
        self.key_columns: list[Ref] = []
        self.aggregates: list[OwnAggregate] = []

    def bind(self, node: exp.Expression) -> Expr:
        if not isinstance(node, exp.Literal) and not aggregates(node):
            row = coerce(self.rows.bind(node), Type.TEXT)
            if row in self.keys:
                return self.key(row)
        return self.of_group(node)

    def of_group(self, node: exp.Expression) -> Expr:
        """What is computed of the groups, and is no key of theirs."""
        if isinstance(node, (exp.Filter, *_AGGREGATES)):
            return self.aggregate(node)
        return super().bind(node)

    def subqueries(self, node: exp.Expression) -> Subqueries:
        """None over groups; keys and arguments of aggregates may have them."""
        raise self.no_subquery(node)

    def value(self, node: exp.Expression) -> Expr:
        """What was looked up for each row is no value of the group."""
        super().value(node)
        raise no_value_of_groups()

    def column(self, node: exp.Column) -> Expr:
        """A column that the key of its own table is grouped by belongs to the group."""
        row = self.rows.column(node)
        named = {key.alias for key in self.keys if isinstance(key, Ref) and key.facts.owner}
        if row.facts.per_unit and isinstance(row, Ref) and row.alias in named:
            return self.key(row)
        raise WrongGrouping(
            f'Column "{node.name}" is neither a group key nor inside an aggregate.',
            hint=f"Add it to the subquery's GROUP BY, or aggregate it, for example"
            f" max({node.name}).",
        )

    def aggregate(self, node: exp.Expression) -> Expr:
        kept: Ref | None = None
        if isinstance(node, exp.Filter):
            only(node, "this", "expression")
            kept = self._condition(node.expression.this)
            node = node.this
        function = _AGGREGATES.get(type(node))
        if function is None:
            return self.unknown(node)
        only(node, "this", "big_int")
        subject, distinct = node.this, isinstance(node.this, exp.Distinct)
        if isinstance(subject, exp.Distinct):
            only(subject, "expressions")
            if len(subject.expressions) != 1:
                raise Unsupported("DISTINCT takes one expression here.")
            subject = subject.expressions[0]
        if isinstance(subject, exp.Star) and (distinct or function != "count"):
            raise WrongType(f"{function} takes a value, not *.")
        argument: Ref | None = None
        if not isinstance(subject, exp.Star):
            argument = self.row(typed_argument(function, self._inside().bind(subject)))
        return self.made(function, argument, kept, distinct=distinct)

    def made(
        self,
        function: str,
        argument: Ref | None,
        kept: Ref | None = None,
        *,
        distinct: bool = False,
    ) -> Expr:
        """The group's column for an aggregate, which becomes one where it is none yet."""
        made = own_aggregate(
            function,
            argument,
            kept,
            distinct=distinct,
            max_rows=max_rows_of(self.source, self.binder.catalog.max_rows_contributed),
            protected=self.owned.owner is not None,
            per_unit=self._grouped_rows() == 1 and self.owned.owner is not None,
            empty=self.owned.owner is None and not self.keys,
        )
        if made not in self.aggregates:
            self.aggregates.append(made)
        name = f"a{self.aggregates.index(made)}"
        return Ref(self._aliases()[1], name, made.type, made.nullable, made.facts)

    def unknown(self, node: exp.Expression) -> Expr:
        if isinstance(node, exp.AggFunc | exp.WithinGroup):
            raise Unsupported(
                "This aggregate is not supported in a subquery.",
                hint="Take count, sum, avg, min, max, bool_and or bool_or of one person's rows.",
            )
        return super().unknown(node)

    def _inside(self) -> ExpressionBinder:
        return ExpressionBinder(self.scope, self.parameters, "the argument of an aggregate")

    def _condition(self, node: exp.Expression) -> Ref:
        bound = ExpressionBinder(self.scope, self.parameters, "FILTER").bind(node)
        return self.row(truth(bound, "FILTER"))

    def key(self, expression: Expr) -> Ref:
        """The group's column for a key, which becomes one where it is none yet."""
        if expression not in self.keys:
            self.keys.append(expression)
            self.key_columns.append(self.row(expression))
        index = self.keys.index(expression)
        return replace(self.key_columns[index], alias=self._aliases()[1], name=f"k{index}")

    def row(self, e: Expr) -> Ref:
        """A column of the rows that are grouped."""
        if e not in self.columns:
            self.columns.append(e)
        label = e.label if isinstance(e, Ref) else ""
        return _column(self._aliases()[0], self.columns.index(e), e, label)

    def _aliases(self) -> tuple[str, str]:
        if self.names is None:
            self.names = (self.binder.spend(None), self.binder.spend(None))
        return self.names

    def _grouped_rows(self) -> int | None:
        """The most groups of one unit."""
        return 1 if all(key.facts.per_unit for key in self.keys) else self.owned.rows

    def relation(
        self,
        columns: Sequence[Expr],
        having: Expr | None,
        position: int | None,
        called: str | None = None,
    ) -> Derived:
        """The whole subquery, under an alias of ours: ``called``, or the next one.

        Raises:
            UnboundedInfluence: a group could hold rows of several units.
        """
        if self.owned.owner is not None:
            self.check_owner(position)
        alias, grouped_alias = self._aliases()
        rows = Derived(
            alias, self.source, self.where, tuple(self.columns), self.owned.owner, self.owned.rows
        )
        most = self._grouped_rows() if self.owned.owner is not None else None
        groups = Grouped(grouped_alias, rows, tuple(self.key_columns), tuple(self.aggregates), most)
        called = called or self.binder.spend(position)
        return Derived(called, groups, having, tuple(columns), owner_of(groups), most)

    def check_owner(self, position: int | None) -> None:
        places = owner_places(self.source)
        if any(isinstance(key, Ref) and place(key) in places for key in self.keys):
            return
        names = sorted(
            f"{entry.name}.{label}"
            for entry in self.scope.entries
            for label, ref in entry.fields
            if place(ref) in places
        )
        hint = "Join the tables on the way to the privacy unit, and group by its key."
        if names:
            hint = f"Add {names[0]} to it: then each row is about one person."
        raise UnboundedInfluence(
            "A subquery is grouped without the privacy unit's key.",
            detail="Its rows would be about many people at once.",
            hint=hint,
            position=position,
        )


def fields_of(relation: Derived, labels: Sequence[str]) -> Fields:
    """The columns of a subquery by their names."""
    named = enumerate(zip(labels, relation.columns, strict=True))
    return tuple((label, _column(relation.alias, i, e, label)) for i, (label, e) in named)


def _column(alias: str, index: int, e: Expr, label: str) -> Ref:
    origin = e.origin if isinstance(e, Ref) else None
    return as_column(Ref(alias, f"c{index}", e.type, e.nullable, e.facts, origin, label), e)


def grouped(tree: exp.Select, own: OwnBinder) -> tuple[Derived, list[str]]:
    """A SELECT with GROUP BY, HAVING or aggregates, and the names of its columns.

    Raises:
        Refusal: a group could hold rows of several units, or a column belongs to no group.
    """
    if tree.args.get("distinct") is not None:
        raise Unsupported(
            "SELECT DISTINCT with aggregates is not supported in a subquery.",
            hint="Groups are distinct already: leave DISTINCT out.",
            position=position_of(tree),
        )
    items = [Item(output_name(node), inner(node)) for node in tree.expressions]
    group = tree.args.get("group")
    if group is not None:
        only(group, "expressions")
        for node in group.expressions:
            found = key_node(node, items, own.scope)
            if aggregates(found):
                raise WrongGrouping(
                    "An aggregate is no group key.",
                    hint="Group by it in a query around this one.",
                    position=position_of(node),
                )
            own.key(coerce(own.rows.bind(found), Type.TEXT))
    if own.owned.owner is not None:
        own.check_owner(position_of(group) if group is not None else position_of(tree))
    columns = [own.bind(item.node) for item in items]
    having = condition(tree.args.get("having"), own, "HAVING")
    return own.relation(columns, having, position_of(tree)), [item.name for item in items]
