"""Noisy answers as clients get them: rows, types, notices, parameters, cursors, COPY, quotes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest
from psycopg import errors, generators

from tests.wire.conftest import Door, new_question

COUNT = "SELECT count(*) FROM patients"
BY_SEX = "SELECT sex, count(*) AS n, avg(age) AS a FROM patients GROUP BY sex ORDER BY sex"
E12 = 10**12


@dataclass(frozen=True)
class Heard:
    """What is left of a notice once its handler is over."""

    severity: str | None
    message: str
    detail: str


def notices(connection: psycopg.Connection) -> list[Heard]:
    heard: list[Heard] = []

    def keep(said: errors.Diagnostic) -> None:
        heard.append(Heard(said.severity, said.message_primary or "", said.message_detail or ""))

    connection.add_notice_handler(keep)
    return heard


def exact(sql: str, connection: psycopg.Connection) -> list[tuple]:
    return connection.execute(sql.encode()).fetchall()


def test_an_answer_has_the_names_and_types_that_postgres_gives_it(ada):
    cursor = ada.execute(BY_SEX)
    assert [(c.name, c.type_code) for c in cursor.description] == [
        ("sex", 25),
        ("n", 20),
        ("a", 1700),
    ]
    rows = cursor.fetchall()
    assert [row[0] for row in rows] == ["female", "male", "other"]
    assert all(isinstance(row[1], int) and isinstance(row[2], Decimal) for row in rows)
    assert abs(sum(row[1] for row in rows) - 200) < 60


def test_it_is_debited_and_says_so(door, name, ada):
    heard = notices(ada)
    ada.execute("SET epsql.epsilon = '0.25'")
    ada.execute(COUNT)
    assert door.spent(name) == E12 // 4
    assert heard[-1].severity == "NOTICE"
    assert heard[-1].message.startswith("count ± ")
    assert "at 95 %; cost epsilon 0.25; left 999.75 of yours" in heard[-1].message
    ada.execute("SET client_min_messages = warning")
    before = len(heard)
    ada.execute(BY_SEX)
    assert len(heard) == before


def test_error_bars_of_several_rows_are_said_as_a_range(ada):
    heard = notices(ada)
    ada.execute(BY_SEX)
    bars = heard[-1].message.partition(";")[0]
    assert " to " in bars
    assert bars.startswith("n ± ")
    assert "Values of age are kept between 0 and 120." in heard[-1].detail


def test_companions_can_be_selected(ada):
    sql = "SELECT count(*) AS n, error_bar(count(*)) AS bar, ci_low(count(*)) AS low FROM patients"
    ((n, bar, low),) = ada.execute(sql).fetchall()
    assert low == n - bar


@pytest.mark.parametrize("binary", [False, True])
def test_arrays_of_percentiles(ada, binary):
    heard = notices(ada)
    form = "percentile_cont(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY age)"
    cursor = ada.execute(f"SELECT {form} AS quartiles FROM patients", binary=binary)
    ((quartiles,),) = cursor.fetchall()
    assert [type(one) for one in quartiles] == [float, float]
    assert quartiles == sorted(quartiles)
    assert cursor.description[0].type_code == 1022
    assert "quartiles ± " in heard[-1].message


def test_dates_are_noisy_too(ada):
    heard = notices(ada)
    day = "least(greatest(born, DATE '1930-01-01'), DATE '2020-12-31')"
    sql = f"SELECT max({day}) AS last, error_bar(max({day})), ci_low(max({day})) FROM patients"
    ((last, bar, low),) = ada.execute(sql).fetchall()
    assert low == last - timedelta(days=bar)
    assert f"last ± {float(f'{bar:.4g}'):g} days at 95 %" in heard[-1].message


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
def test_all_formats(ada, binary, prepare):
    rows = ada.execute(BY_SEX, binary=binary, prepare=prepare).fetchall()
    assert [type(value) for value in rows[0]] == [str, int, Decimal]


PARAMETERS = [
    ("patients WHERE age > $1", 40),
    ("patients WHERE bmi < $1", Decimal("27.5")),
    ("patients WHERE weight > $1", 70.5),
    ("patients WHERE name = $1", "O'Brien \\ \u2603"),
    ("patients WHERE active = $1", True),
    ("patients WHERE born > $1", date(1980, 5, 1)),
    ("visits WHERE visited_at > $1", datetime(2021, 2, 3, 4, 5, 6)),
    ("visits WHERE cost < $1", Decimal("99.90")),
    ("patients WHERE points > $1", 2**40),
    ("patients WHERE age > $1", None),
    ("patients WHERE (age > $1) IS NOT FALSE", None),
]


@contextmanager
def seen_parameters(door: Door) -> Iterator[list[Any]]:
    """The parameters of the questions that the gateway is asked meanwhile."""
    seen: list[Any] = []
    gateway: Any = door.gateway
    query = type(gateway).query

    async def spy(analyst: Any, question: Any) -> Any:
        seen.append(question.parameters)
        return await query(gateway, analyst, question)

    gateway.query = spy
    try:
        yield seen
    finally:
        del gateway.query


def thrice(
    door: Door, ada: psycopg.Connection, sql: str, value: Any, text: str
) -> list[tuple[Any, ...]]:
    """Asks with a parameter in text, as psycopg writes it at ``text``, in binary, and over asyncpg;
    the parameters that come of it."""
    with seen_parameters(door) as seen:
        ada.execute(sql.replace("$1", text), [value])
        ada.execute(sql.replace("$1", "%b"), [value])
        asyncio.run(over_asyncpg(door, ada, sql, value))
    return seen


async def over_asyncpg(door: Door, ada: psycopg.Connection, sql: str, value: Any) -> None:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=door.port, database="clinic",
        user=ada.info.user, password=ada.info.password,
    )  # fmt: skip
    await connection.fetch(sql, value)
    await connection.close()


@pytest.mark.parametrize("condition, value", PARAMETERS)
def test_parameters(door, ada, condition, value):
    """In text and in binary, and what they stand for is what is asked."""
    seen = thrice(door, ada, f"SELECT count(*) FROM {condition}", value, "%s")
    wanted = value
    if isinstance(value, float):
        wanted = Decimal(str(value))
    if isinstance(value, date):
        wanted = value.isoformat()
    assert seen == [(wanted,)] * 3


ARRAYS = [
    ("age = ANY ($1::int2[])", [40, None]),
    ("age = ANY ($1::int4[])", [40, 41]),
    ("points <> ALL ($1::int8[])", [2**40]),
    ("age = SOME ($1::int4[])", []),
    ("name = ANY ($1::text[])", ["O'Brien", 'a "b" \\ {c},', "NULL", "", None]),
    ("name <> ALL ($1::varchar[])", ["a"]),
    ("born = ANY ($1::date[])", [date(1980, 5, 1)]),
    ("bmi = ANY ($1::numeric[])", [Decimal("27.5"), Decimal(20)]),
    ("weight = ANY ($1::float8[])", [70.5, 2.25]),
    (f"'{UUID(int=1)}'::uuid = ANY ($1::uuid[])", [UUID(int=1), UUID(int=2)]),
    ("active = ANY ($1::bool[])", [True, False]),
]


@pytest.mark.parametrize("condition, value", ARRAYS)
def test_arrays_as_parameters(door, ada, condition, value):
    """In text and in binary: their elements are what is asked for."""
    seen = thrice(door, ada, f"SELECT count(*) FROM patients WHERE {condition}", value, "%t")
    kinds: dict[type, Any] = {float: lambda v: Decimal(str(v)), date: str, UUID: str}
    wanted = tuple(kinds.get(type(one), lambda v: v)(one) for one in value)
    assert seen == [(wanted,)] * 3


@pytest.mark.parametrize("value", [2.0, Decimal(2), Decimal("1e5"), 2])
def test_a_number_that_happens_to_be_whole_keeps_its_type(door, ada, value):
    """age / 2.0 is no division of whole numbers, whichever way the client writes two."""
    seen = []
    query = type(door.gateway).query

    async def spy(analyst, question):
        seen.extend(question.parameters)
        return await query(door.gateway, analyst, question)

    door.gateway.query = spy
    try:
        ada.execute("SELECT avg(age / %s) FROM patients", [value])
        ada.execute("SELECT avg(age / %b) FROM patients", [value])
    finally:
        del door.gateway.query
    assert seen == [value, value]
    assert {type(one) for one in seen} == {int if type(value) is int else Decimal}


def test_a_very_long_number_is_refused(ada):
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        ada.execute("SELECT count(*) FROM visits WHERE cost > %s", [Decimal(10) ** 5000])


def test_dates_as_parameters_mean_the_same_under_every_datestyle(door, ada):
    counts = []
    ada.execute("SET epsql.epsilon = '5'")
    for style in ("ISO, MDY", "SQL, DMY", "German, YMD"):
        ada.execute(f"SET DateStyle = '{style}'")
        sql = "SELECT count(*) FROM patients WHERE born < %b"
        counts.append(ada.execute(sql, [date(1950, 2, 1)]).fetchone()[0])
    assert max(counts) - min(counts) < 20


def test_a_parameter_that_is_none_says_what_postgres_says(ada):
    with pytest.raises(errors.InvalidTextRepresentation) as refused:
        ada.execute("SELECT count(*) FROM patients WHERE age > %s::integer", ["many"])
    assert 'invalid input syntax for type integer: "many"' in str(refused.value)
    assert refused.value.diag.context == "unnamed portal parameter $1 = '...'"


def test_a_parameter_in_a_simple_query(ada):
    result = ada.pgconn.exec_(b"SELECT count(*) FROM patients WHERE age > $1")
    assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42P02"


REFUSED = [
    ("SELECT name FROM patients", "42501", "name"),
    ("SELECT nope FROM patients", "42703", "nope"),
    ("SELECT count(*) FROM nowhere", "42P01", "nowhere"),
    ("SELECT nope(age) FROM patients", "42883", "nope"),
    ("SELECT string_agg(name, ',') FROM patients", None, ""),
    ("SELEC count(*) FROM patients", "42601", "SELEC"),
    ("SELECT sum(points) FROM patients", None, ""),
]


@pytest.mark.parametrize("sql, state, at", REFUSED)
@pytest.mark.parametrize("before", ["", "  /* ± */ SELECT 1; "])
def test_a_refusal_has_its_place_in_the_text_of_the_client(door, name, ada, sql, state, at, before):
    result = ada.pgconn.exec_((before + sql).encode())
    found = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE).decode()
    assert state in {None, found}
    position = result.error_field(psycopg.pq.DiagnosticField.STATEMENT_POSITION)
    if at:
        assert (before + sql)[int(position) - 1 :].startswith(at)
    assert door.spent(name) == 0


def test_values_that_cannot_be_are_refused_when_they_are_set(ada):
    for setting in (
        "epsql.epsilon = 'much'",
        "epsql.epsilon = '0'",
        "epsql.epsilon = '-1'",
        "epsql.delta = '1'",
        "epsql.rho = 'x'",
        "epsql.error = 'small'",
        "epsql.max_rows_contributed = '0'",
        "epsql.max_groups_contributed = '1.5'",
        "epsql.non_negative = 'perhaps'",
        "epsql.request_id = 'two words'",
    ):
        with pytest.raises(errors.InvalidParameterValue):
            ada.execute(f"SET {setting}")
        with pytest.raises(errors.InvalidParameterValue):
            ada.execute(f"SELECT 1; SET {setting}", prepare=False)
    with pytest.raises(errors.UndefinedObject):
        ada.execute("SET epsql.nonsense = '1'")


def test_settings_follow_the_transaction(door, name, ada):
    ada.execute("SET epsql.epsilon = '0.5'")
    with pytest.raises(ZeroDivisionError), ada.transaction():
        ada.execute("SET epsql.epsilon = '2'")
        ada.execute("SET LOCAL epsql.non_negative = on")
        raise ZeroDivisionError
    ada.execute(new_question())
    assert door.spent(name) == E12 // 2
    with ada.transaction():
        ada.execute("SET LOCAL epsql.epsilon = '0.25'")
        ada.execute(new_question())
    ada.execute("RESET epsql.epsilon")
    ada.execute(new_question())  # the policy's default, 1
    assert door.spent(name) == E12 // 2 + E12 // 4 + E12


def test_a_request_id_is_answered_once(door, name, ada):
    ada.execute("SET epsql.request_id = 'monday'")
    first, second = exact(COUNT, ada), exact(COUNT, ada)
    assert first == second
    assert door.spent(name) == E12
    with pytest.raises(errors.UniqueViolation):
        ada.execute(BY_SEX)


def test_what_was_told_is_told_again_for_nothing(door, name, ada):
    heard, sql = notices(ada), new_question()
    assert exact(sql, ada) == exact(sql, ada)
    assert door.spent(name) == E12
    assert "cost epsilon 1; left 999 of yours" in heard[0].message
    assert heard[1].message.endswith("at 95 %; told you before, nothing debited")
    ada.execute("SET epsql.fresh = on")
    ada.execute(sql)
    assert door.spent(name) == 2 * E12


def test_the_budget_ends(door, name, ada):
    async def lower() -> None:
        analyst = await door.ledger.find_analyst(name)
        await door.ledger.set_cap(analyst.id, "clinic", epsilon_cap=E12, by="test")

    door.run(lower())
    ada.execute(COUNT)
    with pytest.raises(psycopg.DatabaseError) as refused:
        ada.execute(COUNT + " WHERE active")
    assert refused.value.diag.sqlstate == "ZP001"
    assert "left are epsilon 0" in str(refused.value.diag.message_detail)
    assert ada.execute("SHOW epsql.budget").fetchone()[0].startswith("yours: epsilon 0,")


def test_explain_is_the_quote(door, name, ada):
    lines = [row[0] for row in ada.execute("EXPLAIN " + BY_SEX)]
    assert lines[0].startswith("Noisy answer (epsilon=1 ")
    assert any("error bar" in line for line in lines)
    assert any('FROM "public"."patients"' in line for line in lines)
    ((found,),) = ada.execute("EXPLAIN (FORMAT JSON) " + COUNT).fetchall()
    assert found[0]["loss"]["epsilon"] == "1"
    with pytest.raises(errors.FeatureNotSupported):
        ada.execute("EXPLAIN ANALYZE " + COUNT)
    with pytest.raises(errors.InsufficientPrivilege) as refused:
        ada.execute("EXPLAIN SELECT name FROM patients")
    assert refused.value.diag.statement_position == "16"
    assert door.spent(name) == 0


def test_a_cursor_holds_one_answer(door, name, ada):
    with ada.transaction():
        ada.execute(f"DECLARE c SCROLL CURSOR FOR {BY_SEX}")
        first = ada.execute("FETCH 2 FROM c").fetchall()
        ada.execute("MOVE BACKWARD ALL FROM c")
        again = ada.execute("FETCH ALL FROM c").fetchall()
    assert again[:2] == first
    assert len(again) == 3
    ada.execute(f"DECLARE h CURSOR WITH HOLD FOR {COUNT}")
    assert len(ada.execute("FETCH ALL FROM h").fetchall()) == 1
    assert door.spent(name) == 2 * E12


def test_a_server_side_cursor_of_psycopg_with_parameters(door, name, ada):
    with ada.transaction(), ada.cursor("named") as cursor:
        cursor.execute("SELECT sex, count(*) FROM patients WHERE age > %s GROUP BY sex", [20])
        cursor.itersize = 1
        assert len(list(cursor)) == 3
    assert door.spent(name) == E12


@pytest.mark.parametrize("options", ["", " (FORMAT csv, HEADER)", " (FORMAT binary)", " CSV"])
def test_copy(door, name, ada, options):
    sql = f"COPY ({BY_SEX}) TO STDOUT{options}"
    with ada.cursor() as cursor, cursor.copy(sql) as copy:
        data = b"".join(bytes(block) for block in copy)
    if "binary" in options:
        assert data.startswith(b"PGCOPY\n\xff\r\n\0")
    else:
        separator = b"," if "csv" in options.lower() else b"\t"
        assert data.count(b"female" + separator) == 1
        assert (b"sex,n,a\n" in data) == ("HEADER" in options)
    assert door.spent(name) == E12


def test_copy_to_us_is_refused_before_anything_is_sent(ada):
    copy = ada.cursor().copy("COPY visits FROM STDIN")
    with pytest.raises(errors.ReadOnlySqlTransaction), copy:
        raise AssertionError("the server asked for rows")
    assert ada.execute("SELECT 1").fetchone() == (1,)


def test_public_tables_are_exact_and_free(door, name, ada):
    assert ada.execute("SELECT count(*) FROM cities").fetchone() == (6,)
    assert door.spent(name) == 0


FREE = [
    f"{BY_SEX} LIMIT 0",
    "SELECT sex, count(*) FROM patients WHERE false GROUP BY sex",
    "SELECT * FROM (SELECT sex, count(*) FROM patients GROUP BY sex) t WHERE 0 = 1",
    "SELECT * FROM patients LIMIT 0",
    'SELECT * FROM (SELECT * FROM visits) "Custom SQL Query" LIMIT 0',
]


@pytest.mark.parametrize("sql", FREE)
def test_a_probe_gets_its_columns_for_nothing(door, name, ada, sql):
    for way in (False, True):
        cursor = ada.execute(sql, prepare=way)
        assert cursor.description
        assert cursor.fetchall() == []
    assert door.spent(name) == 0


def test_describing_costs_nothing(door, name, ada):
    pg = ada.pgconn
    pg.prepare(b"p", COUNT.encode() + b" WHERE age > $1")
    pg.send_describe_prepared(b"p")
    (described,) = ada.wait(generators.execute(pg))
    assert (described.nparams, described.nfields, described.fname(0)) == (1, 1, b"count")
    assert door.spent(name) == 0
    first = pg.exec_prepared(b"p", [b"10"])
    assert first.status == psycopg.pq.ExecStatus.TUPLES_OK
    assert door.spent(name) == E12


def test_a_description_names_the_tables_of_the_columns(ada):
    """As JDBC's metadata want it; the portal with the answer would not know them."""
    pg = ada.pgconn
    result = pg.exec_(BY_SEX.encode())
    patients = ada.execute("SELECT 'patients'::regclass::oid").fetchone()[0]
    assert (result.ftable(0), result.ftable(1)) == (patients, 0)
    prepared = pg.exec_params(BY_SEX.encode(), [], result_format=1)
    assert (prepared.ftable(0), prepared.fformat(1)) == (patients, 1)


