"""Calls of functions, aggregates and windows, as sqlglot's trees have them, as canonical forms."""

from __future__ import annotations

from typing import Any

from sqlglot import exp, parse_one

from analyzer.agreement_sqlglot import form_of, forms, name_of, optional, reads
from analyzer.agreement_words import (
    CALLS,
    FRAME_BOUNDS,
    FRAME_DEFAULT,
    FRAME_EXCLUDES,
    FRAME_UNITS,
    Form,
    called,
)
from analyzer.refusals import Unsupported
from analyzer.syntax import given, only, position_of, spoken

_CALLS: dict[type[exp.Expression], tuple[str, ...]] = {
    exp.Avg: ("avg", "this"),
    exp.LogicalAnd: ("bool_and", "this"),
    exp.LogicalOr: ("bool_or", "this"),
    exp.Corr: ("corr", "this", "expression"),
    exp.Count: ("count", "this"),
    exp.CovarPop: ("covar_pop", "this", "expression"),
    exp.CovarSamp: ("covar_samp", "this", "expression"),
    exp.Max: ("max", "this"),
    exp.Min: ("min", "this"),
    exp.Mode: ("mode", "this"),
    exp.PercentileCont: ("percentile_cont", "this"),
    exp.PercentileDisc: ("percentile_disc", "this"),
    exp.Stddev: ("stddev", "this"),
    exp.StddevPop: ("stddev_pop", "this"),
    exp.StddevSamp: ("stddev_samp", "this"),
    exp.Sum: ("sum", "this"),
    exp.VariancePop: ("var_pop", "this"),
    exp.Variance: ("variance", "this"),
    exp.CumeDist: ("cume_dist",),
    exp.DenseRank: ("dense_rank",),
    exp.FirstValue: ("first_value", "this"),
    exp.Lag: ("lag", "this", "offset", "default"),
    exp.LastValue: ("last_value", "this"),
    exp.Lead: ("lead", "this", "offset", "default"),
    exp.Ntile: ("ntile", "this"),
    exp.PercentRank: ("percent_rank",),
    exp.Rank: ("rank",),
    exp.RowNumber: ("row_number",),
    exp.NthValue: ("nth_value", "this", "offset"),
    exp.RegrAvgx: ("regr_avgx", "this", "expression"),
    exp.RegrAvgy: ("regr_avgy", "this", "expression"),
    exp.RegrCount: ("regr_count", "this", "expression"),
    exp.RegrR2: ("regr_r2", "this", "expression"),
    exp.RegrSxx: ("regr_sxx", "this", "expression"),
    exp.RegrSxy: ("regr_sxy", "this", "expression"),
    exp.RegrSyy: ("regr_syy", "this", "expression"),
    exp.RegrIntercept: ("regr_intercept", "this", "expression"),
    exp.RegrSlope: ("regr_slope", "this", "expression"),
    exp.Abs: ("abs", "this"),
    exp.Ceil: ("ceil", "this"),
    exp.Date: ("date", "this"),
    exp.DateBin: ("date_bin", "this", "expression", "unit"),
    exp.TimestampTrunc: ("date_trunc", "unit", "this", "zone"),
    exp.Exp: ("exp", "this"),
    exp.Extract: ("extract", "this", "expression"),
    exp.Floor: ("floor", "this"),
    exp.Left: ("left", "this", "expression"),
    exp.Length: ("length", "this"),
    exp.IntDiv: ("div", "this", "expression"),
    exp.Ln: ("ln", "this"),
    exp.Log: ("log", "this", "expression"),
    exp.Lower: ("lower", "this"),
    exp.Pow: ("power", "this", "expression"),
    exp.Replace: ("replace", "this", "expression", "replacement"),
    exp.Reverse: ("reverse", "this"),
    exp.Right: ("right", "this", "expression"),
    exp.Round: ("round", "this", "decimals"),
    exp.Sign: ("sign", "this"),
    exp.Sqrt: ("sqrt", "this"),
    exp.SplitPart: ("split_part", "this", "delimiter", "part_index"),
    exp.StartsWith: ("starts_with", "this", "expression"),
    exp.StrPosition: ("strpos", "this", "substr"),
    exp.Substring: ("substring", "this", "start", "length"),
    exp.AtTimeZone: ("timezone", "zone", "this"),
    exp.Trim: ("btrim", "this", "expression"),
    exp.UnixToTime: ("to_timestamp", "this"),
    exp.Translate: ("translate", "this", "from_", "to"),
    exp.Trunc: ("trunc", "this", "decimals"),
    exp.Upper: ("upper", "this"),
    exp.WidthBucket: ("width_bucket", "this", "min_value", "max_value", "num_buckets"),
}
"""Calls: the name, then the arguments in PostgreSQL's order."""
_INITCAP = parse_one("initcap(x)", dialect="postgres").args["expression"]
"""Where sqlglot takes words to begin; PostgreSQL's function has no such argument."""
_TRIMS = {"": "btrim", "BOTH": "btrim", "LEADING": "ltrim", "TRAILING": "rtrim"}


@reads(
    *_CALLS, args=("big_int", "position", *{arg for _, *args in _CALLS.values() for arg in args})
)
def _call(node: exp.Expression) -> Form:
    return _aggregate(node)


_CLOCKS: dict[type[exp.Expression], str] = {
    exp.CurrentDate: "date",
    exp.CurrentTimestamp: "timestamptz",
    exp.Localtimestamp: "timestamp",
}


@reads(*_CLOCKS, args=())
def _clock(node: exp.Expression) -> Form:
    return ("clock", _CLOCKS[type(node)])


@reads(exp.StrToTime, exp.StrToDate, args=("this", "format"))
def _read_time(node: exp.Expression) -> Form:
    name = "to_timestamp" if type(node) is exp.StrToTime else "to_date"
    return called(name, (form_of(node.this), form_of(node.args["format"])))


