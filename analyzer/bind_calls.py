"""Syntax of calls that are more than a name and two arguments, as functions of the allow-list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlglot import exp, parse_one

from analyzer.expressions import Constant, Expr
from analyzer.functions import build
from analyzer.functions.base import constant
from analyzer.functions.casts import build_cast
from analyzer.functions.distances import compared
from analyzer.functions.text import escaped
from analyzer.functions.times import interval_parts
from analyzer.refusals import BadArgument, BadPattern, UnknownFunction, Unsupported
from analyzer.syntax import only
from analyzer.types import Type

Bind = Callable[[exp.Expression], Expr]

_CALLS: dict[type[exp.Expression], tuple[str, ...]] = {
    exp.Sqrt: ("sqrt", "this"),
    exp.Ln: ("ln", "this"),
    exp.Log: ("log", "this", "expression"),
    exp.Exp: ("exp", "this"),
    exp.Pow: ("power", "this", "expression"),
    exp.IntDiv: ("div", "this", "expression"),
    exp.WidthBucket: ("width_bucket", "this", "min_value", "max_value", "num_buckets"),
    exp.TimestampTrunc: ("date_trunc", "unit", "this"),
    exp.UnixToTime: ("to_timestamp", "this"),
    exp.AtTimeZone: ("at time zone", "this", "zone"),
    exp.Substring: ("substr", "this", "start", "length"),
    exp.StrPosition: ("strpos", "this", "substr"),
    exp.Replace: ("replace", "this", "expression", "replacement"),
    exp.Left: ("left", "this", "expression"),
    exp.Right: ("right", "this", "expression"),
    exp.StartsWith: ("starts_with", "this", "expression"),
    exp.Nullif: ("nullif", "this", "expression"),
    exp.SplitPart: ("split_part", "this", "delimiter", "part_index"),
    exp.Reverse: ("reverse", "this"),
    exp.Translate: ("translate", "this", "from_", "to"),
    exp.Abs: ("abs", "this"),
    exp.Sign: ("sign", "this"),
    exp.Lower: ("lower", "this"),
    exp.Upper: ("upper", "this"),
    exp.Length: ("length", "this"),
    exp.Ceil: ("ceil", "this"),
    exp.Floor: ("floor", "this"),
    exp.Round: ("round", "this", "decimals"),
    exp.Trunc: ("trunc", "this", "decimals"),
}
"""The allow-list's name, then the arguments in its order; those at the end can be left out."""
_NAMED = {"btrim": "btrim", "ceiling": "ceil", "isfinite": "isfinite", "to_char": "to_char"}
_INITCAP = parse_one("initcap(x)", dialect="postgres").args["expression"]
"""Where sqlglot takes words to begin; PostgreSQL's function has no such argument."""
_TYPES: dict[str, Type] = {
    "BOOLEAN": Type.BOOL,
    "INT": Type.INT4,
    "SMALLINT": Type.INT4,
    "BIGINT": Type.INT8,
    "DECIMAL": Type.NUMERIC,
    "DOUBLE": Type.FLOAT8,
    "TEXT": Type.TEXT,
    "VARCHAR": Type.TEXT,
    "DATE": Type.DATE,
    "TIMESTAMP": Type.TIMESTAMP,
    "TIMESTAMPTZ": Type.TIMESTAMPTZ,
    "UUID": Type.UUID,
}


def call(bind: Bind, node: exp.Expression) -> Expr | None:
    """The typed call that a node means; None where it is no call that is known here.

    Raises:
        Refusal: it is known, and does not fit.
    """
    if isinstance(node, (exp.Add, exp.Sub)):
        return _shift(bind, node)
    entry = _CALLS.get(type(node))
    if entry is not None:
        return _plain(bind, node, *entry)
    special = _SPECIAL.get(type(node))
    return None if special is None else special(bind, node)


def _plain(bind: Bind, node: exp.Expression, name: str, *keys: str) -> Expr:
    only(node, *keys)
    nodes = [node.args[key] for key in keys if node.args.get(key) is not None]
    if isinstance(node, exp.Log) and len(nodes) == 2 and nodes[0] == exp.Literal.number(10):
        nodes = nodes[1:]  # log10(x), which is log(x)
    return build(name, [_unit(n) if isinstance(n, exp.Var) else bind(n) for n in nodes])


def _unit(node: exp.Var) -> Expr:
    """A field or unit: sqlglot makes a bare word of the constant text."""
    return constant(str(node.this).lower())


