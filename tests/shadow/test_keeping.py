"""What the shadow does by itself while it runs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import psycopg
import pytest

from server.policy import parse_policy
from server.shadow import Balance, ShadowFailed
from server.shadow.shadow import Shadow, ShadowLimits
from tests.fixture import POLICY
from tests.guarantee.test_units import POLICY as UNITS
from tests.shadow.conftest import CATALOG, public_rows


@asynccontextmanager
async def running(**limits):
    shadow = await Shadow([CATALOG], public_rows, limits=ShadowLimits(sessions=5, **limits)).open()
    try:
        await shadow.admit("ada")
        yield shadow
    finally:
        await shadow.close()


async def login(shadow: Shadow, dataset: str = "clinic") -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host=str(shadow.socket.parent), user="ada", dbname=dataset, autocommit=True
    )


async def test_a_statement_that_takes_too_long_is_cancelled_whatever_the_session_set():
    async with running(statement_seconds=1) as shadow:
        ada = await login(shadow)
        await ada.execute("SET statement_timeout = 0")
        with pytest.raises(psycopg.errors.QueryCanceled):
            await ada.execute(
                "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
            )
        await ada.close()


async def test_a_transaction_is_not_held_for_ever_whatever_the_session_set():
    async with running(idle_seconds=1) as shadow:
        ada, idle = await login(shadow), await login(shadow)
        await ada.execute("SET idle_in_transaction_session_timeout = 0")
        await ada.execute("BEGIN")
        await ada.execute("SELECT * FROM cities")
        with pytest.raises(psycopg.OperationalError):
            async for _ in ada.notifies():  # waits until there is something to read
                pass
        await idle.execute("SELECT 1")  # outside of a transaction one may wait
        await idle.close()


async def test_public_tables_are_copied_again_from_time_to_time():
    copied = asyncio.Queue[str]()

    async def counted(table):
        copied.put_nowait(table.name)
        return await public_rows(table)

    limits = ShadowLimits(sessions=5, resync_seconds=0)
    shadow = await Shadow([CATALOG], counted, limits=limits).open()
    try:
        for _ in range(2):
            assert await copied.get() == "cities"
    finally:
        await shadow.close()


async def test_a_session_that_holds_a_public_table_only_puts_off_its_copy():
    async with running() as shadow:
        ada = await login(shadow)
        await ada.execute("BEGIN")
        await ada.execute("SELECT * FROM cities")
        await shadow.resync()
        assert ("public", "cities") not in shadow.names("clinic").guarded
        await ada.execute("COMMIT")
        await shadow.resync()
        found = await ada.execute("SELECT count(*) FROM cities")
        assert await found.fetchone() == (6,)
        await ada.close()


async def test_what_was_replaced_takes_no_room_for_ever():
    balance = Balance("analyst", "patients", "open", Decimal(3), Decimal(2), Decimal(0), Decimal(0))
    async with running() as shadow:

        async def size_after(times: int) -> int:
            for _ in range(times):
                await shadow.show_budget("ada", "clinic", [balance])
            await shadow._tidy()
            found = await shadow._admin["clinic"].execute("SELECT pg_relation_size('epsql.budget')")
            row = await found.fetchone()
            assert row is not None
            return int(row[0])

        first = await size_after(200)
        assert await size_after(200) <= first


async def test_a_session_that_crashes_takes_nothing_with_it():
    """Postgres then restarts itself and cuts every session, our own too."""
    async with running() as shadow:
        owner = await psycopg.AsyncConnection.connect(
            host=str(shadow.socket.parent), user="_epsql", dbname="clinic", autocommit=True
        )
        before = shadow._admin["clinic"].info.backend_pid
        with pytest.raises(psycopg.OperationalError):
            await owner.execute("COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'")
        for _ in range(200):
            if await shadow.healthy() and shadow._admin["clinic"].info.backend_pid != before:
                break
            await asyncio.sleep(0.1)
        ada = await login(shadow)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await ada.execute("SELECT * FROM patients")
        await ada.close()


async def test_it_says_when_it_is_gone(monkeypatch):
    async with running() as shadow:
        monkeypatch.setattr(shadow._cluster, "running", lambda: True)  # it would be made anew
        assert await shadow.healthy()
        await asyncio.to_thread(shadow._cluster.stop)
        assert not await shadow.healthy()
        with pytest.raises(ShadowFailed):
            await shadow.admit("bob")


async def test_a_view_that_postgres_does_not_take_stops_the_start():
    sql = "SELECT patient_id, CAST(count(*) AS bigint) AS n FROM visits GROUP BY patient_id"
    catalog = parse_policy(POLICY + f'[views.patients2]\nsql = "{sql}"')
    object.__setattr__(catalog.views["patients2"], "sql", "SELECT missing FROM patients")
    with pytest.raises(ShadowFailed, match="missing"):
        await Shadow([catalog], public_rows).open()


async def test_a_start_without_a_place_touches_nothing(tmp_path, monkeypatch):
    """Least of all the directory that the server was started in."""
    (tmp_path / "kept").touch()
    monkeypatch.chdir(tmp_path)
    shadow = Shadow([CATALOG], public_rows, parent=tmp_path / "missing")
    await shadow.close()
    with pytest.raises(ShadowFailed, match="no directory can be made"):
        await shadow.open()
    await shadow.close()
    assert (tmp_path / "kept").exists()
    with pytest.raises(ShadowFailed, match="not started"):
        _ = shadow.socket


def test_names_that_a_database_cannot_have_stop_the_start():
    with pytest.raises(ShadowFailed, match="template1"):
        Shadow([parse_policy(POLICY.replace('"clinic"', '"template1"', 1))], public_rows)


async def test_tables_live_in_their_own_schemas_and_are_found():
    policy = POLICY.replace("[tables.cities]", '[tables.cities]\nrelation = "geo.places"')
    shadow = await Shadow([parse_policy(policy), CATALOG_TWO], public_rows).open()
    try:
        await shadow.admit("ada")
        ada = await login(shadow)
        found = await ada.execute("SELECT count(*) FROM cities")
        assert await found.fetchone() == (6,)
        found = await ada.execute("SELECT count(*) FROM geo.cities")
        assert await found.fetchone() == (6,)
        assert ("public", "patients") in shadow.names("clinic").guarded
        assert ("geo", "cities") not in shadow.names("clinic").guarded
        await ada.close()
    finally:
        await shadow.close()


CATALOG_TWO = parse_policy(POLICY.replace('"clinic"', '"postgres"', 1))
"""Another data set, which has the name that a new cluster's own database has."""


async def test_several_units_lead_to_each_other():
    catalog = parse_policy(UNITS)
    shadow = await Shadow([catalog], public_rows).open()
    try:
        await shadow.admit("ada")
        ada = await login(shadow, catalog.dataset)
        found = await ada.execute(
            "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
            " WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY 1, 2"
        )
        assert await found.fetchall() == [
            ("addresses", "households"),
            ("patients", "addresses"),
            ("visits", "patients"),
        ]
        found = await ada.execute("SELECT obj_description('patients'::regclass)")
        words = (await found.fetchone() or ("",))[0]
        assert words.endswith("One row is one privacy unit. address_id leads to addresses.id.")
        await ada.close()
    finally:
        await shadow.close()
