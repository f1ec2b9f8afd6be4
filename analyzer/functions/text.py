"""Text: functions that raise on no string, with constant arguments where a value could."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from analyzer.expressions import Call, Constant, Expr, Interval
from analyzer.functions.base import Function, arity, coerce, merged, static_integer
from analyzer.refusals import BadPattern, WrongType
from analyzer.types import Type

_MOST_CHARACTERS = 10_000
"""Where texts that are joined are cut off."""
_LONGEST = Interval(Fraction(0), Fraction(2**30))


def _texts(name: str, args: Sequence[Expr]) -> list[Expr]:
    typed = [coerce(a, Type.TEXT) for a in args]
    for arg in typed:
        if arg.type is not Type.TEXT:
            raise WrongType(
                f"{name} takes text, not {arg.type.value}.", hint="Write CAST(x AS text)."
            )
    return typed


def _text(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 2 if name == "||" else 1)
    typed = _texts(name, args)
    return Call(
        name, tuple(typed), Type.TEXT, any(a.nullable for a in typed), merged(typed, Type.TEXT)
    )


def _length(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1)
    typed = _texts(name, args)
    facts = merged(typed, Type.INT4, physical=_LONGEST, tick=Fraction(1))
    return Call(name, tuple(typed), Type.INT4, typed[0].nullable, facts)


def _ends(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 2)
    typed = _texts(name, args[:1])
    count = static_integer(name, args[1], 0, 1_000)
    return Call(
        name, tuple(typed), Type.TEXT, typed[0].nullable, merged(typed, Type.TEXT), str(count)
    )


def _render_ends(call: Call, args: Sequence[str]) -> str:
    return f"{call.function}({args[0]}, {call.detail})"


def _condition(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 2)
    typed = _texts(name, args)
    facts = merged(typed, Type.BOOL, domain=(False, True), total_domain=True)
    return Call(name, tuple(typed), Type.BOOL, any(a.nullable for a in typed), facts)


def _like(name: str, args: Sequence[Expr]) -> Call:
    pattern = args[1].value if isinstance(args[1], Constant) else None
    if not isinstance(pattern, str):
        raise BadPattern(f"{name.upper()} takes a constant pattern.")
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise BadPattern(
            "The pattern ends in a single backslash, which would fail on some rows.",
            hint="Double it to look for a backslash.",
        )
    return _condition(name, args)


def _render_infix(call: Call, args: Sequence[str]) -> str:
    return f"({args[0]} {call.function.upper()} {args[1]})"


def _render_joined(call: Call, args: Sequence[str]) -> str:
    """Doubling a text in each of twenty subqueries would be a million times its length: whether
    the memory is enough would depend on one row."""
    return f"left({_render_infix(call, args)}, {_MOST_CHARACTERS})"


def _render_call(call: Call, args: Sequence[str]) -> str:
    return f"{call.function}({', '.join(args)})"


FUNCTIONS = (
    *(
        Function(name, _text, _render_call)
        for name in ("lower", "upper", "btrim", "ltrim", "rtrim")
    ),
    Function("||", _text, _render_joined),
    Function("length", _length, _render_call),
    Function("left", _ends, _render_ends),
    Function("right", _ends, _render_ends),
    Function("starts_with", _condition, _render_call),
    Function("like", _like, _render_infix),
    Function("ilike", _like, _render_infix),
)
