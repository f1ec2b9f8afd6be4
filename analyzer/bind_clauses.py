"""What every SELECT has, over protected and over noisy rows: its items, names, order and limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from analyzer.bind_expressions import AGGREGATES, ExpressionBinder
from analyzer.column_names import NAMELESS
from analyzer.expressions import Call, Expr, SortKey
from analyzer.functions import build
from analyzer.functions.base import coerce, constant
from analyzer.refusals import (
    BadArgument,
    Refusal,
    UnboundedInfluence,
    Unsupported,
    WrongGrouping,
    WrongType,
)
from analyzer.scope import Scope, name_of
from analyzer.stages import COMPANIONS
from analyzer.syntax import COLUMN, only, position_of, without_parens
from analyzer.types import Type

_AGGREGATES = (exp.AggFunc, *AGGREGATES)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the select list."""

    name: str
    node: exp.Expression
    companion: str | None = None
    """What is shown of ``node``: one of :data:`COMPANIONS`, or the value itself."""
    bound: Expr | None = None
    """The column, where the item comes of a star."""


def items_of(tree: exp.Select) -> list[Item]:
    return [_item(node) for node in tree.expressions]


def _item(node: exp.Expression) -> Item:
    name, what = output_name(node), without_parens(inner(node))
    if isinstance(what, exp.Anonymous) and str(what.this).lower() in COMPANIONS:
        function = str(what.this).lower()
        if len(what.expressions) != 1:
            raise WrongType(f"{function} takes one argument.", position=position_of(node))
        return Item(name, what.expressions[0], function)
    return Item(name, inner(node))


def inner(node: exp.Expression) -> exp.Expression:
    return node.this if isinstance(node, exp.Alias) else node


def output_name(node: exp.Expression) -> str:
    """The name that PostgreSQL gives a column of the result."""
    if isinstance(node, exp.Alias):
        return name_of(node.args["alias"])
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
        return name_of(node.this)
    # Without a mark the parsers could not be compared: whatever is bound, it is refused.
    return str(node.meta.get(COLUMN, NAMELESS))


def is_star(node: exp.Expression) -> bool:
    return isinstance(node, exp.Star) or (
        isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
    )


def aggregates(node: exp.Expression) -> bool:
    """Whether there is an aggregate in an expression; the function of a window is none, and what
    stands in a subquery is that subquery's."""
    here = node.walk(prune=lambda part: isinstance(part, exp.Query))
    return any(isinstance(part, _AGGREGATES) and not _windowed(part) for part in here)


def _windowed(node: exp.Expr) -> bool:
    parent = node.parent
    if isinstance(parent, exp.Filter | exp.WithinGroup) and parent.this is node:
        return _windowed(parent)
    return isinstance(parent, exp.Window) and parent.this is node


def key_node(node: exp.Expression, items: Sequence[Item], scope: Scope) -> exp.Expression:
    """GROUP BY's rule: a number is an ordinal; a bare name is a column first, then an alias."""
    if isinstance(node, exp.Literal):
        return items[ordinal(node, items)].node
    if isinstance(node, exp.Column) and not node.args.get("table"):
        name = name_of(node.this)
        labels = {label for entry in scope.entries for label, _ in entry.fields}
        if name not in labels and name not in scope.merged:
            for item in items:
                if item.name == name:
                    return item.node
    return node


def ordinal(node: exp.Literal, items: Sequence[Item]) -> int:
    """Raises:
    WrongGrouping: the number is no position in the select list."""
    text = str(node.this)
    if node.args.get("is_string") or not text.isdigit() or not 1 <= int(text) <= len(items):
        raise WrongGrouping(
            f"{text} is not a position in the select list.", position=position_of(node)
        )
    return int(text) - 1


def condition(clause: exp.Expression | None, binder: ExpressionBinder, name: str) -> Expr | None:
    """The condition of WHERE or HAVING."""
    if clause is None:
        return None
    only(clause, "this")
    return truth(binder.bind(clause.this), name, position_of(clause))


def truth(value: Expr, name: str, position: int | None = None) -> Expr:
    """A value as a condition of ``name``.

    Raises:
        WrongType: it is none.
    """
    condition = coerce(value, Type.BOOL)
    if condition.type is not Type.BOOL:
        raise WrongType(f"{name} takes a condition.", position=position)
    return condition


def only_where(condition: Expr | None, value: Expr) -> Expr:
    """``value`` where the condition holds, else NULL."""
    if condition is None:
        return value
    return build("case", [condition, value, constant(None, untyped=True)])


