"""psycopg 3: both protocols, formats, cursors, copy, pipelines, transactions, errors, cancelling."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg
from canonical import BY_SEX, CITIES, JOINED, PATIENTS, attempt, failed, say
from psycopg import pq, sql
from psycopg.rows import dict_row

VALUES: dict[str, object] = {
    "int": 7,
    "bigint": 2**40,
    "numeric": Decimal("1.50"),
    "double precision": 0.1,
    "boolean": True,
    "text": "å 'quoted' \\ $1",
    "date": date(2020, 2, 29),
    "timestamp": datetime(2020, 2, 29, 12, 30),
    "timestamptz": datetime(2020, 2, 29, 12, 30, tzinfo=UTC),
    "bytea": b"\x00\xff",
    "int[]": [1, None, 3],
    "text[]": ["a", 'b"c', None],
    "jsonb": None,
    "uuid": None,
}


def connect(**how: object) -> psycopg.Connection:
    return psycopg.connect("", autocommit=True, **how)  # type: ignore[arg-type]


def described(cursor: psycopg.Cursor) -> list[tuple[str, int]]:
    return [(c.name, c.type_code) for c in cursor.description or ()]


def states(connection: psycopg.Connection) -> str:
    return connection.info.transaction_status.name


def queries(connection: psycopg.Connection) -> None:
    for name, text in (("count", PATIENTS), ("groups", BY_SEX), ("join", JOINED), ("c", CITIES)):
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            cursor.execute(text.encode())
            say(
                f"{name} binary={binary}",
                (described(cursor), cursor.fetchall(), cursor.statusmessage),
            )
    rows = connection.cursor(row_factory=dict_row).execute(BY_SEX.encode()).fetchall()
    say("dictionaries", rows)
    say("columns", [repr(c) for c in connection.execute(BY_SEX.encode()).description or ()])
    found = connection.execute(
        "SELECT count(*) FROM patients WHERE age >= %s AND sex = %s AND active = %s",
        [40, "male", True],
    )
    say("parameters", found.fetchall())
    found = connection.execute(
        "SELECT count(*) FROM patients WHERE born > %s AND bmi < %b AND weight > %b",
        [date(1950, 1, 1), Decimal("40.5"), 1.5],
    )
    say("typed parameters", found.fetchall())
    found = connection.execute(
        "SELECT count(*) FROM patients WHERE age > %(a)s OR age < %(b)s", {"a": 60, "b": 20}
    )
    say("named parameters", found.fetchall())
    for _ in range(7):  # after five times psycopg prepares it
        found = connection.execute("SELECT count(*) FROM patients WHERE age > %s", [30])
    say("prepared by itself", found.fetchall())
    found = connection.execute(PATIENTS.encode(), prepare=True)
    say("prepared", found.fetchall())
    text = sql.SQL("SELECT {} FROM {}").format(sql.SQL("count(*)"), sql.Identifier("patients"))
    say("composed", connection.execute(text).fetchall())
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute("SELECT count(*) FROM patients WHERE sex = %s", ["female"])
        say("simple protocol", cursor.fetchall())
    cursor2 = connection.cursor()
    cursor2.executemany(
        "SELECT count(*) FROM patients WHERE age > %s", [(20,), (50,)], returning=True
    )
    say("many", [results.fetchall() for results in cursor2.results()])
    several = connection.execute(f"{PATIENTS}; SELECT 2; {CITIES}".encode())
    seen = [several.fetchall()]
    while several.nextset():
        seen.append(several.fetchall())
    say("several statements", seen)


def values(connection: psycopg.Connection) -> None:
    for kind, value in VALUES.items():
        for binary in (False, True):
            place = "%b" if binary else "%t"
            found = connection.cursor(binary=binary).execute(
                f"SELECT {place}::{kind} AS v".encode(), [value]
            )
            say(f"{kind} binary={binary}", found.fetchall())


def cursors(connection: psycopg.Connection) -> None:
    with connection.transaction(), connection.cursor(name="server side") as cursor:
        cursor.execute(BY_SEX.encode())
        say("named cursor", (cursor.fetchone(), cursor.fetchmany(1), cursor.fetchall()))
    with connection.transaction(), connection.cursor(name="p") as cursor:
        cursor.execute(
            "SELECT sex, count(*) FROM patients WHERE age > %s GROUP BY 1 ORDER BY 1", [30]
        )
        say("named cursor with parameters", cursor.fetchall())
    with connection.transaction(), connection.cursor(name="s", scrollable=True) as cursor:
        cursor.execute(BY_SEX.encode())
        cursor.scroll(2)
        say("scrolled", cursor.fetchone())
        cursor.scroll(-2)
        say("scrolled back", cursor.fetchone())
    with connection.transaction(), connection.cursor(name="b", binary=True) as cursor:
        cursor.execute(BY_SEX.encode())
        say("binary named cursor", cursor.fetchall())
    say("streamed", list(connection.cursor().stream(BY_SEX.encode())))


def copies(connection: psycopg.Connection) -> None:
    for form in ("TEXT", "CSV", "BINARY"):
        with connection.cursor().copy(
            f"COPY ({BY_SEX}) TO STDOUT (FORMAT {form})".encode()
        ) as copy:
            say(f"copy {form}", b"".join(bytes(piece) for piece in copy))
    with connection.cursor().copy(f"COPY ({PATIENTS}) TO STDOUT".encode()) as copy:
        say("copied rows", list(copy.rows()))


def transactions(connection: psycopg.Connection) -> None:
    say("idle", states(connection))
    with connection.transaction():
        connection.execute(PATIENTS.encode())
        say("in transaction", states(connection))
        try:
            with connection.transaction():
                connection.execute("SELECT nope FROM patients")
        except psycopg.Error as error:
            failed("inner", error)
        say("recovered", (states(connection), connection.execute(PATIENTS.encode()).fetchall()))
    connection.execute("BEGIN")
    attempt("error inside", lambda: connection.execute("SELECT 1/0"))
    say("failed state", states(connection))
    attempt("after it", lambda: connection.execute(PATIENTS.encode()))
    connection.execute("ROLLBACK")
    say("after rollback", (states(connection), connection.execute(PATIENTS.encode()).fetchall()))


def errors(connection: psycopg.Connection) -> None:
    for text in (
        "SELECT nope FROM patients",
        "SELECT count(*) FROM nowhere",
        "SELECT count(*) FRM patients",
        "SELECT count(*) FROM patients WHERE age = 'old'",
        "SELECT count(*) FROM patients WHERE sex = 3",
    ):
        try:
            connection.execute(text.encode())
        except psycopg.Error as error:
            diag = error.diag
            say(
                f"error of {text}",
                (
                    diag.sqlstate,
                    diag.message_primary,
                    diag.message_hint,
                    diag.statement_position,
                    diag.severity_nonlocalized,
                ),
            )
    attempt("too few", lambda: connection.execute("SELECT count(*) FROM patients WHERE age > $1"))
    attempt("bad value", lambda: connection.execute("SELECT %s::int", ["x"]))


def pipelines(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        found = [
            connection.execute(text.encode()) for text in (PATIENTS, CITIES, BY_SEX, "SELECT 1")
        ]
    say("pipeline", [one.fetchall() for one in found])
    # Made before: the error can come while the statement after it is being sent.
    first, broken, skipped = (connection.cursor() for _ in range(3))
    try:
        with connection.pipeline() as pipeline:
            first.execute(PATIENTS.encode())
            broken.execute("SELECT nope FROM patients")
            skipped.execute(PATIENTS.encode())
            pipeline.sync()
    except psycopg.Error as error:
        failed("broken pipeline", error)
    say("after it", (first.fetchall(), broken.statusmessage, skipped.statusmessage))
    with connect() as another:  # the first one has lost count of what it prepared
        say("and then", another.execute(PATIENTS.encode()).fetchall())


def prepared(connection: psycopg.Connection) -> None:
    """Describing and preparing, by libpq's own calls."""
    raw = connection.pgconn
    result = raw.prepare(b"q", b"SELECT sex, count(*) FROM patients WHERE age > $1 GROUP BY sex")
    say("prepare", pq.ExecStatus(result.status).name)
    result = raw.describe_prepared(b"q")
    say(
        "described",
        (
            [(result.fname(i), result.ftype(i), result.fmod(i)) for i in range(result.nfields)],
            [result.param_type(i) for i in range(result.nparams)],
        ),
    )
    for value in (b"30", b"60"):
        result = raw.exec_prepared(b"q", [value])
        rows = sorted(
            tuple(result.get_value(r, c) for c in range(2)) for r in range(result.ntuples)
        )
        say(f"executed {value!r}", [row for row in rows if row[1] != b"0"])
    result = raw.exec_(b"DEALLOCATE q")
    say("deallocated", result.command_status)
    result = raw.exec_prepared(b"q", [b"1"])
    say("gone", result.error_message)


