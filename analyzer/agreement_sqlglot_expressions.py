"""Expressions, as sqlglot's trees have them, as canonical forms."""

from __future__ import annotations

from sqlglot import exp

from analyzer.agreement_sqlglot import form_of, forms, name_of, optional, query, reads
from analyzer.agreement_words import (
    MOST_INT,
    Form,
    interval,
    joined,
    negative,
    number,
)
from analyzer.refusals import SyntaxRefused, Unsupported
from analyzer.syntax import array_beside, element_of, only, position_of

_BINARY: dict[type[exp.Expression], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.DPipe: "||",
    exp.Nullif: "nullif",
    exp.NullSafeNEQ: "distinct from",
}
_VARIADIC: dict[type[exp.Expression], str] = {
    exp.Coalesce: "coalesce",
    exp.Greatest: "greatest",
    exp.Least: "least",
}
_TYPES = {
    "BIGINT": "int8",
    "BOOLEAN": "bool",
    "BPCHAR": "bpchar",
    "DATE": "date",
    "DECIMAL": "numeric",
    "DOUBLE": "float8",
    "FLOAT": "float4",
    "INT": "int4",
    "INTERVAL": "interval",
    "SMALLINT": "int2",
    "TEXT": "text",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "UUID": "uuid",
    "VARCHAR": "varchar",
}


@reads(*_BINARY, args=("this", "expression", "typed", "safe"))
def _binary(node: exp.Expression) -> Form:
    array = array_beside(node)
    if array is not None:
        form = ("in array", form_of(node.this), form_of(array))
        return ("not", form) if type(node) is exp.NEQ else form
    return (_BINARY[type(node)], form_of(node.this), form_of(node.expression))


@reads(*_VARIADIC, args=("this", "expressions", "ignore_nulls"))
def _variadic(node: exp.Expression) -> Form:
    return (_VARIADIC[type(node)], form_of(node.this), *forms(node.expressions))


@reads(exp.And, exp.Or, args=("this", "expression"))
def _connector(node: exp.Expression) -> Form:
    # Long chains lean to the left: walked down, so that they need no stack.
    parts = []
    kind = type(node)
    while type(node) is kind:
        only(node, "this", "expression")
        parts.append(form_of(node.expression))
        node = node.this
    parts.append(form_of(node))
    return joined(kind.__name__.lower(), reversed(parts))


@reads(exp.Not, args=("this",))
def _not(node: exp.Not) -> Form:
    return ("not", form_of(node.this))


@reads(exp.Neg, args=("this",))
def _negative(node: exp.Neg) -> Form:
    return negative(form_of(node.this))


@reads(exp.NullSafeEQ, args=("this", "expression"))
def _not_distinct(node: exp.NullSafeEQ) -> Form:
    return ("not", ("distinct from", form_of(node.this), form_of(node.expression)))


@reads(exp.Paren, args=("this",))
def _paren(node: exp.Paren) -> Form:
    return form_of(node.this)


@reads(exp.Column, args=("this", "table", "db", "catalog"))
def _column(node: exp.Column) -> Form:
    parts = [node.args[part] for part in ("catalog", "db", "table") if node.args.get(part)]
    qualifiers = [name_of(part) for part in parts]
    if type(node.this) is exp.Star:
        only(node.this)
        return ("star", *qualifiers)
    return ("column", *qualifiers, name_of(node.this))


@reads(exp.Star, args=())
def _star(_: exp.Star) -> Form:
    return ("star",)


@reads(exp.Literal, args=("this", "is_string"))
def _literal(node: exp.Literal) -> Form:
    text: str = node.this
    if node.args.get("is_string"):
        return ("string", text)
    if text.isdecimal() and int(text) <= MOST_INT:
        return ("int", int(text))
    return number(text)


@reads(exp.Boolean, args=("this",))
def _boolean(node: exp.Boolean) -> Form:
    return ("bool", bool(node.this))


@reads(exp.Null, args=())
def _null(_: exp.Null) -> Form:
    return ("null",)


@reads(exp.Parameter, args=("this",))
def _parameter(node: exp.Parameter) -> Form:
    number_of = form_of(node.this)
    if number_of[0] != "int":
        raise Unsupported(
            "Parameters are written $1, $2 and so on.",
            hint="Write $1 in place of ? or :name.",
            position=position_of(node),
        )
    return ("parameter", number_of[1])


@reads(exp.Is, args=("this", "expression", "negate"))
def _is(node: exp.Is) -> Form:
    what = node.expression
    if type(what) not in (exp.Null, exp.Boolean):
        raise SyntaxRefused(
            "IS takes NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM.",
            hint="Where it has one of them, put parentheses around the test.",
            position=position_of(node),
        )
    form = ("is", form_of(node.this), None if type(what) is exp.Null else bool(what.this))
    return ("not", form) if node.args.get("negate") else form


