"""Items of a select list: their names, and what GROUP BY means by a number or a bare name."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from analyzer.bind_expressions import AGGREGATES
from analyzer.parse import position_of
from analyzer.refusals import WrongGrouping
from analyzer.scope import Scope, name_of


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the select list."""

    name: str
    node: exp.Expression


def key_node(node: exp.Expression, items: list[Item], scope: Scope) -> exp.Expression:
    """GROUP BY's rule: a number is an ordinal; a bare name is a column first, then an alias."""
    if isinstance(node, exp.Literal):
        return ordinal(node, items).node
    if isinstance(node, exp.Column) and not node.args.get("table"):
        name = name_of(node.this)
        labels = {label for entry in scope.entries for label, _ in entry.fields}
        if name not in labels and name not in scope.merged:
            for item in items:
                if item.name == name:
                    return item.node
    return node


def ordinal(node: exp.Literal, items: list[Item]) -> Item:
    text = str(node.this)
    if node.args.get("is_string") or not text.isdigit() or not 1 <= int(text) <= len(items):
        raise WrongGrouping(
            f"{text} is not a position in the select list.", position=position_of(node)
        )
    return items[int(text) - 1]


def inner(node: exp.Expression) -> exp.Expression:
    return node.this if isinstance(node, exp.Alias) else node


def output_name(node: exp.Expression) -> str:
    """The name that PostgreSQL gives a column of the result."""
    if isinstance(node, exp.Alias):
        return name_of(node.args["alias"])
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
        return name_of(node.this)
    if isinstance(node, exp.Filter | exp.Paren):
        return output_name(node.this)
    if isinstance(node, exp.Cast):
        name = output_name(node.this)
        return name if name != "?column?" else str(node.args["to"].sql("postgres")).lower()
    if isinstance(node, exp.Case):
        return "case"
    if isinstance(node, exp.LogicalAnd | exp.LogicalOr):
        return "bool_and" if isinstance(node, exp.LogicalAnd) else "bool_or"
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    if isinstance(node, exp.Func) and not isinstance(node, exp.Binary | exp.Connector):
        return type(node).sql_name().lower()
    return "?column?"


def aggregates(node: exp.Expression) -> bool:
    """Whether an aggregate stands in it, not counting those of subqueries in it."""
    here = node.walk(prune=lambda part: isinstance(part, exp.Query))
    return any(isinstance(part, (exp.AggFunc, *AGGREGATES)) for part in here)