@reads(exp.Concat, exp.ConcatWs, args=("expressions", "safe", "coalesce"))
def _concat(node: exp.Concat | exp.ConcatWs) -> Form:
    if not node.args.get("safe"):
        raise Unsupported("Strings in a row are not supported.", hint="Write || between them.")
    return called("concat" if type(node) is exp.Concat else "concat_ws", forms(node.expressions))


@reads(exp.Pad, args=("this", "expression", "fill_pattern", "is_left"))
def _pad(node: exp.Pad) -> Form:
    nodes = [node.this, node.expression, node.args.get("fill_pattern")]
    name = "lpad" if node.args.get("is_left") else "rpad"
    return called(name, forms([n for n in nodes if n is not None]))


@reads(exp.Initcap, args=("this", "expression"))
def _initcap(node: exp.Initcap) -> Form:
    if node.expression != _INITCAP:
        raise Unsupported("initcap takes one argument.", position=position_of(node))
    return called("initcap", (form_of(node.this),))


@reads(exp.Anonymous, args=("this", "expressions"))
def _anonymous(node: exp.Anonymous) -> Form:
    return _aggregate(node)


@reads(exp.WithinGroup, args=("this", "expression"))
def _within(node: exp.WithinGroup) -> Form:
    return _aggregate(node.this, order=forms(node.expression.expressions), within=True)


@reads(exp.Filter, args=("this", "expression"))
def _filter(node: exp.Filter) -> Form:
    return _modified(form_of(node.this), -2, form_of(node.expression))


@reads(exp.Window, args=("this", "partition_by", "order", "spec", "over", "alias"))
def _window(node: exp.Window) -> Form:
    """A function with its window; as an item of WINDOW, the name and what it stands for."""
    alias, spec = node.args.get("alias"), node.args.get("spec")
    options, start, end = (FRAME_DEFAULT, None, None) if spec is None else _frame(spec)
    window = (
        None if alias is None else name_of(alias),
        forms(node.args.get("partition_by")),
        optional(node, "order") or (),
        options,
        start,
        end,
    )
    if type(node.this) is exp.Identifier:
        return (name_of(node.this), window)
    if node.args.get("over") != "OVER":
        raise Unsupported("This kind of window is not supported.", position=position_of(node))
    return _modified(form_of(node.this), -1, window)


def _aggregate(node: exp.Expression, *, order: Form = (), within: bool = False) -> Form:
    name, nodes = _arguments(node)
    star = distinct = False
    first = nodes[0] if nodes else None
    if type(first) is exp.Distinct:
        only(first, "expressions")
        distinct, nodes = True, [*first.expressions, *nodes[1:]]
    elif type(first) is exp.Order:
        only(first, "this", "expressions")
        order, nodes = forms(first.expressions), [first.this, *nodes[1:]]
    elif type(first) is exp.Star and len(nodes) == 1:
        only(first)
        star, nodes = True, []
    args = forms(nodes)
    if star or distinct or order or within:
        return ("aggregate", name, args, star, distinct, within, order, None, None)
    return called(name, args)


def _arguments(node: exp.Expression) -> tuple[str, list[exp.Expression]]:
    if type(node) is exp.Anonymous:
        name = node.this if isinstance(node.this, str) else ""
        name = CALLS.get(name.lower(), "")
        if not name:
            raise Unsupported(f"{spoken(node)} is not supported.", position=position_of(node))
        return name, node.expressions
    name, *order = _CALLS[type(node)]
    if type(node) is exp.Trim:
        name = _TRIMS[str(node.args.get("position") or "")]
    only(node, *order, "big_int", *(("position",) if type(node) is exp.Trim else ()))
    nodes: list[Any] = [node.args.get(argument) for argument in order]
    while nodes and nodes[-1] is None:
        nodes.pop()
    return name, [_unit(child) if type(child) is exp.Var else child for child in nodes]


def _unit(node: exp.Var) -> exp.Literal:
    """A unit, which PostgreSQL takes as a string; the other side's has to be one too."""
    return exp.Literal.string(node.name.lower())


def _modified(form: Form, place: int, what: Form) -> Form:
    """A call with FILTER or OVER: ``place`` counts from the end of an aggregate's form."""
    if form[0] == "call":
        form = ("aggregate", form[1], form[2:], False, False, False, (), None, None)
    if form[0] != "aggregate":
        raise Unsupported(
            "FILTER and OVER follow an aggregate or a window function.",
            hint="Write count(*) FILTER (WHERE ...), for example.",
        )
    parts = list(form)
    parts[place] = what
    return tuple(parts)


def _frame(spec: exp.WindowSpec) -> tuple[int, Form | None, Form | None]:
    only(spec, "kind", "start", "start_side", "end", "end_side", "exclude")
    args = given(spec)
    start, first = _bound(args.get("start"), args.get("start_side"))
    end, last = _bound(args.get("end") or "CURRENT ROW", args.get("end_side"))
    exclude = args.get("exclude")
    excluded = exclude.name.upper() if isinstance(exclude, exp.Var) else "NO OTHERS"
    options = FRAME_UNITS[str(args["kind"]).upper()] | first[0] | last[1]
    return options | FRAME_EXCLUDES[excluded], start, end


def _bound(what: Any, side: Any) -> tuple[Form | None, tuple[int, int]]:
    name, direction = what if isinstance(what, str) else "", str(side or "").upper()
    bits = FRAME_BOUNDS.get((name.upper(), direction))
    if bits is None:
        raise Unsupported(
            "This window frame is not supported.",
            hint="Write ROWS BETWEEN 6 PRECEDING AND CURRENT ROW, for example.",
        )
    return (None if name else form_of(what), bits)
