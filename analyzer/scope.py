"""Which names a place in a query can see, with PostgreSQL's rules and nobody else's."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from analyzer.expressions import Ref
from analyzer.refusals import AmbiguousColumn, UnknownColumn, UnknownTable, Unsupported


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of FROM: the name that analysts call it by, and its columns in order."""

    name: str
    fields: tuple[tuple[str, Ref], ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """The items of one FROM, and the columns that USING merged."""

    entries: tuple[Entry, ...] = ()
    merged: Mapping[str, Ref] = field(default_factory=dict)

    def column(self, name: str, qualifier: str | None, position: int | None) -> Ref:
        """The column that a name means here.

        Raises:
            UnknownTable: the qualifier names nothing in FROM.
            UnknownColumn: no such column is declared.
            AmbiguousColumn: several tables have it.
            Unsupported: the name is a table's: a whole row.
        """
        if qualifier is None and name in self.merged:
            return self.merged[name]
        entries = [e for e in self.entries if qualifier is None or e.name == qualifier]
        if qualifier is not None and not entries:
            raise UnknownTable(
                f'There is no table or alias "{qualifier}" in FROM.', position=position
            )
        found = [ref for entry in entries for label, ref in entry.fields if label == name]
        if len(found) > 1:
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
        raise UnknownColumn(
            f'There is no column "{name}".', hint=self._suggest(name), position=position
        )

    def stars(self, qualifier: str | None, position: int | None) -> Iterator[tuple[str, Ref]]:
        """The columns that ``*`` or ``table.*`` stands for, from the catalog."""
        entries = [e for e in self.entries if qualifier is None or e.name == qualifier]
        if not entries:
            raise UnknownTable(
                f'There is no table or alias "{qualifier}" in FROM.', position=position
            )
        if qualifier is None:
            yield from self.merged.items()
        for entry in entries:
            for label, ref in entry.fields:
                if qualifier is not None or label not in self.merged:
                    yield label, ref

    def _suggest(self, name: str) -> str:
        labels = {label for entry in self.entries for label, _ in entry.fields}
        close = difflib.get_close_matches(name, sorted(labels), n=1)
        if close:
            return f'Perhaps you mean "{close[0]}".'
        return f"Columns here: {', '.join(sorted(labels))}." if labels else ""


def name_of(identifier: exp.Expression) -> str:
    """An identifier as PostgreSQL stores it: unquoted names folded to lower case (ASCII only)."""
    if not isinstance(identifier, exp.Identifier):
        raise Unsupported("A plain name is expected here.")
    text = str(identifier.this)
    return text if identifier.args.get("quoted") else text.lower()
