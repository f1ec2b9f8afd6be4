"""Which relations a statement names, and what it calls: a walk over libpg_query's whole tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from analyzer.agreement_postgres import Fields

Place = tuple[str, str]
"""Schema and relation."""

BOOKS = "epsql"
"""The schema of what epsql says about itself."""

_WRITES = {
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
    "intoClause": "SELECT INTO",
}


@dataclass(frozen=True, slots=True)
class Names:
    """The relations of a data set that the gateway answers."""

    guarded: frozenset[Place]


@dataclass(frozen=True, slots=True)
class Call:
    """A function call: its last name, and its arguments."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What one statement names."""

    guarded: bool
    """A relation that the gateway answers is among them."""
    books: bool
    """A relation of the schema ``epsql`` is among them."""
    writes: str | None
    """What writes in it: ``UPDATE`` in ``WITH x AS (UPDATE ...)``, ``SELECT INTO``."""
    calls: tuple[Call, ...]


def names_in(tree: Any, names: Names, search_path: tuple[str, ...]) -> Found:
    """Walks a statement with all its subqueries; a name that a WITH gives hides the relation's."""
    guarded, books, writes = False, False, None
    calls: list[Call] = []
    stack: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while stack:
        node, hidden = stack.pop()
        if isinstance(node, list):
            stack += [(part, hidden) for part in node]
            continue
        if not isinstance(node, dict):
            continue
        if "withClause" in node:
            own, hidden = _scopes(node["withClause"], hidden)
            stack += own
        for key, part in node.items():
            if key in _WRITES:
                writes = _WRITES[key]
            if key in ("RangeVar", "relation"):
                guarded = guarded or is_guarded(part, names, search_path, hidden)
                books = books or _is_books(part, search_path)
            elif key == "FuncCall":
                calls.append(_call(part))
            if key != "withClause":
                stack.append((part, hidden))
    return Found(guarded, books, writes, tuple(calls))


def is_guarded(
    relation: Fields,
    names: Names,
    search_path: tuple[str, ...],
    hidden: frozenset[str] = frozenset(),
) -> bool:
    """Whether a name in FROM is that of a relation that the gateway answers.

    Args:
        relation: the fields of a RangeVar.
        names: what the gateway answers.
        search_path: the schemas of unqualified names.
        hidden: names that WITH has given away.
    """
    name, schema = relation.get("relname", ""), relation.get("schemaname")
    if schema is not None:
        return (schema, name) in names.guarded
    # Postgres looks into pg_catalog first, and all that is there begins so.
    if name in hidden or name.startswith("pg_"):
        return False
    return any((schema, name) in names.guarded for schema in search_path)


def _is_books(relation: Fields, search_path: tuple[str, ...]) -> bool:
    """Whether a name can be one of the schema ``epsql``, whatever WITH has given away."""
    schema = relation.get("schemaname")
    return schema == BOOKS or (schema is None and BOOKS in search_path)


def _scopes(
    clause: Fields, hidden: frozenset[str]
) -> tuple[list[tuple[Any, frozenset[str]]], frozenset[str]]:
    """The queries of a WITH, each with the names that are given away in it; then those after it."""
    queries = []
    given = [part["CommonTableExpr"] for part in clause.get("ctes", [])]
    everywhere = hidden | {part.get("ctename", "") for part in given}
    for part in given:
        queries.append((part, everywhere if clause.get("recursive") else hidden))
        hidden |= {part.get("ctename", "")}
    return list(queries), everywhere


def _call(fields: Fields) -> Call:
    parts = fields.get("funcname", [])
    name = parts[-1].get("String", {}).get("sval", "") if parts else ""
    return Call(name, tuple(fields.get("args", ())))


def constant(node: Any) -> str | bool | int | None:
    """The value of a constant, under casts; None where it is none, or NULL.

    Numbers with a point are text, as they are written.
    """
    while isinstance(node, dict) and "TypeCast" in node:
        node = node["TypeCast"].get("arg")
    if not isinstance(node, dict) or "A_Const" not in node:
        return None
    fields = node["A_Const"]
    # What has its default value is left out: 0, false and ''.
    if "sval" in fields:
        return str(fields["sval"].get("sval", ""))
    if "fval" in fields:
        return str(fields["fval"].get("fval", "0"))
    if "ival" in fields:
        return int(fields["ival"].get("ival", 0))
    if "boolval" in fields:
        return bool(fields["boolval"].get("boolval", False))
    return None


def constants(nodes: list[Any]) -> Iterator[str]:
    """The words of a SET's value."""
    for node in nodes:
        value = constant(node)
        if value is not None:
            yield str(value).lower() if isinstance(value, bool) else str(value)
