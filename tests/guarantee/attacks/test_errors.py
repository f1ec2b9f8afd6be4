"""What errors, quotes and logs say: nothing of the data, and nothing of the database."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from analyzer.analyze import analyze
from server.engines.postgres import Bounds, PostgresEngine
from server.observations import Level, json_lines
from server.policy_grants import grants_sql
from tests import fixture
from tests.guarantee.attacks.conftest import D
from tests.guarantee.attacks.test_attacks import CATALOG
from tests.guarantee.attacks.test_ledger import FAILED
from tests.guarantee.attacks.world import READER, World
from tests.postgres import Postgres, database_of
from tests.released import exact_rows

CANARY = "canary47110815"


def test_what_is_there_but_not_declared_is_refused_like_what_is_not_there(world: World) -> None:
    replies = [
        world.ask(f"SELECT count(*) FROM {name}").text.replace(name, "?")
        for name in ("salaries", "salarias", "pg_class", "pg_clazz")
    ]
    assert len(set(replies)) == 1
    for pair in (("amount", "amoumt"), ("ctid", "qtid"), ("xmin", "xmim")):
        columns = [
            world.ask(f"SELECT count({name}) FROM patients").text.replace(name, "?")
            for name in pair
        ]
        assert len(set(columns)) == 1


@contextmanager
def booby_trapped(postgres: Postgres, world: World) -> Iterator[None]:
    """Inside, reading the patients raises a notice and then an error, both with a secret."""
    uri = fixture.load(postgres.fresh(), D)
    with psycopg.connect(uri) as connection:
        connection.execute(f"""
            CREATE FUNCTION trap(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
                RAISE WARNING 'warning {CANARY}';
                RAISE EXCEPTION 'message {CANARY}' USING DETAIL = 'detail {CANARY}',
                    HINT = 'hint {CANARY}', ERRCODE = '22012';
            END $$;
            ALTER TABLE patients RENAME TO stored;
            CREATE VIEW patients AS SELECT trap(id) AS id, name, age, sex, city, zip, bmi, weight,
                points, active, born FROM stored
        """)
        connection.execute(grants_sql(CATALOG, READER).encode())
    engine = PostgresEngine(postgres.uri(database_of(uri), READER), Bounds(connections=1))
    world.spy.engines["trap"] = world.run(engine.open())
    try:
        with world.on("trap"):
            yield
    finally:
        world.run(engine.close())
        del world.spy.engines["trap"]


def test_nothing_that_the_database_says_reaches_the_analyst(
    world: World, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with booby_trapped(postgres, world), caplog.at_level(logging.DEBUG):
        reply = world.ask("SELECT count(*) FROM patients WHERE id > 0")
    assert (reply.status_code, reply.json()) == (500, FAILED)
    said = reply.text + repr(reply.headers) + caplog.text
    assert CANARY not in said
    assert "22012" not in reply.text
    assert "PL/pgSQL" not in said


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM patients WHERE id > 0",
        "SELECT diagnosis, count(*), avg(cost) FROM visits GROUP BY diagnosis",
        "SELECT city, max(age) FROM patients GROUP BY city",
    ],
)
def test_a_quote_is_the_same_on_every_database(world: World, sql: str) -> None:
    """Accuracy and price are known without the data; and the key that chooses groups is not told."""
    calls, quotes = len(world.spy.calls), []
    for clinic in world.uris:
        with world.on(clinic):
            quotes.append(world.ask(sql, path="/v1/quote"))
    assert len({quote.content for quote in quotes}) == 1
    assert quotes[0].status_code == 200
    assert len(world.spy.calls) == calls
    secret = [
        p
        for p in quotes[0].json()["blocks"][0]["statement"]["parameters"]
        if p and "selection" in p
    ]
    assert set(secret) <= {"<selection key>"}


def test_exact_values_are_in_no_log(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exact sum is a number of eight digits that noise hits once in a million times."""
    plan = analyze("SELECT sum(cost) FROM visits", CATALOG)
    (((exact,),),) = world.run(exact_rows(world.spy.engines["D"], plan))
    assert int(exact) > 10**7
    observe = json_lines(lowest=min(Level, key=lambda level: level.value))
    before = len(world.seen)
    with caplog.at_level(logging.DEBUG):
        reply = world.ask("SELECT sum(cost) FROM visits")
        for one in world.seen[before:]:
            observe(one)
    assert reply.status_code == 200
    out, err = capsys.readouterr()
    logged = caplog.text + out + err
    assert "Answered" in logged
    for secret in (str(exact), str(int(exact) / 100), world.tokens["ada"], "sum(cost)"):
        assert secret not in logged
        assert secret not in json.dumps(reply.json()["rows"])
