"""Text: functions that raise on no string, with constant arguments where a value could.

PostgreSQL holds texts of up to a gigabyte and fails beyond. So where texts are put together, each
part whose length is not known to be small is first cut to 10,000 characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from analyzer.expressions import Call, Constant, Expr, Interval
from analyzer.functions.base import (
    Function,
    arity,
    coerce,
    constant,
    merged,
    one_collation,
    static_integer,
)
from analyzer.refusals import BadArgument, BadPattern, TooComplex, WrongType
from analyzer.types import Type

_LONGEST = Fraction(2**30)
_CUT = 10_000
_MOST = 100_000
"""Characters of a text that is put together."""
_CONVERTED = 1_000_000
"""Characters of a text that is changed or searched one by one."""
_COMPARED = 10_000_000
"""Characters of a text, times those of what is looked for in it: PostgreSQL compares as many where
both are made to repeat themselves, and does not stop for a time limit meanwhile."""
_USUAL = 1_000
"""Characters that a text of unknown length is taken to have, where it is asked how long something
takes. One of a million takes as much longer, and is rare."""
_SLOW = frozenset(
    {"lower", "upper", "initcap", "btrim", "ltrim", "rtrim", "ilike", "reverse", "translate"}
)
"""These go from character to character, at some 15 nanoseconds each; others at some three."""
_SHORT = 20
"""Characters that are looked for in any text: one pass over it takes about as long."""


_BLANK = constant(" ")


def _texts(name: str, args: Sequence[Expr]) -> list[Expr]:
    typed = [coerce(a, Type.TEXT) for a in args]
    for arg in typed:
        if arg.type is not Type.TEXT:
            raise WrongType(
                f"{name} takes text, not {arg.type.value}.", hint="Write CAST(x AS text)."
            )
    return typed


def _work(name: str, typed: Sequence[Expr]) -> int:
    """How many operations on numbers take as long, by the length of the first text."""
    if name == "left":
        return 1  # the rest is not looked at
    length = min(_length_of(typed[0]) or _USUAL, _USUAL)
    return 1 + int(length) // (7 if name in _SLOW else 33)


def _call(name: str, typed: Sequence[Expr], length: Fraction | None, detail: str = "") -> Call:
    physical = Interval(Fraction(0), length)
    facts = merged(typed, Type.TEXT, work=_work(name, typed), physical=physical)
    return Call(name, tuple(typed), Type.TEXT, any(a.nullable for a in typed), facts, detail)


def _length_of(expression: Expr) -> Fraction | None:
    return expression.facts.physical.upper


def _same_length(name: str, args: Sequence[Expr]) -> Call:
    """One text to another one: trimmed, or each character to at most three others."""
    trims = name.endswith("trim")
    arity(name, args, 1, 2 if trims else 1)
    typed = [*_texts(name, args[:1]), *(short_text(name, a) for a in args[1:])]
    length = _length_of(typed[0])
    grows = name in ("lower", "upper", "initcap")
    return _call(name, typed, length * 3 if grows and length is not None else length)


def _is_short(expression: Expr) -> bool:
    length = _length_of(expression)
    return length is not None and length <= _MOST


def _part(text: str, expression: Expr) -> str:
    return text if _is_short(expression) else f"left({text}, {_CUT})"


def to_convert(text: str, expression: Expr) -> str:
    """The text with a length at which upper, btrim, patterns and their like find the memory they
    need: several bytes for each of its own. So do comparisons, which copy both sides, and rows
    that two such texts are in."""
    return text if _length_of(expression) is not None else f"left({text}, {_CONVERTED})"


def _render_converted(call: Call, args: Sequence[str]) -> str:
    more = [call.detail] if call.detail else []
    parts = [to_convert(args[0], call.args[0]), *args[1:], *more]
    return f"{call.function}({', '.join(parts)})"


def short_text(name: str, expression: Expr) -> Expr:
    """An argument that is looked for in a text at each place of it.

    Raises:
        BadArgument: it is no constant of at most 20 characters.
    """
    typed = coerce(expression, Type.TEXT)
    value = typed.value if isinstance(typed, Constant) else None
    if not isinstance(value, str) or len(value) > _SHORT:
        raise BadArgument(f"{name} takes a constant text of at most {_SHORT} characters here.")
    return typed


def _split_part(name: str, args: Sequence[Expr]) -> Call:
    """``split_part(x, delimiter, n)``: the n-th part, an empty text where there are fewer."""
    arity(name, args, 3)
    typed = [*_texts(name, args[:1]), short_text(name, args[1])]
    part = static_integer(name, args[2], 1, 1_000)
    return _call(name, typed, _length_of(typed[0]), str(part))


def _translate(name: str, args: Sequence[Expr]) -> Call:
    """``translate(x, from, to)``: each character to another, or to none."""
    arity(name, args, 3)
    typed = [*_texts(name, args[:1]), *(short_text(name, a) for a in args[1:])]
    return _call(name, typed, _length_of(typed[0]))


def _pad(name: str, args: Sequence[Expr]) -> Call:
    """``lpad(x, length, fill)``, which also cuts what is longer."""
    arity(name, args, 2, 3)
    fill = short_text(name, args[2] if len(args) == 3 else _BLANK)
    length = static_integer(name, args[1], 0, 1_000)
    return _call(name, [*_texts(name, args[:1]), fill], Fraction(length), str(length))


def _render_pad(call: Call, args: Sequence[str]) -> str:
    return f"{call.function}({args[0]}, {call.detail}, {args[1]})"


def _with_separator(name: str, args: Sequence[Expr]) -> Call:
    """``concat_ws(separator, ...)``, which passes over parts that are NULL."""
    arity(name, args, 2, 100)
    separator, parts = short_text(name, args[0]), _texts(name, args[1:])
    length = sum((_part_length(a) for a in parts), Fraction(_SHORT * len(parts)))
    call = _call(name, [separator, *parts], _bounded(length))
    return Call(name, call.args, call.type, False, call.facts)


def _searched(text: str, expression: Expr, wanted: Expr) -> str:
    """The text with a length at which it takes no long time to look for ``wanted`` at every place
    of it."""
    length, most = _length_of(expression), _CUT
    looked_for = _length_of(wanted)
    if looked_for is not None:
        if looked_for <= _SHORT:
            return text
        most = max(_CUT, int(_COMPARED // looked_for))
    return text if length is not None and length <= most else f"left({text}, {most})"


def _part_length(expression: Expr) -> Fraction:
    length = _length_of(expression)
    return length if length is not None and _is_short(expression) else Fraction(_CUT)


def _together(name: str, args: Sequence[Expr]) -> Call:
    """``||``, which is NULL where a part is, and ``concat``, which passes over such parts.

    Raises:
        TooComplex: the text could have more than 100,000 characters.
    """
    arity(name, args, *((2,) if name == "||" else (1, 100)))
    typed = _texts(name, args)
    call = _call(name, typed, _bounded(sum((_part_length(a) for a in typed), Fraction(0))))
    return call if name == "||" else Call(name, call.args, call.type, False, call.facts)


def _bounded(length: Fraction) -> Fraction:
    if length > _MOST:
        raise TooComplex(
            f"A text could grow to more than {_MOST:,} characters.",
            hint="Put left(x, 100) around its parts.",
        )
    return length


def _render_together(call: Call, args: Sequence[str]) -> str:
    parts = [_part(t, e) for t, e in zip(args, call.args, strict=True)]
    parts = one_collation(parts, call.args)
    return (
        f"({' || '.join(parts)})"
        if call.function == "||"
        else f"{call.function}({', '.join(parts)})"
    )


def _replace(name: str, args: Sequence[Expr]) -> Call:
    """``replace(x, from, to)`` with constants: what it can grow to is known."""
    arity(name, args, 3)
    typed = _texts(name, args)
    for argument in typed[1:]:
        if not isinstance(argument, Constant) or argument.value is None:
            raise BadArgument("replace takes constants for what it looks for and what it puts.")
    grown = max(_length_of(typed[2]) or Fraction(0), Fraction(1))
    return _call(name, typed, _bounded(_part_length(typed[0]) * grown))


def _render_replace(call: Call, args: Sequence[str]) -> str:
    return f"replace({_part(args[0], call.args[0])}, {args[1]}, {args[2]})"


def _length(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1)
    typed = _texts(name, args)
    return _position_call(name, typed, _length_of(typed[0]))


def _position_call(name: str, typed: Sequence[Expr], most: Fraction | None) -> Call:
    room = Interval(Fraction(0), _LONGEST if most is None else most)
    declared = room if most is not None else Interval()
    facts = merged(
        typed,
        Type.INT4,
        work=_work(name, typed),
        physical=room,
        declared=declared,
        tick=Fraction(1),
        on_grid=True,
    )
    return Call(name, tuple(typed), Type.INT4, any(a.nullable for a in typed), facts)


def _strpos(name: str, args: Sequence[Expr]) -> Call:
    """Where a text begins in another one, from 1 on; 0 where it is not. An empty text begins at
    once, in an empty text too."""
    arity(name, args, 2)
    typed = _texts(name, args)
    length = _length_of(typed[0])
    return _position_call(name, typed, None if length is None else max(length, Fraction(1)))


def _ends(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 2)
    typed = _texts(name, args[:1])
    count = static_integer(name, args[1], 0, 1_000)
    return _call(name, typed, _at_most(typed[0], count), str(count))


def _at_most(expression: Expr, count: int) -> Fraction:
    length = _length_of(expression)
    return Fraction(count) if length is None else min(length, Fraction(count))


def _render_ends(call: Call, args: Sequence[str]) -> str:
    return f"{call.function}({args[0]}, {call.detail})"


def _render_substr(call: Call, args: Sequence[str]) -> str:
    """Without a count nearly all of the text is left, as a copy."""
    return _render_ends(call, [to_convert(args[0], call.args[0])])


def _substr(name: str, args: Sequence[Expr]) -> Call:
    """``substr(x, start, count)`` with constants; a negative count would fail."""
    arity(name, args, 2, 3)
    typed = _texts(name, args[:1])
    start = static_integer(name, args[1], -1_000_000, 1_000_000)
    if len(args) == 2:
        return _call(name, typed, _length_of(typed[0]), str(start))
    count = static_integer(name, args[2], 0, 1_000_000)
    return _call(name, typed, _at_most(typed[0], count), f"{start}, {count}")


def _condition(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 2)
    typed = _texts(name, args)
    work = _work(name, typed)
    facts = merged(typed, Type.BOOL, work=work, domain=(False, True), total_domain=True)
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


def escaped(pattern: str, escape: str) -> str:
    """A LIKE pattern with an escape character of its own, with the backslash in its place.

    Raises:
        BadPattern: the escape is longer than one character, or the pattern ends in it.
    """
    if len(escape) > 1:
        raise BadPattern("ESCAPE takes one character, or an empty text for none.")
    found, at = [], 0
    while at < len(pattern):
        character = pattern[at]
        if character == escape:
            at += 1
            if at == len(pattern):
                raise BadPattern("The pattern ends in its escape, which would fail on some rows.")
            found.append("\\" + pattern[at])
        else:
            found.append("\\\\" if character == "\\" else character)
        at += 1
    return "".join(found)


def _render_like(call: Call, args: Sequence[str]) -> str:
    text, wanted = call.args
    searched = _searched(args[0], text, wanted)
    if call.function == "ilike" and searched == args[0]:
        searched = to_convert(args[0], text)
    return f"({searched} {call.function.upper()} {args[1]})"


def _render_strpos(call: Call, args: Sequence[str]) -> str:
    text, wanted = call.args
    # What is longer than the text, once both are cut, is not found.
    looked_for = args[1] if _length_of(wanted) is not None else f"left({args[1]}, {_CUT + 1})"
    parts = [_searched(args[0], text, wanted), looked_for]
    return f"strpos({', '.join(one_collation(parts, call.args))})"


def _render_call(call: Call, args: Sequence[str]) -> str:
    return f"{call.function}({', '.join(one_collation(args, call.args))})"


FUNCTIONS = (
    *(
        Function(name, _same_length, _render_converted)
        for name in ("lower", "upper", "initcap", "btrim", "ltrim", "rtrim")
    ),
    Function("reverse", _same_length, _render_converted),
    Function("split_part", _split_part, _render_converted),
    Function("translate", _translate, _render_converted),
    Function("lpad", _pad, _render_pad),
    Function("rpad", _pad, _render_pad),
    Function("concat_ws", _with_separator, _render_together),
    Function("||", _together, _render_together),
    Function("concat", _together, _render_together),
    Function("replace", _replace, _render_replace),
    Function("length", _length, _render_call),
    Function("strpos", _strpos, _render_strpos),
    Function("left", _ends, _render_ends),
    Function("right", _ends, _render_ends),
    Function("substr", _substr, _render_substr),
    Function("starts_with", _condition, _render_call),
    Function("like", _like, _render_like),
    Function("ilike", _like, _render_like),
)
