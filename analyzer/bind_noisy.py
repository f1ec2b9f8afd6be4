"""Which parts of a query are noisy: they aggregate protected rows, or read what does.

A SELECT that aggregates protected rows is *private*: its answer is noisy, and whatever stands
around it reads that answer only. A subquery that groups by the privacy unit's key is not: its rows
are still one person's each, and ``analyzer.bind_relations`` builds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from analyzer.bind_clauses import Item, aggregates, is_star, items_of, key_node
from analyzer.bind_own_windows import RowBinder
from analyzer.bind_relations import RelationBinder
from analyzer.catalog import Catalog, Given
from analyzer.refusals import Refusal
from analyzer.scope import Scope, name_of, qualifiers_of
from analyzer.syntax import given, only, position_of, scalars

Ctes = Mapping[str, tuple[exp.Expression, "Ctes"]]


class NoisyFinder:
    """Tells noisy subqueries from those whose rows still have an owner, or are public."""

    def __init__(self, catalog: Catalog, parameters: Sequence[Given]) -> None:
        self.catalog = catalog
        self.parameters = parameters
        self._known: dict[int, bool] = {}

    def is_noisy(self, tree: exp.Expression, ctes: Ctes) -> bool:
        """Whether the rows of a subquery are noisy results."""
        tree = bare(tree)
        if id(tree) not in self._known:
            self._known[id(tree)] = self._is_noisy(tree, ctes)
        return self._known[id(tree)]

    def _is_noisy(self, tree: exp.Expression, ctes: Ctes) -> bool:
        if isinstance(tree, exp.SetOperation):
            known = self._relations().ctes_of(tree, ctes)
            return any(self.is_noisy(arm, known) for arm in (tree.this, tree.expression))
        if not isinstance(tree, exp.Select):
            return False
        return self.reads_noisy(tree, ctes) or (
            _aggregating(tree) and not self._keeps_owner(tree, ctes)
        )

    def reads_noisy(self, tree: exp.Select, ctes: Ctes) -> bool:
        """Whether FROM holds noisy results; without FROM, whether a value in the select list is
        one."""
        known = self._relations().ctes_of(tree, ctes)
        from_ = tree.args.get("from_")
        if from_ is None:
            values = [node for item in tree.expressions for node in scalars(item)]
            return any(self.is_noisy(node.this, known) for node in values)
        items = [from_.this, *(join.this for join in tree.args.get("joins") or [])]
        return any(self.item_noisy(item, known) for item in items)

    def item_noisy(self, node: exp.Expression, ctes: Ctes) -> bool:
        """Whether an item of FROM is a noisy result."""
        found = subquery_of(node, ctes)
        return found is not None and self.is_noisy(*found)

    def _keeps_owner(self, tree: exp.Select, ctes: Ctes) -> bool:
        """Whether a SELECT groups by the privacy unit's key, or reads public rows only. What is
        wrong with it is no matter here: it is bound again."""
        group = tree.args.get("group")
        nodes = list(group.expressions) if group is not None else []
        items = items_of(tree)
        distinct = tree.args.get("distinct")
        if group is None and distinct is not None:
            on = distinct.args.get("on")
            nodes = [item.node for item in items] if on is None else list(on.expressions)
        try:
            relations = self._relations()
            source, scope, where, owned = relations.source(tree, ctes)
            if owned.owner is None:
                return True
            rows = RowBinder(relations, scope, source, where, owned)
            keys = [item.bound for item in expanded([i for i in items if i.node in nodes], scope)]
            keys += [rows.bind(key_node(n, items, scope)) for n in nodes if not is_star(n)]
            return any(key is not None and key.facts.owner for key in keys)
        except Refusal:
            return False

    def _relations(self) -> RelationBinder:
        return RelationBinder(self.catalog, self.parameters)


def bare(tree: exp.Expression) -> exp.Expression:
    """A query without the parentheses around it."""
    while isinstance(tree, exp.Subquery) and set(given(tree)) == {"this"}:
        tree = tree.this
    return tree


def subquery_of(node: exp.Expression, ctes: Ctes) -> tuple[exp.Expression, Ctes] | None:
    """The query that an item of FROM stands for, with the CTEs that it sees."""
    if isinstance(node, exp.Subquery):
        return node.this, ctes
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
        name = name_of(node.this)
        if node.args.get("db") is None and name in ctes:
            cte, known = ctes[name]
            return cte.this, known
    return None


def expanded(items: Sequence[Item], scope: Scope) -> list[Item]:
    """The select list with columns in place of stars."""
    found: list[Item] = []
    for item in items:
        if not is_star(item.node):
            found.append(item)
            continue
        if isinstance(item.node, exp.Star):
            only(item.node)
        table, places = qualifiers_of(item.node)
        columns = scope.stars(table, position_of(item.node), places)
        found += [Item(label, item.node, bound=ref) for label, ref in columns]
    return found


def _aggregating(tree: exp.Select) -> bool:
    clauses = any(tree.args.get(clause) is not None for clause in ("group", "having", "distinct"))
    return clauses or any(aggregates(item) for item in tree.expressions)