def of_one_type(values: Sequence[Expr], tree: exp.Expression) -> tuple[Call, list[Expr]]:
    """The values of a column in the parts of a union, and a CASE that has their type and facts.

    Raises:
        WrongType: they share no type, by the rules of CASE.
    """
    try:
        branches = [part for value in values[:-1] for part in (constant(True), value)]
        whole = build("case", [*branches, values[-1]])
    except Refusal as refusal:
        refusal.message = "A column has different types in the parts."
        refusal.position = position_of(tree)
        raise
    assert isinstance(whole, Call)
    return whole, [*whole.args[1:-1:2], whole.args[-1]]


def refuse_clauses(tree: exp.Expression, *clauses: str) -> None:
    """Refuse what picks rows, or makes groups, by looking at everybody's.

    Raises:
        UnboundedInfluence: the subquery has one of the clauses.
    """
    for clause in clauses:
        if tree.args.get(clause) is not None:
            word = {"order": "ORDER BY", "group": "GROUP BY"}.get(clause, clause.upper())
            raise UnboundedInfluence(
                f"{word} is not supported in this subquery.",
                detail="Which rows it gives would depend on everybody's rows.",
                hint=f"Leave {word} out here; in the outer query it works on noisy values.",
                position=position_of(tree.args[clause]) or position_of(tree),
            )


def sort_keys(
    order: exp.Expression | None,
    binder: ExpressionBinder,
    items: Sequence[Item],
    outputs: Sequence[tuple[str, Expr]],
    *,
    distinct: bool,
) -> tuple[SortKey, ...]:
    """ORDER BY's rule: a number is an ordinal; a bare name is an alias first, then a column."""
    if order is None:
        return ()
    only(order, "expressions")
    keys = []
    for ordered in order.expressions:
        node, output = ordered.this, None
        if isinstance(node, exp.Literal):
            output = ordinal(node, items)
        elif isinstance(node, exp.Column) and not node.args.get("table"):
            named = [i for i, (name, _) in enumerate(outputs) if name == name_of(node.this)]
            output = named[0] if named else None
        expression = coerce(binder.bind(node), Type.TEXT) if output is None else outputs[output][1]
        if output is None:
            same = [i for i, (_, e) in enumerate(outputs) if e == expression]
            output = next((i for i in same if items[i].companion is None), None)
        if output is None and distinct:
            raise WrongGrouping(
                "With SELECT DISTINCT, ORDER BY takes columns of the select list.",
                hint="Add it to the select list, or leave DISTINCT out.",
                position=position_of(node),
            )
        keys.append(SortKey(expression, *_direction(ordered), output))
    return tuple(keys)


def sorted_by(
    order: exp.Expression | None, bind: Callable[[exp.Expression], Expr]
) -> list[SortKey]:
    """ORDER BY of a window, which knows no aliases and no ordinals."""
    if order is None:
        return []
    only(order, "expressions")
    return [
        SortKey(coerce(bind(ordered.this), Type.TEXT), *_direction(ordered))
        for ordered in order.expressions
    ]


def _direction(ordered: exp.Expression) -> tuple[bool, bool]:
    """Whether an item of ORDER BY is descending, and whether NULL comes first."""
    only(ordered, "this", "desc", "nulls_first")
    # PostgreSQL sorts NULL as larger than everything, unless told otherwise.
    return bool(ordered.args.get("desc")), bool(ordered.args.get("nulls_first"))


def _fetched(node: exp.Fetch) -> exp.Expression:
    """The number of FETCH FIRST n ROWS ONLY; one where there is none."""
    only(node, "direction", "count", "limit_options")
    options = node.args.get("limit_options")
    if options is not None:
        only(options, "rows")
    count: exp.Expression = node.args.get("count") or exp.Literal.number(1)
    return count


def count_of(node: exp.Expression | None, name: str) -> int | None:
    """The number of LIMIT or OFFSET."""
    if node is None:
        return None
    if isinstance(node, exp.Fetch):
        value = _fetched(node)
    else:
        only(node, "expression")
        value = node.expression
    if not isinstance(value, exp.Literal) or not str(value.this).isdigit():
        raise Unsupported(
            f"{name} takes a constant, non-negative integer.", position=position_of(node)
        )
    if len(str(value.this)) > 10 or int(str(value.this)) >= 2**31:
        raise BadArgument(f"{name} is too large.", position=position_of(node))
    return int(str(value.this))
