"""The clock of a query: read once, in whole seconds and in UTC, and from then on a constant.

Constants take the place of the clock, and of what follows from it alone, before the query is bound.
So plans, digests and stored answers go by the value: the same query is another question when its
``CURRENT_DATE`` is another day, and the same one until then.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import TypeGuard

from sqlglot import exp

from analyzer.bind_calls import interval_text
from analyzer.dates import DAY, TIMES, UNITS, cut, days, later, moment
from analyzer.expressions import Interval
from analyzer.functions.times import interval_parts
from analyzer.refusals import BadArgument
from analyzer.syntax import COLUMN, Tree, given

_CLOCKS = (exp.CurrentDate, exp.CurrentTimestamp, exp.Localtimestamp)
_WORDS = re.compile(r"current_|now|localtime|(?<![.\w])age", re.IGNORECASE)
"""One of them is in each text that has a clock; most texts need no closer look."""
_OF_FIELDS = ("age", "date_part", "to_char")
"""Functions that read a time as it is in UTC."""


def reads_clock(sql: str, tree: Tree) -> bool:
    """Whether a text with its tree does, also as age(x) does, which counts until today."""
    return _WORDS.search(sql) is not None and any(
        not isinstance(node, exp.Anonymous) or (_is_age(node) and len(node.expressions) == 1)
        for node in tree.find_all(*_CLOCKS, exp.Anonymous)
    )


def stopped(tree: Tree, now: datetime) -> Tree:
    """The tree with constants in place of the clock, and of what follows from it.

    Raises:
        BadArgument: a time outside of the years 1 to 9999.
    """
    for select in tree.find_all(exp.Select):
        for item in select.expressions:
            if COLUMN in item.meta and not isinstance(item, (exp.Alias, exp.Column, exp.Star)):
                item.replace(exp.alias_(item.copy(), item.meta[COLUMN], quoted=True))

    def replaced(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Extract):
            _without_zone(node.expression, now)
        elif isinstance(node, exp.Anonymous) and str(node.this).lower() in _OF_FIELDS:
            if _is_age(node) and len(node.expressions) == 1:
                node.set("expressions", [exp.CurrentDate(), *node.expressions])
            for argument in node.expressions:
                _without_zone(argument, now)
        value = _value(node, now)
        return node if value is None else _constant(value)

    result = tree.transform(replaced, copy=False)
    assert isinstance(result, Tree)
    return result


def _is_age(node: object) -> TypeGuard[exp.Anonymous]:
    return isinstance(node, exp.Anonymous) and str(node.this).lower() == "age"


def _without_zone(node: exp.Expression, now: datetime) -> None:
    """Fields and ages are those in UTC, where the clock has a zone."""
    value = _value(node, now)
    if isinstance(value, datetime):
        node.replace(_constant(value.replace(tzinfo=None)))


def _constant(value: date) -> exp.Expression:
    kind = "date"
    if isinstance(value, datetime):
        kind = "timestamp" if value.tzinfo is None else "timestamptz"
    return exp.Cast(
        this=exp.Literal.string(str(value)), to=exp.DataType.build(kind, dialect="postgres")
    )


def _value(node: exp.Expression, now: datetime) -> date | None:
    """What a node is that follows from the clock alone; None for all others."""
    inner = node.args.get("this")
    match node:
        case exp.CurrentDate() if not given(node):
            return now.date()
        case exp.CurrentTimestamp() if not given(node):
            return now
        case exp.Localtimestamp() if not given(node):
            return now.replace(tzinfo=None)
        case exp.Add() | exp.Sub():
            return _moved(node, now)
    value = _value(inner, now) if isinstance(inner, exp.Expression) else None
    if value is None:
        return None
    match node:
        case exp.Paren():
            return value
        case exp.Date():
            return _cast(value, "DATE")
        case exp.Cast() if not node.args["to"].expressions:
            return _cast(value, getattr(node.args["to"].this, "name", ""))
        case exp.TimestampTrunc() if not node.args.get("zone"):
            unit = node.args["unit"].name.lower()
            zone = value.tzinfo if isinstance(value, datetime) else None
            return moment(cut(days(value), unit)).replace(tzinfo=zone) if unit in UNITS else None
        case exp.AtTimeZone() if isinstance(value, datetime) and node.args["zone"].name == "UTC":
            return value.replace(tzinfo=UTC if value.tzinfo is None else None)
    return None


def _cast(value: date, to: str) -> date | None:
    if to == "DATE":
        return date(value.year, value.month, value.day)
    if to in ("TIMESTAMP", "TIMESTAMPTZ"):
        return moment(days(value)).replace(tzinfo=UTC if to == "TIMESTAMPTZ" else None)
    return None


def _moved(node: exp.Expression, now: datetime) -> date | None:
    """A clock's date or time, so many days or an interval later or earlier."""
    left, right = node.this, node.expression
    sign = -1 if isinstance(node, exp.Sub) else 1
    if sign == 1 and isinstance(left, exp.Interval | exp.Literal):
        left, right = right, left
    value = _value(left, now)
    if value is None:
        return None
    if isinstance(right, exp.Interval):
        months, whole, seconds = interval_parts(interval_text(right))
        at = later(days(value), sign * months)
        zone = value.tzinfo if isinstance(value, datetime) else None
        return _at(at, sign * (whole + Fraction(seconds, DAY))).replace(tzinfo=zone)
    if isinstance(value, datetime) or not (isinstance(right, exp.Literal) and right.is_int):
        return None
    return _cast(_at(days(value), Fraction(sign * int(right.this))), "DATE")


def _at(value: Fraction | None, distance: Fraction) -> datetime:
    found = None if value is None else value + distance
    if found is None or not Interval(found, found).within(TIMES):
        raise BadArgument(
            "This time is outside of the years 1 to 9999.", hint="Write a year of four digits."
        )
    return moment(found)
