"""What an index by owner is worth: the emitted SQL without it and with it, on a million rows."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from analyzer.catalog import Catalog
from benchmarks import bounding
from server.embedded import EmbeddedPostgres
from server.policy import parse_policy
from server.policy_helpers import helpers_sql

_POLICY = """
dataset = "many"
[privacy_unit]
table = "people"
key = "id"
[contribution]
max_rows_contributed = 50
max_groups_contributed = 5
[budgets.analyst]
epsilon = 1
[budgets.dataset]
epsilon = 1
[losses.default]
epsilon = 1
[losses.maximum]
epsilon = 1
[tables.people]
[tables.people.columns]
id = { type = "integer", nullable = false }
sex = { type = "text", nullable = false, values = ["female", "male"] }
[tables.rows]
path = ["person -> people.id"]
[tables.rows.columns]
person = { type = "integer", nullable = false }
day = { type = "integer", nullable = false, lower = 0, upper = 999 }
code = { type = "integer", nullable = false, lower = 0, upper = 83 }
kind = { type = "text", nullable = false, values = ["a", "b", "c", "d", "e", "f"] }
value = { type = "double precision", lower = 0, upper = 300, tick = 0.1 }
"""
# 40 rows a person, in no order; hashes spread them, so that every run has the same.
_DATA = """
CREATE TABLE people AS
SELECT i AS id, (ARRAY['female', 'male'])[1 + i % 2] AS sex FROM generate_series(0, 24999) AS i;
ALTER TABLE people ADD PRIMARY KEY (id);
CREATE TABLE rows AS
SELECT abs(hashint4(i) % 25000) AS person, abs(hashint4(i + 1) % 1000) AS day,
    abs(hashint4(i + 2) % 84) AS code,
    (ARRAY['a', 'b', 'c', 'd', 'e', 'f'])[1 + abs(hashint4(i + 3) % 6)] AS kind,
    abs(hashint4(i + 4) % 3000) / 10.0::double precision AS value
FROM generate_series(1, 1000000) AS i;
"""
_QUESTIONS = {
    "no groups": "SELECT count(*), avg(value) FROM rows",
    "6 groups": "SELECT kind, count(*), avg(value) FROM rows GROUP BY kind",
    "84 groups": "SELECT code, count(*), avg(value) FROM rows GROUP BY code",
    "people by kind": "SELECT kind, count(DISTINCT person) FROM rows GROUP BY kind",
    "median": "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FROM rows",
    "10 % of the rows": "SELECT kind, avg(value) FROM rows WHERE day < 100 GROUP BY kind",
    "10 % of the rows, 84 groups": (
        "SELECT code, avg(value) FROM rows WHERE day < 100 GROUP BY code"
    ),
    "join": (
        "SELECT p.sex, r.kind, avg(r.value) FROM people p JOIN rows r ON r.person = p.id"
        " GROUP BY p.sex, r.kind"
    ),
}


def run(postgres: EmbeddedPostgres) -> list[tuple[str, ...]]:
    """Rows of a table: the question, and the ratio to raw without the index and with it."""
    postgres.create_database("many")
    catalog, dsn = parse_policy(_POLICY), postgres.url("many")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_DATA.encode())
        connection.execute("VACUUM ANALYZE")
        without = bounding.run(catalog, dsn, _QUESTIONS)
        connection.execute(helpers_sql(catalog).encode())
        connection.execute("VACUUM ANALYZE")
    ordered = bounding.run(_indexed(catalog), dsn, _QUESTIONS)
    rows: list[tuple[str, ...]] = [("form", "no index", "index and unit_index")]
    rows += [(a[0], a[-1], b[-1]) for a, b in zip(without[1:], ordered[1:], strict=True)]
    return rows


def _indexed(catalog: Catalog) -> Catalog:
    table = replace(catalog.tables["rows"], unit_index=True)
    return replace(catalog, tables={**catalog.tables, "rows": table})
