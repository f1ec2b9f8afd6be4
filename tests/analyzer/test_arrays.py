"""Arrays as PostgreSQL reads and compares them."""

from __future__ import annotations

import psycopg
import pytest

from analyzer.analyze import analyze
from analyzer.bind_arrays import MOST_ELEMENTS, read_array
from analyzer.refusals import BadArgument, Refusal, TooComplex
from tests.analyzer.live import connect
from tests.fixture import catalog

TEXTS = (
    "{}", " { } ", "{a,b}", "{ a , b }", "{a b}", '{"a,b",c}', '{"a\\"b"}', '{"a\\\\b"}', '{""}', "{NULL}",
    "{null,Null}", '{"NULL"}', "{1,2,3}", "{\ta\n}", "{a,,b}", "{,}", "{a,}", "{", "}", "", "a", "{a}b",
    "{{a},{b}}", "[1:2]={a,b}", '{"a}', '{a"b"}', '{"a"b}', "{a\\b}", "{é}", "{'a'}", "{a;b}", '{"a" , "b"}',
    "{\u00a0a}", "{NULLs}", "{a}{b}", "{(1)}",
)  # fmt: skip
"""Some are arrays, and some are none."""


@pytest.mark.parametrize("text", TEXTS)
def test_an_array_is_read_as_postgres_reads_it(postgres, text):
    """Or refused, where it has several dimensions or escapes outside of quotes."""
    with connect(postgres.fresh()) as connection:
        try:
            ((theirs,),) = connection.execute("SELECT $1::text[]", [text])
        except psycopg.errors.InvalidTextRepresentation:
            theirs = None
    try:
        ours: list[str | None] | None = list(read_array(text))
    except BadArgument:
        ours = None
    unread = any(mark in text for mark in ("{{", "[1:2]", "a\\b}"))
    assert ours == (None if unread else theirs)


CONDITIONS = (
    "x = ANY ('{1,2}')", "x <> ALL ('{1,2}')", "x = ANY ('{1,NULL}')", "x <> ALL ('{1,NULL}')",
    "x = ANY ('{}')", "x <> ALL ('{}')", "x = ANY (NULL)", "x <> ALL (NULL::int[])", "x = ANY (ARRAY[x, 2])",
    "NOT x = ANY (ARRAY[1, 2.5])", "x = SOME (ARRAY[]::int[])", "x = ANY ('{1,2}'::bigint[])",
    "x = ANY (ARRAY['1', '2']::int[])", "x = ANY (ARRAY[1, '2', NULL])", "x <> ALL (ARRAY[NULL]::int[])",
    "x = ANY (ARRAY['1'])", "x = ANY ('{a}')", "x = ANY ('{1}'::text[])", "x = ANY (ARRAY[])", "x = ANY ('{}'::text[])",
    "x = ANY (ARRAY[true])", "x = ANY (ARRAY[1, true])",
)  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_what_it_is_for_postgres(postgres, condition):
    """For 1, 3 and NULL; what Postgres refuses is refused."""
    try:
        plan = analyze(
            f"SELECT count(*) FROM patients WHERE {condition}".replace("x", "age"), catalog()
        )
    except Refusal:
        plan = None
    with connect(postgres.fresh()) as connection:
        connection.execute("CREATE TABLE patients (id int, age int)")
        connection.execute("INSERT INTO patients VALUES (1, 1), (2, 3), (3, NULL)")
        try:
            ((theirs,),) = connection.execute(
                f"SELECT count(*) FROM patients WHERE {condition}".replace("x", "age").encode()
            )
        except psycopg.Error:
            assert plan is None
            return
        assert plan is not None
        exact = plan.blocks[0].exact
        ((ours,),) = connection.execute(exact.sql.encode(), exact.parameters)
    assert ours == theirs


def test_as_many_elements_as_may_be_are_answered(postgres):
    sql = "SELECT count(*) FROM patients WHERE age = ANY ($1)"
    plan = analyze(sql, catalog(), parameters=[tuple(range(MOST_ELEMENTS))])
    exact = plan.blocks[0].exact
    with connect(postgres.fresh()) as connection:
        connection.execute("CREATE TABLE patients (id int, age int)")
        connection.execute(exact.sql.encode(), exact.parameters)
    with pytest.raises(TooComplex):
        analyze(sql, catalog(), parameters=[tuple(range(MOST_ELEMENTS + 1))])
