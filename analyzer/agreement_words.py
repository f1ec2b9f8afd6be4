"""What both translators share: the shape of a canonical form, and the names of calls and types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Form = tuple[Any, ...]
"""A canonical form: a tag, then forms, texts, numbers and flags. Equal forms mean the same."""


class Target(Form):
    """The form of an item of a select list: its alias or None, and its expression's."""

    beside: Any
    """What is not compared: PostgreSQL's name for the column, or sqlglot's node."""


def target(alias: str | None, form: Form, beside: object) -> Target:
    made = Target((alias, form))
    made.beside = beside
    return made


def targets(form: Form) -> list[Target]:
    """All items of select lists in a form. Equal forms give them in one order."""
    parts = [form]
    for one in parts:  # which grows meanwhile
        parts += [part for part in one if isinstance(part, tuple)]
    return [one for one in parts if isinstance(one, Target)]


CALLS: dict[str, str] = {
    # Aggregates.
    "avg": "avg",
    "bool_and": "bool_and",
    "bool_or": "bool_or",
    "corr": "corr",
    "count": "count",
    "every": "bool_and",
    "covar_pop": "covar_pop",
    "covar_samp": "covar_samp",
    "max": "max",
    "min": "min",
    "mode": "mode",
    "percentile_cont": "percentile_cont",
    "percentile_disc": "percentile_disc",
    "regr_avgx": "regr_avgx",
    "regr_avgy": "regr_avgy",
    "regr_count": "regr_count",
    "regr_intercept": "regr_intercept",
    "regr_r2": "regr_r2",
    "regr_slope": "regr_slope",
    "regr_sxx": "regr_sxx",
    "regr_sxy": "regr_sxy",
    "regr_syy": "regr_syy",
    "stddev": "stddev",
    "stddev_pop": "stddev_pop",
    "stddev_samp": "stddev_samp",
    "sum": "sum",
    "var_pop": "var_pop",
    "var_samp": "variance",
    "variance": "variance",
    # Windows.
    "cume_dist": "cume_dist",
    "dense_rank": "dense_rank",
    "first_value": "first_value",
    "lag": "lag",
    "last_value": "last_value",
    "lead": "lead",
    "nth_value": "nth_value",
    "ntile": "ntile",
    "percent_rank": "percent_rank",
    "rank": "rank",
    "row_number": "row_number",
    # What epsql shows beside a noisy value.
    "ci_high": "ci_high",
    "ci_low": "ci_low",
    "error_bar": "error_bar",
    # One row.
    "abs": "abs",
    "age": "age",
    "btrim": "btrim",
    "ceil": "ceil",
    "ceiling": "ceil",
    "char_length": "length",
    "character_length": "length",
    "concat": "concat",
    "concat_ws": "concat_ws",
    "date": "date",
    "date_bin": "date_bin",
    "date_part": "date_part",
    "date_trunc": "date_trunc",
    "div": "div",
    "exp": "exp",
    "floor": "floor",
    "initcap": "initcap",
    "isfinite": "isfinite",
    "left": "left",
    "length": "length",
    "ln": "ln",
    "log": "log",
    "log10": "log",
    "lower": "lower",
    "lpad": "lpad",
    "ltrim": "ltrim",
    "mod": "%",
    "pow": "power",
    "power": "power",
    "replace": "replace",
    "reverse": "reverse",
    "right": "right",
    "round": "round",
    "rpad": "rpad",
    "rtrim": "rtrim",
    "sign": "sign",
    "split_part": "split_part",
    "sqrt": "sqrt",
    "starts_with": "starts_with",
    "strpos": "strpos",
    "substr": "substring",
    "substring": "substring",
    "translate": "translate",
    "trunc": "trunc",
    "to_char": "to_char",
    "to_date": "to_date",
    "to_timestamp": "to_timestamp",
    "upper": "upper",
    "width_bucket": "width_bucket",
}
"""Functions of PostgreSQL that both translators know, and one name for those that are the same."""

SYNTAX_CALLS: dict[str, str] = {
    "btrim": "btrim",
    "extract": "extract",
    "ltrim": "ltrim",
    "position": "strpos",
    "rtrim": "rtrim",
    "substring": "substring",
    "timezone": "timezone",
}
"""Functions that PostgreSQL's grammar itself calls, for forms such as TRIM(x) and EXTRACT."""

CLOCKS: dict[str, str] = {
    "SVFOP_CURRENT_DATE": "date",
    "SVFOP_CURRENT_TIMESTAMP": "timestamptz",
    "SVFOP_LOCALTIMESTAMP": "timestamp",
}
"""Clocks of PostgreSQL's grammar, by their types; now() is the second."""

FORMATS: dict[str, str] = {
    "YYYY-MM-DD HH24:MI:SS.US": "%Y-%m-%d %H:%M:%S.%f",
    "YYYY-MM-DD HH24:MI:SS": "%Y-%m-%d %H:%M:%S",
    "YYYY-MM-DD": "%Y-%m-%d",
}
"""What to_timestamp and to_date read, and how sqlglot writes it."""

