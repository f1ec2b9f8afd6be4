"""Declared tables as relations: their columns, what is known of them, and whose the rows are."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from analyzer.catalog import Catalog, PrivacyUnit, Table, ValuesFrom
from analyzer.expressions import Facts, Ref
from analyzer.ranges import column_facts
from analyzer.relation import Scan
from analyzer.scope import Fields
from analyzer.types import Type
from analyzer.units import owner_column, rows_per_unit


def scan_of(table: Table, alias: str, catalog: Catalog) -> tuple[Scan, Fields]:
    """A declared table under an alias of ours, and its columns by their names."""
    if not table.protected:
        return _public(table, alias)
    unit = catalog.unit_of(table)
    return _protected(table, alias, unit, catalog.tables[unit.table].columns[unit.key].type)


# A catalog has few tables, and aliases are the same few in all queries: what the policy alone
# decides is worked out once.
@lru_cache(maxsize=1024)
def _public(table: Table, alias: str) -> tuple[Scan, Fields]:
    refs = []
    for name, column in table.columns.items():
        facts = replace(
            column_facts(column, protected=False),
            domain=ValuesFrom(table.name, name),
            total_domain=True,
        )
        refs.append(Ref(alias, name, column.type, column.nullable, facts, (table.name, name)))
    return Scan(alias, table, None), tuple((ref.name, ref) for ref in refs)


@lru_cache(maxsize=1024)
def _protected(table: Table, alias: str, unit: PrivacyUnit, key: Type) -> tuple[Scan, Fields]:
    one_row = rows_per_unit(table) == 1
    # A unit's own table can have other unique keys beside the unit's.
    own = owner_column(table) if table.path else unit.key
    # A key of the unit around names people as much as their own.
    around = unit.path[0].column if unit.path and not table.path else None
    # Rows without an owner never count, so where a row counts its owner is there.
    owner = Ref(alias, "owner", key, True, Facts(key, per_unit=True, owner=True, protected=True))
    refs = []
    for name, column in table.columns.items():
        is_owner = name == own
        facts = replace(
            column_facts(column, protected=True),
            per_unit=one_row or is_owner,
            owner=is_owner,
            holds_owner=name == around,
        )
        nullable = column.nullable and not is_owner
        refs.append(Ref(alias, name, column.type, nullable, facts, (table.name, name)))
    owner = next((ref for ref in refs if ref.facts.owner), owner)
    return Scan(alias, table, owner), tuple((ref.name, ref) for ref in refs)
