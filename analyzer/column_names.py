"""What PostgreSQL calls a column of a result that has no alias, from libpg_query's tree.

The rules are those of ``FigureColname`` in PostgreSQL's ``parse_target.c``: a column's name, else
the function's as it was written, else that of a type or a CASE around something without a name.
"""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]

NAMELESS = "?column?"
_CONDITIONAL = {"CoalesceExpr": "coalesce", "GroupingFunc": "grouping", "A_ArrayExpr": "array"}
_CLOCKS = {
    "SVFOP_CURRENT_DATE": "current_date",
    "SVFOP_CURRENT_TIMESTAMP": "current_timestamp",
    "SVFOP_LOCALTIMESTAMP": "localtimestamp",
}


def column_name(node: Fields) -> str:
    """The name of the column that one expression of a select list makes."""
    return _found(node)[0] or NAMELESS


def _found(node: Fields) -> tuple[str | None, bool]:
    """The name, and whether it is a column's or a function's: those come before a type's."""
    ((kind, fields),) = node.items()
    match kind:
        case "ColumnRef":
            return _last(fields["fields"]), True
        case "FuncCall":
            return _last(fields["funcname"]), True
        case "A_Indirection":
            return _found(fields["arg"])
        case "A_Expr" if fields["kind"] == "AEXPR_NULLIF":
            return "nullif", True
        case "TypeCast":
            name, strong = _found(fields["arg"])
            return (name, True) if strong else (_last(fields["typeName"]["names"]), False)
        case "CaseExpr":
            name, strong = _found(fields["defresult"]) if "defresult" in fields else (None, False)
            return (name, True) if strong else ("case", False)
        case "SubLink":
            return _subquery(fields)
        case "MinMaxExpr":
            return ("greatest" if fields["op"] == "IS_GREATEST" else "least"), True
        case "SQLValueFunction":
            return _CLOCKS.get(fields["op"]), True
    return _CONDITIONAL.get(kind), kind in _CONDITIONAL


def _subquery(fields: Fields) -> tuple[str | None, bool]:
    """Of a subquery that stands for a value, the name of its column."""
    select = fields["subselect"].get("SelectStmt", {})
    if fields["subLinkType"] == "EXISTS_SUBLINK":
        return "exists", True
    while "larg" in select:
        select = select["larg"]
    if fields["subLinkType"] != "EXPR_SUBLINK" or not select.get("targetList"):
        return None, False
    target = select["targetList"][0]["ResTarget"]
    return target.get("name") or column_name(target["val"]), True


def _last(names: list[Fields]) -> str | None:
    """The last of several names; None for a star."""
    found: str | None = names[-1].get("String", {}).get("sval")
    return found
