"""CASE, COALESCE, NULLIF, GREATEST and LEAST over branches of one type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from analyzer import ranges
from analyzer.catalog import Scalar
from analyzer.domains import inputs_of
from analyzer.expressions import Call, Computed, Constant, Domain, Expr, Facts, Interval
from analyzer.functions.base import Function, arity, as_type, coerce, merged, one_collation, widest
from analyzer.functions.clamps import declared_in
from analyzer.functions.comparison import comparable, in_order
from analyzer.functions.times import is_time
from analyzer.refusals import WrongType
from analyzer.types import Type


def _one_type(name: str, args: Sequence[Expr]) -> tuple[Type, list[Expr]]:
    typed = [a for a in args if not (isinstance(a, Constant) and a.untyped)]
    kinds = {a.type for a in typed} or {Type.TEXT}
    if all(kind.is_number for kind in kinds):
        to = widest(list(kinds))
    elif len(kinds) == 1:
        to = next(iter(kinds))
    else:
        listed = " and ".join(sorted(kind.value for kind in kinds))
        raise WrongType(f"The branches of {name.upper()} mix {listed}.")
    return to, [coerce(a, to) for a in args]


def _storage(type_: Type, values: Sequence[Expr]) -> Type:
    """One storage for all branches; constants follow the others."""
    if not type_.is_number:
        return Type.NUMERIC if type_ is Type.INTERVAL else type_
    moving = [v.facts.stored for v in values if not isinstance(v, Constant)]
    if type_ is Type.FLOAT8 and moving and set(moving) == {Type.FLOAT8}:
        return Type.FLOAT8
    if not type_.is_integer:
        return Type.NUMERIC
    return ranges.carrier(ranges.INT4, *(v.facts.stored for v in values))


def _null(value: Expr) -> bool:
    return isinstance(value, Constant) and value.value is None


def _facts(args: Sequence[Expr], values: Sequence[Expr], type_: Type) -> Facts:
    real = [v for v in values if not _null(v)] or list(values)
    stored = _storage(type_, values)
    physical = reduce(Interval.union, (v.facts.physical for v in real))
    return merged(
        args,
        stored,
        physical=Interval() if stored is Type.FLOAT8 else physical,
        declared=reduce(Interval.union, (v.facts.declared for v in real)),
        tick=ranges.common_tick([v.facts.tick for v in real]),
        on_grid=all(v.facts.on_grid for v in real),
        domain=_domain(real),
        total_domain=all(v.facts.total_domain for v in real),
    )


def _domain(values: Sequence[Expr]) -> Domain | None:
    """All values that any branch can show, in order of appearance."""
    found: dict[Scalar, None] = {}
    for value in values:
        if not isinstance(value.facts.domain, tuple):
            return None
        found.update(dict.fromkeys(value.facts.domain))
    return tuple(found)


def _case(name: str, args: Sequence[Expr]) -> Call:
    conditions = [coerce(c, Type.BOOL) for c in args[:-1:2]]
    for condition in conditions:
        if condition.type is not Type.BOOL:
            raise WrongType(f"WHEN takes a condition, not {condition.type.value}.")
    type_, values = _one_type(name, [*args[1:-1:2], args[-1]])
    ordered = [e for pair in zip(conditions, values[:-1], strict=True) for e in pair] + values[-1:]
    facts = _facts(ordered, values, type_)
    if type_.is_number or is_time(type_):
        facts = replace(facts, declared=declared_in(conditions, values))
    return Call(name, tuple(ordered), type_, any(v.nullable for v in values), facts)


def _render_case(call: Call, args: Sequence[str]) -> str:
    values = [*call.args[1:-1:2], call.args[-1]]
    typed = _in_one_form(call.facts.stored, values, [*args[1:-1:2], args[-1]])
    whens = "".join(f" WHEN {c} THEN {v}" for c, v in zip(args[:-1:2], typed[:-1], strict=True))
    return f"(CASE{whens} ELSE {typed[-1]} END)"


def _in_one_form(stored: Type, values: Sequence[Expr], texts: Sequence[str]) -> list[str]:
    """Printed values in one storage type, and texts in one collation."""
    typed = [as_type(t, e, stored) for t, e in zip(texts, values, strict=True)]
    return one_collation(typed, values)


def _coalesce(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1, 100)
    type_, values = _one_type(name, args)
    facts = _facts(values, values, type_)
    return Call(name, tuple(values), type_, all(v.nullable for v in values), facts)


def _can_be_nan(value: Expr) -> bool:
    """LEAST passes over NaN as it does over NULL: it is larger than all numbers."""
    inexact = value.facts.stored in (Type.NUMERIC, Type.FLOAT8)
    return inexact and not isinstance(value, Constant)


def _extreme(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1, 100)
    type_, values = _one_type(name, args)
    facts = _facts(values, values, type_)
    if type_.is_number or is_time(type_):
        greatest = name == "greatest"
        real = [v for v in values if not _null(v)] or values
        facts = replace(
            facts,
            domain=None,
            physical=Interval()
            if facts.stored is Type.FLOAT8
            else ranges.extreme(
                [(v.facts.physical, v.nullable or (not greatest and _can_be_nan(v))) for v in real],
                greatest=greatest,
            ),
            declared=ranges.extreme(
                [(v.facts.declared, v.nullable) for v in real], greatest=greatest
            ),
        )
    return Call(name, tuple(values), type_, all(v.nullable for v in values), facts)


def _render_extreme(call: Call, args: Sequence[str]) -> str:
    return _render_variadic(call, in_order(args, call.args))


def _render_variadic(call: Call, args: Sequence[str]) -> str:
    typed = _in_one_form(call.facts.stored, call.args, args)
    return f"{call.function.upper()}({', '.join(typed)})"


def _nullif(name: str, args: Sequence[Expr]) -> Call:
    """What comes back is the first argument as ``=`` sees it: of the wider type, except that
    integers of all widths compare as they are."""
    arity(name, args, 2)
    a, b = comparable(name, args)
    type_, stored, physical = a.type, a.facts.stored, a.facts.physical
    if type_.is_number:
        if not (a.type.is_integer and b.type.is_integer):
            type_ = widest([a.type, b.type])
        if stored is not b.facts.stored:
            stored = ranges.carrier(ranges.INT4, stored, b.facts.stored)
        if a.facts.stored is Type.FLOAT8 and stored is Type.NUMERIC:
            physical = ranges.LIMIT
    # Where the inputs have lists, the values are worked out from those: without the one left out.
    domain = a.facts.domain
    if isinstance(domain, Computed) or None not in (inputs_of(a), inputs_of(b)):
        domain = None
    facts = merged(
        [a, b],
        stored,
        physical=physical,
        declared=a.facts.declared,
        tick=a.facts.tick,
        on_grid=a.facts.on_grid,
        domain=domain,
        total_domain=a.facts.total_domain and domain is not None,
    )
    return Call(name, (a, b), type_, True, facts)


def _render_nullif(call: Call, args: Sequence[str]) -> str:
    if call.type.is_number:
        args = _in_one_form(call.facts.stored, call.args, args)
    args = one_collation(args, call.args)
    return f"NULLIF({args[0]}, {args[1]})"


FUNCTIONS = (
    Function("case", _case, _render_case),
    Function("coalesce", _coalesce, _render_variadic),
    Function("greatest", _extreme, _render_extreme),
    Function("least", _extreme, _render_extreme),
    Function("nullif", _nullif, _render_nullif),
)
