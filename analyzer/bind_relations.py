"""FROM to relations: tables of the catalog, views, joins, subqueries and common table
expressions."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from analyzer.bind_clauses import truth
from analyzer.bind_conditions import ConditionBinder
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_full_joins import full_join
from analyzer.bind_joins import join
from analyzer.bind_subqueries import subquery
from analyzer.bind_tables import scan_of
from analyzer.bind_values import with_values
from analyzer.catalog import (
    VIEW_SCHEMA,
    Catalog,
    Column,
    Given,
    PrivacyUnit,
    Table,
    ValuesFrom,
    View,
)
from analyzer.expressions import Expr, Ref
from analyzer.parse import parse
from analyzer.refusals import (
    Refusal,
    SyntaxRefused,
    TooComplex,
    UnboundedInfluence,
    UnknownColumn,
    UnknownFunction,
    UnknownTable,
    Unsupported,
)
from analyzer.relation import Ownership, Relation
from analyzer.scope import Entry, Fields, Scope, name_of
from analyzer.syntax import only, position_of, spoken
from analyzer.units import ownership

MAX_SCANS = 24
"""The most tables that one query may read; a chain of CTEs can name the same one many times."""

Ctes = Mapping[str, tuple[exp.Expression, "Ctes"]]


class RelationBinder:
    """Binds FROM clauses. Aliases are our own, numbered in order, so texts that mean the same
    print the same."""

    def __init__(self, catalog: Catalog, parameters: Sequence[Given]) -> None:
        self.catalog = catalog
        self.parameters = parameters
        self.count = 0
        self.unit: PrivacyUnit | None = None
        """Whose the protected tables are that were read so far: there is one unit for all."""

    def begin(self) -> PrivacyUnit | None:
        """Begins another aggregation; returns the unit of the one before."""
        before, self.unit = self.unit, None
        return before

    def source(
        self,
        tree: exp.Select,
        ctes: Ctes,
        outer: Scope | None = None,
        *,
        correlated: bool = False,
    ) -> tuple[Relation, Scope, Expr | None, Ownership]:
        """FROM, JOIN and WHERE of one SELECT, with the owner of its rows proven.

        Args:
            tree: the SELECT.
            ctes: the common table expressions around it.
            outer: what the query around sees, where this is a condition's subquery.
            correlated: whether WHERE may use columns of ``outer``.

        Raises:
            Refusal: an unknown name, an unsupported form, or rows without one owner.
        """
        ctes = self.ctes_of(tree, ctes)
        from_ = tree.args.get("from_")
        if from_ is None:
            raise Unsupported(
                "A query without FROM asks nothing of the data.",
                hint="Name a table in FROM.",
                position=position_of(tree),
            )
        only(from_, "this")
        relation, entry = self.item(from_.this, ctes)
        scope = Scope((entry,), subqueries=ConditionBinder(self, ctes))
        for node in tree.args.get("joins") or []:
            item = self.item(node.this, ctes)
            if node.args.get("side") == "FULL":
                relation, scope = full_join(self, relation, scope, node, item, self._on)
            else:
                relation, scope = join(relation, scope, node, item, self._on)
        scope = replace(scope, outer=outer, correlated=correlated)
        relation, scope = with_values(self, tree, relation, scope, ctes)
        where = self._where(tree, scope)
        try:
            owned = ownership(relation, where, self.catalog, scope.names)
        except UnboundedInfluence as refusal:
            refusal.position = refusal.position or position_of(from_)
            raise
        return relation, scope, where, owned

    def _where(self, tree: exp.Select, scope: Scope) -> Expr | None:
        where = tree.args.get("where")
        if where is None:
            return None
        only(where, "this")
        return self._condition(where.this, scope, "WHERE")

    def _on(self, node: exp.Expression, scope: Scope) -> Expr:
        return self._condition(node, scope, "ON")

    def _condition(self, node: exp.Expression, scope: Scope, clause: str) -> Expr:
        bound = ExpressionBinder(scope, self.parameters, clause).bind(node)
        return truth(bound, clause, position_of(node))

    def ctes_of(self, tree: exp.Expression, outer: Ctes) -> Ctes:
        """The common table expressions that a SELECT sees: its own and those around it."""
        with_ = tree.args.get("with_")
        if with_ is None:
            return outer
        only(with_, "expressions")
        known = dict(outer)
        for cte in with_.expressions:
            only(cte, "this", "alias")
            known[name_of(cte.args["alias"].this)] = (cte, dict(known))
        return known

    def item(self, node: exp.Expression, ctes: Ctes) -> tuple[Relation, Entry]:
        """An item of FROM: a table, a view or a subquery, with its columns."""
        if isinstance(node, exp.Table):
            try:
                return self._table(node, ctes)
            except Refusal as refusal:
                if refusal.position is None:
                    refusal.position = position_of(node)
                raise
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            if node.args.get("alias") is None:
                raise SyntaxRefused(
                    "A subquery in FROM needs an alias.",
                    hint="Write (SELECT ...) AS name.",
                    position=position_of(node),
                )
            relation, fields = subquery(self, node.this, ctes, position_of(node))
            return relation, self.renamed(Entry("", fields), node.args["alias"])
        if isinstance(node, exp.Lateral):
            raise Unsupported(
                "LATERAL is not supported.",
                hint="Join with a subquery that is grouped by the privacy unit's key, or write"
                " (SELECT max(x) FROM ... WHERE key = outer.key) where its value is needed.",
                position=position_of(node),
            )
        raise Unsupported(f"{spoken(node)} is not supported in FROM.", position=position_of(node))

    def _table(self, node: exp.Table, ctes: Ctes) -> tuple[Relation, Entry]:
        if not isinstance(node.this, exp.Identifier):
            raise UnknownFunction(
                "Functions in FROM are not supported.",
                hint="Join a public table that lists the values.",
            )
        only(node, "this", "db", "catalog", "alias")
        database = node.args.get("catalog")
        if database is not None and name_of(database) != self.catalog.dataset:
            raise Unsupported(
                "Another database cannot be asked here.",
                hint=f'The name of this one is "{self.catalog.dataset}".',
            )
        name, alias = name_of(node.this), node.args.get("alias")
        schema = name_of(node.args["db"]) if node.args.get("db") else None
        relation: Relation
        if schema is None and name in ctes:
            cte, known = ctes[name]
            relation, fields = subquery(self, cte.this, known, position_of(cte))
            entry = self.renamed(Entry("", fields), cte.args["alias"])
            return relation, self.renamed(entry, alias)
        if schema in (None, VIEW_SCHEMA) and name in self.catalog.views:
            relation, fields = self._view(self.catalog.views[name], position_of(node))
            return relation, self.renamed(Entry(name, fields), alias)
        table = self.catalog.tables.get(name)
        if table is None or schema not in (None, table.schema):
            raise self._unknown_table(name)
        scan, fields = scan_of(table, self.spend(None), self.catalog)
        if table.protected:
            self._owned(table)
        places = (table.schema, self.catalog.dataset)
        return scan, self.renamed(Entry(table.name, fields, places), alias)

    def _view(self, view: View, position: int | None) -> tuple[Relation, Fields]:
        """A view's own SQL in its place. It sees declared tables only, and no parameters."""
        binder = RelationBinder(replace(self.catalog, views={}), ())
        binder.count, binder.unit = self.count, self.unit
        try:
            relation, fields = binder.view(view)
        except Refusal as refusal:
            refusal.position = position  # a place in the view's text is none in the query's
            raise
        self.count, self.unit = binder.count, binder.unit
        return relation, fields

    def view(self, view: View) -> tuple[Relation, Fields]:
        """The rows and columns of a view, by its own SQL."""
        return subquery(self, parse(view.sql), {}, None)

    def spend(self, position: int | None) -> str:
        """The next alias of ours.

        Raises:
            TooComplex: there are too many.
        """
        self.count += 1
        if self.count > MAX_SCANS:
            raise TooComplex(
                f"The query reads tables and subqueries more than {MAX_SCANS} times.",
                position=position,
            )
        return f"t{self.count - 1}"

    def _owned(self, table: Table) -> None:
        """Notes whose rows a table has.

        Raises:
            UnboundedInfluence: rows of another unit were read before.
        """
        unit = self.catalog.unit_of(table)
        if self.unit is not None and self.unit != unit:
            raise UnboundedInfluence(
                "Tables of different privacy units meet in one aggregation.",
                detail=f"Rows of {table.name} are those of {unit.table}, others here of"
                f" {self.unit.table}: one row would have two owners.",
                hint=self._instead(self.unit, unit),
            )
        self.unit = unit

    def _instead(self, one: PrivacyUnit, other: PrivacyUnit) -> str:
        for inner, outer in ((one, other), (other, one)):
            if self.catalog.around(inner) == outer:
                return (
                    f"What {outer.table} says of each of its {inner.table} can be asked where it is"
                    f" a column of {inner.table}: the data owner can add it there."
                )
        return "Aggregate each in a subquery of its own, and join the results."

    def renamed(self, entry: Entry, alias: exp.Expression | None) -> Entry:
        if alias is None:
            return entry
        only(alias, "this", "columns")
        names = [name_of(c) for c in alias.args.get("columns") or []]
        if not names:
            return Entry(name_of(alias.this), entry.fields)
        if len(names) > len(entry.fields):
            raise UnknownColumn(
                "The alias names more columns than there are.",
                hint="Name as many as the subquery has, or fewer.",
                position=position_of(alias),
            )
        labels = [*names, *(label for label, _ in entry.fields[len(names) :])]
        refs = [ref for _, ref in entry.fields]
        return Entry(name_of(alias.this), tuple(zip(labels, refs, strict=True)))

    def _unknown_table(self, name: str) -> UnknownTable:
        close = difflib.get_close_matches(name, sorted(self.catalog.tables), n=1)
        listed = ", ".join(sorted(self.catalog.tables))
        hint = f'Perhaps you mean "{close[0]}".' if close else f"Tables here: {listed}."
        return UnknownTable(f'There is no table "{name}".', hint=hint)


def view_columns(view: View, catalog: Catalog) -> tuple[PrivacyUnit | None, tuple[Column, ...]]:
    """Whose the rows of a view are (None: public), and its columns with what follows of them.

    Raises:
        Refusal: the view cannot be read, or its rows would not have one owner; the position is one
            in the view's SQL.
    """
    binder = RelationBinder(replace(catalog, views={}), ())
    _, fields = binder.view(view)
    return binder.unit, tuple(_derived(name, ref) for name, ref in fields)


def _derived(name: str, ref: Ref) -> Column:
    """A computed column as it could have been declared."""
    domain, bounds = ref.facts.domain, ref.facts.declared
    return Column(
        name,
        ref.type,
        ref.nullable,
        lower=bounds.lower if bounds.magnitude is not None else None,
        upper=bounds.upper if bounds.magnitude is not None else None,
        values=domain if isinstance(domain, tuple) else None,
        values_from=domain if isinstance(domain, ValuesFrom) else None,
    )
