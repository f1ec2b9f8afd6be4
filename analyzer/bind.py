"""One SELECT to one :class:`~analyzer.relation.Query`: every name resolved, every type known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from analyzer.bind_expressions import AGGREGATES, ExpressionBinder
from analyzer.bind_groups import GroupBinder
from analyzer.bind_relations import RelationBinder
from analyzer.bind_sets import grouping_sets
from analyzer.catalog import Catalog, Scalar
from analyzer.expressions import Constant, Expr, Facts, Ref
from analyzer.functions.base import coerce
from analyzer.parse import given, only, position_of
from analyzer.ranges import limited
from analyzer.refusals import (
    BadArgument,
    PrivateKeys,
    RowsRefused,
    TooComplex,
    Unsupported,
    WrongGrouping,
    WrongType,
)
from analyzer.relation import Query, SortKey
from analyzer.scope import Scope, name_of
from analyzer.types import Type

MAX_OPERATIONS = 20_000
"""Over all expressions of a query, with the columns of subqueries written out."""
CLAUSES = ("with_", "expressions", "from_", "joins", "where", "group", "having", "order", "limit")


def bind(tree: exp.Select, catalog: Catalog, parameters: Sequence[Scalar | None] = ()) -> Query:
    """The typed query that a syntax tree means over a catalog.

    Raises:
        Refusal: with the position of what is refused.
    """
    query = _QueryBinder(catalog, parameters).query(tree)
    if sum(expression.facts.size for expression in _expressions(query)) > MAX_OPERATIONS:
        raise TooComplex(
            f"The query makes more than {MAX_OPERATIONS} operations for a row.",
            hint="Columns of subqueries count each time they are used: use fewer of them.",
        )
    return query


def _expressions(query: Query) -> list[Expr]:
    conditions = [e for e in (query.where, query.having) if e is not None]
    outputs = [e for _, e in query.outputs]
    return [*query.keys, *conditions, *outputs, *(key.expression for key in query.order)]


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of the select list."""

    name: str
    node: exp.Expression


class _QueryBinder:
    def __init__(self, catalog: Catalog, parameters: Sequence[Scalar | None]) -> None:
        self.parameters = parameters
        self.relations = RelationBinder(catalog, parameters)

    def query(self, tree: exp.Select) -> Query:
        only(tree, *CLAUSES, "offset", "distinct")
        source, scope, where, owned = self.relations.source(tree, {})
        if owned.owner is None:
            raise Unsupported(
                "This query reads only public tables.",
                detail="Public tables are there to be joined with protected ones.",
                hint="Join a protected table, and group by the public table's columns.",
                position=position_of(tree.args["from_"]),
            )
        items = [_Item(_output_name(n), _inner(n)) for n in tree.expressions]
        rows = ExpressionBinder(scope, self.parameters, "GROUP BY")
        nodes, sets = self._key_nodes(tree, items, scope)
        self._check_aggregates(tree, items, nodes, rows)
        keys = tuple(_key(rows, node) for node in nodes)
        refs = [key_ref(i, key, nullable=len(sets) > 1) for i, key in enumerate(keys)]
        groups = GroupBinder(rows, keys, refs, sets)
        outputs = tuple((item.name, _output(groups, item.node)) for item in items)
        return Query(
            source=source,
            owned=owned,
            where=where,
            keys=keys,
            outputs=outputs,
            having=_having(tree, groups),
            order=_order(tree, groups, items, outputs),
            limit=_count(tree.args.get("limit"), "LIMIT"),
            offset=_count(tree.args.get("offset"), "OFFSET") or 0,
            sets=sets,
        )

    def _key_nodes(
        self, tree: exp.Select, items: list[_Item], scope: Scope
    ) -> tuple[list[exp.Expression], tuple[int, ...]]:
        """What is grouped by, ordinals and aliases looked up, and the grouping sets of it."""
        distinct, group = tree.args.get("distinct"), tree.args.get("group")
        if distinct is not None:
            only(distinct)
        if group is None:
            plain = distinct is not None and not any(_aggregates(i.node) for i in items)
            return ([i.node for i in items] if plain else []), (0,)
        if distinct is not None:
            raise Unsupported(
                "SELECT DISTINCT with GROUP BY is not supported.",
                hint="Groups are distinct already: leave DISTINCT out.",
            )
        only(group, "expressions")
        return grouping_sets(list(group.expressions), lambda node: _key_node(node, items, scope))

    def _check_aggregates(
        self,
        tree: exp.Select,
        items: list[_Item],
        nodes: list[exp.Expression],
        rows: ExpressionBinder,
    ) -> None:
        """Refuse what would return rows of protected tables."""
        having = tree.args.get("having")
        if (
            nodes
            or any(_aggregates(item.node) for item in items)
            or (having and _aggregates(having))
        ):
            for item in items:
                star = item.node if isinstance(item.node, exp.Star) else item.node.this
                if isinstance(item.node, exp.Star | exp.Column) and isinstance(star, exp.Star):
                    raise WrongGrouping(
                        "A star cannot stand beside aggregates.", position=position_of(item.node)
                    )
            return
        for item in items:
            if item.node.find(exp.Star) is None:
                rows.bind(item.node)  # a name that is not there is the better thing to report
        raise RowsRefused(
            "This query would return rows of protected tables.",
            detail="Only aggregates over many people leave epsql, with noise.",
            hint=_rows_hint(tree, rows.scope),
            position=position_of(tree.expressions[0]),
        )


