"""What every function of the allow-list shares: typing helpers, facts, and number printing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from analyzer import ranges
from analyzer.catalog import Scalar
from analyzer.dates import days
from analyzer.domains import with_domain
from analyzer.expressions import Call, Constant, Expr, Facts, Interval
from analyzer.functions.literals import read_value
from analyzer.ranges import INT4, INT8, LIMIT, needs_limit
from analyzer.refusals import BadArgument, TooComplex, WrongType
from analyzer.types import Type


@dataclass(frozen=True, slots=True)
class Function:
    """One entry of the allow-list."""

    name: str
    build: Callable[[str, Sequence[Expr]], Call]
    render: Callable[[Call, Sequence[str]], str]


FUNCTIONS: dict[str, Function] = {}
"""The allow-list by name, which the package fills from its families."""
_RANK = {Type.INT4: 0, Type.INT8: 1, Type.NUMERIC: 2, Type.FLOAT8: 3}
_MOST = Decimal(10) ** 30
_WHOLE = Fraction(1)
MAX_SIZE = 5_000
"""More operations than any expression of one text has; only chains of subqueries come further."""


def constant(value: Scalar | None, type_: Type | None = None, *, untyped: bool = False) -> Constant:
    """A constant of the type that PostgreSQL gives its literal, or of ``type_``.

    Raises:
        BadArgument: a number too large or too fine for arithmetic that never fails.
    """
    interval, tick = Interval(), None
    if isinstance(value, bool) or value is None:
        type_ = type_ or Type.BOOL
    elif isinstance(value, int | Decimal):
        fine = True
        if isinstance(value, Decimal):
            exponent = value.as_tuple().exponent
            fine = isinstance(exponent, int) and exponent >= -30
        if not (fine and -_MOST <= value <= _MOST):
            raise BadArgument(
                "A number has to lie within ±10^30, with at most 30 decimals.",
                hint="Round it, or divide both sides.",
            )
        exact = Fraction(value)
        interval = Interval(exact, exact)
        most = {Type.INT4: INT4, Type.INT8: INT8}.get(type_ or Type.NUMERIC)
        if most is not None and not interval.within(most):
            raise BadArgument(f"{value} is out of range for type {type_.value if type_ else ''}.")
        tick = _WHOLE if exact.denominator == 1 else Fraction(1, exact.denominator)
        type_ = type_ or _integer_type(value)
    elif isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise BadArgument(
                "A string holds a character that PostgreSQL does not store.",
                hint="Leave the zero byte, or half of a surrogate pair, out.",
            )
        type_ = type_ or Type.TEXT
        interval = Interval(Fraction(len(value)), Fraction(len(value)))
    else:
        type_ = type_ or (Type.TIMESTAMP if isinstance(value, datetime) else Type.DATE)
        if isinstance(value, datetime) and type_ is Type.TIMESTAMP:
            value = value.replace(tzinfo=None)  # as PostgreSQL reads such a literal
        interval = Interval(days(value), days(value))
        tick = Fraction(1) if type_ is Type.DATE else None
    stored = Type.NUMERIC if type_ in (Type.FLOAT8, Type.INTERVAL) else type_
    facts = Facts(
        stored,
        interval,
        interval,
        tick,
        on_grid=tick is not None,
        per_unit=True,
        domain=() if value is None else (value,),
        total_domain=True,
    )
    return Constant(value, type_, facts, untyped)


def _integer_type(value: int | Decimal) -> Type:
    if isinstance(value, Decimal) or abs(value) >= 2**63:
        return Type.NUMERIC
    return Type.INT4 if -(2**31) <= value < 2**31 else Type.INT8


def coerce(expression: Expr, to: Type) -> Expr:
    """An untyped constant as a constant of ``to``; anything else unchanged.

    Raises:
        BadArgument: the text is not a value of that type.
    """
    if not isinstance(expression, Constant) or not expression.untyped:
        return expression
    if expression.value is None:
        return constant(None, to)
    return constant(read_value(str(expression.value), to), to)


def merged(args: Sequence[Expr], stored: Type, *, work: int = 1, **more: object) -> Facts:
    """Facts of a call that follow from its arguments alone, completed by ``more``.

    Args:
        args: the arguments.
        stored: the type that the call is computed in.
        work: how many operations on numbers take as long as the call itself.
        more: other facts.

    Raises:
        TooComplex: subqueries multiply the expression past all measure.
    """
    size, per_unit, holds_owner, protected, endless = 1, True, False, False, False
    for arg in args:
        own = arg.facts
        size += own.size
        work += own.work
        per_unit = per_unit and own.per_unit
        holds_owner = holds_owner or own.owner or own.holds_owner
        protected = protected or own.protected
        endless = endless or own.endless
    if size > MAX_SIZE:
        raise TooComplex(
            f"An expression makes more than {MAX_SIZE} operations.",
            hint="Columns of subqueries count each time they are used: use fewer of them.",
        )
    known: dict[str, Any] = {
        "size": size,
        "work": work,
        "per_unit": per_unit,
        "holds_owner": holds_owner,
        "protected": protected,
        "endless": endless and stored is Type.NUMERIC,
        **more,
    }
    for name in ("physical", "declared"):
        if name in known:
            known[name] = ranges.coarse(known[name])
    return Facts(stored, **known)


def widest(types: Sequence[Type]) -> Type:
    """The number type that PostgreSQL computes these operands in."""
    return max(types, key=_RANK.__getitem__)


def numbers(name: str, args: Sequence[Expr]) -> list[Expr]:
    """The arguments, untyped ones read as numbers.

    Raises:
        WrongType: an argument is not a number.
    """
    typed = [a.type for a in args if a.type.is_number]
    fitting = widest(typed) if typed else Type.NUMERIC
    result = [coerce(a, fitting) for a in args]
    for arg in result:
        if not arg.type.is_number:
            raise WrongType(f"{name} takes numbers, not {arg.type.value}.")
    return result


def arity(name: str, args: Sequence[Expr], least: int, most: int | None = None) -> None:
    """Raises:
    WrongType: too few or too many arguments."""
    most = least if most is None else most
    if not least <= len(args) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        raise WrongType(
            f"{name} takes {expected} argument{'s' * (expected != '1')}, not {len(args)}."
        )


def static_integer(name: str, expression: Expr, least: int, most: int) -> int:
    """The value of an argument that has to be a constant integer.

    Raises:
        BadArgument: not a constant, or out of range: it could fail, or run long, on some row.
    """
    value = expression.value if isinstance(expression, Constant) else None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadArgument(f"{name} takes a constant integer between {least} and {most} here.")
    return value


def as_type(text: str, expression: Expr, to: Type) -> str:
    """Printed ``expression`` in the storage type ``to``; never fails on any value."""
    stored = expression.facts.stored
    if stored is to:
        return text
    if stored is Type.FLOAT8 and to is Type.NUMERIC:
        # float8 to numeric keeps 15 digits; 15 decimals bound the size of what follows.
        return f"round(CAST({limit(text, Type.FLOAT8)} AS numeric), 15)"
    return f"CAST({text} AS {to})"


def one_collation(texts: Sequence[str], args: Sequence[Expr]) -> list[str]:
    """Printed texts that can meet in one operation.

    Columns can be declared with collations that do not mix: PostgreSQL then fails on the first row
    that it computes, and on no row if there is none. So where several meet, the first gets the
    database's own, said aloud: that one wins.
    """
    found = list(texts)
    columns = [i for i, a in enumerate(args) if a.type is Type.TEXT and not isinstance(a, Constant)]
    if len(columns) > 1:
        found[columns[0]] = f'({found[columns[0]]} COLLATE "default")'
    return found


def operand(text: str, expression: Expr, to: Type) -> str:
    """Printed ``expression`` as an operand of arithmetic in ``to``, limited where its range is
    not known to be harmless."""
    typed = as_type(text, expression, to)
    exact = to is Type.NUMERIC and expression.facts.stored is not Type.FLOAT8
    if exact and needs_limit(expression.facts.physical):
        typed = limit(typed, Type.NUMERIC)
    if exact and expression.facts.endless:
        # A product of two numbers of 16,383 decimals takes a millisecond, and no row may take that.
        typed = f"round({typed}, {ranges.DECIMALS})"
    return typed


def operand_range(expression: Expr) -> Interval:
    """What a number can be once :func:`operand` has printed it."""
    if expression.facts.stored is Type.FLOAT8:
        return LIMIT
    return ranges.limited(physical_range(expression))


def physical_range(expression: Expr) -> Interval:
    """The same, but for the limit."""
    facts = expression.facts
    return ranges.rounded(facts.physical) if facts.endless else facts.physical


def fixed(value: Fraction) -> str:
    """A number with finitely many decimals as plain digits, exactly."""
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    whole, decimals = divmod(int(abs(value) * 10**digits), 10**digits)
    text = f"{whole}.{decimals:0{digits}}" if digits else str(whole)
    return f"-{text}" if value < 0 else text


def whole_operand(text: str, expression: Expr, most: int) -> str:
    """Printed ``expression``, a whole number of any storage, as an integer in ±``most``.

    Numerics are moved into their own range even where that is small enough: NaN is no integer.
    """
    stored, room = expression.facts.stored, Interval(Fraction(-most), Fraction(most))
    if stored is Type.NUMERIC or not expression.facts.physical.within(room):
        kept = ranges.moved(expression.facts.physical, room)
        assert kept.lower is not None
        assert kept.upper is not None
        text = between(text, stored, str(math.floor(kept.lower)), str(math.ceil(kept.upper)))
    return text if stored is Type.INT4 else f"CAST({text} AS integer)"


_STRICT = {
    Type.INT4: ("int4larger", "int4smaller"),
    Type.INT8: ("int8larger", "int8smaller"),
    Type.NUMERIC: ("numeric_larger", "numeric_smaller"),
    Type.FLOAT8: ("float8larger", "float8smaller"),
    Type.DATE: ("date_larger", "date_smaller"),
    Type.TIMESTAMP: ("timestamp_larger", "timestamp_smaller"),
    Type.TIMESTAMPTZ: ("timestamptz_larger", "timestamptz_smaller"),
}
"""What ``max`` and ``min`` are made of. Unlike GREATEST and LEAST they give NULL for NULL."""


def between(text: str, stored: Type, least: str, most: str) -> str:
    """``text``, printed in the type ``stored``, moved to between two constants. NULL stays NULL;
    NaN, which is larger than all numbers, becomes the larger constant."""
    larger, smaller = _STRICT[stored]
    low, high = (f"CAST('{end}' AS {stored.value})" for end in (least, most))
    return f"{smaller}({larger}({text}, {low}), {high})"


def limit(text: str, stored: Type) -> str:
    """``text``, a number printed in the type ``stored``, moved into ±10^15."""
    assert LIMIT.lower is not None
    assert LIMIT.upper is not None
    return between(text, stored, str(LIMIT.lower), str(LIMIT.upper))


def build(name: str, args: Sequence[Expr]) -> Call:
    """A typed call of a function that the allow-list has (the caller has checked the name)."""
    return with_domain(FUNCTIONS[name].build(name, args))


def render(call: Call, args: Sequence[str]) -> str:
    """The call as SQL over printed arguments."""
    return FUNCTIONS[call.function].render(call, args)
