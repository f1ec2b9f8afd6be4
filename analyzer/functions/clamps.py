"""What the conditions of a CASE say about the values of its branches, and WHERE about a column's
and a key's.

``CASE WHEN x > 200 THEN 200 WHEN x < 0 THEN 0 ELSE x END`` is between 0 and 200: in the last branch
neither condition is true, so x is NULL or there. Only declared ranges become narrower by it: they
give clamping bounds, which the emitted SQL keeps whatever a row holds.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from analyzer.catalog import Scalar
from analyzer.expressions import UNBOUNDED, Call, Constant, Expr, Interval, Ref, walk
from analyzer.types import Type

_EXACT = (Type.TEXT, Type.BOOL, Type.INT4, Type.INT8, Type.NUMERIC, Type.DATE)
"""Types whose values here are equal if and only if PostgreSQL says so."""
_HOLDS = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def declared_in(conditions: Sequence[Expr], values: Sequence[Expr]) -> Interval:
    """The declared range of a CASE of numbers or times.

    Args:
        conditions: of WHEN, in order.
        values: of THEN, in order, and of ELSE.
    """
    ranges: list[Interval] = []
    for i, value in enumerate(values):
        if isinstance(value, Constant):
            ranges += [] if value.value is None else [value.facts.declared]
            continue
        found = value.facts.declared
        for condition in conditions[:i]:
            found = _both(found, _said(condition, value, true=False))
        if i < len(conditions):
            found = _both(found, _said(conditions[i], value, true=True))
        # Only values outside of what was declared get there: they count as its ends.
        ranges.append(value.facts.declared if _is_empty(found) else found)
    return reduce(Interval.union, ranges) if ranges else UNBOUNDED


def narrowed(expression: Expr, condition: Expr | None, of: Expr) -> Expr:
    """``expression`` where ``condition`` is true: its declared range is no wider than what the
    condition says of the values of ``of``, which are its own."""
    facts = expression.facts
    if condition is None or facts.owner or facts.holds_owner or isinstance(expression, Constant):
        return expression
    if of not in walk(condition):
        return expression
    found = _both(facts.declared, _said(condition, of, true=True))
    single = found.lower is not None and found.lower == found.upper
    if found == facts.declared or single or _is_empty(found):
        return expression
    return replace(expression, facts=replace(facts, declared=found))


def listed(key: Expr, condition: Expr | None) -> Expr:
    """A group key where ``condition`` is true: of its declared values, those that rows can have.

    The others have no rows, whatever the data, so they are no groups. Where none is left, they all
    stay: an answer has its groups for what else is in it.
    """
    domain = key.facts.domain
    if condition is None or not isinstance(domain, tuple) or not isinstance(key, Ref | Call):
        return key
    if key not in walk(condition):
        return key
    left = tuple(value for value in domain if _can_be(condition, key, value, true=True))
    if not left:
        return key
    nullable = key.nullable and _can_be(condition, key, None, true=True)
    if left == domain and nullable == key.nullable:
        return key
    return replace(key, nullable=nullable, facts=replace(key.facts, domain=left))


def _can_be(condition: Expr, key: Expr, value: Scalar | None, *, true: bool) -> bool:
    """Whether the condition can be true, or can be false, in a row whose key has the value."""
    if condition == key:
        return value is true
    if not isinstance(condition, Call):
        return True
    function, args = condition.function, condition.args
    if function == "not":
        return _can_be(args[0], key, value, true=not true)
    if function in ("and", "or"):
        parts = (_can_be(part, key, value, true=true) for part in args)
        return all(parts) if (function == "and") is true else any(parts)
    if function in ("is null", "is not null") and args[0] == key:
        return ((value is None) is (function == "is null")) is true
    # Which of two texts is first depends on their collation.
    holds = None if key.type is Type.TEXT and function not in ("=", "<>") else _HOLDS.get(function)
    if holds is None or key not in args:
        return True
    other = args[1] if args[0] == key else args[0]
    if not isinstance(other, Constant) or not _are_alike(key, other):
        return True
    if value is None or other.value is None:
        return False
    sides = (value, other.value) if args[0] == key else (other.value, value)
    return bool(holds(*sides)) is true


def _are_alike(a: Expr, b: Expr) -> bool:
    exact = a.type in _EXACT and b.type in _EXACT
    return exact and (a.type is b.type or (a.type.is_number and b.type.is_number))


def _said(condition: Expr, value: Expr, *, true: bool) -> Interval:
    """Where ``value`` lies, unless it is NULL, if the condition is true, or is not."""
    if not isinstance(condition, Call):
        return UNBOUNDED
    if condition.function == "not" and (true or _is_about(condition.args[0], value)):
        return _said(condition.args[0], value, true=not true)
    if condition.function in ("and", "or"):
        parts = [_said(part, value, true=true) for part in condition.args]
        if (condition.function == "and") is true:
            return reduce(_both, parts)
        return reduce(Interval.union, [part for part in parts if not _is_empty(part)] or parts)
    if not _compares(condition, value):
        return UNBOUNDED
    left, right = condition.args
    word = condition.function if left == value else _TURNED[condition.function]
    word, end = word if true else _OPPOSITE[word], (right if left == value else left).facts.physical
    return Interval(None, end.upper) if word in ("<", "<=") else Interval(end.lower, None)


def _compares(condition: Call, value: Expr) -> bool:
    """Whether ``value`` is compared with a constant, which is not NULL."""
    if condition.function not in _TURNED or value not in condition.args:
        return False
    return any(isinstance(side, Constant) and side.value is not None for side in condition.args)


def _is_about(condition: Expr, value: Expr) -> bool:
    """Whether the condition is true or false for all values but NULL."""
    if not isinstance(condition, Call):
        return False
    if condition.function in ("and", "or", "not"):
        return all(_is_about(part, value) for part in condition.args)
    return _compares(condition, value)


def _both(a: Interval, b: Interval) -> Interval:
    lower = [end for end in (a.lower, b.lower) if end is not None]
    upper = [end for end in (a.upper, b.upper) if end is not None]
    return Interval(max(lower, default=None), min(upper, default=None))


def _is_empty(interval: Interval) -> bool:
    return (
        interval.lower is not None
        and interval.upper is not None
        and interval.lower > interval.upper
    )
