"""T9: what a policy, a role, a session and a start may not be."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from analyzer.analyze import analyze
from server.app import CannotStart, load_catalogs
from server.engines import EngineFailed
from server.engines.postgres import Bounds, PostgresEngine
from server.policy import PolicyError, parse_policy
from server.policy_check import Severity, check
from server.policy_grants import grants_sql
from server.settings import Settings
from tests import fixture
from tests.guarantee.attacks.conftest import D
from tests.guarantee.attacks.test_attacks import CATALOG
from tests.guarantee.attacks.world import POLICY, READER, World, shared_policy
from tests.postgres import Postgres, database_of
from tests.released import exact_rows


def _policy_with(old: str, new: str) -> str:
    assert old in POLICY
    return POLICY.replace(old, new, 1)


@pytest.mark.parametrize("lower,upper", [("-1e308", "1e308"), ("-1e30", "1e30"), ("0", "nan")])
def test_bounds_that_sums_cannot_hold_are_no_policy(lower: str, upper: str) -> None:
    old = "lower = 0, upper = 300, tick = 0.1"
    with pytest.raises(PolicyError, match="weight"):
        parse_policy(_policy_with(old, f"lower = {lower}, upper = {upper}, tick = 0.1"))


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE patients DROP CONSTRAINT patients_pkey CASCADE",
        "ALTER TABLE visits DROP CONSTRAINT visits_pkey CASCADE",
        "ALTER TABLE patients ALTER id TYPE numeric",
        "ALTER TABLE cities DROP CONSTRAINT cities_pkey",
    ],
)
def test_a_unit_key_that_could_be_two_people_stops_the_start(
    postgres: Postgres, world: World, change: str
) -> None:
    uri = fixture.load(postgres.fresh(), D)
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(grants_sql(CATALOG, READER).encode())
        before = [f for f in check(CATALOG, uri, READER) if f.severity is Severity.ERROR]
        assert before == []
        connection.execute(change.encode())
    assert [f for f in check(CATALOG, uri, READER) if f.severity is Severity.ERROR]


@pytest.mark.parametrize(
    "declared",
    [
        'values_from = "visits.diagnosis"',
        'values_from = "patients.city"',
        'values_from = "nosuch.name"',
        'values = "learn"',
        "values = []",
    ],
)
def test_public_keys_come_from_the_policy_or_a_public_table(declared: str) -> None:
    with pytest.raises(PolicyError, match="city"):
        parse_policy(_policy_with('values_from = "cities.name"', declared))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO public.cities VALUES ('x', 'y')",
        "UPDATE public.patients SET age = 1",
        "DELETE FROM public.visits",
        "TRUNCATE public.visits",
        "CREATE TEMP TABLE cities (name text)",
        "CREATE TABLE public.leak (a int)",
        "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
        "SELECT * FROM public.salaries",
        "COPY public.patients TO PROGRAM 'id'",
        "SELECT pg_read_file('/etc/passwd')",
        "SET ROLE postgres",
        "SELECT * FROM public.patients FOR UPDATE",
    ],
)
def test_the_role_of_the_engine_can_read_and_nothing_else(world: World, statement: str) -> None:
    """Whatever the session says of read-only: it is the rights that count."""
    with psycopg.connect(world.uris["D"], autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        assert connection.execute("SELECT count(name) FROM public.patients").fetchone()


def test_names_mean_what_pg_catalog_says(postgres: Postgres, world: World) -> None:
    """Functions, operators and aggregates of well-known names, in the way of ours."""
    uri = fixture.load(postgres.fresh(), D)
    with psycopg.connect(uri) as connection:
        connection.execute(
            """
            CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS $$SELECT 'shadow'$$;
            CREATE FUNCTION public.length(text) RETURNS integer LANGUAGE sql AS 'SELECT 47';
            CREATE FUNCTION public.more(integer, integer) RETURNS boolean LANGUAGE sql
                AS 'SELECT true';
            CREATE OPERATOR public.> (leftarg = integer, rightarg = integer, function = more);
            CREATE AGGREGATE public.sum(bigint) (sfunc = int8larger, stype = bigint);
            ALTER DATABASE CURRENT SET search_path = public, pg_catalog;
        """.replace("DATABASE CURRENT", f"DATABASE {database_of(uri)}").encode()
        )
        connection.execute(grants_sql(CATALOG, READER).encode())
    engine = PostgresEngine(postgres.uri(database_of(uri), READER), Bounds(connections=1))
    try:
        world.run(engine.open())
        for sql in (
            "SELECT count(*) FROM patients WHERE lower(name) = 'alice'",
            "SELECT sum(LEAST(GREATEST(length(name), 0), 99)) FROM patients WHERE age > 50",
            "SELECT kind, count(*), avg(cost) FROM visits GROUP BY kind",
        ):
            plan = analyze(sql, CATALOG)
            shadowed = world.run(exact_rows(engine, plan))
            assert shadowed == world.run(exact_rows(world.spy.engines["D"], plan))
    finally:
        world.run(engine.close())


def test_one_table_in_two_data_sets_does_not_start(tmp_path: Path) -> None:
    """Each data set has a budget, so one person in two of them has two."""
    (tmp_path / "clinic.toml").write_text(POLICY)
    settings = Settings(
        ledger_url=SecretStr("postgresql://x/y"),
        data_url=SecretStr("postgresql://x/z"),
        policy=str(tmp_path),
    )
    assert [catalog.dataset for catalog in load_catalogs(settings)] == ["clinic"]
    (tmp_path / "second.toml").write_text(shared_policy())
    with pytest.raises(CannotStart, match=r"public\.\w+ is declared twice"):
        load_catalogs(settings)


def test_a_session_keeps_nothing_between_questions(world: World) -> None:
    """One connection for two analysts: settings, prepared names and locks of the first are gone."""
    engine = PostgresEngine(world.uris["D"], Bounds(connections=1))

    async def story() -> list[list[tuple[object, ...]]]:
        await engine.open()
        await engine._all(
            "SELECT set_config('search_path', 'public', false), pg_advisory_lock(47)::text", ()
        )
        with pytest.raises(EngineFailed):
            await engine._all("SELECT 1/0", ())
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 47"
        return [
            list(await engine._all(sql, ()))
            for sql in ("SHOW search_path", held, "SELECT count(*) FROM pg_prepared_statements")
        ]

    try:
        assert world.run(story()) == [[("pg_catalog",)], [(0,)], [(0,)]]
    finally:
        world.run(engine.close())
