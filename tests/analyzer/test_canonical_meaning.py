"""One digest, one meaning: conditions that Postgres tells apart are never one question."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator

import psycopg
import pytest

from analyzer.analyze import analyze
from tests.fixture import catalog, clinic, load, with_poison
from tests.postgres import Postgres

ATOMS = (
    "age {} {}",
    "{1} {0} age",
    "weight {} {}.5",
    "points {} {}",
    "NOT age {} {}",
    "COALESCE(age, age) {} {}",
    "COALESCE(age, {1}, age) {0} 3",
    "name IS NULL",
    "name IS NOT NULL",
    "active",
    "active IS TRUE",
    "city = zip",
    "zip IS DISTINCT FROM city",
    "age IN (3, {1}, 70)",
    "age IN ({1}, 70, 3)",
    "age NOT IN (3, {1})",
    "age BETWEEN 3 AND {1}",
    "age NOT BETWEEN {1} AND 70",
    "bmi + weight {} {}",
    "weight + bmi {} {}",
    "bmi - weight {} {}",
    "weight - bmi {} {}",
)
OPERATORS = ("<", "<=", ">", ">=", "=", "<>")


def condition(chance: random.Random, depth: int) -> str:
    if depth == 0 or chance.random() < 0.3:
        atom = chance.choice(ATOMS)
        return f"({atom.format(chance.choice(OPERATORS), chance.choice((3, 30, 70)))})"
    if chance.random() < 0.3:
        return f"(NOT {condition(chance, depth - 1)})"
    parts = [condition(chance, depth - 1) for _ in range(2)]
    return f"({chance.choice((' AND ', ' OR ')).join(parts)})"


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection]:
    uri = load(postgres.fresh(), with_poison(clinic(patients=150, visits=10)))
    with psycopg.connect(uri) as opened:
        # Beside NULLs: numbers at the edges of the conditions, and NaN, which is above all others.
        opened.execute(
            "INSERT INTO patients (id, sex, active, age, weight, bmi, points, city, zip)"
            " SELECT 900000 + row_number() OVER (), 'female', a, n, w, 3, n, c, 'x'"
            " FROM (VALUES (3), (30), (31), (70), (NULL)) AS ages (n),"
            " (VALUES (3.5::float8), (30.5), ('NaN'), (NULL)) AS weights (w),"
            " (VALUES (true), (false)) AS actives (a), (VALUES ('x'), ('y'), (NULL)) AS cities (c)"
        )
        yield opened


def rows_where(connection: psycopg.Connection, where: str) -> tuple[int, ...]:
    found = connection.execute(f"SELECT id FROM patients WHERE {where} ORDER BY id")
    return tuple(number for (number,) in found)


def grouped(seed: int, count: int, depth: int) -> dict[str, set[str]]:
    """Random conditions by the digest of their question."""
    chance, found = random.Random(seed), defaultdict[str, set[str]](set)
    for _ in range(count):
        where = condition(chance, depth)
        plan = analyze(f"SELECT count(*) FROM patients WHERE {where}", catalog())
        found[plan.question].add(where)
    return found


@pytest.mark.parametrize(
    "seed, count, depth",
    [(1, 500, 1), (2, 300, 3), pytest.param(3, 3_000, 2, marks=pytest.mark.slow)],
)
def test_one_digest_has_one_meaning(connection, seed, count, depth) -> None:
    groups = grouped(seed, count, depth)
    several = [forms for forms in groups.values() if len(forms) > 1]
    for forms in several:
        assert len({rows_where(connection, where) for where in forms}) == 1, forms
    assert len(several) > count / 20
