"""Which values a computed expression can show as a public group key.

Two ways lead there. Where the expression is a function of inputs whose public values are few, its
values are worked out by PostgreSQL, over those of the inputs, so that they are exactly what rows
give. Else, where its value lies on a grid and its declared range has two ends, it is the grid's
points between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from analyzer.expressions import (
    Call,
    Computed,
    Constant,
    Domain,
    Expr,
    Facts,
    Interval,
    Ref,
    Steps,
)
from analyzer.types import Type

MOST_INPUTS = 10_000
"""Combinations of input values over which a key is worked out; with more, the grid has to do."""


def size(domain: Domain | None) -> int | None:
    """The most values in a domain, NULL aside; None where it is not known before the query runs."""
    match domain:
        case tuple():
            return len(domain)
        case Steps():
            return domain.count
        case Computed():
            return domain.size
        case _:
            return None


def with_domain(call: Call) -> Call:
    """The call with the public values that follow from its arguments, where it has none itself."""
    facts = call.facts
    if facts.domain is not None:
        return call
    inputs, grid = _inputs(call), on_grid(facts)
    if inputs:
        sizes = [n for n in (_combinations(inputs), size(grid)) if n is not None]
        domain = Computed(min(sizes, default=None))
        facts = replace(facts, domain=domain, total_domain=False, inputs=inputs)
    elif grid is not None:
        facts = replace(facts, domain=grid, total_domain=_holds_all(grid, facts))
    return call if facts is call.facts else replace(call, facts=facts)


def as_column(ref: Ref, expression: Expr) -> Ref:
    """A subquery's column, which shows the same public values as the expression behind it."""
    domain = expression.facts.domain
    if not isinstance(domain, Computed) or domain.expression is not None:
        return replace(ref, facts=replace(ref.facts, inputs=None))
    domain = replace(domain, expression=expression)
    return replace(ref, facts=replace(ref.facts, domain=domain, inputs=None))


def on_grid(facts: Facts) -> Steps | None:
    """The points of the grid within the declared range; None where there is no such list."""
    declared, physical, tick = facts.declared, facts.physical, facts.tick
    if (
        not facts.on_grid
        or tick is None
        or declared.lower is None
        or declared.upper is None
        or facts.stored in (Type.TIMESTAMP, Type.TIMESTAMPTZ)
    ):
        return None
    # A value that no row can have is none to compute with either: it might be divided by.
    low = declared.lower if physical.lower is None else max(declared.lower, physical.lower)
    high = declared.upper if physical.upper is None else min(declared.upper, physical.upper)
    first, last = math.ceil(low / tick), math.floor(high / tick)
    if first > last:
        return None
    return Steps(first * tick, last * tick, tick, last - first + 1)


def inputs_of(expression: Expr) -> tuple[Expr, ...] | None:
    """Expressions with public values of which this one is a function; None where there are none."""
    if isinstance(expression, Constant):
        return ()
    facts = expression.facts
    if facts.inputs is not None or facts.domain is None:
        return facts.inputs
    # Most conditions are no keys and no part of one, so theirs are not looked for before.
    found = _inputs(expression) if isinstance(expression, Call) else None
    return (expression,) if found is None else found


def _inputs(call: Call) -> tuple[Expr, ...] | None:
    found: list[Expr] = []
    for arg in call.args:
        inputs = inputs_of(arg)
        if inputs is None:
            return None
        found += [e for e in inputs if e not in found]
    here = [e for e in found if size(e.facts.domain) is not None]
    combinations = _combinations(here)
    assert combinations is not None
    return tuple(found) if combinations <= MOST_INPUTS and len(found) <= len(here) + 1 else None


def _combinations(inputs: Sequence[Expr]) -> int | None:
    """How many there are of the inputs' values, NULL among them; None where a list is not here."""
    counts = []
    for expression in inputs:
        count = size(expression.facts.domain)
        if count is None:
            return None
        counts.append(count + (1 if expression.nullable else 0))
    return math.prod(counts)


def _holds_all(grid: Steps, facts: Facts) -> bool:
    """Whether no row can have a value off the grid's points: numeric and float8 have NaN."""
    exact = facts.stored.is_integer or facts.stored is Type.DATE
    return exact and grid.step == 1 and facts.physical.within(Interval(grid.first, grid.last))
