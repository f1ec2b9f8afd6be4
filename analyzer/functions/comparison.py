"""Comparisons and three-valued logic. None of them can fail; all have the two values as domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analyzer.expressions import Call, Constant, Expr, Facts
from analyzer.functions.base import Function, arity, as_type, coerce, merged, numbers, one_collation
from analyzer.functions.text import to_convert
from analyzer.refusals import WrongType
from analyzer.types import Type

_DATES = frozenset({Type.DATE, Type.TIMESTAMP, Type.TIMESTAMPTZ})
"""They compare with each other; what has no zone is meant in UTC, the zone of every session."""


def comparable(name: str, args: Sequence[Expr]) -> list[Expr]:
    """The arguments with untyped constants read as what they are compared with.

    Raises:
        WrongType: values of these types do not compare without a conversion.
    """
    typed = [a for a in args if not (isinstance(a, Constant) and a.untyped)]
    if any(a.type.is_number for a in typed):
        return numbers(name, args)
    result = [coerce(a, typed[0].type if typed else Type.TEXT) for a in args]
    kinds = {a.type for a in result}
    if len(kinds) > 1 and not kinds <= _DATES:
        listed = " and ".join(sorted(kind.value for kind in kinds))
        raise WrongType(
            f"{listed} do not compare.",
            hint="Write both sides in one type, for example with CAST(... AS ...).",
        )
    return result


def same_storage(args: Sequence[Expr], texts: Sequence[str]) -> list[str]:
    """Printed values in storage types whose comparison cannot fail: float8 meets numeric only as
    numeric (the other way can underflow), except that a constant becomes float8. Texts in one
    collation."""
    stored = {a.facts.stored for a in args if not isinstance(a, Constant)}
    if Type.FLOAT8 in {a.facts.stored for a in args}:
        to = Type.NUMERIC if stored - {Type.FLOAT8, Type.INT4} else Type.FLOAT8
        return [as_type(t, a, to) for t, a in zip(texts, args, strict=True)]
    return one_collation(texts, args)


def in_order(texts: Sequence[str], args: Sequence[Expr]) -> list[str]:
    """Printed values that can be put in order, however long a text is."""
    pairs = zip(texts, args, strict=True)
    return [to_convert(t, a) if a.type is Type.TEXT else t for t, a in pairs]


def _compare(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 2)
    typed = comparable(name, args)
    nullable = any(a.nullable for a in typed) and "DISTINCT" not in name
    return Call(name, tuple(typed), Type.BOOL, nullable, _truth(typed))


def _truth(args: Sequence[Expr]) -> Facts:
    return merged(args, Type.BOOL, domain=(False, True), total_domain=True)


_ORDERED = frozenset({"<", "<=", ">", ">="})


def _render_compare(call: Call, args: Sequence[str]) -> str:
    if call.function in _ORDERED:
        args = in_order(args, call.args)
    left, right = same_storage(call.args, args)
    return f"({left} {call.function} {right})"


def _logic(name: str, args: Sequence[Expr]) -> Call:
    typed = [coerce(a, Type.BOOL) for a in args]
    for arg in typed:
        if arg.type is not Type.BOOL:
            raise WrongType(f"{name.upper()} takes conditions, not {arg.type.value}.")
    nullable = any(a.nullable for a in typed) and not name.startswith("is ")
    return Call(name, tuple(typed), Type.BOOL, nullable, _truth(typed))


def _render_logic(call: Call, args: Sequence[str]) -> str:
    if call.function == "not":
        return f"(NOT {args[0]})"
    return f"({f' {call.function.upper()} '.join(args)})"


def _is_null(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1)
    typed = [coerce(args[0], Type.TEXT)]
    # That there is a key does not tell whose it is.
    facts = replace(_truth(typed), holds_owner=typed[0].facts.holds_owner)
    return Call(name, tuple(typed), Type.BOOL, False, facts)


def _render_suffix(call: Call, args: Sequence[str]) -> str:
    return f"({args[0]} {call.function.upper()})"


FUNCTIONS = (
    *(
        Function(name, _compare, _render_compare)
        for name in ("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
    ),
    *(Function(name, _logic, _render_logic) for name in ("and", "or", "not")),
    *(Function(name, _is_null, _render_suffix) for name in ("is null", "is not null")),
    *(Function(name, _logic, _render_suffix) for name in ("is true", "is false")),
)
