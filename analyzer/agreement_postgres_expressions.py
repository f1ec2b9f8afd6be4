"""Expressions, as libpg_query's trees have them, as canonical forms."""

from __future__ import annotations

from analyzer.agreement_postgres import (
    Fields,
    form_of,
    forms,
    key_form,
    names,
    optional,
    place,
    read,
    reads,
    unsupported,
)
from analyzer.agreement_words import (
    CALLS,
    CLOCKS,
    FORMATS,
    FRAME_SPELLING,
    INTERVAL_FIELDS,
    OPERATORS,
    OTHER_AGGREGATES,
    SYNTAX_CALLS,
    TYPES,
    UNIT_CALLS,
    Form,
    called,
    interval,
    joined,
    negative,
    number,
)
from analyzer.refusals import NoMechanism, UnknownFunction, Unsupported

_PLAIN = ("funcname", "args", "funcformat")
_MODIFIERS = ("agg_star", "agg_distinct", "agg_within_group", "agg_order", "agg_filter", "over")
_TESTS = {
    ("AEXPR_DISTINCT", "="): ("distinct from", False),
    ("AEXPR_NOT_DISTINCT", "="): ("distinct from", True),
    ("AEXPR_NULLIF", "="): ("nullif", False),
    ("AEXPR_IN", "="): ("in", False),
    ("AEXPR_IN", "<>"): ("in", True),
    ("AEXPR_OP_ANY", "="): ("in array", False),
    ("AEXPR_OP_ALL", "<>"): ("in array", True),
    ("AEXPR_LIKE", "~~"): ("like", False),
    ("AEXPR_LIKE", "!~~"): ("like", True),
    ("AEXPR_ILIKE", "~~*"): ("ilike", False),
    ("AEXPR_ILIKE", "!~~*"): ("ilike", True),
    ("AEXPR_BETWEEN", "BETWEEN"): ("between", False),
    ("AEXPR_NOT_BETWEEN", "NOT BETWEEN"): ("between", True),
    ("AEXPR_BETWEEN_SYM", "BETWEEN SYMMETRIC"): ("between symmetric", False),
    ("AEXPR_NOT_BETWEEN_SYM", "NOT BETWEEN SYMMETRIC"): ("between symmetric", True),
}
"""Expressions by kind and operator: the form's tag, and whether it is negated."""
_LIKE_ESCAPE = {
    "funcname": [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "like_escape"}}],
    "funcformat": "COERCE_EXPLICIT_CALL",
}
_CONNECTORS = {"AND_EXPR": "and", "OR_EXPR": "or", "NOT_EXPR": "not"}
_NULLS = {"IS_NULL": False, "IS_NOT_NULL": True}
_TRUTHS: dict[str, tuple[bool, bool | None]] = {
    "IS_TRUE": (False, True),
    "IS_NOT_TRUE": (True, True),
    "IS_FALSE": (False, False),
    "IS_NOT_FALSE": (True, False),
    "IS_UNKNOWN": (False, None),
    "IS_NOT_UNKNOWN": (True, None),
}


@reads("A_Const", "sval", "ival", "fval", "boolval", "isnull")
def _constant(fields: Fields) -> Form:
    if "sval" in fields:
        return ("string", fields["sval"].get("sval", ""))
    if "ival" in fields:
        return ("int", fields["ival"].get("ival", 0))
    if "fval" in fields:
        return number(fields["fval"]["fval"])
    if "boolval" in fields:
        return ("bool", fields["boolval"].get("boolval", False))
    if fields.get("isnull"):
        return ("null",)
    raise unsupported("A_Const", fields)


@reads("ColumnRef", "fields")
def _column(fields: Fields) -> Form:
    parts = fields["fields"]
    if "A_Star" in parts[-1]:
        return ("star", *names(parts[:-1]))
    return ("column", *names(parts))


@reads("ParamRef", "number")
def _parameter(fields: Fields) -> Form:
    return ("parameter", fields.get("number", 0))


@reads("A_Expr", "kind", "name", "lexpr", "rexpr")
def _expression(fields: Fields) -> Form:
    kind = fields["kind"]
    if kind == "AEXPR_OP":
        return _operator(fields)
    test = _TESTS.get((kind, ".".join(names(fields["name"]))))
    if test is None:
        raise unsupported(kind, fields)
    tag, negated = test
    form = (tag, form_of(fields["lexpr"]), *_operands(fields["rexpr"]))
    return ("not", form) if negated else form