def settings(connection: psycopg.Connection) -> None:
    info = connection.info
    say(
        "parameters",
        [
            info.parameter_status(n)
            for n in (
                "server_encoding",
                "client_encoding",
                "DateStyle",
                "TimeZone",
                "integer_datetimes",
                "standard_conforming_strings",
                "is_superuser",
                "session_authorization",
                "in_hot_standby",
                "server_version",
            )
        ],
    )
    connection.execute("SET TimeZone = 'Europe/Oslo'")
    say("reported", info.parameter_status("TimeZone"))
    connection.execute("SET application_name = 'battery'")
    say("shown", connection.execute("SHOW application_name").fetchall())
    connection.execute("DISCARD ALL")
    say("discarded", info.parameter_status("TimeZone"))
    notices: list[str] = []
    connection.add_notice_handler(lambda diag: notices.append(str(diag.message_primary)))
    connection.execute("ROLLBACK")
    say("warning", notices)


def cancelling(connection: psycopg.Connection) -> None:
    """A statement of the catalogue that takes long ends, and the next one is not hit."""
    timer = threading.Timer(0.3, connection.cancel_safe)
    timer.start()
    long = "SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b"
    attempt("cancelled", lambda: connection.execute(long).fetchall())
    timer.join()
    time.sleep(0.05)
    say("next", connection.execute("SELECT 1").fetchall())


async def asynchronous() -> None:
    async with await psycopg.AsyncConnection.connect("", autocommit=True) as connection:
        cursor = await connection.execute(BY_SEX.encode())
        say("asynchronous", await cursor.fetchall())


def main() -> None:
    with connect() as connection:
        for part in (
            queries, values, cursors, copies, transactions, errors, pipelines, prepared, settings, cancelling,
        ):  # fmt: skip
            print(f"-- {part.__name__}")
            part(connection)
    asyncio.run(asynchronous())


if __name__ == "__main__":
    main()
