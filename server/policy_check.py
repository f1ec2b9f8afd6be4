"""A policy held against the live database, for the data owner: what does not fit, and what to do.

The privacy of every answer rests on some of this: that the unit key is unique and never NULL, that
each hop of a path leads to one owner, that epsql's role can do no harm. Such findings are errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from analyzer.catalog import Catalog, Column, Hop, Table
from server.engines.structure import (
    CannotRead,
    Role,
    StoredColumn,
    StoredRelation,
    Structure,
    has_null,
    read_role,
    read_structure,
)
from server.policy_file import DeclaredType

_TABLES = ("table", "partitioned table")


class Severity(Enum):
    ERROR = "error"
    """Answers could be wrong or not private, or could not be given: do not serve."""
    WARNING = "warning"
    """Worth knowing; answers are as private as promised."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit."""

    severity: Severity
    where: str
    """What it is about: ``labs.test``, ``role epsql_reader``."""
    message: str
    advice: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.where}: {self.message} {self.advice}"


def check(catalog: Catalog, dsn: str, role: str | None = None) -> list[Finding]:
    """Compares a policy with the database that holds the data.

    Reads the database's own catalog, and of the data one thing: whether there are rows without an
    owner.

    Args:
        catalog: the policy.
        dsn: the data's database.
        role: whose rights are looked at; by default those of the role in ``dsn``.

    Returns:
        Errors first. Empty where everything fits.
    """
    try:
        structure = read_structure(dsn)
        rights = read_role(dsn, role)
        findings = [*check_structure(catalog, structure), *_null_owners(catalog, structure, dsn)]
    except CannotRead as error:
        return [_error("database", f"{error}.", "The rest was not looked at.")]
    if rights is None:
        findings.append(_error(f"role {role}", "there is no such role.", "Create it."))
    else:
        findings += check_role(catalog, rights)
    return sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)


def check_structure(catalog: Catalog, structure: Structure) -> Iterator[Finding]:
    """Compares tables, columns, types and keys; no data and no connection needed."""
    for table in catalog.tables.values():
        stored = structure.relations.get((table.schema, table.relation))
        if stored is None:
            yield _error(
                table.name,
                f"the database has no table {table.schema}.{table.relation}.",
                "Correct `relation` in the policy, or create the table.",
            )
            continue
        yield from _check_kind(table, stored)
        for column in table.columns.values():
            yield from _check_column(table, column, stored)
        yield from _check_keys(catalog, table, stored)
        yield from _check_owner(catalog, table, stored)


def check_role(catalog: Catalog, role: Role) -> Iterator[Finding]:
    """Finds rights that epsql's role lacks, and rights that it should not have."""
    where = f"role {role.name}"
    use_grants = "Run the statements that `epsql policy grants` prints."
    for attribute in role.attributes:
        # Both read whatever they like, whatever else was granted.
        bad = attribute in ("SUPERUSER", "REPLICATION")
        yield Finding(
            Severity.ERROR if bad else Severity.WARNING,
            where,
            f"it has the attribute {attribute}.",
            f"Run ALTER ROLE {role.name} NO{attribute}, or give epsql a role of its own.",
        )
    if "SUPERUSER" in role.attributes:
        return  # it may do everything, which needs no list
    for container in role.may_create:
        yield _error(where, f"it may create things in {container}.", use_grants)
    for schema, name in role.writable:
        yield _error(where, f"it may write to {schema}.{name}.", use_grants)
    if role.may_use_temporary_tables:
        yield _warning(where, "it may make temporary tables.", use_grants)
    for group in role.memberships:
        yield _warning(where, f"it is a member of {group}.", "Give epsql a role of its own.")
    for schema in sorted({table.schema for table in catalog.tables.values()} - role.schemas):
        yield _error(where, f"it may not use the schema {schema}.", use_grants)
    declared = {
        (table.schema, table.relation): set(table.columns) for table in catalog.tables.values()
    }
    for place, columns in declared.items():
        lacking = sorted(columns - role.readable.get(place, frozenset()))
        if lacking:
            what = f"{'.'.join(place)} ({', '.join(lacking)})"
            yield _error(where, f"it may not read {what}.", use_grants)
    for place, readable in role.readable.items():
        extra = sorted(readable - declared.get(place, set()))
        if extra:
            yield _warning(
                where,
                f"it may read {'.'.join(place)} ({', '.join(extra)}), which is not declared.",
                use_grants,
            )


def _check_kind(table: Table, stored: StoredRelation) -> Iterator[Finding]:
    if stored.children:
        yield _error(
            table.name,
            "other tables inherit from it, and its unique keys do not hold in them.",
            "Use partitions instead, or declare the tables one by one.",
        )
    if stored.kind in ("view", "materialized view"):
        yield _warning(
            table.name,
            f"it is a {stored.kind}: epsql cannot see which person's rows its text mixes.",
            "Make sure that each row of it comes from rows of one person only.",
        )
    if stored.kind == "foreign table":
        yield _warning(
            table.name,
            "it is a foreign table: how long it takes is up to another server.",
            "Prefer a copy of the data.",
        )
    if stored.row_security:
        yield _warning(
            table.name,
            "row-level security hides rows of it from some roles.",
            "Make sure that its policies look at one row at a time.",
        )


