"""Reading sqlglot's syntax trees without skipping anything."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from analyzer.refusals import Unsupported

Tree = exp.Select | exp.SetOperation
"""A whole statement."""
COLUMN = "column"
"""The mark of an item of a select list with the name that PostgreSQL gives its column."""


def given(node: exp.Expression) -> dict[str, object]:
    """The arguments of a syntax node that say something: not None, not False, not empty."""
    return {
        name: value
        for name, value in node.args.items()
        if value is not None and value is not False and value != []
    }


def only(node: exp.Expression, *allowed: str) -> None:
    """Refuse a node that has an argument we do not know. Unknown syntax is never skipped.

    Raises:
        Unsupported: an argument outside ``allowed`` is set.
    """
    for name, value in node.args.items():
        if name not in allowed and value is not None and value is not False and value != []:
            raise Unsupported(
                f"This form of {spoken(node)} is not supported.",
                detail=f"The part that epsql does not know is called '{name.strip('_')}'.",
                position=position_of(node),
            )


def without_parens(node: exp.Expression) -> exp.Expression:
    """What stands in parentheses, however many."""
    while isinstance(node, exp.Paren):
        only(node, "this")
        node = node.this
    return node


def array_beside(node: exp.Expression) -> exp.Expression | None:
    """The array of ``x = ANY (array)`` and of ``x <> ALL (array)``; None where it is neither."""
    if not isinstance(node, exp.EQ | exp.NEQ):
        return None
    right = node.expression
    arrays = [right.this] if isinstance(right, exp.Any) else right.expressions
    word = str(right.this).upper() if isinstance(right, exp.Anonymous) else "ANY"
    if not isinstance(right, exp.Any | exp.Anonymous) or len(arrays) != 1:
        return None
    array: exp.Expression = arrays[0]
    return array if word in (("ANY", "SOME") if isinstance(node, exp.EQ) else ("ALL",)) else None


def element_of(node: exp.Bracket) -> int:
    """Which element ``(array)[n]`` is, from 1 on.

    sqlglot counts from 0, unless it takes what stands before for something else than an array.

    Raises:
        Unsupported: it is no whole number.
    """
    index = node.expressions[0]
    if len(node.expressions) > 1 or not isinstance(index, exp.Literal) or not index.is_int:
        raise Unsupported("A subscript is a whole number.", position=position_of(node))
    kind = node.this.type
    shifted = kind is None or kind.this in (exp.DType.UNKNOWN, exp.DType.ARRAY)
    return int(str(index.this)) + shifted


def position_of(node: exp.Expression) -> int | None:
    """1-based offset of the first token of ``node`` that the parser kept a place for."""
    starts = [int(found.meta["start"]) for found in node.walk() if "start" in found.meta]
    return min(starts) + 1 if starts else None


def spoken(node: exp.Expression) -> str:
    """A syntax node's name for a sentence: ``Select`` is SELECT, ``NullSafeEQ`` is NULLSAFEEQ."""
    return type(node).__name__.upper()


def scalars(node: exp.Expression) -> Iterator[exp.Subquery]:
    """The subqueries in an expression that stand for one value each."""
    if node.find(exp.Subquery) is None:
        return  # as mostly: there is nothing to look for with care
    for part in node.walk(prune=lambda one: isinstance(one, exp.Query)):
        if isinstance(part, exp.Subquery) and not isinstance(part.parent, exp.In | exp.Exists):
            yield part
