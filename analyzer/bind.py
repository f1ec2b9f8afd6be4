"""A syntax tree to a :class:`~analyzer.relation.Query`: every name resolved, every type known."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from analyzer.bind_clauses import (
    Item,
    aggregates,
    condition,
    count_of,
    is_star,
    items_of,
    key_node,
    sort_keys,
)
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_groups import GroupBinder, key_ref
from analyzer.bind_noisy import Ctes
from analyzer.bind_outer import CLAUSES, OuterBinder
from analyzer.bind_sets import grouping_sets
from analyzer.catalog import Catalog, Given
from analyzer.expressions import Exists, Expr, Ref, Within, walk
from analyzer.functions.base import coerce
from analyzer.functions.clamps import listed
from analyzer.growth import check_growth
from analyzer.refusals import (
    PrivateKeys,
    RowsRefused,
    TooComplex,
    Unsupported,
    WrongGrouping,
)
from analyzer.relation import Aggregation, Query
from analyzer.scope import Scope
from analyzer.stages import Rows, Stage, cells_of, expressions
from analyzer.syntax import Tree, given, only, position_of
from analyzer.types import Type

MAX_WORK = 20_000
"""Over all expressions of a query, in operations on numbers: two milliseconds for a row, so that a
row more or less is no difference in time that can be seen."""


def bind(tree: Tree, catalog: Catalog, parameters: Sequence[Given] = ()) -> Query:
    """The typed query that a syntax tree means over a catalog.

    Raises:
        Refusal: with the position of what is refused.
    """
    binder = _QueryBinder(catalog, parameters)
    binder.query(tree, {}, top=True)
    if not binder.aggregations:
        raise Unsupported(
            "A query without FROM asks nothing of the data.",
            hint="Name a table in FROM.",
            position=position_of(tree),
        )
    query = Query(tuple(binder.aggregations), tuple(binder.stages))
    if sum(expression.facts.work for expression in _expressions(query)) > MAX_WORK:
        raise TooComplex(
            f"The query makes more than {MAX_WORK} operations for a row.",
            detail="Functions of text count as up to 200 each, logarithms as up to 200.",
            hint="Columns of subqueries count each time they are used: use fewer of them. Functions"
            " of left(x, 50) count for less than those of a long text x.",
        )
    return check_growth(query)


def _expressions(query: Query) -> list[Expr]:
    rows = [e for one in query.aggregations for e in (*one.keys, one.where) if e is not None]
    return [*rows, *(e for stage in query.stages for e in expressions(stage))]


class _QueryBinder(OuterBinder):
    def private(self, tree: exp.Select, ctes: Ctes) -> Stage:
        only(tree, *CLAUSES)
        # Each aggregation has a unit of its own, also where it stands for a value in another.
        before = self.relations.begin()
        source, scope, where, owned = self.relations.source(tree, ctes)
        if owned.owner is None:
            assert self.relations.unit is None, "rows without an owner come of public tables only"
            self.relations.unit = before
            return self.over_public(tree, ctes, source, scope, where)
        items = items_of(tree)
        rows = ExpressionBinder(scope, self.parameters, "GROUP BY")
        nodes, sets = self._key_nodes(tree, items, scope)
        self._check_aggregates(tree, items, nodes, rows)
        keys = tuple(_key(rows, node) for node in nodes)
        if len(sets) > 1 and len(set(keys)) < len(keys):
            # Here they would be two columns, of which a set can leave out one.
            raise Unsupported(
                "A key comes twice in the grouping sets, written in two ways.",
                hint="Write it the same way each time.",
                position=position_of(nodes[0]),
            )
        unit = self.relations.unit
        assert unit is not None, "the rows have an owner"
        around = self.catalog.around(unit)
        shown = tuple(listed(key, where) for key in keys)
        block = self.begin(Aggregation(source, owned, where, shown, unit, around, sets), tree)
        refs = [key_ref(block, i, key, nullable=len(sets) > 1) for i, key in enumerate(keys)]
        calls = self.calls(tree, self.relations.ctes_of(tree, ctes))
        groups = GroupBinder(rows, keys, refs, sets, calls, block, where)
        with calls.no_windows("HAVING"):
            having = condition(tree.args.get("having"), groups, "HAVING")
        outputs = tuple((i.name, coerce(groups.bind(i.node), Type.TEXT)) for i in items)
        # Groups by all columns differ already.
        distinct = tree.args.get("distinct") is not None and tree.args.get("group") is not None
        stage = Stage(
            source=Rows(cells_of(block), None, block),
            where=having,
            groups=None,
            outputs=outputs,
            companions=tuple(item.companion for item in items),
            distinct=distinct,
            order=sort_keys(tree.args.get("order"), groups, items, outputs, distinct=distinct),
            limit=count_of(tree.args.get("limit"), "LIMIT"),
            offset=count_of(tree.args.get("offset"), "OFFSET") or 0,
            calls=tuple(calls.made),
        )
        self.relations.unit = before
        return stage

    def _key_nodes(
        self, tree: exp.Select, items: list[Item], scope: Scope
    ) -> tuple[list[exp.Expression], tuple[int, ...]]:
        """What is grouped by, ordinals and aliases looked up, and the grouping sets of it."""
        distinct, group = tree.args.get("distinct"), tree.args.get("group")
        if distinct is not None:
            if distinct.args.get("on") is not None:
                raise Unsupported(
                    "DISTINCT ON picks rows of everybody here.",
                    hint="In a subquery, with the privacy unit's key in ON (...), it picks one row"
                    " of each person.",
                    position=position_of(distinct),
                )
            only(distinct)
        if group is None:
            plain = distinct is not None and not any(aggregates(i.node) for i in items)
            return ([i.node for i in items] if plain else []), (0,)
        only(group, "expressions")
        return grouping_sets(list(group.expressions), lambda node: key_node(node, items, scope))

    def _check_aggregates(
        self,
        tree: exp.Select,
        items: list[Item],
        nodes: list[exp.Expression],
        rows: ExpressionBinder,
    ) -> None:
        """Refuse what would return rows of protected tables."""
        having = tree.args.get("having")
        if nodes or any(aggregates(item.node) for item in items) or (having and aggregates(having)):
            for item in items:
                if is_star(item.node):
                    raise WrongGrouping(
                        "A star cannot stand beside aggregates.",
                        hint="Name the columns, and group by them.",
                        position=position_of(item.node),
                    )
            return
        for item in items:
            if item.node.find(exp.Star) is None or item.node.find(exp.Window) is not None:
                rows.bind(item.node)  # a name that is not there is the better thing to report
        raise RowsRefused(
            "This query would return rows of protected tables.",
            detail="Only aggregates over many people leave epsql, with noise.",
            hint=_rows_hint(tree, rows.scope),
            position=position_of(tree.expressions[0]),
        )


def _key(rows: ExpressionBinder, node: exp.Expression) -> Expr:
    key = coerce(rows.bind(node), Type.TEXT)
    if not any(isinstance(part, Ref | Exists | Within) for part in walk(key)):
        raise WrongGrouping(
            "A constant is no group key.",
            hint="Leave it out of GROUP BY; it may stand in the select list.",
            position=position_of(node),
        )
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
