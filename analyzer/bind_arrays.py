"""``x = ANY (array)`` and ``x <> ALL (array)``, which are IN and NOT IN with the array's elements.

No array is ever computed: one is written out, or comes as a parameter, and its elements are known
when the query is planned.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from analyzer.bind_calls import cast_as
from analyzer.expressions import Constant, Expr
from analyzer.functions import build
from analyzer.functions.base import coerce, constant, widest
from analyzer.refusals import BadArgument, SyntaxRefused, TooComplex, Unsupported, WrongType
from analyzer.syntax import only, without_parens
from analyzer.types import Type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.bind_expressions import ExpressionBinder
    from analyzer.catalog import Given

MOST_ELEMENTS = 1_000
_BLANKS = " \t\n\r\v\f"
_ELEMENT = re.compile(
    rf"""[{_BLANKS}]*(?:"((?:[^"\\]|\\.)*)"[{_BLANKS}]*|([^"\\{{}},]+))""", re.DOTALL
)


def one_of(value: Expr, choices: Sequence[Expr]) -> Expr:
    """Whether ``value`` is one of the choices, as IN says it."""
    found = [build("=", [value, choice]) for choice in choices]
    return any_of(found) if found else constant(False)


def any_of(conditions: Sequence[Expr]) -> Expr:
    """Whether one of the conditions holds; there is at least one."""
    return conditions[0] if len(conditions) == 1 else build("or", conditions)


def within_array(binder: ExpressionBinder, value: Expr, node: exp.Expression) -> Expr:
    """``value = ANY (node)``. Among no elements nothing is, not even NULL; of a NULL in place of an
    array nobody knows.

    Raises:
        Unsupported: an array that only the data could make.
        TooComplex: more than ``MOST_ELEMENTS`` elements.
        BadArgument: a text that is no array, or has an element of another type.
        WrongType: elements of types that do not compare.
    """
    node, target = without_parens(node), None
    if isinstance(node, exp.Cast):
        only(node, "this", "to")
        node, target = node.this, _element_type(node.args["to"])
    elements = _elements(binder, node)
    if target is not None:
        # An array without elements has a type too.
        build("=", [value, cast_as(_untyped(None), target)])
        elements = elements and [cast_as(element, target) for element in elements]
    elif isinstance(node, exp.Array):
        elements = _of_one_type(elements or [])
    return constant(None, Type.BOOL) if elements is None else one_of(value, elements)


def fractions_of(binder: ExpressionBinder, node: exp.Expression) -> list[Expr] | None:
    """The elements of an array of numbers that is written out or a parameter; None where ``node``
    is no array. A text is none without a cast, as in PostgreSQL.

    Raises:
        BadArgument: a text that is no array, or has an element that is no number.
        TooComplex: more than ``MOST_ELEMENTS`` elements.
    """
    node = without_parens(node)
    if isinstance(node, exp.Cast) and node.args["to"].is_type("array"):
        only(node, "this", "to")
        target = _element_type(node.args["to"])
        return [cast_as(element, target) for element in _elements(binder, node.this) or []]
    listed = isinstance(node, exp.Parameter) and isinstance(binder.given(node), tuple)
    if not (listed or isinstance(node, exp.Array)):
        return None
    return [coerce(element, Type.NUMERIC) for element in _elements(binder, node) or []]


def _element_type(target: exp.Expression) -> exp.Expression:
    inner: list[exp.Expression] = target.expressions
    if getattr(target.this, "name", "") != "ARRAY" or len(inner) != 1:
        raise WrongType("ANY and ALL take an array.", hint="Write x = ANY ('{a,b}'::text[]).")
    return inner[0]


def _elements(binder: ExpressionBinder, node: exp.Expression) -> list[Expr] | None:
    """The elements; None for a NULL in place of the array."""
    node = without_parens(node)
    if isinstance(node, exp.Array):
        only(node, "expressions")
        _check_length(node.expressions)
        return [binder.bind(element) for element in node.expressions]
    given: Given
    if isinstance(node, exp.Parameter):
        given = binder.given(node)
    elif isinstance(node, exp.Literal) and node.args.get("is_string"):
        given = str(node.this)
    elif isinstance(node, exp.Null):
        given = None
    elif isinstance(node, exp.Query):
        raise binder.no_subquery(node)
    else:
        raise Unsupported(
            "ANY and ALL take an array that is written out, or a parameter.",
            hint="Write x = ANY (ARRAY[1, 2]), x = ANY ('{1,2}'::integer[]), or x = ANY ($1).",
        )
    if given is None:
        return None
    if isinstance(given, str):
        given = read_array(given)
    if not isinstance(given, tuple):
        raise BadArgument("ANY and ALL take an array, and the parameter is none.")
    _check_length(given)
    return [_untyped(e) if e is None or isinstance(e, str) else constant(e) for e in given]


def _untyped(value: str | None) -> Constant:
    return constant(value, Type.TEXT if value is None else None, untyped=True)


def _check_length(elements: Sequence[object]) -> None:
    if len(elements) > MOST_ELEMENTS:
        raise TooComplex(
            f"An array has more than {MOST_ELEMENTS:,} elements.",
            hint="Put the values into a public table, and write IN (SELECT ... FROM it).",
        )


def _of_one_type(elements: list[Expr]) -> list[Expr]:
    """The elements of ``ARRAY[...]`` without a cast: they share a type, which is not that of what
    they are compared with; bare strings are texts."""
    if not elements:
        raise SyntaxRefused("An empty array has no type.", hint="Write ARRAY[]::integer[].")
    kinds = {e.type for e in elements if not (isinstance(e, Constant) and e.untyped)}
    if len(kinds) > 1 and not all(kind.is_number for kind in kinds):
        listed = " and ".join(sorted(kind.value for kind in kinds))
        raise WrongType(f"The elements of an array mix {listed}.")
    to = widest(list(kinds)) if len(kinds) > 1 else next(iter(kinds), Type.TEXT)
    return [coerce(element, to) for element in elements]


def read_array(text: str) -> tuple[str | None, ...]:
    """The elements of an array of one dimension that is written as a text, as PostgreSQL reads it
    (manual, 8.15.2).

    Raises:
        BadArgument: it is none. The text is the analyst's own.
    """
    inside = text.strip(_BLANKS)
    if not (inside.startswith("{") and inside.endswith("}") and len(inside) > 1):
        raise _no_array(text)
    inside = inside[1:-1]
    if not inside.strip(_BLANKS):
        return ()
    elements: list[str | None] = []
    at = -1
    while at < len(inside):
        found = _ELEMENT.match(inside, at + 1)
        if found is None or inside[found.end() : found.end() + 1] not in ("", ","):
            raise _no_array(text)
        quoted, plain = found.groups()
        plain = (plain or "").strip(_BLANKS)
        if quoted is not None:
            elements.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        elif not plain:
            raise _no_array(text)
        else:
            elements.append(None if plain.upper() == "NULL" else plain)
        at = found.end()
    return tuple(elements)


def _no_array(text: str) -> BadArgument:
    return BadArgument(
        f"'{text[:40]}' is no array of one dimension.",
        hint="An array is written '{a,b}', with \"...\" around an element that needs it.",
    )