def _operands(node: Fields) -> Form:
    """What stands after IN, BETWEEN and LIKE: several, or a pattern and its escape character."""
    if "List" in node:
        return forms(node["List"]["items"])
    # The grammar makes a call of ESCAPE. Written by hand it is the same, unless more stands after.
    call = {k: v for k, v in node.get("FuncCall", {}).items() if k != "location"}
    args = call.pop("args", [])
    if len(args) == 2 and call == _LIKE_ESCAPE:
        return forms(args)
    return (form_of(node),)


def _operator(fields: Fields) -> Form:
    name = ".".join(names(fields["name"]))
    if name not in OPERATORS or "rexpr" not in fields:
        raise Unsupported(
            f"The operator {name} is not supported.",
            hint="Operators are + - * / % = <> < <= > >= and ||.",
            position=place(fields),
        )
    if "lexpr" in fields:
        return (name, form_of(fields["lexpr"]), form_of(fields["rexpr"]))
    operand = form_of(fields["rexpr"])
    if name == "-":
        return negative(operand)
    if name == "+" and operand[0] in ("int", "number"):
        return operand
    raise Unsupported(
        f"The sign {name} with nothing before it is not supported here.",
        hint="Leave the sign out.",
        position=place(fields),
    )


@reads("BoolExpr", "boolop", "args")
def _boolean(fields: Fields) -> Form:
    kind, args = _CONNECTORS[fields["boolop"]], forms(fields["args"])
    return (kind, *args) if kind == "not" else joined(kind, args)


@reads("NullTest", "arg", "nulltesttype")
def _null_test(fields: Fields) -> Form:
    form = ("is", form_of(fields["arg"]), None)
    return ("not", form) if _NULLS[fields["nulltesttype"]] else form


@reads("BooleanTest", "arg", "booltesttype")
def _truth_test(fields: Fields) -> Form:
    negated, what = _TRUTHS[fields["booltesttype"]]
    form = ("is", form_of(fields["arg"]), what)
    return ("not", form) if negated else form


@reads("CaseExpr", "arg", "args", "defresult")
def _case(fields: Fields) -> Form:
    return ("case", optional(fields, "arg"), forms(fields["args"]), optional(fields, "defresult"))


@reads("CaseWhen", "expr", "result")
def _when(fields: Fields) -> Form:
    return (form_of(fields["expr"]), form_of(fields["result"]))


@reads("CoalesceExpr", "args")
def _coalesce(fields: Fields) -> Form:
    return ("coalesce", *forms(fields["args"]))


@reads("MinMaxExpr", "op", "args")
def _extreme(fields: Fields) -> Form:
    return (fields["op"].removeprefix("IS_").lower(), *forms(fields["args"]))


@reads("GroupingFunc", "args")
def _grouping(fields: Fields) -> Form:
    return ("grouping", *forms(fields["args"]))


@reads("RowExpr", "args", "row_format")
def _row(fields: Fields) -> Form:
    if fields["row_format"] != "COERCE_IMPLICIT_CAST":
        raise Unsupported(
            "ROW(...) is not supported.",
            hint="Write the columns one by one.",
            position=place(fields),
        )
    return ("row", *[key_form(node) for node in fields["args"]])


@reads("SubLink", "subLinkType", "testexpr", "subselect", "operName")
def _subquery(fields: Fields) -> Form:
    query = form_of(fields["subselect"])
    match fields["subLinkType"]:
        case "EXISTS_SUBLINK":
            return ("exists", query)
        case "EXPR_SUBLINK":
            return ("scalar", query)
        case "ANY_SUBLINK" if "operName" not in fields:
            return ("in query", form_of(fields["testexpr"]), query)
    raise Unsupported(
        "ANY, ALL and ARRAY of a subquery are not supported.",
        hint="Write IN (SELECT ...), or EXISTS.",
        position=place(fields),
    )


@reads("TypeCast", "arg", "typeName")
def _cast(fields: Fields) -> Form:
    argument, (type_, *modifiers) = form_of(fields["arg"]), read("TypeName", fields["typeName"])
    if type_ == "interval" and argument[0] == "string":
        unit = INTERVAL_FIELDS.get(modifiers[0]) if len(modifiers) == 1 else None
        if not modifiers:
            return interval(argument[1])
        if unit is not None and argument[1].isdecimal():
            return interval(f"{argument[1]} {unit}")
    return ("cast", argument, type_, *modifiers)


@reads("A_ArrayExpr", "elements")
def _array(fields: Fields) -> Form:
    return ("array", *forms(fields.get("elements", ())))


@reads("A_Indirection", "arg", "indirection")
def _element(fields: Fields) -> Form:
    """``(array)[1]``, with a whole number."""
    first, *more = fields["indirection"]
    index = first.get("A_Indices", {})
    number = form_of(index["uidx"]) if index.keys() == {"uidx"} else ()
    if more or number[:1] != ("int",):
        raise unsupported("A_Indirection", fields)
    return ("element", form_of(fields["arg"]), *number[1:])


