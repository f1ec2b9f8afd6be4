"""What a Postgres database says about itself: tables, types, keys and rights, never a value.

Only :func:`has_null` reads a table, and gives one bit of it to the data owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from accountant.outages import outage

Place = tuple[str, str]
"""Schema and relation."""


class CannotRead(Exception):
    """The data's database cannot be reached or asked; the text says why, for the operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the data's database cannot be asked: {reason}; look at EPSQL_DATA_URL")


@dataclass(frozen=True, slots=True)
class StoredColumn:
    name: str
    type: str
    """As Postgres prints it, e.g. ``numeric(6,1)``, ``character varying(20)``."""
    not_null: bool
    deterministic: bool
    """False where the collation takes different texts for equal."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    columns: tuple[str, ...]
    target: Place
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredRelation:
    place: Place
    kind: str
    """``table``, ``partitioned table``, ``view``, ``materialized view`` or ``foreign table``."""
    columns: Mapping[str, StoredColumn]
    unique: tuple[tuple[str, ...], ...]
    """Columns of whole, valid, immediate unique indexes; the primary key comes first."""
    indexed: frozenset[str]
    """Columns that a whole, valid index begins with."""
    foreign_keys: tuple[ForeignKey, ...]
    row_security: bool
    children: bool
    """Other tables inherit from it: a unique index does not reach into them."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a role may do, its memberships included."""

    name: str
    attributes: tuple[str, ...]
    """Of ``SUPERUSER``, ``BYPASSRLS``, ``CREATEROLE``, ``CREATEDB``, ``REPLICATION``."""
    memberships: tuple[str, ...]
    may_create: tuple[str, ...]
    """Where it may create things: ``database``, ``schema x``."""
    may_use_temporary_tables: bool
    schemas: frozenset[str]
    """Schemas it may look into."""
    writable: tuple[Place, ...]
    readable: Mapping[Place, frozenset[str]]
    """The columns that it may read."""


@dataclass(frozen=True, slots=True)
class Structure:
    relations: Mapping[Place, StoredRelation]


def read_structure(dsn: str) -> Structure:
    """Every table, view and foreign table outside Postgres' own schemas.

    Raises:
        CannotRead: the database cannot be reached.
    """
    with _connect(dsn) as connection:
        relations = connection.execute(_RELATIONS).fetchall()
        columns = _by_oid(connection.execute(_COLUMNS).fetchall())
        unique = _by_oid(connection.execute(_UNIQUE).fetchall())
        indexed = _by_oid(connection.execute(_INDEXED).fetchall())
        foreign = _by_oid(connection.execute(_FOREIGN_KEYS).fetchall())
    return Structure(
        {
            (row["schema"], row["name"]): StoredRelation(
                place=(row["schema"], row["name"]),
                kind=row["kind"],
                columns={
                    part["name"]: StoredColumn(
                        part["name"], part["type"], part["not_null"], part["deterministic"]
                    )
                    for part in columns.get(row["oid"], [])
                },
                unique=tuple(tuple(part["columns"]) for part in unique.get(row["oid"], [])),
                indexed=frozenset(part["name"] for part in indexed.get(row["oid"], [])),
                foreign_keys=tuple(
                    ForeignKey(
                        tuple(part["columns"]),
                        (part["target_schema"], part["target_name"]),
                        tuple(part["target_columns"]),
                    )
                    for part in foreign.get(row["oid"], [])
                ),
                row_security=row["row_security"],
                children=row["children"],
            )
            for row in relations
        }
    )


def read_role(dsn: str, name: str | None = None) -> Role | None:
    """The rights of a role, by default of the one that connects; None where there is no such role.

    Raises:
        CannotRead: the database cannot be reached.
    """
    with _connect(dsn) as connection:
        parameters = {"role": name}
        row = connection.execute(_ROLE, parameters).fetchone()
        if row is None:
            return None
        parameters = {"role": row["name"]}
        schemas = connection.execute(_SCHEMAS, parameters).fetchall()
        writable = connection.execute(_WRITABLE, parameters).fetchall()
        readable = connection.execute(_READABLE, parameters).fetchall()
    creates = ["database"] if row["create"] else []
    creates += [f"schema {schema['name']}" for schema in schemas if schema["create"]]
    return Role(
        name=row["name"],
        attributes=tuple(row["attributes"]),
        memberships=tuple(row["memberships"]),
        may_create=tuple(creates),
        may_use_temporary_tables=row["temporary"],
        schemas=frozenset(schema["name"] for schema in schemas if schema["usage"]),
        writable=tuple((part["schema"], part["name"]) for part in writable),
        readable={(part["schema"], part["name"]): frozenset(part["columns"]) for part in readable},
    )


