"""The allow-list: every function and operator that a plan may contain.

A function belongs here when it is immutable, total on everything its arguments can be (or made
total by the SQL that it renders to), cheap for any value, and reads one row only. ``build`` types a
call and works out its facts; ``render`` prints it over arguments that are printed already, each
computed in its own ``facts.stored``. Whatever is not here does not exist for an analyst.
"""

from __future__ import annotations

from analyzer.functions import (
    arithmetic,
    calendars,
    casts,
    comparison,
    conditional,
    distances,
    epochs,
    fields,
    mathematics,
    text,
    times,
)
from analyzer.functions.base import FUNCTIONS, Function, build, render

_FAMILIES = (
    arithmetic,
    mathematics,
    comparison,
    conditional,
    text,
    times,
    distances,
    calendars,
    epochs,
    fields,
    casts,
)
FUNCTIONS |= {function.name: function for family in _FAMILIES for function in family.FUNCTIONS}

__all__ = ["FUNCTIONS", "Function", "build", "render"]
