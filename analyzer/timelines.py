"""Dates and timestamps as numbers on a line, and back: what their quantiles are measured on."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from analyzer.dates import DAY, moment
from analyzer.expressions import Call, Expr
from analyzer.functions import build
from analyzer.functions.base import constant
from analyzer.functions.times import is_time
from analyzer.types import Type

_EPOCH = constant(date(1970, 1, 1))


def as_number(time: Expr) -> Expr:
    """Days since 1970-01-01 of a date, seconds of a timestamp; those without a zone as in UTC."""
    if time.type is Type.DATE:
        return build("date - date", [time, _EPOCH])
    return build("extract", [constant("epoch"), time])


def as_moment(number: Expr, type_: Type) -> Expr:
    """The date or timestamp that such a number stands for."""
    if type_ is Type.DATE:
        return build("date + integer", [_EPOCH, number])
    time = build("to_timestamp", [number])
    if type_ is Type.TIMESTAMPTZ:
        return time
    return build("at time zone", [time, constant("UTC")])


def has_bar(type_: Type) -> bool:
    """Whether noisy values of the type have error bars: moments in days."""
    return type_.is_number or is_time(type_)


def in_days(value: Expr) -> Expr:
    """Days since 1970-01-01, where the value is a moment; a number as it is."""
    if not is_time(value.type):
        return value
    if isinstance(value, Call) and value.function == "date + integer" and value.args[0] == _EPOCH:
        return value.args[1]  # not rounded to whole days
    number = as_number(value)
    return number if value.type is Type.DATE else build("/", [number, constant(DAY)])


def moment_of(argument: Expr) -> Expr | None:
    """What :func:`as_number` was made of; None for any other expression."""
    if not isinstance(argument, Call):
        return None
    if argument.function == "date - date" and argument.args[1] == _EPOCH:
        return argument.args[0]
    if argument.function == "extract" and argument.detail == "epoch":
        return argument.args[0]
    return None


def spelled(number: Fraction, type_: Type) -> str:
    """Such a number as people write the date or timestamp."""
    assert is_time(type_)
    if type_ is Type.DATE:
        return moment(number).date().isoformat()
    return moment(number / DAY).isoformat(" ", "seconds")
