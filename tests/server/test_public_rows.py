"""Rows of public tables for the shadow, from a real database."""

from __future__ import annotations

import psycopg
import pytest

from server.engines import EngineFailed, EngineUnavailable
from server.engines import public as public_module
from server.engines.public import public_rows
from tests.fixture import CITIES, EMPTY, catalog, load

CITIES_TABLE = catalog().tables["cities"]


@pytest.fixture
def uri(postgres):
    return postgres.fresh(postgres.template("public-rows", lambda uri: load(uri, EMPTY)))


@pytest.fixture
def cities(uri):
    with psycopg.connect(uri) as owner:
        owner.cursor().executemany("INSERT INTO cities VALUES (%s, %s)", CITIES)
        owner.execute("ALTER TABLE cities ADD note text DEFAULT 'not declared'")
    return uri


async def test_the_declared_columns_come_and_no_others(cities):
    rows = await public_rows(cities, CITIES_TABLE, 100)
    assert rows == "".join(f"{name}\t{region}\n" for name, region in CITIES).encode()


async def test_more_rows_than_asked_for_are_none(cities):
    assert await public_rows(cities, CITIES_TABLE, len(CITIES)) is not None
    assert await public_rows(cities, CITIES_TABLE, len(CITIES) - 1) is None


async def test_more_bytes_than_there_is_room_for_are_none(cities, monkeypatch):
    monkeypatch.setattr(public_module, "MOST_BYTES", 20)
    assert await public_rows(cities, CITIES_TABLE, 100) is None


async def test_a_protected_table_is_never_asked(cities):
    with pytest.raises(AssertionError):
        await public_rows(cities, catalog().tables["patients"], 100)


async def test_what_the_database_says_goes_nowhere(cities):
    with psycopg.connect(cities) as owner:
        owner.execute("ALTER TABLE cities RENAME region TO secret")
    with pytest.raises(EngineFailed) as failed:
        await public_rows(cities, CITIES_TABLE, 100)
    assert failed.value.sqlstate == "42703"
    assert "region" not in str(failed.value)
    assert failed.value.__context__ is None


async def test_a_database_that_is_away_is_said_to_be():
    with pytest.raises(EngineUnavailable):
        await public_rows("postgresql://nobody@127.0.0.1:1/nothing", CITIES_TABLE, 1)
