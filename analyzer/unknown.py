"""What is said to syntax that has no place in an expression, with what to write instead."""

from __future__ import annotations

from sqlglot import exp

from analyzer.refusals import NoMechanism, Refusal, UnknownFunction, Unsupported
from analyzer.syntax import spoken

_NOW = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Localtime, exp.Localtimestamp)
_CLOCKS = ("clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday")
_PATTERNS = (exp.SimilarTo, exp.RegexpLike, exp.RegexpILike, exp.RegexpReplace, exp.RegexpExtract)
_FUNCTIONS = (exp.Func, *_PATTERNS, *_NOW)
_AGGREGATES = frozenset({"mode", "bit_or", "bit_and"})
_NAMES: dict[type[exp.Expression], str] = {
    exp.ExplodingGenerateSeries: "generate_series",
    exp.GroupConcat: "string_agg",
    exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or",
    exp.SimilarTo: "SIMILAR TO",
}
"""PostgreSQL's names, where sqlglot has others."""
_COUNTED = "Count them: count(*) FILTER (WHERE x), or per person in a subquery."
_MATCHED = "Use LIKE, starts_with or strpos; some patterns take very long on some rows."
_INSTEAD: dict[type[exp.Expression], str] = {
    exp.LogicalAnd: _COUNTED,
    exp.LogicalOr: _COUNTED,
    exp.Median: "Write percentile_cont(0.5) WITHIN GROUP (ORDER BY x).",
    exp.Mode: "GROUP BY the column, and ORDER BY count(*) DESC LIMIT 1.",
    exp.Rand: "Noise is added to every answer; rows are not sampled.",
    **dict.fromkeys(_PATTERNS, _MATCHED),
}


def refused(node: exp.Expression) -> Refusal:
    """The refusal of a syntax node that nothing in the analyzer reads."""
    if _is_of_array(node):
        return Unsupported(
            "ANY and ALL stand in x = ANY (...) and x <> ALL (...) only.",
            hint="Write comparisons with AND or OR between them.",
        )
    if isinstance(node, exp.Window):
        return Unsupported(
            "A window over protected rows stands in the select list of a subquery only.",
            hint="Write SELECT ... FROM (SELECT ..., row_number() OVER (PARTITION BY key ORDER"
            " BY x) AS n FROM ...) t, where key is the privacy unit's.",
        )
    if isinstance(node, exp.Interval):
        return Unsupported(
            "An interval cannot stand here.",
            hint="It stands beside + or -, as in x + INTERVAL '1 day', or beside a difference of"
            " times: a - b < INTERVAL '1 day'.",
        )
    name = _name(node)
    if isinstance(node, exp.AggFunc | exp.WithinGroup) or name in _AGGREGATES:
        return NoMechanism(
            f"There is no private mechanism for {name}.",
            hint=_INSTEAD.get(type(node), "docs/sql.md lists what epsql answers."),
        )
    if isinstance(node, _NOW) or name in _CLOCKS:
        return Unsupported(
            "This clock is not available in a query.",
            hint="Use CURRENT_DATE, now() or LOCALTIMESTAMP, which have one value in a query.",
        )
    if isinstance(node, _FUNCTIONS):
        return UnknownFunction(
            f"There is no function {name} here.",
            hint=_INSTEAD.get(type(node), "docs/sql.md lists the functions that epsql answers."),
        )
    return Unsupported(
        f"{spoken(node)} is not supported in an expression.",
        hint="docs/sql.md lists what epsql answers.",
    )


def _is_of_array(node: exp.Expression) -> bool:
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower() in ("all", "some")
    return isinstance(node, exp.Any) and not isinstance(node.this, exp.Query)


def _name(node: exp.Expression) -> str:
    if type(node) in _NAMES:
        return _NAMES[type(node)]
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    if isinstance(node, exp.WithinGroup):
        return _name(node.this)
    return type(node).sql_name().lower() if isinstance(node, exp.Func) else spoken(node)
