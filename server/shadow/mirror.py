"""A data set as statements that make its empty image in a database of the shadow.

The image holds what a policy says, all of which analysts may read anyway, and nothing that only the
real database knows: no index, default, check, owner or statistic of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from analyzer.catalog import VIEW_SCHEMA, Catalog, Column, Hop, Scalar, Table
from analyzer.statement_names import Place
from analyzer.types import Type
from server.declared import bound_text
from server.shadow import TRIPWIRE, Statement

_GUARD = sql.Identifier("epsql", TRIPWIRE)
_VALUES_SHOWN = 20
"""Public values that a comment lists; ``epsql.columns`` has all."""


def place_of(table: Table) -> Place:
    """Where a table is in the shadow: in its own schema, under the name that analysts write."""
    return table.schema, table.name


def table_places(catalog: Catalog) -> frozenset[Place]:
    """Where the declared tables are."""
    return frozenset(map(place_of, catalog.tables.values()))


def view_places(catalog: Catalog) -> frozenset[Place]:
    """Where the declared views are."""
    return frozenset((VIEW_SCHEMA, name) for name in catalog.views)


def schemas(catalog: Catalog) -> tuple[str, ...]:
    """Every schema of the image, in the order in which names are looked up."""
    others = {table.schema for table in catalog.tables.values()} - {VIEW_SCHEMA}
    return (VIEW_SCHEMA, *sorted(others))


def image(catalog: Catalog) -> Iterator[Statement]:
    """Schemas, tables, keys, views and comments, all guarded. To be run by the superuser.

    Public tables are guarded like the others; :func:`opened` and their rows come later.
    """
    for schema in schemas(catalog):
        name = sql.Identifier(schema)
        yield sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name)
        yield sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(name)
    for table in catalog.tables.values():
        yield _table(table)
        yield from _keys(table)
        yield sql.SQL("GRANT SELECT ON {} TO PUBLIC").format(_name(table))
        yield guarded(table)
        yield sql.SQL("CREATE POLICY protected ON {} USING ({}())").format(_name(table), _GUARD)
    for table in catalog.tables.values():
        if path := _path(table, catalog):
            yield _foreign_key(table, path[0], catalog)
    for view in catalog.views.values():
        name = sql.Identifier(VIEW_SCHEMA, view.name)
        # Asked with the rights of who asks, so that the guards of its tables stand.
        yield sql.SQL("CREATE VIEW {} WITH (security_invoker = true) AS {}").format(
            name,
            sql.SQL(view.sql.strip().rstrip(";")),
        )
        yield sql.SQL("GRANT SELECT ON {} TO PUBLIC").format(name)
        yield _comment("VIEW", name, f"{view.description} Ask for aggregates.")
    yield from _comments(catalog)


def guarded(table: Table) -> Statement:
    """From now on whatever reads the table fails."""
    return sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(_name(table))


def opened(table: Table) -> Statement:
    """From now on the table, which is public, may be read."""
    assert not table.protected
    return sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(_name(table))


def emptied(table: Table) -> Statement:
    return sql.SQL("TRUNCATE {}").format(_name(table))


def filled(table: Table) -> Statement:
    """Takes the rows of a public table, its declared columns in order."""
    assert not table.protected
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    return sql.SQL("COPY {} ({}) FROM STDIN").format(_name(table), columns)


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(*place_of(table))


def type_text(column: Column) -> str:
    """The column's type as Postgres prints it."""
    if column.type is Type.NUMERIC and column.precision is not None:
        return f"numeric({column.precision},{column.scale or 0})"
    return column.type.value


def _table(table: Table) -> Statement:
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(type_text(column)),
            sql.SQL("" if column.nullable else " NOT NULL"),
        )
        for column in table.columns.values()
    ]
    return sql.SQL("CREATE TABLE {} ({})").format(_name(table), sql.SQL(", ").join(columns))


def _keys(table: Table) -> Iterator[Statement]:
    """The first declared key is shown as the primary one; keys are over columns without NULL."""
    for number, key in enumerate(table.keys):
        kind = "UNIQUE" if number else "PRIMARY KEY"
        yield sql.SQL("ALTER TABLE {} ADD {} ({})").format(
            _name(table), sql.SQL(kind), sql.SQL(", ").join(map(sql.Identifier, key))
        )


def _path(table: Table, catalog: Catalog) -> tuple[Hop, ...]:
    """To the table's owner, or of a unit's own table to the unit around it."""
    around = (unit.path for unit in catalog.units if unit.table == table.name)
    return table.path or next(around, ())


def _foreign_key(table: Table, hop: Hop, catalog: Catalog) -> Statement:
    return sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({})").format(
        _name(table),
        sql.Identifier(hop.column),
        _name(catalog.tables[hop.table]),
        sql.Identifier(hop.key),
    )


def _comments(catalog: Catalog) -> Iterator[Statement]:
    if catalog.description:
        yield _comment("DATABASE", sql.Identifier(catalog.dataset), catalog.description)
    for table in catalog.tables.values():
        yield _comment("TABLE", _name(table), table_words(table, catalog))
        for column in table.columns.values():
            words = column_words(table, column, catalog)
            if words:
                yield _comment("COLUMN", sql.Identifier(*place_of(table), column.name), words)


def _comment(kind: str, name: sql.Identifier, words: str) -> Statement:
    return sql.SQL("COMMENT ON {} {} IS {}").format(
        sql.SQL(kind),
        name,
        sql.Literal(words.strip()),
    )


def table_words(table: Table, catalog: Catalog) -> str:
    """What ``\\dt+`` says of a table: its description, and how it may be asked."""
    if not table.protected:
        return f"{table.description} Public: rows as they are.".strip()
    words = [table.description, "Protected: ask for aggregates."]
    if table.name in {unit.table for unit in catalog.units}:
        words.append("One row is one privacy unit.")
    words += [f"{hop.column} leads to {hop.table}.{hop.key}." for hop in _path(table, catalog)[:1]]
    return " ".join(filter(None, words))


def column_words(table: Table, column: Column, catalog: Catalog) -> str:
    """What ``\\d+`` says of a column: its description, bounds and public values."""
    words = [column.description]
    if any((table.name, column.name) == (unit.table, unit.key) for unit in catalog.units):
        words.append("The key of the privacy unit.")
    lower, upper = bound_text(column.lower, column), bound_text(column.upper, column)
    if lower is not None:
        words.append(f"Counts as between {lower} and {upper}.")
    if column.values is not None:
        words.append(f"Values: {_listed(column.values)}.")
    if column.values_from is not None:
        words.append(f"Values: those of {column.values_from.table}.{column.values_from.column}.")
    return " ".join(filter(None, words))


def _listed(values: Sequence[Scalar]) -> str:
    shown = ", ".join(map(str, values[:_VALUES_SHOWN]))
    return (
        shown
        if len(values) <= _VALUES_SHOWN
        else f"{shown}, and {len(values) - _VALUES_SHOWN} more"
    )
