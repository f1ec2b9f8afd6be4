"""A policy against a live database: each thing that does not fit is found, and what fits is quiet."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from analyzer.plan import Statement
from server import demo_data
from server.engines import EngineFailed
from server.engines.postgres import PostgresEngine
from server.engines.structure import Structure, read_role, read_structure
from server.policy import load_policy, parse_policy
from server.policy_check import Severity, check, check_structure
from server.policy_grants import grants_sql
from server.policy_helpers import helpers_sql
from tests.released import fetched

POLICY = """\
dataset = "clinic"
[privacy_unit]
table = "patients"
key = "id"
[contribution]
max_rows_contributed = 20
max_groups_contributed = 5
[budgets.analyst]
epsilon = 3
[budgets.dataset]
epsilon = 10
[losses.default]
epsilon = 0.1
[losses.maximum]
epsilon = 1
[tables.patients.columns]
id = { type = "integer", nullable = false }
name = { type = "text" }
weight = { type = "numeric(5,1)" }
[tables.visits]
path = ["patient_id -> patients.id"]
unique = [["id"]]
[tables.visits.columns]
id = { type = "bigint", nullable = false }
patient_id = { type = "integer", nullable = false }
[tables.cities]
protected = false
[tables.cities.columns]
name = { type = "text", nullable = false }
"""

SCHEMA = """
CREATE TABLE patients (id int PRIMARY KEY, name text, weight numeric(5,1), secret text);
CREATE TABLE visits (id bigint PRIMARY KEY, patient_id int NOT NULL REFERENCES patients);
CREATE INDEX by_patient ON visits (patient_id);
CREATE TABLE cities (name text PRIMARY KEY);
CREATE TABLE payroll (id int, salary int);
"""


def _build(uri: str) -> None:
    with psycopg.connect(uri) as connection:
        connection.execute(SCHEMA)
        connection.execute(
            "DO $$ BEGIN CREATE ROLE check_reader LOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )


@pytest.fixture
def clinic(postgres):
    uri = postgres.fresh(postgres.template("policy check", _build))
    with psycopg.connect(uri) as connection:  # rights on a database are not copied with it
        connection.execute(grants_sql(parse_policy(POLICY), "check_reader").encode())
    return uri


def found(uri: str, change: str = "", policy: str = POLICY) -> list[str]:
    if change:
        with psycopg.connect(uri) as connection:
            connection.execute(change.encode())
    return [str(finding) for finding in check(parse_policy(policy), uri, role="check_reader")]


def test_what_fits_is_quiet(clinic):
    assert found(clinic) == []


# Each: a change of the database, and the one finding that it makes.
CHANGES = [
    ("ALTER TABLE patients DROP COLUMN name", "error: patients.name: the database has no such column"),
    ("DROP TABLE cities", "error: cities: the database has no table public.cities"),
    ("ALTER TABLE patients ALTER weight TYPE numeric(6,2)", "error: patients.weight: its type is numeric(6,2)"),
    ("ALTER TABLE patients ALTER weight TYPE numeric", "error: patients.weight: its type is numeric"),
    ("ALTER TABLE patients ALTER weight TYPE float8", "error: patients.weight: it is declared numeric, but"),
    ("ALTER TABLE patients ALTER weight TYPE real", "error: patients.weight: its type is real"),
    ("ALTER TABLE patients ALTER name TYPE char(9)", "error: patients.name: its type is character(9)"),
    ("ALTER TABLE patients ALTER name SET NOT NULL", "warning: patients.name: it can never be NULL"),
    ("ALTER TABLE visits DROP CONSTRAINT visits_pkey", "error: visits (id): a declared unique key must have"),
    ("ALTER TABLE visits DROP CONSTRAINT visits_pkey; CREATE UNIQUE INDEX ON visits (id) WHERE id > 0", "error: visits (id): a declared unique key must have"),
    ("ALTER TABLE visits DROP CONSTRAINT visits_pkey; ALTER TABLE visits ADD UNIQUE (id) DEFERRABLE", "error: visits (id): a declared unique key must have"),
    ("ALTER TABLE visits DROP CONSTRAINT visits_pkey; CREATE UNIQUE INDEX ON visits (abs(id))", "error: visits (id): a declared unique key must have"),
    ("ALTER TABLE visits DROP CONSTRAINT visits_pkey; CREATE UNIQUE INDEX ON visits (id, patient_id)", "error: visits (id): a declared unique key must have"),
    ("ALTER TABLE visits DROP CONSTRAINT visits_pkey; CREATE UNIQUE INDEX ON visits (patient_id) INCLUDE (id)", "error: visits (id): a declared unique key must have"),
    ("ALTER TABLE visits DROP CONSTRAINT visits_patient_id_fkey", "warning: visits.patient_id: no foreign key ties it"),
    ("ALTER TABLE cities ADD mayor int REFERENCES patients", "error: cities: it is declared public, but its rows refer to patients"),
    ("CREATE TABLE more () INHERITS (visits)", "error: visits: other tables inherit from it"),
    ("ALTER TABLE visits ENABLE ROW LEVEL SECURITY", "warning: visits: row-level security"),
    ("GRANT SELECT (secret) ON patients TO check_reader", "warning: role check_reader: it may read public.patients (secret)"),
    ("GRANT SELECT ON payroll TO PUBLIC", "warning: role check_reader: it may read public.payroll (id, salary)"),
    ("GRANT INSERT ON visits TO check_reader", "error: role check_reader: it may write to public.visits"),
    ("GRANT UPDATE (name) ON patients TO check_reader", "error: role check_reader: it may write to public.patients"),
    ("GRANT CREATE ON SCHEMA public TO check_reader", "error: role check_reader: it may create things in schema public"),
    ("REVOKE SELECT (name) ON patients FROM check_reader", "error: role check_reader: it may not read public.patients (name)."),
    ("REVOKE USAGE ON SCHEMA public FROM check_reader, PUBLIC", "error: role check_reader: it may not use the schema public"),
    ("DO $$ BEGIN EXECUTE format('GRANT TEMP ON DATABASE %I TO PUBLIC', current_database()); END $$", "warning: role check_reader: it may make temporary tables"),
]  # fmt: skip


@pytest.mark.parametrize("change,finding", CHANGES)
def test_each_misfit_is_found(clinic, change, finding):
    findings = found(clinic, change)
    assert [text for text in findings if text.startswith(finding)], findings
    assert len(findings) <= 2, findings


def test_the_unit_key_must_be_one_in_the_database(clinic):
    findings = found(
        clinic,
        "ALTER TABLE patients DROP CONSTRAINT patients_pkey CASCADE;"
        " ALTER TABLE patients ALTER id DROP NOT NULL",
    )
    assert findings[0].startswith("error: patients.id: it is declared nullable = false")
    assert findings[1].startswith("error: patients (id): the privacy unit's key must have")
    assert findings[2].startswith("error: patients (id): the privacy unit's key may be NULL")


def test_rows_without_an_owner_are_told_as_yes_or_no(clinic):
    policy = POLICY.replace(
        'patient_id = { type = "integer", nullable = false }', 'patient_id = { type = "integer" }'
    )
    change = "ALTER TABLE visits ALTER patient_id DROP NOT NULL"
    assert found(clinic, change, policy) == []
    (finding,) = found(clinic, "INSERT INTO visits VALUES (1, NULL), (2, NULL)", policy)
    assert finding.startswith("warning: visits.patient_id: some rows have no owner.")
    assert "2" not in finding


def test_a_collation_that_takes_different_texts_for_equal(clinic):
    structure = read_structure(clinic)  # this Postgres has no such collation, so it is put in here
    patients = structure.relations["public", "patients"]
    name = replace(patients.columns["name"], deterministic=False)
    patients = replace(patients, columns={**patients.columns, "name": name})
    relations = {**structure.relations, ("public", "patients"): patients}
    (finding,) = check_structure(parse_policy(POLICY), Structure(relations))
    assert (finding.severity, finding.where) == (Severity.ERROR, "patients.name")
    assert "different texts for equal" in finding.message


def test_a_view_is_pointed_out(clinic):
    policy = POLICY.replace(
        'name = { type = "text", nullable = false }', 'name = { type = "text" }'
    )
    findings = found(
        clinic,
        "ALTER TABLE cities RENAME TO towns; CREATE VIEW cities AS SELECT name FROM towns;"
        " GRANT SELECT (name) ON cities TO check_reader",
        policy,
    )
    assert [text for text in findings if "cities: it is a view" in text]


def test_a_superuser_is_no_role_for_epsql(clinic):
    findings = check(parse_policy(POLICY), clinic)
    assert findings[0].severity is Severity.ERROR
    assert "SUPERUSER" in findings[0].message


def test_a_role_that_is_not_there(clinic):
    (finding,) = check(parse_policy(POLICY), clinic, role="nobody_here")
    assert finding.message == "there is no such role."


def test_a_database_that_is_away_is_a_finding_without_its_address():
    (finding,) = check(parse_policy(POLICY), "postgresql://me:hunter2@127.0.0.1:1/data")
    assert "nobody answers" in finding.message
    assert "hunter2" not in str(finding)


def test_the_grants_follow_the_policy(clinic):
    less = parse_policy(POLICY.replace('name = { type = "text" }\n', ""))
    with psycopg.connect(clinic) as connection:
        connection.execute(grants_sql(less, "check_reader").encode())
    role = read_role(clinic, "check_reader")
    assert role is not None
    assert role.readable["public", "patients"] == {"id", "weight"}
    assert role.writable == ()
    assert role.may_create == ()
    assert not role.may_use_temporary_tables


def test_the_helpers_are_indexes_that_the_database_takes(clinic):
    text = helpers_sql(parse_policy(POLICY))
    assert text.count("CREATE INDEX") >= 1
    assert '"secret"' not in text
    with psycopg.connect(clinic) as connection:
        for _ in range(2):  # run again, they are there already
            connection.execute(text.encode())
        connection.rollback()


def test_an_index_that_the_policy_counts_on_has_to_be_there(clinic):
    counted_on = POLICY.replace('unique = [["id"]]', 'unique = [["id"]]\nunit_index = true', 1)
    (finding,) = found(clinic, "DROP INDEX by_patient", counted_on)
    assert finding.startswith("warning: visits.unit_index: no index begins with patient_id.")
    # One of some rows is none, and so is one that begins with another column.
    for change in ("(patient_id) WHERE id > 0", "(id, patient_id)"):
        assert len(found(clinic, f"CREATE INDEX ON visits {change}", counted_on)) == 1
    assert found(clinic, helpers_sql(parse_policy(counted_on)), counted_on) == []


def test_a_table_without_an_index_by_its_path_is_warned_of(clinic):
    """A pass through a large table, only where there is a row to join it with, is seen in time."""
    (finding,) = found(clinic, "DROP INDEX by_patient")
    assert finding.startswith("warning: visits.patient_id: no index begins with it.")
    assert found(clinic, "CREATE INDEX ON visits (patient_id, id)") == []


async def test_the_role_can_do_nothing_but_read(postgres, clinic):
    reader = postgres.uri(clinic_name(clinic), "check_reader")
    engine = await PostgresEngine(reader).open()
    try:
        assert await fetched(engine, Statement("SELECT count(*) FROM public.patients")) == [[(0,)]]
        for attempt in (
            "SELECT secret FROM public.patients",
            "SELECT id FROM public.payroll",
            "SELECT set_config('default_transaction_read_only', 'off', false), lo_create(0)",
            "CREATE TEMP TABLE t (a int)",
        ):
            with pytest.raises(EngineFailed):
                await fetched(engine, Statement(attempt))
    finally:
        await engine.close()
    with psycopg.connect(reader, autocommit=True) as connection:  # with no setting in the way
        for attempt in (
            "CREATE TEMP TABLE t (a int)",
            "CREATE TABLE public.t (a int)",
            "CREATE SCHEMA s",
            "INSERT INTO public.visits VALUES (1, 1)",
            "DELETE FROM public.patients",
            "SELECT * FROM public.patients",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(attempt)


def clinic_name(uri: str) -> str:
    return uri.split("?", maxsplit=1)[0].rsplit("/", 1)[1]


def _load_example(uri: str) -> None:
    demo_data.load(uri, say=lambda line: None)
    with psycopg.connect(uri) as connection:
        connection.execute(
            "DO $$ BEGIN CREATE ROLE example_reader LOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        connection.execute(grants_sql(load_policy(demo_data.POLICY), "example_reader").encode())


def test_the_example_fits_its_data(postgres):
    uri = postgres.template("nafld", _load_example)
    assert check(load_policy(demo_data.POLICY), uri, role="example_reader") == []
    with psycopg.connect(uri) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM patients), (SELECT count(*) FROM labs),"
            " (SELECT count(*) FROM events), (SELECT count(*) FROM patients WHERE bmi IS NULL)"
        ).fetchone()
        values = connection.execute(
            "SELECT array_agg(DISTINCT test ORDER BY test) FROM labs"
        ).fetchone()
    assert counts == (17549, 400123, 34340, 4961)
    declared = load_policy(demo_data.POLICY).tables["labs"].columns["test"].values
    assert values == (list(declared or ()),)


def test_the_structure_holds_no_partitions_and_no_system_tables(clinic):
    with psycopg.connect(clinic) as connection:
        connection.execute(
            "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY HASH (id);"
            "CREATE TABLE part_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
        )
    relations = read_structure(clinic).relations
    assert {name for _, name in relations} == {"patients", "visits", "cities", "payroll", "parts"}
    assert relations["public", "parts"].kind == "partitioned table"
    assert relations["public", "parts"].unique == (("id",),)
