"""The engine against a real Postgres: rights, settings, failures, cancellation."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from contextlib import aclosing
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType

import psycopg
import pytest
import pytest_asyncio

from analyzer.plan import SELECTION_KEY, Statement
from server.engines import EngineFailed, EngineUnavailable, ExactRows
from server.engines.postgres import Bounds, PostgresEngine
from tests.released import fetched


def _build(uri: str) -> None:
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE TABLE public.people (id int PRIMARY KEY, secret text)")
        connection.execute("INSERT INTO public.people VALUES (1, 'canary-47110815')")


@pytest.fixture(scope="module")
def uri(postgres):
    return postgres.template("engine", _build)


@pytest_asyncio.fixture
async def engine(uri):
    engine = await PostgresEngine(uri, Bounds(connections=2, rows=3)).open()
    yield engine
    await engine.close()


async def only_rows(engine, text: str | Statement):
    """The rows of one statement."""
    (rows,) = await fetched(engine, text if isinstance(text, Statement) else Statement(text))
    return rows


async def test_values_arrive_as_they_were_sent(engine):
    statement = Statement(
        "SELECT CAST($1 AS integer), CAST($2 AS numeric), CAST($3 AS text), CAST($4 AS boolean),"
        " CAST($5 AS date), CAST($6 AS timestamp), CAST($7 AS bigint), CAST($8 AS double precision),"
        " CAST($9 AS uuid)",
        (
            7,
            Decimal("1E+3"),
            "o'slo \\ %s $1",
            True,
            date(2020, 2, 29),
            datetime(2020, 1, 1, 12, 30),
            None,
            Decimal("0.1"),
            "00000000-0000-0000-0000-000000000001",
        ),
    )
    assert await only_rows(engine, statement) == [
        (
            7,
            Decimal(1000),
            "o'slo \\ %s $1",
            True,
            "2020-02-29",
            "2020-01-01 12:30:00",
            None,
            0.1,
            "00000000-0000-0000-0000-000000000001",
        )
    ]


async def test_values_that_python_does_not_have_are_no_failure(engine):
    statement = Statement("SELECT date 'infinity', timestamptz '4713-01-01 BC', numeric 'NaN'")
    (row,) = await only_rows(engine, statement)
    assert row[:2] == ("infinity", "4713-01-01 00:00:00+00 BC")
    assert row[2].is_nan()


async def test_a_finish_of_many_groups_is_not_planned_in_loops(engine):
    """They would take minutes, and the answer is paid for."""
    statement = Statement("SELECT current_setting('enable_nestloop') WHERE $1::text IS NOT NULL")
    assert await engine.finish(statement, "x" * 1_000_000) == [("off",)]
    assert await engine.finish(statement, "x") == [("on",)]


async def test_finish_binds_the_rows_first(engine):
    statement = Statement(
        "SELECT r.value ->> 'c0', CAST($2 AS integer) FROM json_array_elements(CAST($1 AS json)) r",
        (5,),
    )
    assert await engine.finish(statement, json.dumps([{"c0": 1}, {"c0": 2}])) == [
        ("1", 5),
        ("2", 5),
    ]


async def test_the_selection_key_is_put_in_by_the_engine(uri):
    statement = Statement("SELECT CAST($1 AS bigint), CAST($2 AS text)", (SELECTION_KEY, "x"))
    engine = await PostgresEngine(uri, selection_key=2**63 - 1).open()
    try:
        assert await only_rows(engine, statement) == [(2**63 - 1, "x")]
    finally:
        await engine.close()
    keys = set()
    for _ in range(2):
        engine = await PostgresEngine(uri).open()
        keys.add((await only_rows(engine, statement))[0][0])
        await engine.close()
    assert len(keys) == 2


@pytest.mark.parametrize(
    "name,value",
    [
        ("search_path", "pg_catalog"),
        ("transaction_read_only", "on"),
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO, YMD"),
        ("standard_conforming_strings", "on"),
        ("statement_timeout", "1min"),
        ("lock_timeout", "5s"),
        ("client_encoding", "UTF8"),
        ("max_parallel_workers_per_gather", "0"),
        ("jit", "off"),
        ("transform_null_equals", "off"),
    ],
)
async def test_settings_are_pinned_and_come_back(uri, name, value):
    engine = await PostgresEngine(uri, Bounds(connections=1)).open()
    try:
        show = Statement(f"SHOW {name}")
        assert await only_rows(engine, show) == [(value,)]
        if name != "transaction_read_only":
            other = {"off": "on", "on": "off"}.get(
                value, "3" if value[0].isdigit() or value == "0" else value
            )
            await fetched(
                engine, Statement(f"SELECT pg_catalog.set_config('{name}', '{other}', false)")
            )
        assert await only_rows(engine, show) == [(value,)]
    finally:
        await engine.close()


async def test_writing_fails_although_the_role_could(engine):
    with pytest.raises(EngineFailed) as failure:
        await only_rows(engine, "INSERT INTO public.people VALUES (2, 'x') RETURNING id")
    assert failure.value.sqlstate == "25006"


async def test_a_failure_says_one_sentence_and_holds_nothing(engine, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(EngineFailed) as failure:
        await only_rows(engine, "SELECT CAST(secret AS integer) FROM public.people")
    error = failure.value
    assert str(error) == "The database did not answer the query."
    assert error.sqlstate == "22P02"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "canary" not in caplog.text
    assert "22P02" in caplog.text
    frame: TracebackType | None = failure.tb
    while frame is not None:
        if frame.tb_frame.f_code.co_filename.endswith("engines/postgres.py"):
            assert "canary" not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next


async def test_the_limit_on_rows_is_a_failure(engine):
    three = Statement("SELECT * FROM generate_series(1, 3)")
    assert len(await engine.finish(Statement("SELECT 1 WHERE $1 = $1"), "")) == 1
    with pytest.raises(EngineFailed) as failure:
        await engine.finish(Statement("SELECT * FROM generate_series(1, 100000) WHERE $1 = $1"), "")
    assert failure.value.sqlstate == "54000"
    assert len(await only_rows(engine, three)) == 3


async def test_exact_rows_have_no_limit_and_come_in_pieces(engine):
    """Whether there are too many is for noisy numbers to say."""
    sizes = [0, 0]
    statements = [Statement(f"SELECT * FROM generate_series(1, {n})") for n in (2_500, 1)]
    async with aclosing(engine.fetch(statements)) as chunks:
        async for number, rows in chunks:
            assert isinstance(rows, ExactRows)
            assert len(rows) <= 1_000
            sizes[number] += len(rows)
    assert sizes == [2_500, 1]


async def test_who_stops_in_the_middle_gives_the_connection_back(uri):
    engine = await PostgresEngine(uri, Bounds(connections=1)).open()
    try:
        for _ in range(3):
            async with aclosing(
                engine.fetch([Statement("SELECT * FROM generate_series(1, 100000000)")])
            ) as chunks:
                async for _ in chunks:
                    break
        assert await engine.ready()
    finally:
        await engine.close()


async def test_statements_of_one_plan_see_one_state(engine, uri):
    count = Statement("SELECT count(*) FROM public.people")
    seen = []
    async with aclosing(engine.fetch([count, count])) as chunks:
        async for _, rows in chunks:
            seen += rows
            async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as other:
                await other.execute(
                    "INSERT INTO public.people SELECT max(id) + 1, '' FROM public.people"
                )
    assert seen == [(1,), (1,)]
    async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as other:
        await other.execute("DELETE FROM public.people WHERE id > 1")


async def _running(uri: str, text: str) -> int:
    async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as watcher:
        cursor = await watcher.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = %s", [text]
        )
        (count,) = await cursor.fetchone() or (0,)
        return int(count)


async def _until(uri: str, text: str, count: int) -> None:
    for _ in range(200):
        if await _running(uri, text) == count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{text!r} did not come to be run {count} times")


async def test_cancelling_stops_the_statement_and_keeps_the_pool(engine, uri):
    text = "SELECT pg_catalog.pg_sleep(30)"
    for _ in range(3):  # more often than there are connections
        asking = asyncio.create_task(only_rows(engine, text))
        await _until(uri, text, 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await _until(uri, text, 0)
    assert await engine.ready()
    rows = await asyncio.gather(*(only_rows(engine, "SELECT 1") for _ in range(4)))
    assert rows == [[(1,)]] * 4


async def test_a_database_that_is_away_was_not_asked(postgres):
    uri = postgres.fresh()
    engine = await PostgresEngine(uri, Bounds(connections=1, connect_seconds=0.3)).open()
    try:
        assert await engine.ready()
        postgres.take_down(uri)
        with pytest.raises(EngineUnavailable) as failure:
            await only_rows(engine, "SELECT 1")
        assert failure.value.__context__ is None
        assert not await engine.ready()
        postgres.bring_up(uri)
        for _ in range(100):
            if await engine.ready():
                break
            await asyncio.sleep(0.05)
        assert await only_rows(engine, "SELECT 1") == [(1,)]
    finally:
        await engine.close()


async def test_a_statement_that_runs_too_long_fails(uri):
    engine = await PostgresEngine(uri, Bounds(statement_seconds=1)).open()
    try:
        with pytest.raises(EngineFailed) as failure:
            await only_rows(engine, "SELECT pg_catalog.pg_sleep(30)")
        assert failure.value.sqlstate == "57014"
    finally:
        await engine.close()


async def test_a_database_that_was_away_for_long_is_asked_again_at_once(postgres):
    """The pool's own attempts come at longer and longer intervals: nobody is to wait for them."""
    own = postgres.fresh()
    engine = await PostgresEngine(own, Bounds(connect_seconds=1)).open()
    try:
        assert await engine.ready()
        postgres.take_down(own)
        assert not await engine.ready()
        await asyncio.sleep(3.5)  # of the attempts after 1, 3 and 7 seconds the third is far
        postgres.bring_up(own)
        assert await engine.ready()
    finally:
        await engine.close()


async def test_a_connection_that_dies_in_a_query_is_a_failure_and_the_next_query_works(engine):
    with pytest.raises(EngineFailed) as failure:
        await fetched(
            engine, Statement("SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())")
        )
    assert not isinstance(failure.value, EngineUnavailable)
    assert await only_rows(engine, "SELECT 1") == [(1,)]


def test_exact_rows_cannot_be_shown_or_stored():
    rows = ExactRows([("canary", 1)])
    for text in (repr(rows), str(rows), f"{rows}"):
        assert "canary" not in text
        assert "1" not in text
    with pytest.raises(TypeError):
        pickle.dumps(rows)
    assert rows == [("canary", 1)]