UNIT_CALLS = frozenset({"date_trunc", "extract"})
"""Functions whose first argument is the name of a unit, in any case."""

OTHER_AGGREGATES = frozenset(
    [
        "any_value",
        "array_agg",
        "bit_and",
        "bit_or",
        "bit_xor",
        "json_agg",
        "json_object_agg",
        "jsonb_agg",
        "jsonb_object_agg",
        "median",
        "range_agg",
        "string_agg",
        "xmlagg",
    ]
)
"""Aggregates that are refused by name: they have no mechanism, and no translation."""

OPERATORS = frozenset({"+", "-", "*", "/", "%", "<", ">", "=", "<=", ">=", "<>", "||"})

TYPES = frozenset(
    [
        "bool",
        "bpchar",
        "date",
        "float4",
        "float8",
        "int2",
        "int4",
        "int8",
        "interval",
        "numeric",
        "text",
        "time",
        "timestamp",
        "timestamptz",
        "uuid",
        "varchar",
    ]
)
"""Types by the names that PostgreSQL's grammar turns their spellings into."""

FRAME_UNITS = {"RANGE": 0x2, "ROWS": 0x4, "GROUPS": 0x8}
FRAME_BOUNDS = {
    ("UNBOUNDED", "PRECEDING"): (0x20, 0x40),
    ("UNBOUNDED", "FOLLOWING"): (0x80, 0x100),
    ("CURRENT ROW", ""): (0x200, 0x400),
    ("", "PRECEDING"): (0x800, 0x1000),
    ("", "FOLLOWING"): (0x2000, 0x4000),
}
FRAME_EXCLUDES = {"CURRENT ROW": 0x8000, "GROUP": 0x10000, "TIES": 0x20000, "NO OTHERS": 0}
FRAME_DEFAULT = 0x2 | 0x20 | 0x400
"""PostgreSQL's bits of a window frame (nodes/parsenodes.h): RANGE UNBOUNDED PRECEDING."""
FRAME_SPELLING = 0x1 | 0x10
"""Bits that say how a frame was written (given at all, with BETWEEN), not what it is."""

MOST_INT = 2**31 - 1
"""The largest whole number that PostgreSQL's scanner calls an integer."""

INTERVAL_FIELDS = {
    1 << 1: "month",
    1 << 2: "year",
    1 << 3: "day",
    1 << 10: "hour",
    1 << 11: "minute",
    1 << 12: "second",
}
"""PostgreSQL's type modifiers for INTERVAL '1' DAY and its like (utils/timestamp.h)."""

_ONE_FIELD = re.compile(r"\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")


def interval(text: str) -> Form:
    """An interval's text, with one number and one unit spelled one way."""
    match = _ONE_FIELD.fullmatch(text)
    if match is not None:
        text = f"{match[1]} {match[2].lower().removesuffix('s')}"
    return ("cast", ("string", text), "interval")


def number(text: str) -> Form:
    """A number that is no int4, by its text: 1.50 and 1.5 differ in scale."""
    sign = "-" if text.startswith("-") else ""
    digits = text.removeprefix("-")
    return ("number", f"{sign}0{digits}" if digits.startswith(".") else text)


def negative(form: Form) -> Form:
    """Unary minus; PostgreSQL's grammar computes it where the operand is a constant."""
    if form[0] == "int":
        return ("int", -form[1])
    if form[0] == "number":
        text: str = form[1]
        return ("number", text[1:] if text.startswith("-") else f"-{text}")
    return ("negative", form)


def called(name: str, args: Form) -> Form:
    """A call without anything after it, where one can be written in several ways."""
    if name == "log" and len(args) == 2 and args[0] == ("int", 10):
        args = args[1:]
    if name == "substring" and len(args) == 3 and args[2][0] == "cast":
        # PostgreSQL's grammar makes SUBSTRING(x FOR 2) of it, with a cast.
        _, length, type_, *modifiers = args[2]
        if length[0] == "int" and type_ == "int4" and not modifiers:
            args = (*args[:2], length)
    return (name, *args) if name in OPERATORS else ("call", name, *args)


def joined(kind: str, parts: Iterable[Form]) -> Form:
    """AND or OR of all parts: both are associative, so nesting of the same one says nothing."""
    flat: list[Form] = []
    for part in parts:
        flat.extend(part[1:] if part[0] == kind else (part,))
    return (kind, *flat)


def crossed(left: Form, right: Form) -> Form:
    """``left, right`` of a FROM. A comma is a cross join that binds less tightly than JOIN; from
    left to right it says the same, unless a join in ``right`` pads rows of its left side."""
    if right[0] == "join" and right[1] in ("inner", "left"):
        kind, first, *rest = right[1:]
        return ("join", kind, crossed(left, first), *rest)
    return ("join", "inner", left, right, None, ())