@reads(exp.Between, args=("this", "low", "high", "symmetric"))
def _between(node: exp.Between) -> Form:
    kind = "between symmetric" if node.args.get("symmetric") else "between"
    return (kind, *[form_of(node.args[name]) for name in ("this", "low", "high")])


@reads(exp.In, args=("this", "expressions", "query"))
def _in(node: exp.In) -> Form:
    inner = node.args.get("query")
    if inner is not None:
        only(node, "this", "query")
        return ("in query", form_of(node.this), query(inner))
    return ("in", form_of(node.this), *forms(node.expressions))


@reads(exp.Like, exp.ILike, args=("this", "expression", "negate"))
def _like(node: exp.Expression) -> Form:
    form = (type(node).__name__.lower(), form_of(node.this), form_of(node.expression))
    return ("not", form) if node.args.get("negate") else form


@reads(exp.Escape, args=("this", "expression"))
def _escape(node: exp.Escape) -> Form:
    form, character = form_of(node.this), form_of(node.expression)
    if form[0] == "not":
        return ("not", (*form[1], character))
    return (*form, character)


@reads(exp.Case, args=("this", "ifs", "default"))
def _case(node: exp.Case) -> Form:
    return ("case", optional(node, "this"), forms(node.args["ifs"]), optional(node, "default"))


@reads(exp.If, args=("this", "true"))
def _when(node: exp.If) -> Form:
    return (form_of(node.this), form_of(node.args["true"]))


@reads(exp.Grouping, args=("expressions",))
def _grouping(node: exp.Grouping) -> Form:
    return ("grouping", *forms(node.expressions))


@reads(exp.Tuple, args=("expressions",))
def _row(node: exp.Tuple) -> Form:
    return ("row", *forms(node.expressions))


@reads(exp.Exists, args=("this",))
def _exists(node: exp.Exists) -> Form:
    return ("exists", query(node.this))


@reads(exp.Subquery, args=("this",))
def _scalar(node: exp.Subquery) -> Form:
    return ("scalar", query(node))


@reads(exp.Cast, args=("this", "to"))
def _cast(node: exp.Cast) -> Form:
    argument, (type_, *modifiers) = form_of(node.this), form_of(node.args["to"])
    if type(node.this) is exp.IntDiv and type_ == "numeric" and not modifiers:
        return argument  # so sqlglot reads div(a, b), which gives a numeric
    if type_ == "interval" and argument[0] == "string" and not modifiers:
        return interval(argument[1])
    return ("cast", argument, type_, *modifiers)


@reads(exp.Bracket, args=("this", "expressions"))
def _element(node: exp.Bracket) -> Form:
    return ("element", form_of(node.this), element_of(node))


@reads(exp.Array, args=("expressions", "value_constructor"))
def _array(node: exp.Array) -> Form:
    # Brackets are marked where the one element is a subquery: without them it is another array.
    alone = len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Query)
    if bool(node.args.get("value_constructor")) != alone:
        raise Unsupported(
            "ARRAY of a subquery is not supported.",
            hint="Write IN (SELECT ...), or EXISTS.",
            position=position_of(node),
        )
    return ("array", *forms(node.expressions))


@reads(exp.DataType, args=("this", "expressions", "nested"))
def _type(node: exp.DataType) -> Form:
    kind = getattr(node.this, "name", "")
    if node.args.get("nested"):
        inner = node.expressions
        if kind != "ARRAY" or len(inner) != 1 or inner[0].args.get("nested"):
            raise Unsupported(
                "Arrays have one dimension, without a length.",
                hint="Write integer[], or ARRAY[1, 2].",
            )
        name, *lengths = form_of(inner[0])
        return (f"{name}[]", *lengths)
    modifiers = forms(node.args.get("expressions"))
    if any(modifier[0] != "int" for modifier in modifiers):
        raise Unsupported("A type takes whole numbers.", position=position_of(node))
    if kind == "CHAR":
        return ("bpchar", *([m[1] for m in modifiers] or [1]))
    if kind not in _TYPES:
        raise Unsupported(f"There is no cast to {kind.lower()}.", position=position_of(node))
    return (_TYPES[kind], *[modifier[1] for modifier in modifiers])


@reads(exp.DataTypeParam, args=("this",))
def _type_parameter(node: exp.DataTypeParam) -> Form:
    return form_of(node.args["this"])


@reads(exp.Interval, args=("this", "unit", "fraction_in_string"))
def _interval(node: exp.Interval) -> Form:
    text, unit = form_of(node.this), node.args.get("unit")
    if text[0] != "string" or (unit is not None and type(unit) is not exp.Var):
        raise SyntaxRefused(
            "An interval is written INTERVAL '1 day'.",
            hint="Where it is, put parentheses around it.",
            position=position_of(node),
        )
    return interval(text[1] if unit is None else f"{text[1]} {unit.name}")
