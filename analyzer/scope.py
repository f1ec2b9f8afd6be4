"""Which names a place in a query can see, with PostgreSQL's rules and nobody else's."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from analyzer.expressions import Expr, Ref
from analyzer.refusals import (
    AmbiguousColumn,
    Refusal,
    UnboundedInfluence,
    UnknownColumn,
    UnknownTable,
    Unsupported,
)


class Subqueries(Protocol):
    """Binds the subqueries that stand in conditions of one SELECT."""

    def exists(self, node: exp.Expression, scope: Scope) -> Expr: ...

    def within(self, value: Expr, node: exp.Expression, scope: Scope) -> Expr: ...


Fields = tuple[tuple[str, Ref], ...]
"""Columns by the names that the query has for them, in order."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of FROM: the name that analysts call it by, and its columns in order."""

    name: str
    fields: Fields
    places: tuple[str, ...] = ()
    """The schema and the database of the table, for one that goes by its own name."""

    def is_called(self, qualifier: str | None, places: tuple[str, ...]) -> bool:
        """Whether ``qualifier`` in ``places`` means it; without one, everything is meant."""
        if qualifier is None:
            return True
        return self.name == qualifier and places == self.places[: len(places)]


@dataclass(frozen=True, slots=True)
class Scope:
    """The items of one FROM, and the columns that USING merged."""

    entries: tuple[Entry, ...] = ()
    merged: Mapping[str, Ref] = field(default_factory=dict)
    parts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The items whose columns each merged name stands for."""
    subqueries: Subqueries | None = field(default=None, compare=False)
    """None where a condition may hold no subquery."""
    values: Mapping[exp.Expression, Expr] = field(default_factory=dict, compare=False)
    """What subqueries that stand for a value of each row are."""
    outer: Scope | None = None
    """What the query around a condition's subquery sees."""
    correlated: bool = False
    """Whether names of ``outer`` may be used here, always with their table before them."""

    def column(
        self,
        name: str,
        qualifier: str | None,
        position: int | None,
        places: tuple[str, ...] = (),
    ) -> Ref:
        """The column that a name means here, maybe with its table's, and the table's places.

        Raises:
            UnknownTable: the qualifier names nothing in FROM.
            UnknownColumn: no such column is declared.
            AmbiguousColumn: several tables have it.
            Unsupported: the name is a table's: a whole row.
        """
        if qualifier is None and name in self.merged and not self._others(name):
            return self.merged[name]
        entries = [e for e in self.entries if e.is_called(qualifier, places)]
        if qualifier is not None and not entries:
            return self._outside(name, qualifier, position, places)
        found = [ref for entry in entries for label, ref in entry.fields if label == name]
        if len(found) > 1 or (found and qualifier is None and name in self.merged):
            raise AmbiguousColumn(
                f'Column "{name}" is in several tables.',
                hint="Put the table's name before it: table.column.",
                position=position,
            )
        if found:
            return found[0]
        if qualifier is None and any(entry.name == name for entry in self.entries):
            raise Unsupported(
                f'"{name}" is a table: whole rows have no use in a query for aggregates.',
                position=position,
            )
        if qualifier is None and self.outer is not None:
            return self._outside(name, qualifier, position)
        raise self._unknown(name, position)

    def _outside(
        self,
        name: str,
        qualifier: str | None,
        position: int | None,
        places: tuple[str, ...] = (),
    ) -> Ref:
        """A name that is not of this FROM: PostgreSQL would look for it in the query around."""
        absent = self._unknown(name, position)
        if qualifier is not None:
            absent = UnknownTable(
                f'There is no table or alias "{qualifier}" in FROM.', position=position
            )
        if self.outer is None:
            raise absent
        try:
            ref = self.outer.column(name, qualifier, position, places)
        except Refusal:
            raise absent from None
        if self.correlated and qualifier is not None:
            return ref
        written = f"{qualifier}.{name}" if qualifier else name
        raise UnboundedInfluence(
            f'"{written}" is a column of the query around this subquery.',
            hint="In EXISTS, put the table's name before it if you mean that column."
            if self.correlated
            else "Write EXISTS (SELECT 1 FROM ... WHERE ...) to compare columns of both queries.",
            position=position,
        )

    def _unknown(self, name: str, position: int | None) -> Refusal:
        return UnknownColumn(
            f'There is no column "{name}".', hint=self._suggest(name), position=position
        )

    def stars(
        self, qualifier: str | None, position: int | None, places: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, Ref]]:
        """The columns that ``*`` or ``table.*`` stands for, from the catalog."""
        entries = [e for e in self.entries if e.is_called(qualifier, places)]
        if not entries:
            raise UnknownTable(
                f'There is no table or alias "{qualifier}" in FROM.', position=position
            )
        if qualifier is None:
            yield from self.merged.items()
        for entry in entries:
            for label, ref in entry.fields:
                if qualifier is not None or entry.name not in self.parts.get(label, ()):
                    yield label, ref

    def names(self) -> dict[tuple[str, str], str]:
        """What the query calls its columns, by our alias and their name in there."""
        return {
            (ref.alias, ref.name): f"{entry.name}.{label}"
            for entry in self.entries
            for label, ref in entry.fields
        }

    def _others(self, name: str) -> list[str]:
        """The items that have a column of a merged name which was not merged."""
        parts = self.parts.get(name, frozenset(e.name for e in self.entries))
        return [
            entry.name
            for entry in self.entries
            if entry.name not in parts and any(label == name for label, _ in entry.fields)
        ]

    def _suggest(self, name: str) -> str:
        labels = {label for entry in self.entries for label, _ in entry.fields}
        close = difflib.get_close_matches(name, sorted(labels), n=1)
        if close:
            return f'Perhaps you mean "{close[0]}".'
        return f"Columns here: {', '.join(sorted(labels))}." if labels else ""


def qualifiers_of(node: exp.Expression) -> tuple[str | None, tuple[str, ...]]:
    """The table that stands before a column or a star, and its schema and database before that."""
    table, schema, database = map(node.args.get, ("table", "db", "catalog"))
    places = (schema, database) if database else (schema,) if schema else ()
    return table and name_of(table), tuple(map(name_of, places))


def name_of(identifier: exp.Expression) -> str:
    """An identifier as PostgreSQL stores it: unquoted names folded to lower case (ASCII only)."""
    if not isinstance(identifier, exp.Identifier):
        raise Unsupported(
            "A plain name is expected here.",
            hint="Write a name without parentheses, in double quotes if it is a word of SQL.",
        )
    text = str(identifier.this)
    return text if identifier.args.get("quoted") else text.lower()
