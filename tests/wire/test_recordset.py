"""Rows as JSON, and back as rows of every type: what goes in comes out."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import pq

from server.wire import answers

TEXTS = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12
) | st.sampled_from(['"', "\\", "$1", "$epsql$", "'", "NaN", "null", "\u2028", "a\nb"])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "numeric": FINITE | st.sampled_from(["NaN", "Infinity", "-Infinity", "1e400"]),
    "double precision": FINITE | st.sampled_from(["NaN", "Infinity", "-Infinity"]),
    "text": TEXTS,
    "character varying(20)": TEXTS,
    "date": st.sampled_from(["2020-02-29", "infinity", "4713-01-01 BC"]),
    "timestamp without time zone": st.sampled_from(["2020-02-29 23:59:59.999999", "-infinity"]),
    "timestamp with time zone": st.sampled_from(["2020-02-29 23:59:59+00"]),
    "uuid": st.uuids().map(str),
    "json": st.sampled_from([[1, {"a": None}], "x", 1.5]),
}
COLUMNS = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda type_: st.tuples(
            st.just(type_),
            TEXTS.filter(bool),
            st.lists(st.none() | VALUES[type_], min_size=3, max_size=3),
        )
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def plain(postgres):
    with psycopg.connect(postgres.fresh(), autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def run(connection: psycopg.Connection, sql: str, parameters: list[str | None]) -> pq.abc.PGresult:
    given = [None if text is None else text.encode() for text in parameters]
    result = connection.pgconn.exec_params(sql.encode(), given)
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    return result


def back(
    connection: psycopg.Connection, columns: Any, *, literal: bool
) -> tuple[list[bytes | None], list[tuple[bytes | None, ...]]]:
    """The names and the rows of a recordset of some columns, as text."""
    parts = answers.rows_json(list(zip(*(values for _, _, values in columns), strict=True)))
    names, types = [name for _, name, _ in columns], [type_ for type_, _, _ in columns]
    places = [f"${i + 1}::json" for i in range(len(parts))]
    shown = list(map(answers.literal, parts)) if literal else places
    result = run(connection, answers.recordset(names, types, shown), [] if literal else list(parts))
    width = range(result.nfields)
    found = [tuple(result.get_value(r, c) for c in width) for r in range(result.ntuples)]
    return [result.fname(c) for c in width], found


@settings(max_examples=60, deadline=None)
@given(columns=COLUMNS, literal=st.booleans())
def test_every_type_comes_back_as_it_was(plain, columns, literal):
    """As the same value does that is cast from its text."""
    names, found = back(plain, columns, literal=literal)
    for index, (type_, name, values) in enumerate(columns):
        assert name.encode().startswith(names[index])
        for row, value in zip(found, values, strict=True):
            if type_ == "json":
                assert (None if row[index] is None else json.loads(row[index] or b"")) == value
                continue
            text = value if value is None or isinstance(value, str) else repr(value)
            wanted = run(plain, f"SELECT CAST($1::text AS {type_})", [text]).get_value(0, 0)
            assert row[index] == wanted


def test_columns_of_one_name(plain):
    columns = [("integer", "n", [1]), ("text", "n", ["two"]), ("integer", 'q"', [None])]
    assert back(plain, columns, literal=False) == ([b"n", b"n", b'q"'], [(b"1", b"two", None)])


def test_no_rows_and_their_order(plain):
    assert back(plain, [("integer", "n", [])], literal=False)[1] == []
    many = list(range(3 * answers.ROWS + 1))
    assert len(answers.rows_json([(n,) for n in many])) == 4
    for literal in (True, False):
        found = back(plain, [("integer", "n", many)], literal=literal)[1]
        assert [int(row[0] or 0) for row in found] == many


@pytest.mark.parametrize(
    "number, text",
    [(30, "30"), (12345, "12340"), (0.3184, "0.3184"), (1e9, "1000000000"), (0.0, "0")],
)
def test_error_bars_are_short(number, text):
    assert answers._short(number) == text
