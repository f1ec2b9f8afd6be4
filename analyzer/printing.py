"""Expressions and relations as SQL text: our own printer, and the only one.

Every operation stands in its own parentheses, every name is quoted and qualified by an alias of
ours, every constant of the analyst or the policy is a parameter inside a CAST. Integers that epsql
computed itself stand in the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.canonical import alias_mark, in_order, numbered, operands, value_mark
from analyzer.catalog import Table
from analyzer.expressions import Aggregate, Constant, Exists, Expr, Ref, Within
from analyzer.functions import render
from analyzer.functions.base import as_type
from analyzer.functions.comparison import same_storage
from analyzer.own_aggregates import group_form, plain
from analyzer.own_aggregates import render as render_own
from analyzer.plan import Parameter, Statement
from analyzer.relation import Derived, Grouped, Join, Relation, Scan, Union
from analyzer.types import Type
from analyzer.units import rows_per_unit


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Printer:
    """Prints expressions and relations as texts with marks, which :meth:`statement` numbers."""

    def __init__(
        self,
        catalog_tables: dict[str, Table],
        first_parameter: int = 1,
        *,
        most_rows: int | None = None,
    ) -> None:
        """``most_rows``: units with more rows than that in a table are left out of it."""
        self.tables = catalog_tables
        self._most_rows = most_rows
        self._first = first_parameter
        self._marks: dict[str, Parameter] = {}

    def statement(self, text: str) -> Statement:
        """A whole text, with its parameters numbered."""
        return numbered(text, self._marks, self._first)

    def parameter(self, value: Parameter, type_name: str) -> str:
        mark = value_mark(value)
        self._marks[mark] = value
        return f"CAST({mark} AS {type_name})"

    def expression(self, expression: Expr) -> str:
        """The expression in its ``facts.stored`` type."""
        if isinstance(expression, Ref):
            return f"{alias_mark(expression.alias)}.{quoted(expression.name)}"
        if isinstance(expression, Constant):
            return self.parameter(expression.value, expression.facts.stored.value)
        if isinstance(expression, Exists):
            where = f" WHERE {self.expression(expression.where)}" if expression.where else ""
            return f"(EXISTS (SELECT 1 FROM {self.relation(expression.source)}{where}))"
        if isinstance(expression, Within):
            sides = (expression.value, expression.column)
            value, column = same_storage(sides, [self.expression(e) for e in sides])
            return f"({value} IN (SELECT {column} FROM {self.relation(expression.source)}))"
        assert not isinstance(expression, Aggregate), "aggregates are planned before printing"
        args = operands(expression)
        call, texts = in_order(expression, args, [self.expression(arg) for arg in args])
        same = len(texts) == 1 < len(args)  # a condition that is said twice
        return texts[0] if same else render(call, texts)

    def relation(self, relation: Relation) -> str:
        """The relation as an item of FROM."""
        if isinstance(relation, Scan):
            return self._scan(relation)
        if isinstance(relation, Derived):
            return f"({self._select(relation)}) AS {alias_mark(relation.alias)}"
        if isinstance(relation, Grouped):
            return f"({self._own_groups(relation)}) AS {alias_mark(relation.alias)}"
        if isinstance(relation, Union):
            arms = [self._select(arm, relation.stored) for arm in relation.arms]
            return f"({' UNION ALL '.join(arms)}) AS {alias_mark(relation.alias)}"
        assert isinstance(relation, Join)
        left, right = self.relation(relation.left), self.relation(relation.right)
        if relation.on is None:
            return f"({left} CROSS JOIN {right})"
        kind = "LEFT JOIN" if relation.outer else "JOIN"
        return f"({left} {kind} {right} ON {self.expression(relation.on)})"

    def leads(self, text: str, alias: str, table: str, key: str) -> str:
        """That a printed value is the key of a row; texts in the database's own collation."""
        if self.tables[table].columns[key].type is Type.TEXT:
            text = f'({text} COLLATE "default")'
        return f"({text} = {alias}.{quoted(key)})"

    def _select(self, derived: Derived, stored: Sequence[Type] | None = None) -> str:
        """A SELECT; as an arm of a union, with columns stored as in all its arms."""
        columns = [self.expression(e) for e in derived.columns]
        if stored is not None:
            typed = zip(columns, derived.columns, stored, strict=True)
            # Columns of texts may be declared with collations that do not mix.
            columns = [
                f'({text} COLLATE "default")' if to is Type.TEXT else as_type(text, e, to)
                for text, e, to in typed
            ]
        columns = [f"{text} AS c{i}" for i, text in enumerate(columns)]
        if derived.owner is not None:
            owner = self.expression(derived.owner)
            if stored is not None and derived.owner.type is Type.TEXT:
                owner = f'({owner} COLLATE "default")'
            columns.append(f"{owner} AS owner")
        where = f" WHERE {self.expression(derived.where)}" if derived.where else ""
        source = self.relation(derived.source)
        return f"SELECT {', '.join(columns) or '1 AS nothing'} FROM {source}{where}"

    def _own_groups(self, grouped: Grouped) -> str:
        """Rows of one unit, and of no other, in each group: the owner is always grouped by."""
        columns, by = [], []
        if grouped.source.owner is not None:
            owner = f"{alias_mark(grouped.source.alias)}.owner"
            columns.append(f"{owner} AS owner")
            by.append(owner)
        for i, key in enumerate(grouped.keys):
            form = group_form(self.expression(key), key.facts.stored)
            by.append(form)
            columns.append(f"{plain(form, key.facts.stored)} AS k{i}")
        for i, aggregate in enumerate(grouped.aggregates):
            argument, condition = (
                "" if ref is None else self.expression(ref)
                for ref in (aggregate.argument, aggregate.condition)
            )
            columns.append(f"{render_own(aggregate, argument, condition)} AS a{i}")
        source = self.relation(grouped.source)
        # Of public rows there may be no keys; the group of all rows is there also without rows.
        return f"SELECT {', '.join(columns)} FROM {source} GROUP BY {', '.join(by) or '()'}"

    def _scan(self, scan: Scan) -> str:
        """A table; where the owner is further down the path, joined along it."""
        table, rows = scan.table, self._rows_of(scan.table)
        if self._most_rows is None or scan.owner is None or rows_per_unit(table) == 1:
            return f"{rows} AS {alias_mark(scan.alias)}"
        owner = quoted(scan.owner.name)
        few = f"SELECT w.{owner} FROM {rows} AS w GROUP BY w.{owner}"
        few += f" HAVING (count(*) <= {self._most_rows})"
        names = [*table.columns, *([scan.owner.name] if len(table.path) > 1 else [])]
        columns = ", ".join(f"s.{quoted(name)}" for name in names)
        text = f"SELECT {columns} FROM {rows} AS s WHERE (s.{owner} IN ({few}))"
        return f"({text}) AS {alias_mark(scan.alias)}"

    def _rows_of(self, table: Table) -> str:
        if len(table.path) < 2:
            return relation_name(table)
        columns = [f"p0.{quoted(name)}" for name in table.columns]
        source, at = f"{relation_name(table)} AS p0", "p0"
        for step, hop in enumerate(table.path[:-1], start=1):
            parent = relation_name(self.tables[hop.table])
            on = self.leads(f"{at}.{quoted(hop.column)}", f"p{step}", hop.table, hop.key)
            source, at = f"({source} JOIN {parent} AS p{step} ON {on})", f"p{step}"
        columns.append(f"{at}.{quoted(table.path[-1].column)} AS owner")
        return f"(SELECT {', '.join(columns)} FROM {source})"


def relation_name(table: Table) -> str:
    return f"{quoted(table.schema)}.{quoted(table.relation)}"
