"""Statements that tools are known to send, and what is to come of them: ``statements/*.toml``.

They were written from the tools' documentation and from what they are seen to do. The tools
themselves are not run.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.clients.place import HERE

OID = 26
_FIRST_USER_OID = 16384


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Without a mark it reads the catalogue, or public tables, and costs nothing."""

    tool: str
    what: str
    sql: str
    parameters: tuple[Any, ...] = ()
    answered: bool = False
    """It asks about people, and is answered with noise."""
    empty: bool = False
    """It asks what columns there are: they come, without rows and without a cost."""
    refused: str = ""
    """The SQLSTATEs of which it gets one."""
    columns_only: bool = False
    """What rows there are depends on more than the noise, so only the columns are compared."""
    simple_only: bool = False
    """Several statements in one text, which only the simple protocol takes."""

    def __str__(self) -> str:
        return f"{self.tool}: {self.what}"


def statements() -> list[Statement]:
    """All of them, tool by tool."""
    found = []
    for file in sorted((HERE / "statements").glob("*.toml")):
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["statement"]:
            entry["parameters"] = tuple(entry.get("parameters", ()))
            entry["sql"] = entry["sql"].strip()
            found.append(Statement(file.stem, **entry))
    return found


def outcome(connection: psycopg.Connection, statement: Statement, *, simple: bool) -> str:
    """What comes of a statement, in words: columns and rows, or the SQLSTATE.

    ``simple`` is one Query message with the parameters written into the text; else it is prepared.
    """
    kind = psycopg.ClientCursor if simple else psycopg.RawCursor
    with kind(connection) as cursor:
        try:
            _execute(cursor, statement, simple=simple)
        except psycopg.Error as error:
            return f"! {error.sqlstate} {error.diag.message_primary}"
        while cursor.nextset():
            pass
        if cursor.description is None:
            return str(cursor.statusmessage)
        columns = [(column.name, column.type_code) for column in cursor.description]
        if statement.columns_only:
            return repr(columns)
        oids = [i for i, column in enumerate(cursor.description) if column.type_code == OID]
        rows = [
            tuple("its own" if i in oids and _is_own(v) else v for i, v in enumerate(row))
            for row in cursor.fetchall()
        ]
        return repr((columns, rows))


def _execute(cursor: psycopg.Cursor[Any], statement: Statement, *, simple: bool) -> None:
    sql: str = statement.sql
    if simple and statement.parameters:
        # The driver writes the values in where its own marks are.
        sql = sql.replace("%", "%%")
        for number in range(1, len(statement.parameters) + 1):
            sql = sql.replace(f"${number}", "%s")
        cursor.execute(sql.encode(), statement.parameters)
    elif simple:
        cursor.execute(sql.encode())
    else:
        cursor.execute(sql.encode(), statement.parameters, prepare=True)


def _is_own(value: object) -> bool:
    return isinstance(value, int) and value >= _FIRST_USER_OID
