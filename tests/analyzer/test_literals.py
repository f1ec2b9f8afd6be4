"""Constants in texts: what is read is what a live PostgreSQL reads, and nothing that it refuses."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime

import psycopg
import pytest

from analyzer.functions.literals import read_value
from analyzer.refusals import BadArgument
from analyzer.types import Type

READ: dict[Type, list[str]] = {
    Type.DATE: [
        "2020-12-31",
        " 2020-12-31\n",
        "2020-1-5",
        "20200229",
        "0001-01-01",
        "9999-12-31",
        "2020-12-31 +02",
        "2020-12-31 -05:30",
    ],
    Type.TIMESTAMP: [
        "2020-12-31",
        "2020-12-31 07:05",
        "2020-12-31T07:05:09",
        "2020-12-31 7:05:09.25",
        "2020-12-31 23:59:59.999999",
        "2020-12-31 07:05:09Z",
        "2020-12-31 07:05:09+05:30",
    ],
    Type.TIMESTAMPTZ: [
        "2020-12-31",
        "2020-12-31 07:05:09",
        "2020-12-31 07:05:09Z",
        "2020-12-31 07:05:09 -0930",
        "2020-12-31 07:05:09+15:59",
    ],
    Type.UUID: [
        "00000000-0000-0000-0000-00000000000A",
        "0123456789abcdef0123456789ABCDEF",
    ],
    Type.BOOL: ["true", " F ", "T", "FALSE"],
    Type.INT4: ["1", " +7 ", "-0", "007"],
    Type.NUMERIC: ["1", ".5", "1.", "-1.50e-3", "\t2 "],
}
NOT_READ: dict[Type, list[str]] = {
    Type.DATE: [
        "2020-W01-1",
        "2020W011",
        "2020-001",
        "2020-02-30",
        "2020-13-01",
        "0000-01-01",
        "２０２０-01-01",
        "2020-12-31 07:05",
        "01/02/2020",
        "today",
        "now",
        "infinity",
        "",
    ],
    Type.TIMESTAMP: [
        "2020-W01-1",
        "2020-12-31x07:05",
        "2020-12-31 07:05:09,25",
        "2020-12-31 07:05:09.1234567",
        "2020-12-31 07",
        "20201231T070509",
        "2020-12-31 25:00",
        "now",
    ],
    Type.TIMESTAMPTZ: ["2020-12-31 07:05+16", "2020-12-31 07:05+01:60", "2020-12-31 07:05+23"],
    Type.UUID: [
        "urn:uuid:00000000-0000-0000-0000-00000000000a",
        "0-0000000-0000-0000-0000-00000000000a",
        " 0123456789abcdef0123456789abcdef",
        "0123456789_bcdef0123456789_bcdef",
    ],
    Type.BOOL: ["\u00a0true", "truth", ""],
    Type.INT4: ["1.0", "1e2", "1_000", "\u00a01", "１"],
    Type.NUMERIC: ["1_000.5", "\u20071", "0x1F", "1e", "NaN"],
}


@pytest.fixture(scope="module")
def connection(postgres):
    with psycopg.connect(postgres.fresh(), autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _theirs(connection: psycopg.Connection, text: str, kind: Type) -> object:
    """What PostgreSQL reads; None where it refuses."""
    try:
        row = connection.execute(
            f"SELECT CAST('{text}' AS {kind.value})".encode(), prepare=False
        ).fetchone()
    except psycopg.DataError:
        return None
    assert row is not None
    return row[0]


def _ours(text: str, kind: Type) -> object:
    """The value, a time in UTC as the analyzer takes it; None where it is refused."""
    try:
        value = read_value(text, kind)
    except BadArgument:
        return None
    if isinstance(value, datetime):
        zone = UTC if kind is Type.TIMESTAMPTZ else None
        return value.astimezone(UTC) if zone and value.tzinfo else value.replace(tzinfo=zone)
    return value


def _same(mine: object, theirs: object) -> bool:
    if isinstance(theirs, date | int | bool):
        return mine == theirs
    return str(mine) == str(theirs) or mine == theirs


@pytest.mark.parametrize("kind, text", [(k, t) for k, texts in READ.items() for t in texts])
def test_it_is_read_as_postgres_reads_it(connection, kind, text):
    mine = _ours(text, kind)
    assert mine is not None
    assert _same(mine, _theirs(connection, text, kind))


@pytest.mark.parametrize("kind, text", [(k, t) for k, texts in NOT_READ.items() for t in texts])
def test_it_is_not_read(kind, text):
    assert _ours(text, kind) is None


def test_no_spelling_is_read_that_postgres_refuses_or_reads_otherwise(connection):
    """Thousands of spellings near to good ones."""
    chance, wrong = random.Random(5), []
    for _ in range(4_000):
        kind = chance.choice(list(READ))
        text = list(chance.choice(READ[kind] + NOT_READ[kind]))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(text) + 1)
            text[at : at + chance.randint(0, 2)] = chance.choice(["", *" 0129:-+.TZWxe_"])
        spelled = "".join(text)
        mine = _ours(spelled, kind)
        if mine is not None and not _same(mine, _theirs(connection, spelled, kind)):
            wrong.append((kind, spelled, mine))
    assert wrong == []
