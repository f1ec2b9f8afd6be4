"""The schema ``epsql`` of a data set: what is left, what was asked, and what was declared.

Tables, so that any SQL can ask them. Each analyst sees the rows that bear their own name; who
shares a login and says who they are, their own and not the login's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from analyzer.catalog import Catalog
from analyzer.session_settings import OWN, PREFIX
from server.declared import bound_text
from server.replies import number_text
from server.shadow import Asked, Balance, Statement
from server.shadow.mirror import type_text

KEPT = 1_000
"""Questions of one analyst that ``epsql.history`` holds, the newest."""

_TABLES = """
CREATE TABLE epsql.budget (
    analyst name NOT NULL, scope text NOT NULL, unit text NOT NULL, state text NOT NULL,
    epsilon_cap numeric NOT NULL, epsilon_left numeric NOT NULL,
    delta_cap numeric NOT NULL, delta_left numeric NOT NULL,
    PRIMARY KEY (analyst, scope, unit));
COMMENT ON TABLE epsql.budget IS 'What is left of your own budget, and of those you share.';
CREATE TABLE epsql.history (
    analyst name NOT NULL, release_id uuid NOT NULL, asked_at timestamptz NOT NULL,
    state text NOT NULL, sql text NOT NULL, epsilon numeric NOT NULL, delta numeric NOT NULL,
    request_id text, PRIMARY KEY (analyst, release_id));
COMMENT ON TABLE epsql.history IS 'What you asked and paid for, answered or not.';
CREATE TABLE epsql.releases (
    analyst name NOT NULL, release_id uuid NOT NULL, asked_at timestamptz NOT NULL,
    sql text NOT NULL, answer jsonb NOT NULL, PRIMARY KEY (analyst, release_id));
COMMENT ON TABLE epsql.releases IS 'The answers you were given; reading them again is free.';
CREATE TABLE epsql.columns (
    table_schema name NOT NULL, table_name name NOT NULL, column_name name NOT NULL,
    data_type text NOT NULL, nullable boolean NOT NULL, protected boolean NOT NULL,
    lower text, upper text, tick text, public_values text[], values_from text,
    description text NOT NULL, PRIMARY KEY (table_schema, table_name, column_name));
COMMENT ON TABLE epsql.columns IS 'What is declared of each column: bounds and public values.';
CREATE TABLE epsql.settings_declared (name text PRIMARY KEY, meaning text NOT NULL);
CREATE VIEW epsql.settings AS
    SELECT name, nullif(current_setting(name, true), '') AS setting, meaning
    FROM epsql.settings_declared;
COMMENT ON VIEW epsql.settings IS 'What you can SET for your questions, and what it is set to.';
GRANT SELECT ON epsql.budget, epsql.history, epsql.releases, epsql.columns, epsql.settings
    TO PUBLIC
"""

_PEOPLE = """
CREATE TABLE epsql.people (handle text PRIMARY KEY, analyst name NOT NULL);
CREATE FUNCTION epsql.asker() RETURNS name LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog
    AS $$ SELECT coalesce((SELECT analyst FROM epsql.people
                           WHERE handle = current_setting({setting}, true)), session_user) $$
"""
"""A handle cannot be guessed, and one that is not there shows no more than the login."""

_OWN = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON {table} FOR SELECT USING (analyst = (SELECT epsql.asker()))
"""


def books(catalog: Catalog) -> Iterator[Statement]:
    """Makes the schema's tables, the analysts' own still empty. As the superuser."""
    yield sql.SQL(_TABLES)
    yield sql.SQL(_PEOPLE).format(setting=sql.Literal(PREFIX + "analyst_token"))
    for name in ("budget", "history", "releases"):
        yield sql.SQL(_OWN).format(table=sql.Identifier("epsql", name))
    for name, meaning in OWN.items():
        yield sql.SQL("INSERT INTO epsql.settings_declared VALUES ({}, {})").format(
            PREFIX + name, meaning
        )
    for row in _columns(catalog):
        yield sql.SQL("INSERT INTO epsql.columns VALUES ({})").format(sql.SQL(", ").join(row))


def _columns(catalog: Catalog) -> Iterator[list[sql.Literal]]:
    for table in catalog.tables.values():
        for column in table.columns.values():
            source, values = column.values_from, column.values
            row: list[Any] = [
                table.schema,
                table.name,
                column.name,
                type_text(column),
                column.nullable,
                table.protected,
                bound_text(column.lower, column),
                bound_text(column.upper, column),
                None if column.tick is None else number_text(column.tick),
                None if values is None else [str(value) for value in values],
                None if source is None else f"{source.table}.{source.column}",
                column.description,
            ]
            yield [sql.Literal(value) for value in row]


KNOW_PERSON = "INSERT INTO epsql.people VALUES (%s, %s)"
FORGET_PEOPLE = "DELETE FROM epsql.people WHERE handle = ANY (%s)"

SHOW_BUDGET = """
INSERT INTO epsql.budget VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
FORGET_BUDGET = "DELETE FROM epsql.budget WHERE analyst = %s"

SHOW_ASKED = """
INSERT INTO epsql.history VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (analyst, release_id) DO UPDATE SET state = excluded.state
"""
SHOW_ANSWER = """
INSERT INTO epsql.releases VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (analyst, release_id) DO UPDATE SET answer = excluded.answer
"""
FORGET_ASKED = """
DELETE FROM epsql.history WHERE analyst = %(analyst)s AND release_id IN (
    SELECT release_id FROM epsql.history WHERE analyst = %(analyst)s
    ORDER BY asked_at DESC OFFSET %(kept)s)
"""
FORGET_ANSWERS = """
DELETE FROM epsql.releases r WHERE analyst = %(analyst)s AND NOT EXISTS (
    SELECT FROM epsql.history h WHERE h.analyst = r.analyst AND h.release_id = r.release_id)
"""

TIDY = "VACUUM epsql.budget, epsql.history, epsql.releases"


def budget_row(analyst: str, balance: Balance) -> tuple[Any, ...]:
    """The parameters of :data:`SHOW_BUDGET`."""
    return (
        analyst,
        balance.scope,
        balance.unit,
        balance.state,
        balance.epsilon_cap,
        balance.epsilon_left,
        balance.delta_cap,
        balance.delta_left,
    )


def asked_row(analyst: str, asked: Asked) -> tuple[Any, ...]:
    """The parameters of :data:`SHOW_ASKED`."""
    return (
        analyst,
        asked.release_id,
        asked.asked_at,
        asked.state,
        asked.sql,
        asked.epsilon,
        asked.delta,
        asked.request_id,
    )


def answer_row(analyst: str, asked: Asked) -> tuple[Any, ...]:
    """The parameters of :data:`SHOW_ANSWER`."""
    return analyst, asked.release_id, asked.asked_at, asked.sql, asked.answer