def test_rollback_gives_nothing_back(door, name, ada):
    with pytest.raises(ZeroDivisionError), ada.transaction():
        ada.execute(COUNT)
        raise ZeroDivisionError
    assert door.spent(name) == E12


def test_an_error_of_ours_fails_the_transaction_and_a_savepoint_heals_it(door, name, ada):
    with ada.transaction():
        with pytest.raises(errors.InsufficientPrivilege), ada.transaction():
            ada.execute("SELECT name FROM patients")
        assert ada.execute(COUNT).fetchone()
    ada.execute("BEGIN")
    with pytest.raises(errors.InsufficientPrivilege):
        ada.execute("SELECT name FROM patients")
    assert ada.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    for sql in ("SELECT 1", COUNT, "EXPLAIN " + COUNT):
        with pytest.raises(errors.InFailedSqlTransaction):
            ada.execute(sql)
    ada.execute("ROLLBACK")
    assert ada.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert door.spent(name) == E12


def test_a_text_of_several_statements_is_one_transaction(door, name, ada):
    pg = ada.pgconn
    pg.send_query(
        f"SELECT 1; {COUNT}; SET epsql.epsilon = '0.5'; {COUNT}; SELECT 1/0; {COUNT}".encode()
    )
    results = ada.wait(generators.execute(pg))
    assert [r.command_status for r in results[:4]] == [
        b"SELECT 1",
        b"SELECT 1",
        b"SET",
        b"SELECT 1",
    ]
    assert results[4].error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"22012"
    assert len(results) == 5
    assert door.spent(name) == E12 + E12 // 2
    assert ada.execute("SHOW epsql.epsilon").fetchone() == ("",)  # rolled back with the rest


