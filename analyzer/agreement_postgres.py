"""The syntax tree of libpg_query as a canonical form. Every field that is set is read, or refused.

A node is a dictionary with one item: the name of its kind, and a dictionary of the fields that
differ from their defaults. ``location`` is an offset in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from analyzer.agreement_words import Form
from analyzer.refusals import Unsupported

Fields = dict[str, Any]
_Reader = Callable[[Fields], Form]

_READERS: dict[str, tuple[_Reader, frozenset[str]]] = {}
_SPOKEN = {
    "A_Indirection": "Fields of rows, and subscripts but (array)[1], are not supported.",
    "AEXPR_OP_ALL": "ALL is supported as <> ALL (...) only.",
    "AEXPR_OP_ANY": "ANY is supported as = ANY (...) only.",
    "AEXPR_SIMILAR": "SIMILAR TO is not supported.",
    "CollateClause": "COLLATE is not supported.",
    "JoinExpr.alias": "An alias for a join in parentheses is not supported.",
    "JoinExpr.join_using_alias": "An alias for USING is not supported.",
    "RangeTableSample": "TABLESAMPLE is not supported.",
    "SelectStmt.groupDistinct": "GROUP BY DISTINCT is not supported.",
    "SelectStmt.lockingClause": "FOR UPDATE and its like are not supported.",
    "SelectStmt.valuesLists": "VALUES is not supported.",
}


def reads(kind: str, *fields: str) -> Callable[[_Reader], _Reader]:
    """Names the kind of node that a function reads, and all the fields that it knows."""

    def register(reader: _Reader) -> _Reader:
        _READERS[kind] = (reader, frozenset((*fields, "location")))
        return reader

    return register


def form_of(node: Fields) -> Form:
    """The canonical form of one node, ``{kind: fields}``.

    Raises:
        Refusal: a node or a field outside what epsql compares; its position counts bytes.
    """
    if len(node) != 1:
        raise unsupported("no node", {})
    ((kind, fields),) = node.items()
    return read(kind, fields)


def read(kind: str, fields: Fields) -> Form:
    """As :func:`form_of`, for a node that comes without the name of its kind."""
    known = _READERS.get(kind)
    if known is None:
        raise unsupported(kind, fields)
    reader, allowed = known
    if not fields.keys() <= allowed:
        raise unsupported(f"{kind}.{min(fields.keys() - allowed)}", fields)
    return reader(fields)


def forms(nodes: Iterable[Fields]) -> Form:
    return tuple([form_of(node) for node in nodes])


def key_form(node: Fields) -> Form:
    """As :func:`form_of`, where a number is an ordinal: there ``+1`` is not the same as ``1``."""
    signed = node.get("A_Expr")
    if signed is not None and "lexpr" not in signed and names(signed["name"]) == ("+",):
        raise Unsupported(
            "The sign + with nothing before it is not supported here.",
            hint="Leave the sign out.",
            position=place(signed),
        )
    return form_of(node)


def optional(fields: Fields, name: str) -> Form | None:
    node = fields.get(name)
    return None if node is None else form_of(node)


def names(nodes: Iterable[Fields]) -> tuple[str, ...]:
    return tuple([node["String"].get("sval", "") for node in nodes])


def unsupported(kind: str, fields: Fields) -> Unsupported:
    return Unsupported(
        _SPOKEN.get(kind, "A part of the query is not supported."),
        detail=f"PostgreSQL's parser calls it {kind}.",
        position=place(fields),
    )


def place(fields: Fields) -> int | None:
    """1-based offset in bytes of a node."""
    return fields["location"] + 1 if "location" in fields else None
