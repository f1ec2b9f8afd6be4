"""Privacy units that are called by texts, whose columns have collations that do not mix.

Where two such columns meet without a word on it, Postgres fails on the first row that it compares,
and on no row if there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from analyzer.analyze import analyze
from analyzer.catalog import Catalog
from server.policy import parse_policy
from tests.fixture import budgets
from tests.guarantee.replay import Replay
from tests.postgres import Postgres

_UNITS = """
dataset = "named"

[[privacy_units]]
table = "people"
key = "id"

[[privacy_units]]
table = "houses"
key = "id"
max_members_contributed = 2

[contribution]
max_rows_contributed = 3
max_groups_contributed = 2
"""
_TABLES = """
[tables.houses.columns]
id = { type = "text", nullable = false }

[tables.people]
path = ["house -> houses.id"]

[tables.people.columns]
id = { type = "text", nullable = false }
house = { type = "text" }
name = { type = "text" }

[tables.events]
path = ["person -> people.id"]
unique = [["key"]]

[tables.events.columns]
key = { type = "text", nullable = false }
person = { type = "text" }
kind = { type = "text" }

[tables.parts]
path = ["event -> events.key", "person -> people.id"]

[tables.parts.columns]
event = { type = "text" }
"""
POLICY = _UNITS + budgets() + _TABLES

SCHEMA = """
CREATE TABLE houses (id text COLLATE "C" PRIMARY KEY);
CREATE TABLE people (id text COLLATE "POSIX" PRIMARY KEY, house text COLLATE "POSIX", name text);
CREATE TABLE events (key text COLLATE "C" PRIMARY KEY, person text COLLATE "C", kind text COLLATE "C");
CREATE TABLE parts (event text COLLATE "POSIX");
INSERT INTO houses VALUES ('h'), ('i');
INSERT INTO people VALUES ('x', 'h', 'a'), ('y', 'h', 'A'), ('z', 'i', NULL);
INSERT INTO events VALUES ('e1', 'x', 'k'), ('e2', 'x', 'K'), ('e3', 'y', 'k');
INSERT INTO parts VALUES ('e1'), ('e1'), ('e3');
"""

QUESTIONS = {
    "SELECT count(*) FROM parts": 3,
    "SELECT count(*) FROM parts p JOIN events e ON e.key = p.event": 3,
    "SELECT count(*) FROM people p JOIN events e ON e.person = p.id": 3,
    "SELECT count(*) FROM people WHERE id IN (SELECT person FROM events)": 2,
    "SELECT count(*) FROM people p WHERE EXISTS"
    " (SELECT 1 FROM events e WHERE e.person = p.id AND e.kind <> p.name)": 2,
    "SELECT count(DISTINCT i) FROM"
    " (SELECT id AS i FROM people UNION ALL SELECT person FROM events) u": 3,
    "SELECT count(*) FROM (SELECT person, max(kind) AS m FROM events GROUP BY person) e"
    " JOIN people p ON p.id = e.person AND e.m <> p.name": 2,
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parse_policy(POLICY)


@pytest.fixture(scope="module")
def source(postgres: Postgres) -> Iterator[Replay]:
    uri = postgres.fresh()
    with psycopg.connect(uri) as connection:
        connection.execute(SCHEMA)
    with Replay(uri, planned_once=False) as replay:
        yield replay


@pytest.mark.parametrize("sql", QUESTIONS)
def test_texts_of_two_collations_meet(sql: str, catalog: Catalog, source: Replay) -> None:
    (block,) = analyze(sql, catalog).blocks
    ((found,),) = source.run(block.exact)
    assert int(found) * block.draws[0].tick == QUESTIONS[sql]
