"""Typed expressions run on a live PostgreSQL, many in one statement."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

import psycopg
from psycopg.types.string import TextLoader

from analyzer.expressions import Expr, Interval
from analyzer.plan import SelectionKey, Statement
from analyzer.printing import Printer
from analyzer.types import Type
from server.engines.postgres import _as_text
from tests.analyzer.expressions import COLUMNS

TYPES = {
    16: Type.BOOL,
    20: Type.INT8,
    21: Type.INT4,
    23: Type.INT4,
    25: Type.TEXT,
    701: Type.FLOAT8,
    1082: Type.DATE,
    1114: Type.TIMESTAMP,
    1184: Type.TIMESTAMPTZ,
    1186: Type.INTERVAL,
    1700: Type.NUMERIC,
    2950: Type.UUID,
}
"""PostgreSQL's numbers for the types; a smallint is an integer here."""

_INTEGERS = ["0", "1", "-1", "2", "27", "10"]
_FLOATS = ["0", "-0", "1", "-1.5", "0.1", "1e15", "-1e15", "2.5", "3.5"]
_NUMERICS = ["0", "0.00", "1", "-1", "0.5", "-2.5", "1e15", "-1e15", "1e-20"]

EDGES: dict[Type, list[str]] = {
    Type.INT4: [*_INTEGERS, "2147483647", "-2147483648", "-2147483647"],
    Type.INT8: [*_INTEGERS, "9223372036854775807", "-9223372036854775808", "1000000000000000"],
    Type.NUMERIC: [
        *_NUMERICS,
        "NaN",
        "Infinity",
        "-Infinity",
        "1e30",
        "-1e31",
        "1e-1000",
        "1" + "0" * 5000,
        "-" + "9" * 3000,
        "0." + "7" * 3000,
        # As many digits as there are before the point: rounded up they are one too many.
        "9" * 131_072 + "." + "9" * 20,
        "-" + "9" * 131_072 + "." + "9" * 20,
        "-1000000000000001",
    ],
    Type.FLOAT8: [
        *_FLOATS,
        "NaN",
        "Infinity",
        "-Infinity",
        "1.7976931348623157e308",
        "-1.7976931348623157e308",
        "5e-324",
        "-5e-324",
        "2.2250738585072014e-308",
        "-1000000000000001",
        "9007199254740993",
    ],
    Type.TEXT: [
        "",
        " ",
        "a",
        "  padded ",
        "x" * 5000,
        "ends in \\",
        "%_\\%",
        "\u00e5\u0301\U0001f600",
        "7",
    ],
    Type.BOOL: ["true", "false"],
    Type.DATE: ["2020-02-29", "infinity", "-infinity", "4714-11-24 BC", "5874897-12-31"],
    Type.TIMESTAMP: [
        "2020-02-29 12:00:00.000001",
        "infinity",
        "-infinity",
        "4714-11-24 00:00:00 BC",
        "294276-12-31 23:59:59.999999",
    ],
    Type.TIMESTAMPTZ: ["2020-02-29 12:00+00", "infinity", "-infinity", "294276-12-31 23:59:59+00"],
    Type.UUID: ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
}
_M = ["0", "999.99", "-999.99", "NaN", "0.01", "12.50"]