def _check_column(table: Table, column: Column, stored: StoredRelation) -> Iterator[Finding]:
    where = f"{table.name}.{column.name}"
    found = stored.columns.get(column.name)
    if found is None:
        yield _error(where, "the database has no such column.", "Correct or remove it.")
        return
    yield from _check_type(where, column, found)
    if not column.nullable and not found.not_null:
        yield _error(
            where,
            "it is declared nullable = false, but the database lets it be NULL.",
            "Remove nullable = false, or make it NOT NULL in the database.",
        )
    if column.nullable and found.not_null:
        yield _warning(
            where,
            "it can never be NULL, but is not declared so; answers keep room for NULL.",
            "Add nullable = false.",
        )
    if not found.deterministic:
        yield _error(
            where,
            "its collation takes different texts for equal.",
            'Offer it through a view as: column COLLATE "C".',
        )


def _check_type(where: str, column: Column, found: StoredColumn) -> Iterator[Finding]:
    try:
        stored = DeclaredType.read(found.type)
    except ValueError as mistake:
        yield _error(where, f"its type is {found.type}: {mistake}.", "Remove it from the policy.")
        return
    if stored.type is not column.type:
        yield _error(
            where,
            f"it is declared {column.type.value}, but its type is {found.type}.",
            f'Write type = "{found.type}".',
        )
    elif (column.precision, column.scale) != (stored.precision, stored.scale):
        # Without digits declared nothing is relied on; with other digits values could not fit.
        yield Finding(
            Severity.WARNING if column.precision is None else Severity.ERROR,
            where,
            f"its type is {found.type}, and the policy says other digits.",
            f'Write type = "{found.type}".',
        )


def _check_keys(catalog: Catalog, table: Table, stored: StoredRelation) -> Iterator[Finding]:
    """Every declared key is a unique index in the database, over columns that are never NULL."""
    for key in table.keys:
        is_unit = any((table.name, key) == (unit.table, (unit.key,)) for unit in catalog.units)
        where = f"{table.name} ({', '.join(key)})"
        name = "the privacy unit's key" if is_unit else "a declared unique key"
        if not any(set(index) <= set(key) for index in stored.unique):
            yield _error(
                where,
                f"{name} must have a PRIMARY KEY or a UNIQUE index, and has none.",
                "Add one, so that the database keeps what the policy promises.",
            )
        for column in key:
            found = stored.columns.get(column)
            if found is not None and not found.not_null:
                yield _error(where, f"{name} may be NULL.", f"Make {column} NOT NULL.")


def _check_owner(catalog: Catalog, table: Table, stored: StoredRelation) -> Iterator[Finding]:
    protected = {(t.schema, t.relation): t.name for t in catalog.tables.values() if t.protected}
    if not table.protected:
        for key in stored.foreign_keys:
            if key.target in protected:
                yield _error(
                    table.name,
                    f"it is declared public, but its rows refer to {protected[key.target]}.",
                    "Declare it protected, with a path.",
                )
        return
    way = _way(catalog, table)
    if not way:
        return
    hop = way[0]
    if table.unit_index and hop.column not in stored.indexed:
        yield _warning(
            f"{table.name}.unit_index",
            f"no index begins with {hop.column}.",
            "Answers take longer than without the word: make the index that `epsql policy helpers`"
            " prints, or take it out.",
        )
    elif hop.column not in stored.indexed and stored.kind in _TABLES:
        yield _warning(
            f"{table.name}.{hop.column}",
            "no index begins with it.",
            "Make one. Without it a query for one person looks through the whole table, and only if"
            " the person is there; how long it takes, and whether it ends in time, tells.",
        )
    target = catalog.tables[hop.table]
    wanted = ((hop.column,), (target.schema, target.relation), (hop.key,))
    if not any((k.columns, k.target, k.target_columns) == wanted for k in stored.foreign_keys):
        yield _warning(
            f"{table.name}.{hop.column}",
            f"no foreign key ties it to {hop.table}.{hop.key}.",
            "Rows that lead to nobody are never counted; a foreign key would rule them out.",
        )


def _way(catalog: Catalog, table: Table) -> tuple[Hop, ...]:
    """From a protected table to its owner, and from a unit's own table to the unit around it."""
    if table.path or not table.protected:
        return table.path
    return catalog.unit_of(table).path


def _null_owners(catalog: Catalog, structure: Structure, dsn: str) -> Iterator[Finding]:
    for table in catalog.tables.values():
        stored = structure.relations.get((table.schema, table.relation))
        way = _way(catalog, table)
        found = stored.columns.get(way[0].column) if stored and way else None
        if stored is None or found is None or found.not_null:
            continue
        if has_null(dsn, stored.place, found.name):
            yield _warning(
                f"{table.name}.{found.name}",
                "some rows have no owner.",
                "They are never counted. Give them one, or leave it at that.",
            )


def _error(where: str, message: str, advice: str) -> Finding:
    return Finding(Severity.ERROR, where, message, advice)


def _warning(where: str, message: str, advice: str) -> Finding:
    return Finding(Severity.WARNING, where, message, advice)