def key_ref(index: int, key: Expr, *, nullable: bool = False) -> Ref:
    """A group key as a column of the noisy rows, where numbers are exact numerics."""
    stored = Type.NUMERIC if key.facts.stored is Type.FLOAT8 else key.facts.stored
    facts = Facts(stored, limited(key.facts.physical), key.facts.declared, per_unit=True)
    return Ref("noisy", f"k{index}", key.type, key.nullable or nullable, facts)


def _key(rows: ExpressionBinder, node: exp.Expression) -> Expr:
    key = coerce(rows.bind(node), Type.TEXT)
    if isinstance(key, Constant):
        raise WrongGrouping("A constant is no group key.", position=position_of(node))
    if key.facts.owner or key.facts.holds_owner:
        raise RowsRefused(
            "The privacy unit's key cannot be a group key.",
            detail="Each group would be one person.",
            hint="Group by a property that many people share.",
            position=position_of(node),
        )
    if not key.facts.protected and key.facts.domain is None:
        raise PrivateKeys(
            "A key computed from a public table only is not supported.",
            hint="Group by the public column itself.",
            position=position_of(node),
        )
    return key


def _output(groups: GroupBinder, node: exp.Expression) -> Expr:
    return coerce(groups.bind(node), Type.TEXT)


def _key_node(node: exp.Expression, items: list[_Item], scope: Scope) -> exp.Expression:
    """GROUP BY's rule: a number is an ordinal; a bare name is a column first, then an alias."""
    if isinstance(node, exp.Literal):
        return _ordinal(node, items).node
    if isinstance(node, exp.Column) and not node.args.get("table"):
        name = name_of(node.this)
        labels = {label for entry in scope.entries for label, _ in entry.fields}
        if name not in labels and name not in scope.merged:
            for item in items:
                if item.name == name:
                    return item.node
    return node


def _ordinal(node: exp.Literal, items: list[_Item]) -> _Item:
    text = str(node.this)
    if node.args.get("is_string") or not text.isdigit() or not 1 <= int(text) <= len(items):
        raise WrongGrouping(
            f"{text} is not a position in the select list.", position=position_of(node)
        )
    return items[int(text) - 1]


def _having(tree: exp.Select, groups: GroupBinder) -> Expr | None:
    having = tree.args.get("having")
    if having is None:
        return None
    only(having, "this")
    condition = coerce(groups.bind(having.this), Type.BOOL)
    if condition.type is not Type.BOOL:
        raise WrongType("HAVING takes a condition.", position=position_of(having))
    return condition


def _order(
    tree: exp.Select,
    groups: GroupBinder,
    items: list[_Item],
    outputs: tuple[tuple[str, Expr], ...],
) -> tuple[SortKey, ...]:
    """ORDER BY's rule: a number is an ordinal; a bare name is an alias first, then a column."""
    order = tree.args.get("order")
    if order is None:
        return ()
    only(order, "expressions")
    keys = []
    for ordered in order.expressions:
        only(ordered, "this", "desc", "nulls_first")
        node, expression = ordered.this, None
        if isinstance(node, exp.Literal):
            expression = outputs[items.index(_ordinal(node, items))][1]
        elif isinstance(node, exp.Column) and not node.args.get("table"):
            named = [e for name, e in outputs if name == name_of(node.this)]
            expression = named[0] if named else None
        descending = bool(ordered.args.get("desc"))
        keys.append(
            SortKey(
                coerce(groups.bind(node), Type.TEXT) if expression is None else expression,
                descending,
                # PostgreSQL sorts NULL as larger than everything, unless told otherwise.
                bool(ordered.args.get("nulls_first")),
            )
        )
    return tuple(keys)


def _count(node: exp.Expression | None, name: str) -> int | None:
    if node is None:
        return None
    only(node, "expression")
    value = node.expression
    if not isinstance(value, exp.Literal) or not str(value.this).isdigit():
        raise Unsupported(
            f"{name} takes a constant, non-negative integer.", position=position_of(node)
        )
    if len(str(value.this)) > 10 or int(str(value.this)) >= 2**31:
        raise BadArgument(f"{name} is too large.", position=position_of(node))
    return int(str(value.this))


def _inner(node: exp.Expression) -> exp.Expression:
    return node.this if isinstance(node, exp.Alias) else node


def _output_name(node: exp.Expression) -> str:
    """The name that PostgreSQL gives a column of the result."""
    if isinstance(node, exp.Alias):
        return name_of(node.args["alias"])
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
        return name_of(node.this)
    if isinstance(node, exp.Filter | exp.Paren):
        return _output_name(node.this)
    if isinstance(node, exp.Cast):
        name = _output_name(node.this)
        return name if name != "?column?" else str(node.args["to"].sql("postgres")).lower()
    if isinstance(node, exp.Case):
        return "case"
    if isinstance(node, exp.Func) and not isinstance(node, exp.Binary | exp.Connector):
        return type(node).sql_name().lower()
    return "?column?"


def _aggregates(node: exp.Expression) -> bool:
    return node.find(exp.AggFunc, *AGGREGATES) is not None


def _rows_hint(tree: exp.Select, scope: Scope) -> str:
    """A query over the same FROM that works."""
    source = tree.args.get("from_")
    table = source.this if source is not None else None
    if not isinstance(table, exp.Table) or given(tree).get("joins"):
        return "Ask for aggregates, for example count(*) with GROUP BY."
    name = table.name
    for entry in scope.entries:
        for label, ref in entry.fields:
            if isinstance(ref.facts.domain, tuple) and ref.type is Type.TEXT:
                return f"Ask for aggregates: SELECT {label}, count(*) FROM {name} GROUP BY {label}"
    return f"Ask for aggregates: SELECT count(*) FROM {name}"


__all__ = ["bind", "key_ref"]