def make_table(connection: psycopg.Connection, rows: Sequence[Sequence[str | None]]) -> None:
    """The table ``edge`` with these rows, in the order of ``COLUMNS``."""
    columns = []
    for name, kind in COLUMNS.items():
        written = "numeric(5,2)" if name == "m" else kind.value
        columns.append(f"{name} {written}{' NOT NULL' if name.endswith('1') else ''}")
    connection.execute(f"CREATE TABLE edge ({', '.join(columns)})".encode())
    with connection.cursor() as cursor, cursor.copy("COPY edge FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def edge_rows(count: int) -> list[list[str | None]]:
    """Rows of edge values: every edge of every column at least once, NULLs, all NULL, then mixed."""
    chance = random.Random(7)
    rows = []
    for r in range(count):
        row: list[str | None] = []
        for name, kind in COLUMNS.items():
            edges = _M if name == "m" else EDGES[kind]
            value: str | None = edges[r] if r < len(edges) else chance.choice(edges)
            if not name.endswith("1") and (r == count - 1 or chance.random() < 0.1):
                value = None
            row.append(value)
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one expression gave: the type that PostgreSQL computed, and the values as text."""

    stored: Type
    values: tuple[str | None, ...]


def connect(uri: str) -> psycopg.Connection:
    """A connection with the engine's settings that prints every value as text."""
    settings = {"search_path": "public", "TimeZone": "UTC", "DateStyle": "ISO,YMD"}
    connection = psycopg.connect(
        uri,
        autocommit=True,
        cursor_factory=psycopg.RawCursor,
        options=" ".join(f"-c {k}={v}" for k, v in settings.items()),
    )
    for number in TYPES:
        connection.adapters.register_loader(number, TextLoader)
    return connection


def values_of(statement: Statement) -> list[str | None]:
    """The parameters of a statement that needs no secret, as they travel."""
    return [_as_text(p) for p in statement.parameters if not isinstance(p, SelectionKey)]


def run(connection: psycopg.Connection, batch: Sequence[Expr]) -> list[Outcome | str]:
    """Each expression over the rows of ``edge``; one that fails gives PostgreSQL's words."""
    printer = Printer({})
    try:
        listed = ", ".join(printer.expression(e) for e in batch)
        whole = printer.statement(f"SELECT {listed} FROM edge AS t0 ORDER BY ctid")
        cursor = connection.execute(whole.sql.encode(), values_of(whole))
    except psycopg.Error as error:
        if len(batch) == 1:
            return [f"{error.sqlstate} {str(error)[:200]}"]
        middle = len(batch) // 2
        return [*run(connection, batch[:middle]), *run(connection, batch[middle:])]
    rows = cursor.fetchall()
    assert cursor.description is not None
    return [
        Outcome(TYPES[column.type_code], tuple(row[i] for row in rows))
        for i, column in enumerate(cursor.description)
    ]


def days_of(value: str) -> Fraction | None:
    """A printed date or time as days since 1970-01-01; None where it is infinite."""
    if "infinity" in value:
        return None
    match = re.fullmatch(
        r"([0-9]+)-([0-9]+)-([0-9]+)(?: ([0-9]+):([0-9]+):([0-9.]+))?(?:[+]00)?( BC)?", value
    )
    assert match, value
    year = int(match[1]) if match[7] is None else 1 - int(match[1])
    # The calendar repeats every 400 years, which Python's, from year 1 to 9999, has room for.
    day = date(2000 + year % 400, int(match[2]), int(match[3]))
    whole = (day - date(1970, 1, 1)).days + (year // 400 - 5) * 146_097
    seconds = int(match[4] or 0) * 3600 + int(match[5] or 0) * 60 + Fraction(match[6] or 0)
    return whole + Fraction(seconds) / 86_400


def outside(value: str, stored: Type, interval: Interval, slack: Fraction) -> bool:
    """Whether a printed number lies outside an interval by more than ``slack`` of its size.
    NaN is no number, so it lies nowhere."""
    if value == "NaN":
        return False
    if not (number := Decimal(value)).is_finite():
        bound = interval.lower if number < 0 else interval.upper
        return bound is not None
    exact = Fraction(float(value)) if stored is Type.FLOAT8 else Fraction(number)
    return beyond(exact, interval, slack * max(Fraction(1), abs(exact)))


def beyond(exact: Fraction, interval: Interval, room: Fraction = Fraction(0)) -> bool:
    """Whether a number lies outside an interval by more than ``room``."""
    return (interval.lower is not None and exact < interval.lower - room) or (
        interval.upper is not None and exact > interval.upper + room
    )


def described(failures: Mapping[str, Sequence[str]]) -> str:
    """Failures for an assertion's message, a few of each kind."""
    return "\n".join(
        f"{kind} ({len(of)}): " + "\n   ".join(of[:3]) for kind, of in failures.items()
    )


TAME_BOUNDS = {
    "i": (-5, 10),
    "i1": (0, 120),
    "l": (0, 1000),
    "l1": (-100, 100),
    "n": (-2, 3),
    "n1": (1, 50),
    "m": (-5, 5),
    "f": (-1, 1),
    "f1": (1, 4),
}


def tame_rows(count: int) -> list[list[str | None]]:
    """Rows whose numbers lie in ``TAME_BOUNDS``, the bounds themselves among them, and whose texts
    and dates nothing fails on, in PostgreSQL either."""
    chance = random.Random(8)
    others = {
        Type.TEXT: ["", "a", "abc", " b ", "Zab_z", "%", "x\\"],
        Type.BOOL: ["true", "false"],
        Type.DATE: ["2020-02-29", "1999-12-31", "2020-03-01"],
        Type.TIMESTAMP: ["2020-02-29 00:00:00", "2020-02-29 12:34:56.5", "1999-12-31 23:59:59"],
        Type.TIMESTAMPTZ: ["2020-02-29 12:00+00", "2021-01-01 00:00+00"],
        Type.UUID: EDGES[Type.UUID],
    }
    rows = []
    for _ in range(count):
        row: list[str | None] = []
        for name, kind in COLUMNS.items():
            value: str | None
            if name in TAME_BOUNDS:
                low, high = TAME_BOUNDS[name]
                value = str(chance.choice([low, high, chance.randint(low, high)]))
                if not kind.is_integer and chance.random() < 0.6:
                    value = str(Decimal(chance.randint(low * 100, high * 100)) / 100)
            else:
                value = chance.choice(others[kind])
            if not name.endswith("1") and chance.random() < 0.15:
                value = None
            row.append(value)
        rows.append(row)
    return rows
