"""SELECT, its clauses and FROM, as libpg_query's trees have them, as canonical forms."""

from __future__ import annotations

from collections.abc import Iterable

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
from analyzer.agreement_words import Form, crossed, target
from analyzer.column_names import column_name
from analyzer.refusals import UnknownFunction, Unsupported

_ALL_OF_THEM = ("withClause", "sortClause", "limitCount", "limitOffset", "limitOption", "op")
_OF_ONE = ("distinctClause", "targetList", "fromClause", "whereClause", "groupClause")
_MATERIALIZED = {
    "CTEMaterializeDefault": None,
    "CTEMaterializeAlways": True,
    "CTEMaterializeNever": False,
}
_DESCENDING = {"SORTBY_DEFAULT": False, "SORTBY_ASC": False, "SORTBY_DESC": True}
_NULLS_FIRST = {
    "SORTBY_NULLS_DEFAULT": None,
    "SORTBY_NULLS_FIRST": True,
    "SORTBY_NULLS_LAST": False,
}
_JOINS = {"JOIN_INNER": "inner", "JOIN_LEFT": "left", "JOIN_RIGHT": "right", "JOIN_FULL": "full"}
_OPERATIONS = {"SETOP_UNION": "union", "SETOP_INTERSECT": "intersect", "SETOP_EXCEPT": "except"}


@reads("SelectStmt", *_ALL_OF_THEM, *_OF_ONE, "havingClause", "windowClause", "all", "larg", "rarg")
def _select(fields: Fields) -> Form:
    if fields["limitOption"] not in ("LIMIT_OPTION_DEFAULT", "LIMIT_OPTION_COUNT"):
        raise Unsupported(
            "WITH TIES is not supported.",
            hint="Write LIMIT, or rank() OVER (ORDER BY ...) in a subquery and filter outside.",
        )
    tail = (
        read("WithClause", fields["withClause"]) if "withClause" in fields else None,
        forms(fields.get("sortClause", ())),
        optional(fields, "limitCount"),
        optional(fields, "limitOffset"),
    )
    operation = fields["op"]
    if operation != "SETOP_NONE":
        for name in fields.keys() & {*_OF_ONE, "havingClause", "windowClause"}:
            raise unsupported(f"SelectStmt.{name}", fields)
        return (
            _OPERATIONS[operation],
            not fields.get("all", False),
            read("SelectStmt", fields["larg"]),
            read("SelectStmt", fields["rarg"]),
            *tail,
        )
    return (
        "select",
        _distinct(fields.get("distinctClause")),
        forms(fields.get("targetList", ())),
        _from(fields.get("fromClause", ())),
        optional(fields, "whereClause"),
        tuple([key_form(node) for node in fields.get("groupClause", ())]),
        optional(fields, "havingClause"),
        tuple([_named_window(node) for node in fields.get("windowClause", ())]),
        *tail,
    )


def _named_window(node: Fields) -> Form:
    definition = dict(node["WindowDef"])
    return (definition.pop("name"), read("WindowDef", definition))


@reads("WithClause", "ctes", "recursive")
def _with(fields: Fields) -> Form:
    return (fields.get("recursive", False), *forms(fields["ctes"]))


@reads("CommonTableExpr", "ctename", "aliascolnames", "ctematerialized", "ctequery")
def _cte(fields: Fields) -> Form:
    return (
        fields["ctename"],
        names(fields.get("aliascolnames", ())),
        _MATERIALIZED[fields["ctematerialized"]],
        form_of(fields["ctequery"]),
    )


def _distinct(clause: list[Fields] | None) -> Form | None:
    if not clause:
        return None
    return () if clause == [{}] else forms(clause)


@reads("ResTarget", "name", "val")
def _target(fields: Fields) -> Form:
    name, value = fields.get("name"), fields["val"]
    return target(name, form_of(value), column_name(value))


@reads("SortBy", "node", "sortby_dir", "sortby_nulls", "useOp")
def _sort(fields: Fields) -> Form:
    descending = _DESCENDING.get(fields["sortby_dir"])
    if descending is None or "useOp" in fields:
        raise Unsupported(
            "ORDER BY ... USING is not supported.",
            hint="Write ASC or DESC.",
            position=place(fields),
        )
    # PostgreSQL sorts NULL as larger than everything, unless told otherwise.
    first = _NULLS_FIRST[fields["sortby_nulls"]]
    nulls_first = descending if first is None else first
    return ("sort", key_form(fields["node"]), descending, nulls_first)


@reads("GroupingSet", "kind", "content")
def _grouping_set(fields: Fields) -> Form:
    kind = fields["kind"].removeprefix("GROUPING_SET_").lower()
    # An empty set and a row of no columns are written alike.
    return (
        ("row",)
        if kind == "empty"
        else (kind, *[key_form(node) for node in fields.get("content", ())])
    )


def _from(items: Iterable[Fields]) -> Form | None:
    result: Form | None = None
    for item in items:
        result = form_of(item) if result is None else crossed(result, form_of(item))
    return result


@reads("RangeVar", "catalogname", "schemaname", "relname", "inh", "relpersistence", "alias")
def _table(fields: Fields) -> Form:
    if not fields.get("inh"):
        raise Unsupported(
            "FROM ONLY is not supported.",
            hint="Leave ONLY out: declared tables have no children.",
            position=place(fields),
        )
    around = [fields.get(part) for part in ("catalogname", "schemaname")]
    return ("table", *around, fields["relname"], *_alias(fields))


@reads("RangeSubselect", "subquery", "alias", "lateral")
def _subquery(fields: Fields) -> Form:
    if fields.get("lateral"):
        raise Unsupported(
            "LATERAL is not supported.",
            hint="Join on the privacy unit's key, or group by it in a subquery.",
        )
    return ("subquery", form_of(fields["subquery"]), *_alias(fields))


def _alias(fields: Fields) -> Form:
    return read("Alias", fields["alias"]) if "alias" in fields else (None, ())


@reads("Alias", "aliasname", "colnames")
def _alias_names(fields: Fields) -> Form:
    return (fields["aliasname"], names(fields.get("colnames", ())))


@reads("JoinExpr", "jointype", "isNatural", "larg", "rarg", "quals", "usingClause")
def _join(fields: Fields) -> Form:
    return (
        "join",
        _JOINS[fields["jointype"]],
        form_of(fields["larg"]),
        form_of(fields["rarg"]),
        optional(fields, "quals"),
        True if fields.get("isNatural") else names(fields.get("usingClause", ())),
    )


@reads("RangeFunction", "lateral", "ordinality", "is_rowsfrom", "functions", "alias", "coldeflist")
def _function(_: Fields) -> Form:
    raise UnknownFunction(
        "Functions in FROM are not supported.", hint="Join a public table that lists the values."
    )
