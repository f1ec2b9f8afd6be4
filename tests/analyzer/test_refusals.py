"""Every way of saying no: reached, pointing at the place, free of the data and of the database.

The wording of each refusal is in ``fixtures/refusals_*.txt``.
"""

from __future__ import annotations

import inspect
import socket
from fractions import Fraction

import pytest

from analyzer import refusals
from analyzer.analyze import analyze
from analyzer.asks import EpsilonAsk
from analyzer.lexical import TextLimits
from analyzer.refusals import Refusal
from server.releases import TooManyPublicRows
from tests.analyzer.golden import FIXTURES, read
from tests.fixture import catalog

MARK = "\u00a6"
"""Stands before the token that a refusal has to point at."""

PLACES = [
    (refusals.SyntaxRefused, "SELECT count(*) FROM patients WHERE \u00a6WHERE age > 3"),
    (refusals.SyntaxRefused, "SELECT count(*)\nFROM patients\nWHERE age \u00a6>@ 3"),
    (refusals.SyntaxRefused, "SELECT count(*) FROM patients; \u00a6SELECT 1"),
    (refusals.Unsupported, "SELECT count(\u00a6name::uuid) FROM patients"),
    (refusals.Unsupported, "SELECT \u00a6count(*) OVER () FROM patients"),
    (refusals.UnknownTable, "SELECT count(*) FROM patients p\nJOIN \u00a6nosuch n ON n.id = p.id"),
    (refusals.UnknownTable, "SELECT count(\u00a6q.age) FROM patients p"),
    (refusals.UnknownColumn, "SELECT count(*) FROM patients WHERE age > 3 AND \u00a6hight > 2"),
    (refusals.UnknownColumn, "WITH a AS (SELECT \u00a6ag FROM patients) SELECT count(*) FROM a"),
    (refusals.UnknownColumn, "SELECT count(*) FROM patients ORDER BY \u00a6nope"),
    (refusals.UnknownColumn, "SELECT count(*) FROM patients HAVING sum(\u00a6nope) > 3"),
    (refusals.AmbiguousColumn, "SELECT count(\u00a6id) FROM visits v JOIN patients p ON v.patient_id = p.id"),
    (refusals.UnknownFunction, "SELECT count(*) FROM patients WHERE age > \u00a6random()"),
    (refusals.WrongType, "SELECT count(*) FROM patients WHERE active AND \u00a6age = name"),
    (refusals.WrongType, "SELECT count(*) FROM patients WHERE \u00a6age"),
    (refusals.WrongGrouping, "SELECT city, \u00a6age, count(*) FROM patients GROUP BY city"),
    (refusals.WrongGrouping, "SELECT city, count(*) FROM patients GROUP BY \u00a67"),
    (refusals.WrongGrouping, "SELECT count(*) FROM patients WHERE \u00a6sum(age) > 3"),
    (refusals.RowsRefused, "SELECT \u00a6name FROM patients"),
    (refusals.RowsRefused, "SELECT count(*) FROM visits GROUP BY \u00a6patient_id"),
    (refusals.BadArgument, "SELECT count(*) FROM patients WHERE sex = 'male' OR \u00a6age = 'old'"),
    (refusals.BadArgument, "SELECT count(*) FROM patients LIMIT 99999999999"),
    (refusals.BadPattern, "SELECT count(*) FROM patients WHERE \u00a6name LIKE 'x\\'"),
    (refusals.TooComplex, "SELECT count(*) FROM patients WHERE " + "(" * 40 + MARK + "(" + "true" + ")" * 41),
    (refusals.NoMechanism, "SELECT count(*), \u00a6bit_or(age) FROM patients"),
    (refusals.UnboundedInfluence, "SELECT avg(age) FROM (SELECT age FROM patients LIMIT 1) AS t"),
    (refusals.UnboundedInfluence, "SELECT count(*) FROM \u00a6patients, visits"),
    (refusals.PrivateKeys, "SELECT zip, count(*) FROM patients GROUP BY zip"),
]  # fmt: skip


@pytest.mark.parametrize("kind, marked", PLACES, ids=[sql[:70] for _, sql in PLACES])
def test_a_refusal_points_at_the_place(kind, marked):
    with pytest.raises(Refusal) as refused:
        analyze(marked.replace(MARK, ""), catalog(), ask=EpsilonAsk(Fraction(1), Fraction(0)))
    assert type(refused.value) is kind
    if MARK in marked:
        assert refused.value.position == marked.index(MARK) + 1


def test_every_kind_of_refusal_is_reached():
    every = {
        kind
        for _, kind in inspect.getmembers(refusals, inspect.isclass)
        if issubclass(kind, Refusal) and kind is not Refusal
    }
    assert every == {kind for kind, _ in PLACES}


