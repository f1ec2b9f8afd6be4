"""Queries that have no rows whatever the data is: how tools ask for the columns of a query.

    SELECT * FROM (...) AS t LIMIT 0        SELECT ... WHERE 1 = 0

Only what is certain by its text counts. ``SELECT count(*) ... WHERE false`` has a row.
"""

from __future__ import annotations

from typing import Any

from analyzer.agreement_postgres import Fields
from analyzer.statement_names import Names, constant, names_in

_NOBODY = Names(frozenset())


def has_no_rows(select: Fields) -> bool:
    """Whether a query, the fields of a SelectStmt, is certain to have no row.

    Goes down as deep as the text is nested, which the parser has bounded.
    """
    limit = select.get("limitCount")
    if limit is not None and constant(limit) == 0 and constant(limit) is not False:
        return True
    operation = select.get("op")
    if operation == "SETOP_UNION":
        return has_no_rows(select["larg"]) and has_no_rows(select["rarg"])
    if operation != "SETOP_NONE" or _is_aggregated(select):
        return False
    return _is_false(select.get("whereClause")) or _reads_nothing(select.get("fromClause", []))


def _is_aggregated(select: Fields) -> bool:
    """Whether there can be a row without any in FROM: one total, or a grouping set of nothing."""
    groups = select.get("groupClause")
    if groups:
        return any("GroupingSet" in group for group in groups)
    if "havingClause" in select:
        return True
    # Which functions are aggregates is Postgres' to know; a window makes no row.
    listed = [select.get("targetList"), select.get("sortClause"), select.get("distinctClause")]
    return bool(names_in(listed, _NOBODY, ()).calls)


def _reads_nothing(relations: list[Any]) -> bool:
    """FROM one subquery that has no rows."""
    if len(relations) != 1 or "RangeSubselect" not in relations[0]:
        return False
    inner = relations[0]["RangeSubselect"].get("subquery", {})
    return has_no_rows(inner.get("SelectStmt", {}))


def _is_false(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    if "BoolExpr" in node:
        arguments = node["BoolExpr"].get("args", [])
        operator = node["BoolExpr"].get("boolop")
        if operator == "AND_EXPR":
            return any(map(_is_false, arguments))
        if operator == "OR_EXPR":
            return all(map(_is_false, arguments))
        return len(arguments) == 1 and constant(arguments[0]) is True
    if "A_Expr" in node:
        return _compares_unequal(node["A_Expr"])
    return constant(node) is False


def _compares_unequal(expression: Fields) -> bool:
    """``1 = 0`` and ``'a' = 'b'``: two plain constants of one kind."""
    sides = [expression.get("lexpr"), expression.get("rexpr")]
    if any(not isinstance(side, dict) or "A_Const" not in side for side in sides):
        return False
    left, right = map(constant, sides)
    operator = [part.get("String", {}).get("sval") for part in expression.get("name", [])]
    alike = type(left) is type(right) and isinstance(left, (int, str))
    equal = operator == ["="] and expression.get("kind") == "AEXPR_OP"
    # Numbers with a point are text here: 1.0 and 1.00 are equal.
    numbers = any("fval" in side["A_Const"] for side in sides if side)
    return alike and equal and not numbers and left != right