def test_a_query_over_protected_tables_in_sql_prepare_is_refused(ada):
    with pytest.raises(errors.FeatureNotSupported):
        ada.execute(f"PREPARE p AS {COUNT}")
    ada.execute("PREPARE p AS SELECT 1")
    assert ada.execute("EXECUTE p").fetchone() == (1,)


def test_other_encodings(door, name):
    with door.connect(name, client_encoding="LATIN1") as connection:
        assert connection.execute("SHOW client_encoding").fetchone() == ("LATIN1",)
        heard = notices(connection)
        sql = 'SELECT count(*) AS "große" FROM patients WHERE name = %s AND age > 3'
        cursor = connection.execute(sql, ["Bodø"])
        assert cursor.description[0].name == "große"
        assert heard[-1].message.startswith("große ± ")
        with pytest.raises(errors.UndefinedColumn) as refused:
            connection.execute("SELECT 'ø', grosse FROM patients")
        assert refused.value.diag.statement_position == "13"


def test_text_that_is_not_in_its_encoding_is_no_text(ada):
    for way in (ada.pgconn.exec_, lambda sql: ada.pgconn.exec_params(sql, [])):
        result = way(b"SELECT '\xff'; LISTEN x")
        assert result.status == psycopg.pq.ExecStatus.FATAL_ERROR
    assert ada.execute("SELECT 1").fetchone() == (1,)