def _refused(sql: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        analyze(sql, catalog())
    return refused.value


@pytest.mark.parametrize(
    "form",
    [
        "SELECT count(*) FROM {}",
        "SELECT count(*) FROM patients p JOIN {} s ON s.patient_id = p.id",
        "WITH x AS (SELECT * FROM public.{}) SELECT count(*) FROM x",
        "SELECT count({}.amount) FROM patients",
    ],
)
def test_a_table_that_is_not_declared_is_refused_like_one_that_is_not_there(form):
    there, nowhere = _refused(form.format("salaries")), _refused(form.format("wxyzwxyz"))

    def told(refusal: Refusal, name: str) -> tuple[object, ...]:
        words = (refusal.message, refusal.detail, refusal.hint)
        return (type(refusal), refusal.position, *(w.replace(name, "?") for w in words))

    assert told(there, "salaries") == told(nowhere, "wxyzwxyz")


@pytest.mark.parametrize("name", ["ctid", "xmin", "tableoid", "secret"])
def test_a_column_that_is_not_declared_is_unknown(name):
    assert type(_refused(f"SELECT count({name}) FROM patients")) is refusals.UnknownColumn


def test_refusals_need_no_database(monkeypatch):
    def unreachable(*args, **kwargs):
        raise AssertionError("the analyzer tried to reach somebody")

    monkeypatch.setattr(socket, "socket", unreachable)
    cases = [c for path in sorted(FIXTURES.glob("refusals_*.txt")) for c in read(path)]
    assert len(cases) > 80
    for case in cases:
        assert case.outcome(catalog()) == case.expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM patients WHERE age = 1e999",
        "SELECT count(*) FROM patients WHERE age = '1e9999999'",
        "SELECT count(*) FROM patients WHERE age = '" + "1" * 6_000 + "'",
        "SELECT count(*) FROM patients WHERE weight > '1" + "0" * 90 + "'",
        "SELECT count(*) FROM patients WHERE age = " + "1" * 6_000,
        "SELECT count(*) FROM patients LIMIT " + "1" * 6_000,
        "SELECT count(*) FROM patients LIMIT '" + "1" * 6_000 + "'",
        "SELECT count(*) FROM patients OFFSET " + "1" * 90,
        "SELECT count(*) FROM patients GROUP BY " + "1" * 90,
        "SELECT count(*) FROM patients WHERE age = $" + "9" * 4,
        "SELECT count(*) FROM patients WHERE name = 'a\x00b'",
        "SELECT count(*) FROM patients WHERE born = '2020-02-30'",
        "SELECT count(*) FROM patients WHERE born = 'infinity'",
        "SELECT " + "-" * 30 + "\n count(*) FROM patients WHERE",
        "SELECT count(*) FROM " + "x" * 10_000,
    ],
)
def test_hard_texts_are_refused_and_nothing_breaks(sql):
    assert isinstance(_refused(sql), Refusal)


def test_a_chain_of_subqueries_is_measured_written_out():
    links = [f"a{i} AS (SELECT n * n * n * n AS n FROM a{i - 1})" for i in range(1, 20)]
    sql = f"WITH a0 AS (SELECT age AS n FROM patients), {', '.join(links)} SELECT count(n) FROM a19"
    assert type(_refused(sql)) is refusals.TooComplex


def test_expressions_of_one_query_count_together():
    many = ", ".join(f"count(n + {i})" for i in range(60))
    sql = f"WITH a AS (SELECT {' + '.join(['age'] * 200)} AS n FROM patients) SELECT {many} FROM a"
    assert type(_refused(sql)) is refusals.TooComplex


def test_limits_can_be_set():
    with pytest.raises(refusals.TooComplex):
        analyze("SELECT count(*) FROM patients", catalog(), limits=TextLimits(tokens=3))


def _kinds(kind: type[Refusal] = Refusal) -> set[type[Refusal]]:
    return {kind for one in kind.__subclasses__() for kind in (one, *_kinds(one))}


@pytest.mark.parametrize("kind", sorted(_kinds(), key=str))
def test_every_refusal_says_what_to_write_instead(kind: type[Refusal]) -> None:
    """Where nothing better is known, what its kind advises."""
    assert kind.advice.endswith(".")
    if kind is not TooManyPublicRows:  # it words itself
        assert kind("No.").hint == kind.advice
        assert kind("No.", hint="Better.").hint == "Better."


@pytest.mark.parametrize("key", ["1 + 1", "'a' || 'b'", "CAST('2020-01-01' AS date)", "NULL::text"])
def test_what_is_made_of_constants_is_a_constant(key: str) -> None:
    with pytest.raises(refusals.WrongGrouping, match="A constant is no group key"):
        analyze(f"SELECT count(*) FROM patients GROUP BY {key}", catalog())