def has_null(dsn: str, place: Place, column: str) -> bool | None:
    """Whether a column holds NULL anywhere; None where the role may not look.

    Raises:
        CannotRead: the database cannot be reached.
    """
    query = sql.SQL("SELECT EXISTS (SELECT 1 FROM {} WHERE {} IS NULL) AS found").format(
        sql.Identifier(*place), sql.Identifier(column)
    )
    with _connect(dsn) as connection:
        try:
            row = connection.execute(query).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            return None
    return None if row is None else bool(row["found"])


@contextmanager
def _connect(dsn: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    try:
        with psycopg.connect(
            dsn,
            row_factory=dict_row,
            connect_timeout=10,
            application_name="epsql policy",
            options="-c search_path=pg_catalog -c statement_timeout=60s",
        ) as connection:
            connection.read_only = True
            yield connection
    except psycopg.Error as error:
        reason = outage(error)
    else:
        return
    raise CannotRead(reason)


def _by_oid(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["oid"], []).append(row)
    return groups


_RELATIONS = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relrowsecurity AS row_security,
       CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                      WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END AS kind,
       c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = c.oid)
           AS children
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname
"""

_COLUMNS = """
SELECT a.attrelid AS oid, a.attname AS name, a.attnotnull AS not_null,
       format_type(a.atttypid, a.atttypmod) AS type,
       coalesce(l.collisdeterministic, true) AS deterministic
FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

_UNIQUE = """
SELECT i.indrelid AS oid,
       array_agg(a.attname::text ORDER BY k.place) AS columns
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
  AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indrelid, i.indexrelid, i.indisprimary
ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid
"""

_INDEXED = """
SELECT i.indrelid AS oid, a.attname::text AS name
FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indisvalid AND i.indpred IS NULL
"""

_FOREIGN_KEYS = """
SELECT k.conrelid AS oid, n.nspname AS target_schema, t.relname AS target_name,
       (SELECT array_agg(a.attname::text ORDER BY u.place)
        FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY u.place)
        FROM unnest(k.confkey) WITH ORDINALITY AS u (attnum, place)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum) AS target_columns
FROM pg_constraint k
JOIN pg_class t ON t.oid = k.confrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE k.contype = 'f' AND k.convalidated
ORDER BY k.conrelid, k.conname
"""

_ROLE = """
SELECT r.rolname AS name,
       array_remove(ARRAY[
           CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
           CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
           CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
           CASE WHEN r.rolreplication THEN 'REPLICATION' END], NULL) AS attributes,
       ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
             WHERE m.member = r.oid ORDER BY 1) AS memberships,
       has_database_privilege(r.oid, current_database(), 'CREATE') AS create,
       has_database_privilege(r.oid, current_database(), 'TEMPORARY') AS temporary
FROM pg_roles r
WHERE r.rolname = coalesce(%(role)s, current_user)
"""

_SCHEMAS = """
SELECT n.nspname AS name, has_schema_privilege(%(role)s, n.oid, 'CREATE') AS create,
       has_schema_privilege(%(role)s, n.oid, 'USAGE') AS usage
FROM pg_namespace n
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1
"""

_WRITABLE = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND (has_table_privilege(%(role)s, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
       OR has_any_column_privilege(%(role)s, c.oid, 'INSERT, UPDATE'))
ORDER BY 1, 2
"""

_READABLE = """
SELECT n.nspname AS schema, c.relname AS name, array_agg(a.attname::text) AS columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND has_column_privilege(%(role)s, c.oid, a.attnum, 'SELECT')
GROUP BY 1, 2
"""