def test_time_zones(door, ada):
    """What a question means does not depend on the zone; what is shown does, and it is said."""
    heard = notices(ada)
    sql = "SELECT date_trunc('year', visited_at) AS y, count(*) FROM visits GROUP BY 1 ORDER BY 1"
    ada.execute("SET epsql.delta = '1e-6'")
    ada.execute("SET TimeZone = 'Asia/Tokyo'")
    rows = ada.execute(sql).fetchall()
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert all((row[0].month, row[0].day, row[0].hour) == (1, 1, 0) for row in rows)
    assert heard  # this clinic has no column with a zone, so nothing is said of zones
    assert "UTC" not in heard[-1].detail


def test_json_of_the_reply_is_not_reparsed(door, name, ada):
    """Numbers, NULLs and texts with quotes come as they are stored."""
    rows = exact(BY_SEX, ada)

    async def stored() -> Any:
        analyst = await door.ledger.find_analyst(name)
        (release,) = await door.ledger.releases(analyst.id)
        return release.answer["rows"]

    kept = json.loads(json.dumps(door.run(stored())))
    assert [[r[0], r[1], float(r[2])] for r in rows] == [[k[0], k[1], k[2]] for k in kept]


def test_tables_look_readable_to_tools(ada):
    """Metabase, Power BI and others list only what seems to be readable."""
    declared = {"patients", "visits", "items", "cities"}
    for sql in (
        (
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND has_table_privilege(oid, 'select') AND has_any_column_privilege(oid, 'select')"
        ),
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'",
        "SELECT DISTINCT table_name::text FROM information_schema.columns",
        "SELECT tablename::text FROM pg_tables",
    ):
        assert declared <= {row[0] for row in ada.execute(sql.encode())}