def _shift(bind: Bind, node: exp.Expression) -> Expr | None:
    """A date or timestamp and a constant interval, in either order for ``+``, or so many of it;
    None where neither side is an interval."""
    left, right = _interval(node.this), _interval(node.expression)
    if left is None and right is None:
        return None
    only(node, "this", "expression")
    subject, steps = (node.this, right) if left is None else (node.expression, left)
    if steps is None or (left is not None and (right is not None or isinstance(node, exp.Sub))):
        raise Unsupported("Intervals are added to a date or timestamp, or taken from one.")
    text, times = steps
    if times is None:
        name = "time + interval" if isinstance(node, exp.Add) else "time - interval"
        return build(name, [bind(subject), constant(text)])
    count = bind(times) if isinstance(node, exp.Add) else build("neg", [bind(times)])
    return build("time + interval * number", [bind(subject), constant(text), count])


def _interval(node: exp.Expression) -> tuple[str, exp.Expression | None] | None:
    """The text of a constant interval, and what it is multiplied by; None for anything else."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Mul):
        for one, other in ((node.this, node.expression), (node.expression, node.this)):
            found = _interval(one)
            if found is not None and found[1] is None:
                whole = isinstance(other, exp.Literal) and other.is_int
                return (_times(found[0], int(other.name)), None) if whole else (found[0], other)
        return None
    if isinstance(node, exp.Interval):
        return interval_text(node), None
    is_cast = isinstance(node, exp.Cast) and node.args["to"].is_type("interval")
    if is_cast and isinstance(node.this, exp.Literal) and node.this.is_string:
        return str(node.this.this), None
    return None


def _times(text: str, count: int) -> str:
    parts = zip(interval_parts(text), ("month", "day", "second"), strict=True)
    return " ".join(f"{number * count} {unit}" for number, unit in parts)


def beside_times(bind: Bind, node: exp.Expression) -> Expr:
    """What is compared: a constant interval too, as a difference of times compares with it."""
    found = _interval(node)
    if found is None or found[1] is not None:
        return bind(node)
    return compared(found[0])


def interval_text(interval: exp.Interval) -> str:
    """What an interval says, with its unit.

    Raises:
        Unsupported: it is no constant.
    """
    only(interval, "this", "unit", "fraction_in_string")
    value, unit = interval.this, interval.args.get("unit")
    if not isinstance(value, exp.Literal) or (unit is not None and not isinstance(unit, exp.Var)):
        raise Unsupported(
            "An interval is written INTERVAL '1 day'.",
            hint="Write whole numbers with year, month, week, day, hour, minute or second.",
        )
    return f"{value.this} {unit.this if unit is not None else ''}"


def _escape(bind: Bind, node: exp.Expression) -> Expr:
    """``LIKE ... ESCAPE``: the pattern with a backslash in place of its own escape."""
    only(node, "this", "expression")
    like = node.this
    if not isinstance(like, (exp.Like, exp.ILike)):
        raise Unsupported("ESCAPE follows a LIKE.", hint="Leave it out elsewhere.")
    only(like, "this", "expression", "negate")
    pattern, escape = bind(like.expression), bind(node.expression)
    values = [e.value if isinstance(e, Constant) else None for e in (pattern, escape)]
    if not isinstance(values[0], str) or not isinstance(values[1], str):
        raise BadPattern(
            "LIKE and ESCAPE take constants.",
            hint="Write the pattern in quotes, or send it as a parameter.",
        )
    text = constant(escaped(values[0], values[1]), untyped=True)
    name = "like" if isinstance(like, exp.Like) else "ilike"
    found = build(name, [bind(like.this), text])
    return build("not", [found]) if like.args.get("negate") else found


def _cast(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "this", "to")
    return cast_as(bind(node.this), node.args["to"])


def cast_as(subject: Expr, target: exp.Expression) -> Expr:
    """``CAST(subject AS target)``.

    Raises:
        Unsupported: no such type, or a conversion that could fail.
        BadArgument: a constant that is no value of that type.
    """
    name = getattr(target.this, "name", "")
    kind = _TYPES.get(name)
    if kind is Type.TEXT and target.expressions:
        raise Unsupported("A text type takes no length here.", hint="Write left(x, 10).")
    digits = [p.this for p in target.expressions]
    plain = all(isinstance(n, exp.Literal) and str(n.this).isdigit() for n in digits)
    if kind is None or not plain or (digits and (kind is not Type.NUMERIC or len(digits) > 2)):
        raise Unsupported(
            f"There is no cast to {target.sql('postgres').lower()}.",
            hint="Cast to boolean, smallint, integer, bigint, numeric, double precision, text,"
            " date or timestamp.",
        )
    if digits:
        precision, scale = (int(str(n.this)) for n in (*digits, exp.Literal.number(0))[:2])
        return build_cast(subject, kind, digits=(precision, scale))
    return build_cast(subject, kind, small=name == "SMALLINT")


def _date(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "this")
    return build_cast(bind(node.this), Type.DATE)


def _read_time(bind: Bind, node: exp.Expression) -> Expr:
    """to_timestamp and to_date of a constant, in one of a few formats; times are in UTC."""
    only(node, "this", "format")
    subject, form = bind(node.this), str(node.args["format"].this)
    text = subject.value if isinstance(subject, Constant) else None
    try:
        found = datetime.strptime(str(text), form).replace(tzinfo=UTC)
    except ValueError:
        raise BadArgument(
            "A constant in its own format is expected here.",
            hint="Write DATE '2020-12-31', for example.",
        ) from None
    if isinstance(node, exp.StrToDate):
        return build_cast(constant(found.date().isoformat(), untyped=True), Type.DATE)
    return build_cast(constant(found.isoformat(), untyped=True), Type.TIMESTAMPTZ)


def _concat(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "expressions", "safe", "coalesce")
    return build("concat", as_texts([bind(n) for n in node.expressions]))


def _concat_ws(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "expressions", "safe", "coalesce")
    return build("concat_ws", as_texts([bind(n) for n in node.expressions]))


def as_texts(args: Sequence[Expr], *, bools: bool = False) -> list[Expr]:
    """What is put together with texts, as the text that it is printed as. ``concat`` prints a
    boolean in another way than a cast does, so those are texts for ``||`` only."""
    if not any(arg.type is Type.TEXT for arg in args):
        return list(args)
    kinds = (Type.INT4, Type.INT8, Type.DATE, Type.UUID, *((Type.BOOL,) if bools else ()))
    return [build_cast(arg, Type.TEXT) if arg.type in kinds else arg for arg in args]


def _pad(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "this", "expression", "fill_pattern", "is_left")
    nodes = [node.this, node.expression, node.args.get("fill_pattern")]
    name = "lpad" if node.args.get("is_left") else "rpad"
    return build(name, [bind(n) for n in nodes if n is not None])


def _initcap(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "this", "expression")
    if node.expression != _INITCAP:
        raise UnknownFunction("initcap takes one argument.")
    return build("initcap", [bind(node.this)])


def _trim(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "this", "position", "expression")
    position = str(node.args.get("position") or "")
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(position, "btrim")
    nodes = [node.this, node.args.get("expression")]
    return build(name, [bind(n) for n in nodes if n is not None])


def _named(bind: Bind, node: exp.Expression) -> Expr | None:
    written = str(node.this).lower()
    if written == "age":
        raise Unsupported(
            "age gives an interval, which stands only in EXTRACT(year FROM age(a, b)).",
            hint="Write x > CURRENT_DATE - INTERVAL '1 year', or a - b, which is in days.",
        )
    name = "extract" if written == "date_part" else _NAMED.get(written)
    if name is None:
        return None
    only(node, "this", "expressions")
    found = build(name, [bind(n) for n in node.expressions])
    return build_cast(found, Type.FLOAT8) if written == "date_part" else found


def _date_bin(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "this", "expression", "unit")
    width = _interval(node.this)
    stride = bind(node.this) if width is None or width[1] is not None else constant(width[0])
    origin = node.args["unit"]
    if isinstance(origin, exp.Var):  # so sqlglot reads a bare string there
        origin = exp.Literal.string(origin.name)
    return build("date_bin", [stride, bind(node.expression), bind(origin)])


def _extract(bind: Bind, node: exp.Expression) -> Expr:
    only(node, "this", "expression")
    subject = node.expression
    if isinstance(subject, exp.Anonymous) and str(subject.this).lower() == "age":
        only(subject, "this", "expressions")
        return build("age", [constant(node.name), *(bind(n) for n in subject.expressions)])
    return _plain(bind, node, "extract", "this", "expression")


_SPECIAL: dict[type[exp.Expression], Callable[[Bind, exp.Expression], Expr | None]] = {
    exp.Escape: _escape,
    exp.DateBin: _date_bin,
    exp.Extract: _extract,
    exp.Cast: _cast,
    exp.Date: _date,
    exp.StrToTime: _read_time,
    exp.StrToDate: _read_time,
    exp.Concat: _concat,
    exp.ConcatWs: _concat_ws,
    exp.Pad: _pad,
    exp.Initcap: _initcap,
    exp.Trim: _trim,
    exp.Anonymous: _named,
}
