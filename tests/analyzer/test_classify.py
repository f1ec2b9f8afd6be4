"""Where each statement of a session goes. What it would read is looked at in ``tests/shadow``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.classify import Kind, Names, Piece, Setting, classify

NAMES = Names(frozenset({("public", "patients"), ("public", "visits"), ("lab", "tests")}))


def one(sql: str, *path: str) -> Piece:
    (piece,) = classify(sql, NAMES, path or ("public",))
    return piece


SHADOW = [
    "SELECT 1",
    "VALUES (1), (2)",
    "TABLE cities",
    "SELECT * FROM cities",
    "SELECT * FROM other.patients",
    "SELECT * FROM tests",
    'SELECT * FROM "Patients"',
    "SELECT patients FROM cities",
    "SELECT count(*) AS patients FROM cities patients",
    "WITH patients AS (SELECT * FROM cities) SELECT * FROM patients",
    "WITH patients AS (SELECT 1), x AS (SELECT * FROM patients) SELECT * FROM x",
    "WITH RECURSIVE patients AS (SELECT 1 UNION ALL SELECT * FROM patients) SELECT * FROM patients",
    "WITH patients AS (SELECT 1) SELECT (SELECT count(*) FROM patients)",
    "SELECT 'SELECT * FROM patients'",
    "SELECT $$ patients $$, E'\\' FROM patients'",
    "SELECT 1 /* FROM patients /* nested */ */ -- FROM patients",
    f"/{'*' * 200}/ SELECT 1 -- {'=' * 200}",
    "SELECT 'patients'::regclass",
    "SELECT * FROM pg_class WHERE relname = 'patients'",
    "SHOW search_path",
    "SHOW ALL",
    "SHOW epsql.budget",
    "SET search_path = public, lab",
    "SET TIME ZONE 'UTC'",
    "SET NAMES 'utf8'",
    "SET client_encoding TO 'UTF-8'",
    "SET LOCAL statement_timeout = 1000",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET standard_conforming_strings = on",
    "SET ROLE NONE",
    "RESET ALL",
    "RESET statement_timeout",
    "SET CONSTRAINTS ALL DEFERRED",
    "BEGIN",
    "START TRANSACTION READ ONLY",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "RELEASE a",
    "DECLARE c CURSOR FOR SELECT * FROM cities",
    "FETCH ALL FROM c",
    "MOVE 1 IN c",
    "CLOSE ALL",
    "PREPARE p AS SELECT * FROM cities",
    "EXECUTE p",
    "EXPLAIN EXECUTE p",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "UNLISTEN *",
    "EXPLAIN (ANALYZE) SELECT * FROM cities",
    "COPY cities TO STDOUT",
    "COPY (SELECT * FROM cities) TO STDOUT WITH (FORMAT binary)",
    "SELECT set_config('jit', 'off', false)",
    "SELECT set_config('application_name', $1, false)",
    # Postgres says what is wrong with it.
    "SELEC 1",
    "SELECT * FROM patients WHERE",
    "SELECT 'open",
]


@pytest.mark.parametrize("sql", SHADOW)
def test_what_the_shadow_answers(sql):
    piece = one(sql)
    assert piece.kind is Kind.SHADOW
    assert piece.inner is None


PROTECTED = [
    "SELECT * FROM patients",
    "SELECT * FROM PATIENTS",
    'SELECT * FROM "patients"',
    'SELECT * FROM "public"."patients"',
    "SELECT * FROM clinic.public.patients",
    'SELECT * FROM U&"p\\0061tients"',
    "SELECT/**/1/**/FROM/**/patients",
    "TABLE patients",
    "SELECT * FROM ONLY (patients)",
    "SELECT * FROM patients TABLESAMPLE SYSTEM (1)",
    "SELECT * FROM cities JOIN visits USING (id)",
    "SELECT * FROM cities, LATERAL (SELECT * FROM visits) v",
    "SELECT * FROM lab.tests",
    "SELECT (SELECT max(age) FROM patients)",
    "SELECT 1 WHERE EXISTS (SELECT FROM patients)",
    "SELECT 1 FROM cities ORDER BY (SELECT 1 FROM patients)",
    "SELECT 1 FROM cities LIMIT (SELECT 1 FROM patients)",
    "SELECT 1 FROM generate_series(1, (SELECT 1 FROM patients))",
    "SELECT count(*) FILTER (WHERE (SELECT true FROM patients)) FROM cities",
    "SELECT CASE WHEN true THEN (SELECT 1 FROM patients) END",
    "SELECT ARRAY(SELECT id FROM patients)",
    "VALUES ((SELECT 1 FROM patients))",
    "SELECT 1 UNION SELECT id FROM patients",
    "(SELECT 1) EXCEPT (SELECT id FROM patients)",
    "WITH x AS (SELECT * FROM patients) SELECT 1",
    # A name is given away after its own query only, unless the WITH is recursive.
    "WITH patients AS (SELECT * FROM patients) SELECT * FROM patients",
    "WITH x AS (SELECT * FROM patients), patients AS (SELECT 1) SELECT 1",
    "SELECT * FROM (WITH patients AS (SELECT 1) SELECT * FROM patients) a, patients b",
    "WITH patients AS (SELECT 1) SELECT * FROM public.patients",
    "SELECT sum(1) OVER (PARTITION BY (SELECT 1 FROM patients)) FROM cities",
    "SELECT * FROM patients p FOR UPDATE OF p",
    "SELECT * FROM JSON_TABLE((SELECT '1'::jsonb FROM patients), '$' COLUMNS (a int PATH '$'))",
    "SELECT * FROM pg_class, patients",
]


@pytest.mark.parametrize("sql", PROTECTED)
def test_what_the_gateway_answers(sql):
    piece = one(sql)
    assert piece.kind is Kind.PROTECTED
    assert not piece.empty


def test_names_are_looked_up_in_the_search_path():
    assert one("SELECT * FROM tests", "public").kind is Kind.SHADOW
    assert one("SELECT * FROM tests", "public", "lab").kind is Kind.PROTECTED
    assert one("SELECT * FROM patients", "lab").kind is Kind.SHADOW
    assert one("SELECT * FROM patients", "pg_catalog").kind is Kind.SHADOW


@pytest.mark.parametrize(
    "sql, kind, inner",
    [
        ("DECLARE c CURSOR FOR SELECT 1 FROM patients", Kind.CURSOR, "SELECT 1 FROM patients"),
        (
            'DECLARE "for" NO SCROLL CURSOR WITH HOLD /* for */ FOR\n (TABLE patients) ;',
            Kind.CURSOR,
            "(TABLE patients)",
        ),
        ("COPY (SELECT ')', 1 FROM patients) TO STDOUT (FORMAT csv)", Kind.COPY, "SELECT ')', 1 FROM patients"),
        ("COPY(TABLE patients)TO STDOUT", Kind.COPY, "TABLE patients"),
        ("EXPLAIN TABLE patients", Kind.EXPLAIN, "TABLE patients"),
        ("EXPLAIN ANALYZE VERBOSE TABLE patients", Kind.EXPLAIN, "TABLE patients"),
        ("EXPLAIN (FORMAT json, ANALYZE false) TABLE patients;", Kind.EXPLAIN, "TABLE patients"),
        ("EXPLAIN (COSTS off) (SELECT 1 FROM patients)", Kind.EXPLAIN, "(SELECT 1 FROM patients)"),
        ("EXPLAIN (SELECT 1 FROM patients)", Kind.EXPLAIN, "(SELECT 1 FROM patients)"),
        ("EXPLAIN ((TABLE patients))", Kind.EXPLAIN, "((TABLE patients))"),
        ("EXPLAIN (VERBOSE) WITH é AS (TABLE patients) TABLE é", Kind.EXPLAIN, "WITH é AS (TABLE patients) TABLE é"),
        ("EXPLAIN DECLARE c CURSOR FOR TABLE patients", Kind.EXPLAIN, "TABLE patients"),
    ],
)  # fmt: skip
def test_the_query_inside_is_found(sql, kind, inner):
    piece = one(sql)
    assert piece.kind is kind
    assert piece.inner is not None
    assert sql[piece.inner.start : piece.inner.end] == inner


def test_options_are_read():
    explain = one("EXPLAIN (ANALYZE, FORMAT json, COSTS false) TABLE patients")
    assert explain.options == (("analyze", None), ("format", "json"), ("costs", "false"))
    copy = one("COPY (TABLE patients) TO STDOUT WITH (FORMAT 'csv', HEADER, DELIMITER ';')")
    assert copy.options == (("format", "csv"), ("header", None), ("delimiter", ";"))
    assert one("COPY (TABLE patients) TO STDOUT BINARY").options == (("format", "binary"),)


REFUSED = [
    ("INSERT INTO cities VALUES (1)", "25006"),
    ("UPDATE pg_settings SET setting = '1GB' WHERE name = 'work_mem'", "25006"),
    ("DELETE FROM patients", "25006"),
    ("MERGE INTO cities USING cities c ON true WHEN MATCHED THEN DELETE", "25006"),
    ("TRUNCATE patients", "25006"),
    ("WITH x AS (UPDATE cities SET name = '' RETURNING 1) SELECT * FROM x", "25006"),
    ("WITH x AS (DELETE FROM cities RETURNING 1) SELECT * FROM patients", "25006"),
    ("SELECT 1 INTO TEMP t", "25006"),
    ("CREATE TEMP TABLE t (a int)", "25006"),
    ("CREATE TEMP TABLE t AS SELECT 1", "25006"),
    ('CREATE LOCAL TEMPORARY TABLE "#Tableau_1" (a int) ON COMMIT PRESERVE ROWS', "25006"),
    ("DROP TABLE patients", "25006"),
    ("ALTER ROLE ada PASSWORD 'x'", "25006"),
    ("GRANT SELECT ON cities TO bob", "25006"),
    ("COMMENT ON TABLE cities IS ''", "25006"),
    ("COPY cities FROM STDIN", "25006"),
    ("COPY patients FROM STDIN", "25006"),
    ("EXPLAIN ANALYZE DELETE FROM cities", "25006"),
    ("EXPLAIN CREATE TABLE t AS SELECT 1", "25006"),
    ("PREPARE p AS UPDATE cities SET name = ''", "25006"),
    ("COPY (DELETE FROM cities RETURNING 1) TO STDOUT", "25006"),
    ("COPY patients TO STDOUT", "42501"),
    ("COPY public.patients TO STDOUT", "42501"),
    ("COPY cities TO '/tmp/x'", "42501"),
    ("COPY (SELECT 1) TO PROGRAM 'id'", "42501"),
    ("DO $$ BEGIN END $$", "42501"),
    ("CALL p()", "42501"),
    ("LISTEN a", "42501"),
    ("NOTIFY a, 'b'", "42501"),
    ("LOCK TABLE pg_class", "42501"),
    ("LOAD 'x'", "42501"),
    ("VACUUM", "42501"),
    ("CHECKPOINT", "42501"),
    ("ALTER SYSTEM SET work_mem = 1", "42501"),
    ("PREPARE TRANSACTION 'a'", "42501"),
    ("COMMIT PREPARED 'a'", "42501"),
    ("PREPARE p AS SELECT * FROM patients", "0A000"),
    ("SET work_mem = '64GB'", "42501"),
    ("SET LOCAL work_mem = '64GB'", "42501"),
    ("SET temp_buffers = '64GB'", "42501"),
    ("SET debug_print_parse = on", "42501"),
    ("SET standard_conforming_strings = off", "22023"),
    ("SET client_encoding = 'SJIS'", "22023"),
    ("SET NAMES 'GBK'", "22023"),
    ("SET TRANSACTION SNAPSHOT 'a'", "42501"),
    ("SET my.own = 1", "42501"),
    ("SET epsql.epsilom = 1", "42704"),
    ("SELECT set_config('work_mem', '64GB', false)", "42501"),
    ("SELECT pg_catalog.set_config('Work_Mem', '64GB', false)", "42501"),
    ('SELECT "set_config"(\'work_mem\'::text, \'64GB\', false)', "42501"),
    ("SELECT set_config('work' || '_mem', '64GB', false)", "22023"),
    ("SELECT set_config($1, '64GB', false)", "22023"),
    ("SELECT set_config(new_value => '1', setting_name => 'work_mem', is_local => false)", "22023"),
    ("SELECT set_config('client_encoding', $1, false)", "22023"),
    ("SELECT set_config('epsql.epsilon', $1, false)", "22023"),
    ("SELECT set_config('standard_conforming_strings', '1'::numeric(2,-1)::text, false)", "22023"),
    ("SELECT set_config('search_path'::varchar(3), '', false)", "22023"),
    ("SELECT set_config('epsql.analyst_token', ''::bytea::text, false)", "22023"),
    ("SELECT 1 FROM cities WHERE set_config('work_mem', '1', false) = ''", "42501"),
    ("SELECT * FROM set_config('work_mem', '1', false)", "42501"),
    ("DECLARE c CURSOR FOR SELECT set_config('work_mem', '1', false)", "42501"),
    ("PREPARE p AS SELECT set_config('work_mem', $1, false)", "42501"),
    ("SELECT 1\0; SELECT * FROM patients", "42601"),
    ("SELECT '\ud800'", "42601"),
    ("SELECT " + "1+" * 5000 + "1", "54001"),
    ("SELECT " + "(" * 30_000 + "1" + ")" * 30_000, "54001"),
    ("SELECT 1" + " " * 300_000, "54001"),
    # Minutes for Postgres' own scanner.
    ("/*" * 16_000 + "*/" * 16_000 + "SELECT 1", "54001"),
    ("SELECT " + "+-" * 30_000 + "1", "54001"),
]  # fmt: skip


@pytest.mark.parametrize("sql, code", REFUSED, ids=lambda value: ascii(value)[:60])
def test_what_nobody_runs(sql, code):
    piece = one(sql)
    assert piece.kind is Kind.REFUSED
    assert piece.refusal is not None
    assert piece.refusal.code == code


EMPTY = [
    "SELECT * FROM patients LIMIT 0",
    "SELECT count(*) FROM patients LIMIT 0",
    "SELECT * FROM patients FETCH FIRST 0 ROWS ONLY",
    "SELECT * FROM (SELECT count(*) AS n FROM patients) AS t LIMIT 0",
    "SELECT * FROM patients WHERE false",
    "SELECT * FROM patients WHERE 0=1",
    "SELECT * FROM patients WHERE (1 = 0)",
    "SELECT * FROM patients WHERE '1' = '2'",
    "SELECT * FROM patients WHERE NOT true",
    "SELECT * FROM patients WHERE age > 3 AND 1 = 0",
    "SELECT * FROM patients WHERE false OR 1 = 0",
    "SELECT sex, count(*) FROM patients WHERE false GROUP BY sex",
    'SELECT * FROM (SELECT sex, count(*) FROM patients GROUP BY sex) "Custom SQL Query" WHERE 1 = 0',
    "SELECT * FROM (SELECT * FROM patients LIMIT 0) t",
    "SELECT * FROM patients WHERE false UNION ALL SELECT * FROM patients LIMIT 0",
    "DECLARE c CURSOR FOR SELECT * FROM patients LIMIT 0",
    "COPY (SELECT * FROM patients LIMIT 0) TO STDOUT",
]
NOT_EMPTY = [
    "SELECT count(*) FROM patients WHERE false",
    "SELECT 1 FROM patients WHERE false HAVING true",
    "SELECT count(*) FROM patients WHERE false GROUP BY ()",
    "SELECT count(*) FROM patients WHERE false GROUP BY GROUPING SETS ((sex), ())",
    "SELECT count(*) + 1 FROM (SELECT * FROM patients LIMIT 0) t",
    "SELECT * FROM patients LIMIT 1",
    "SELECT * FROM patients LIMIT NULL",
    "SELECT * FROM patients LIMIT '0'",
    "SELECT * FROM patients OFFSET 0",
    "SELECT * FROM patients WHERE true",
    "SELECT * FROM patients WHERE 1 = 1",
    "SELECT * FROM patients WHERE 1.0 = 1.00",
    "SELECT * FROM patients WHERE 1 <> 0",
    "SELECT * FROM patients WHERE false OR true",
    "SELECT * FROM patients WHERE NOT false",
    "SELECT * FROM patients WHERE false IS NULL",
    "SELECT * FROM patients, (SELECT 1 LIMIT 0) t",
    "SELECT 1 FROM patients WHERE false UNION SELECT 1",
    "SELECT 1 FROM cities ORDER BY (SELECT count(*) FROM patients WHERE false)",
]  # fmt: skip


@pytest.mark.parametrize("sql", EMPTY)
def test_probes_for_columns_are_known_to_have_no_rows(sql):
    assert one(sql).empty


@pytest.mark.parametrize("sql", NOT_EMPTY)
def test_nothing_else_is_taken_for_a_probe(sql):
    assert not one(sql).empty


@pytest.mark.parametrize(
    "sql, setting",
    [
        ("SET epsql.epsilon = '0.5'", Setting("epsilon", "0.5", False)),
        ("SET epsql.epsilon TO 0.5", Setting("epsilon", "0.5", False)),
        ("SET EPSQL.Epsilon = 1", Setting("epsilon", "1", False)),
        ("SET LOCAL epsql.non_negative = on", Setting("non_negative", "on", True)),
        ("SET epsql.non_negative = true", Setting("non_negative", "true", False)),
        ("SET epsql.rho TO DEFAULT", Setting("rho", None, False)),
        ("RESET epsql.rho", Setting("rho", None, False)),
        ("SELECT set_config('epsql.delta', '1e-9', true)", Setting("delta", "1e-9", True)),
        ("SELECT set_config('Epsql.Delta', '0', false)", Setting("delta", "0", False)),
    ],
)
def test_settings_of_epsql_are_recognised(sql, setting):
    piece = one(sql)
    assert piece.kind is Kind.SHADOW
    assert piece.settings == (setting,)


@pytest.mark.parametrize(
    "sql, verb, name",
    [
        ("SHOW epsql.budget", "SHOW", "epsql.budget"),
        ("DEALLOCATE a", "DEALLOCATE", "a"),
        ("DEALLOCATE PREPARE ALL", "DEALLOCATE", None),
        ("CLOSE c", "CLOSE", "c"),
        ("DECLARE c CURSOR FOR TABLE patients", "DECLARE", "c"),
        ("FETCH c", "FETCH", "c"),
        ("MOVE c", "MOVE", "c"),
        ("EXECUTE p (1)", "EXECUTE", "p"),
        ("ROLLBACK TO SAVEPOINT s", "ROLLBACK TO", "s"),
        ("BEGIN", "BEGIN", None),
        ("DISCARD ALL", "DISCARD", "DISCARD_ALL"),
    ],
)
def test_verbs_and_names(sql, verb, name):
    piece = one(sql)
    assert (piece.verb, piece.name) == (verb, name)


@pytest.mark.parametrize(
    "sql, path, books",
    [
        ("SELECT * FROM epsql.budget", "public", True),
        ("TABLE epsql.history", "public", True),
        ("SELECT (SELECT count(*) FROM epsql.releases)", "public", True),
        ("COPY epsql.history TO STDOUT", "public", True),
        ("EXPLAIN SELECT * FROM epsql.budget", "public", True),
        ("DECLARE c CURSOR FOR TABLE epsql.budget", "public", True),
        ("SELECT * FROM budget", "epsql", True),
        ("SELECT * FROM budget", "public", False),
        ("SELECT 'epsql.budget'", "public", False),
    ],
)
def test_what_reads_the_books_is_known(sql, path, books):
    piece = one(sql, path)
    assert piece.kind is Kind.SHADOW
    assert piece.books is books


def test_a_text_is_split_where_postgres_splits_it():
    text = " /* ; */ SELECT ';é' ;; SELECT count(*) FROM patients -- ;\n; COMMIT ; "
    pieces = classify(text, NAMES, ("public",))
    assert [piece.kind for piece in pieces] == [Kind.SHADOW, Kind.PROTECTED, Kind.SHADOW]
    assert [text[piece.span.start : piece.span.end] for piece in pieces] == [
        "/* ; */ SELECT ';é'",
        "SELECT count(*) FROM patients -- ;",
        "COMMIT",
    ]


def test_one_statement_that_cannot_be_read_is_the_whole_text():
    """Postgres executes none of it."""
    (piece,) = classify("SELECT * FROM patients; SELEC 1", NAMES, ("public",))
    assert piece.kind is Kind.SHADOW


def test_a_space_that_postgres_takes_for_a_letter_stays():
    text = "SELECT 1 AS x\u00a0"
    assert one(text).span.end == len(text)


@pytest.mark.parametrize("text", ["", " \n", "-- nothing", "/* a /* b */ */", ";", " ; ; "])
def test_nothing_is_nothing(text):
    (piece,) = classify(text, NAMES, ("public",))
    assert piece.kind is Kind.NOTHING


def test_a_refusal_points_at_its_statement():
    *_, piece = classify("SELECT 1;  LISTEN a", NAMES, ("public",))
    assert piece.refusal is not None
    assert piece.refusal.position == 12


WORDS = st.sampled_from(
    [
        *"()';,\"$\\*=",
        "SELECT ",
        " FROM ",
        "patients",
        "public.",
        " WITH ",
        " AS ",
        "x",
        " 1 ",
        "$$",
        "--",
        "/*",
        "*/",
        "\n",
        "E'",
        'U&"',
        "é",
        "SET ",
        "epsql.",
        "COPY ",
        " TO STDOUT",
        "EXPLAIN ",
        "DECLARE c CURSOR FOR ",
        "LIMIT 0",
        " WHERE ",
        "false",
        "set_config",
        "::",
        "\0",
    ]
)


@given(st.lists(WORDS, max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_is_classified(text):
    pieces = classify(text, NAMES, ("public",))
    assert pieces
    end = 0
    for piece in pieces:
        assert end <= piece.span.start <= piece.span.end <= len(text)
        end = piece.span.end
        if piece.inner is not None:
            assert piece.span.start < piece.inner.start <= piece.inner.end <= piece.span.end
        assert (piece.refusal is not None) == (piece.kind is Kind.REFUSED)