@reads("TypeName", "names", "typmods", "typemod", "arrayBounds")
def _type(fields: Fields) -> Form:
    *schema, name = names(fields["names"])
    bounds = fields.get("arrayBounds", [])
    if bounds not in ([], [{"Integer": {"ival": -1}}]):
        raise Unsupported(
            "Arrays have one dimension, without a length.",
            hint="Write integer[], or ARRAY[1, 2].",
            position=place(fields),
        )
    modifiers = forms(fields.get("typmods", ()))
    if name not in TYPES or schema not in ([], ["pg_catalog"]):
        raise Unsupported(
            f"There is no cast to {'.'.join((*schema, name))}.",
            hint="Cast to boolean, integer, bigint, numeric, double precision, text or date.",
            position=place(fields),
        )
    if any(modifier[0] != "int" for modifier in modifiers):
        raise unsupported("TypeName.typmods", fields)
    return (name + "[]" * len(bounds), *[modifier[1] for modifier in modifiers])


@reads("FuncCall", *_PLAIN, *_MODIFIERS)
def _call(fields: Fields) -> Form:
    path = names(fields["funcname"])
    name: str | None = None
    if fields["funcformat"] == "COERCE_SQL_SYNTAX" and path[:-1] == ("pg_catalog",):
        name = SYNTAX_CALLS.get(path[-1])
    elif fields["funcformat"] == "COERCE_EXPLICIT_CALL" and len(path) == 1:
        name = CALLS.get(path[0])
        if path == ("now",) and fields.keys() <= {"funcname", "funcformat", "location"}:
            return ("clock", "timestamptz")
    if name is None:
        raise _unknown_function(".".join(path), fields)
    args = forms(fields.get("args", ()))
    if name in UNIT_CALLS:
        if not args or args[0][0] != "string":
            raise Unsupported(
                f"The first argument of {name} has to be a constant.",
                hint="Write date_trunc('month', x) or EXTRACT(year FROM x).",
                position=place(fields),
            )
        args = (("string", args[0][1].lower()), *args[1:])
    if name == "to_date" or (name == "to_timestamp" and len(args) != 1):
        args = _formatted(args, fields)
    if fields.keys().isdisjoint(_MODIFIERS):
        return called(name, args)
    return (
        "aggregate",
        name,
        args,
        fields.get("agg_star", False),
        fields.get("agg_distinct", False),
        fields.get("agg_within_group", False),
        forms(fields.get("agg_order", ())),
        optional(fields, "agg_filter"),
        read("WindowDef", fields["over"]) if "over" in fields else None,
    )


def _formatted(args: Form, fields: Fields) -> Form:
    """The arguments of to_timestamp with the format as sqlglot writes it."""
    form = FORMATS.get(args[1][1]) if len(args) == 2 and args[1][0] == "string" else None
    if form is None:
        raise Unsupported(
            "This format of dates is not supported.",
            hint="Write 'YYYY-MM-DD HH24:MI:SS', or a constant such as DATE '2020-12-31'.",
            position=place(fields),
        )
    return (args[0], ("string", form))


_WINDOW = ("partitionClause", "orderClause", "frameOptions", "startOffset", "endOffset")


@reads("WindowDef", "name", "refname", *_WINDOW)
def _window(fields: Fields) -> Form:
    """What OVER says. A name alone and one in parentheses are read alike."""
    return (
        fields.get("name") or fields.get("refname"),
        forms(fields.get("partitionClause", ())),
        forms(fields.get("orderClause", ())),
        fields["frameOptions"] & ~FRAME_SPELLING,
        optional(fields, "startOffset"),
        optional(fields, "endOffset"),
    )


@reads("SQLValueFunction", "op", "typmod")
def _value(fields: Fields) -> Form:
    clock = CLOCKS.get(fields["op"])
    if clock is None or fields.get("typmod") != -1:
        raise _unknown_function(fields["op"].removeprefix("SVFOP_").lower(), fields)
    return ("clock", clock)


def _unknown_function(name: str, fields: Fields) -> NoMechanism | UnknownFunction:
    if name in OTHER_AGGREGATES:
        return NoMechanism(
            f"There is no private mechanism for {name}.",
            hint="Use COUNT(*), COUNT(x), COUNT(DISTINCT the unit key), SUM(x) or AVG(x).",
            position=place(fields),
        )
    return UnknownFunction(
        f"There is no function {name} here.",
        hint="docs/sql.md lists the functions that epsql answers.",
        position=place(fields),
    )
