"""Indexes that make bounding faster, as SQL for the data owner to run. No answer needs them."""

from __future__ import annotations

from collections.abc import Iterator

from analyzer.catalog import Catalog, Column, Table
from analyzer.types import Type
from analyzer.units import owner_column, rows_per_unit
from server.policy_grants import quoted

_MOST_COLUMNS = 30
"""PostgreSQL takes 32 columns in an index."""


def helpers_sql(catalog: Catalog) -> str:
    """CREATE INDEX for every table of which a person has many rows.

    Each covers what queries read of the table, by owner, so that the rows of one person lie
    together and the table itself is not read. Texts of any length stay out: an index takes no long
    ones, and then the table would not either.
    """
    lines = [
        f"-- Indexes for {catalog.dataset}. Run in the data's database, as its owner; optional.",
        "-- Then write unit_index = true in the policy, in each of these tables.",
        *(_index(table, owner) for table, owner in _many_rows(catalog)),
    ]
    return "\n".join(lines) + "\n"


def _many_rows(catalog: Catalog) -> Iterator[tuple[Table, str]]:
    for table in sorted(catalog.tables.values(), key=lambda table: (table.schema, table.relation)):
        owner = owner_column(table)
        if owner is not None and rows_per_unit(table) != 1:
            yield table, owner


def _index(table: Table, owner: str) -> str:
    covered = [c.name for c in table.columns.values() if c.name != owner and _is_short(c)]
    include = ", ".join(quoted(name) for name in covered[:_MOST_COLUMNS])
    name = quoted(f"epsql_{table.name}"[:63])
    place = f"{quoted(table.schema)}.{quoted(table.relation)}"
    text = f"CREATE INDEX IF NOT EXISTS {name} ON {place} ({quoted(owner)})"
    return f"{text} INCLUDE ({include});" if include else f"{text};"


def _is_short(column: Column) -> bool:
    listed = column.values is not None or column.values_from is not None
    return listed or column.type is not Type.TEXT
