"""FROM to relations: tables of the catalog, views, joins, subqueries and common table
expressions."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from sqlglot import exp

from analyzer.bind_conditions import ConditionBinder
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_joins import join
from analyzer.bind_subqueries import Fields, subquery
from analyzer.catalog import (
    VIEW_SCHEMA,
    Catalog,
    Column,
    PrivacyUnit,
    Scalar,
    Table,
    ValuesFrom,
    View,
)
from analyzer.expressions import Expr, Facts, Ref
from analyzer.functions.base import coerce
from analyzer.parse import parse
from analyzer.ranges import column_facts
from analyzer.refusals import (
    Refusal,
    SyntaxRefused,
    TooComplex,
    UnboundedInfluence,
    UnknownColumn,
    UnknownFunction,
    UnknownTable,
    Unsupported,
    WrongType,
)
from analyzer.relation import Ownership, Relation, Scan
from analyzer.scope import Entry, Scope, name_of
from analyzer.syntax import only, position_of, spoken
from analyzer.types import Type
from analyzer.units import owner_column, ownership, place, rows_per_unit

MAX_SCANS = 24
"""The most tables that one query may read; a chain of CTEs can name the same one many times."""

Ctes = Mapping[str, tuple[exp.Expression, "Ctes"]]


class RelationBinder:
    """Binds FROM clauses. Aliases are our own, numbered in order, so texts that mean the same
    print the same."""

    def __init__(self, catalog: Catalog, parameters: Sequence[Scalar | None]) -> None:
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
                "A query without FROM asks nothing of the data.", position=position_of(tree)
            )
        only(from_, "this")
        relation, entry = self.item(from_.this, ctes)
        scope = Scope((entry,), subqueries=ConditionBinder(self, ctes))
        for node in tree.args.get("joins") or []:
            item = self.item(node.this, ctes)
            relation, scope = join(relation, scope, node, item, self._on)
        scope = replace(scope, outer=outer, correlated=correlated)
        where = self._where(tree, scope)
        names = {
            place(ref): f"{entry.name}.{label}"
            for entry in scope.entries
            for label, ref in entry.fields
        }
        try:
            owned = ownership(relation, where, self.catalog, names)
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
        bound = coerce(ExpressionBinder(scope, self.parameters, clause).bind(node), Type.BOOL)
        if bound.type is not Type.BOOL:
            raise WrongType(f"{clause} takes a condition.", position=position_of(node))
        return bound

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
            return self._table(node, ctes)
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            if node.args.get("alias") is None:
                raise SyntaxRefused(
                    "A subquery in FROM needs an alias.", position=position_of(node)
                )
            relation, fields = subquery(self, node.this, ctes, position_of(node))
            return relation, self.renamed(Entry("", fields), node.args["alias"])
        if isinstance(node, exp.Lateral):
            raise Unsupported("LATERAL is not supported.", position=position_of(node))
        raise Unsupported(f"{spoken(node)} is not supported in FROM.", position=position_of(node))

    def _table(self, node: exp.Table, ctes: Ctes) -> tuple[Relation, Entry]:
        if not isinstance(node.this, exp.Identifier):
            raise UnknownFunction(
                "Functions in FROM are not supported.", position=position_of(node)
            )
        only(node, "this", "db", "alias")
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
            raise self._unknown_table(name, position_of(node))
        self.spend(position_of(node))
        if table.protected:
            self._owned(table, position_of(node))
        scan, fields = self._scan(table)
        return scan, self.renamed(Entry(table.name, fields, table.schema), alias)

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

    def _owned(self, table: Table, position: int | None) -> None:
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
                hint="Aggregate each in a subquery of its own, and join the results.",
                position=position,
            )
        self.unit = unit

    def _scan(self, table: Table) -> tuple[Scan, tuple[tuple[str, Ref], ...]]:
        alias = f"t{self.count - 1}"
        per_unit = rows_per_unit(table) == 1
        key = self._key(table) if table.protected else None
        # A unit's own table can have other unique keys beside the unit's.
        own = key.name if key is not None and not table.path else owner_column(table)
        around = self._around(table)
        owner: Ref | None = None
        fields = []
        for column in table.columns.values():
            facts = _column_facts(column, protected=table.protected)
            if not table.protected:
                facts = replace(
                    facts, domain=ValuesFrom(table.name, column.name), total_domain=True
                )
            is_owner = column.name == own
            facts = replace(
                facts,
                per_unit=per_unit or is_owner,
                owner=is_owner,
                # A key of the unit around names people as much as their own.
                holds_owner=column.name == around,
            )
            # Rows without an owner never count, so where a row counts its owner is there.
            nullable = column.nullable and not is_owner
            ref = Ref(alias, column.name, column.type, nullable, facts, (table.name, column.name))
            fields.append((column.name, ref))
            owner = ref if is_owner else owner
        if key is not None and owner is None:
            facts = Facts(key.type, per_unit=True, owner=True, protected=True)
            owner = Ref(alias, "owner", key.type, True, facts)
        return Scan(alias, table, owner), tuple(fields)

    def _key(self, table: Table) -> Column:
        """The unit key that a protected table leads to."""
        unit = self.catalog.unit_of(table)
        return self.catalog.tables[unit.table].columns[unit.key]

    def _around(self, table: Table) -> str | None:
        """The column of a unit's own table that leads to the unit around."""
        if not table.protected or table.path:
            return None
        path = self.catalog.unit_of(table).path
        return path[0].column if path else None

    def renamed(self, entry: Entry, alias: exp.Expression | None) -> Entry:
        if alias is None:
            return entry
        only(alias, "this", "columns")
        names = [name_of(c) for c in alias.args.get("columns") or []]
        if len(names) > len(entry.fields):
            raise UnknownColumn(
                "The alias names more columns than there are.", position=position_of(alias)
            )
        labels = [*names, *(label for label, _ in entry.fields[len(names) :])]
        refs = [ref for _, ref in entry.fields]
        return Entry(name_of(alias.this), tuple(zip(labels, refs, strict=True)))

    def _unknown_table(self, name: str, position: int | None) -> UnknownTable:
        close = difflib.get_close_matches(name, sorted(self.catalog.tables), n=1)
        listed = ", ".join(sorted(self.catalog.tables))
        hint = f'Perhaps you mean "{close[0]}".' if close else f"Tables here: {listed}."
        return UnknownTable(f'There is no table "{name}".', hint=hint, position=position)


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


# The catalog's columns are the same for every query.
_column_facts = lru_cache(maxsize=4096)(column_facts)
