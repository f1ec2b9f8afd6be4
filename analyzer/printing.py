"""Expressions and relations as SQL text: our own printer, and the only one.

Every operation stands in its own parentheses, every name is quoted and qualified by an alias of
ours, every constant of the analyst or the policy is a parameter inside a CAST. Integers that epsql
computed itself stand in the text.
"""

from __future__ import annotations

from analyzer.catalog import Scalar, Table
from analyzer.expressions import Aggregate, Constant, Expr, Ref
from analyzer.functions import render
from analyzer.plan import Parameter
from analyzer.relation import Derived, Join, Relation, Scan


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Printer:
    """Prints expressions and relations; collects the parameters in order of first use."""

    def __init__(self, catalog_tables: dict[str, Table], first_parameter: int = 1) -> None:
        self.tables = catalog_tables
        self.first = first_parameter
        self.parameters: list[Parameter] = []

    def parameter(self, value: Scalar | object | None, type_name: str) -> str:
        self.parameters.append(value)  # type: ignore[arg-type]
        return f"CAST(${self.first + len(self.parameters) - 1} AS {type_name})"

    def expression(self, expression: Expr) -> str:
        """The expression in its ``facts.stored`` type."""
        if isinstance(expression, Ref):
            return f"{expression.alias}.{quoted(expression.name)}"
        if isinstance(expression, Constant):
            return self.parameter(expression.value, expression.facts.stored.value)
        assert not isinstance(expression, Aggregate), "aggregates are planned before printing"
        return render(expression, [self.expression(arg) for arg in expression.args])

    def relation(self, relation: Relation) -> str:
        """The relation as an item of FROM."""
        if isinstance(relation, Scan):
            return self._scan(relation)
        if isinstance(relation, Derived):
            columns = [f"{self.expression(e)} AS c{i}" for i, e in enumerate(relation.columns)]
            if relation.owner is not None:
                columns.append(f"{self.expression(relation.owner)} AS owner")
            listed = ", ".join(columns) or "1 AS nothing"
            source = self.relation(relation.source)
            where = f" WHERE {self.expression(relation.where)}" if relation.where else ""
            return f"(SELECT {listed} FROM {source}{where}) AS {relation.alias}"
        assert isinstance(relation, Join)
        left, right = self.relation(relation.left), self.relation(relation.right)
        if relation.on is None:
            return f"({left} CROSS JOIN {right})"
        kind = "LEFT JOIN" if relation.outer else "JOIN"
        return f"({left} {kind} {right} ON {self.expression(relation.on)})"

    def _scan(self, scan: Scan) -> str:
        """A table; where the owner is further down the path, joined along it."""
        table = scan.table
        if len(table.path) < 2:
            return f"{relation_name(table)} AS {scan.alias}"
        columns = [f"p0.{quoted(name)}" for name in table.columns]
        source, at = f"{relation_name(table)} AS p0", "p0"
        for step, hop in enumerate(table.path[:-1], start=1):
            parent = relation_name(self.tables[hop.table])
            on = f"({at}.{quoted(hop.column)} = p{step}.{quoted(hop.key)})"
            source, at = f"({source} JOIN {parent} AS p{step} ON {on})", f"p{step}"
        columns.append(f"{at}.{quoted(table.path[-1].column)} AS owner")
        return f"(SELECT {', '.join(columns)} FROM {source}) AS {scan.alias}"


def relation_name(table: Table) -> str:
    return f"{quoted(table.schema)}.{quoted(table.relation)}"
