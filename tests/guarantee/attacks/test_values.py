"""What is in an answer besides what the replay of neighbours sees: empty sums, keys, error bars."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from analyzer.analyze import analyze
from analyzer.plan import PrivatePlan
from tests import fixture
from tests.guarantee import data
from tests.guarantee.attacks.test_attacks import CATALOG
from tests.guarantee.attacks.world import World, as_small
from tests.guarantee.conftest import Place
from tests.guarantee.replay import Replay
from tests.postgres import Postgres
from tests.released import assembled, changed, noisy_groups


def plan(sql: str) -> PrivatePlan:
    return analyze(sql, CATALOG)


@pytest.fixture(scope="module")
def odd_place(postgres: Postgres) -> Replay:
    """A clinic whose values are equal and look different, or look alike and are not."""
    person = fixture.clinic(patients=7, visits=7).patients[0]
    names = ("a", "a ", "A", "\u00e5", "a\u030a", "a")
    visit = fixture.clinic(patients=7, visits=7).visits[0]
    balances, scores = ("1", "1.0", "1.00", "-0.0", "0"), ("-0", "0", "0.5", "0.5", "NaN")
    clinic = fixture.Clinic(
        patients=tuple((number, name, *person[2:]) for number, name in enumerate(names, start=1)),
        visits=tuple(
            (number, number, visit[2], balance, *visit[4:7], score)
            for number, (balance, score) in enumerate(zip(balances, scores, strict=True), start=1)
        ),
        items=(),
    )
    uri = postgres.fresh()
    data.build(uri, as_small(clinic))
    return Replay(uri)


@pytest.mark.parametrize("column", ["age", "bmi", "weight"])
def test_missing_values_add_nothing(clinic_place: Place, column: str) -> None:
    """bmi and weight have bounds above and at zero: a NULL that is clamped would show."""
    source, _ = clinic_place
    alone = plan(f"SELECT sum({column}) FROM patients WHERE {column} IS NULL")
    both = plan(f"SELECT avg({column}), count({column}) FROM patients WHERE {column} IS NULL")
    rows = plan(f"SELECT count(*) FROM patients WHERE {column} IS NULL")
    assert source.exact(rows) != [[(0,)]]
    assert [set(row) for one in (alone, both) for (row,) in source.exact(one)] == [{0}, {0}]


@pytest.mark.parametrize("clinic", ["D", "empty"])
def test_an_empty_sum_is_blurred_like_any_other(world: World, clinic: str) -> None:
    """So little loss that noise of zero comes once in a million times."""
    sql = "SELECT count(*), sum(age), count(age) FROM patients WHERE name='nobody'"
    with world.on(clinic):
        (row,) = world.ask(sql, epsilon="1e-6").json()["rows"]
    assert all(isinstance(cell, int) and cell != 0 for cell in row)


def test_counts_beyond_32_bits_are_blurred() -> None:
    exact = 2**40
    (noisy,) = noisy_groups(plan("SELECT count(*) FROM patients"), [(exact,)])
    assert abs(noisy["c0"] - exact) < 1000


def test_every_public_key_is_shown_with_and_without_her(world: World) -> None:
    shown = []
    for clinic in ("D", "without"):
        with world.on(clinic):
            rows = world.ask("SELECT city, count(*) FROM patients GROUP BY city").json()["rows"]
        shown.append([row[0] for row in rows])
    assert shown[0] == shown[1]
    assert set(shown[0]) == {name for name, _ in fixture.CITIES} | {None}


@pytest.mark.parametrize(
    "sql,declared",
    [
        ("SELECT sex, count(*) FROM patients GROUP BY sex", {"female", "male", "other"}),
        ("SELECT kind, count(*) FROM visits GROUP BY kind", {*fixture.KINDS, None}),
        (
            "SELECT city, sum(age) FROM patients GROUP BY city",
            {None, *(name for name, _ in fixture.CITIES)},
        ),
    ],
)
def test_undeclared_keys_are_never_shown(world: World, sql: str, declared: set[Any]) -> None:
    with world.on("P"):
        assert {row[0] for row in world.ask(sql).json()["rows"]} == declared


def _keys(source: Replay, sql: str) -> list[tuple[Any, ...]]:
    found = plan(sql)
    return [key for key, _ in assembled(found.blocks[0], *source.exact(found))]


def test_equal_keys_look_equal(odd_place: Replay) -> None:
    assert _keys(odd_place, "SELECT balance, count(*) FROM visits GROUP BY balance") == [
        ("0",),
        ("1",),
    ]
    assert _keys(odd_place, "SELECT score, count(*) FROM visits GROUP BY score") == [
        ("0",),
        ("0.5",),
        ("1000000000000000",),  # NaN, like all that lies beyond
    ]


def test_text_keys_are_compared_byte_by_byte(odd_place: Replay) -> None:
    assert sorted(_keys(odd_place, "SELECT name, count(*) FROM patients GROUP BY name")) == sorted(
        [("a",), ("a ",), ("A",), ("\u00e5",), ("a\u030a",)]
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT kind, count(*), sum(cost) FROM visits GROUP BY kind",
        "SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis",
        "SELECT avg(cost), max(cost) FROM visits",
    ],
)
def test_nothing_beside_the_noisy_cells_depends_on_the_data(world: World, sql: str) -> None:
    """A whale is weighted down and clamped, and her groups are left out, without a word of it."""
    told = []
    for clinic in ("D", "W", "P", "empty"):
        with world.on(clinic):
            reply = world.ask(sql)
        body, headers = reply.json(), dict(reply.headers)
        for name in ("rows", "error_bars", "release_id", "remaining", "receipt"):
            del body[name]
        for name in ("date", "content-length"):
            del headers[name]
        told.append(json.dumps([body, headers]))
    assert len(set(told)) == 1


def test_error_bars_follow_from_the_plan_alone(world: World) -> None:
    sql = "SELECT kind, count(*), sum(cost) FROM visits GROUP BY kind"
    bars = []
    for clinic in ("D", "W"):
        with world.on(clinic):
            bars.append(world.ask(sql).json()["error_bars"])
    assert bars[0] == bars[1]
    assert len({tuple(row) for row in bars[0]}) == 1
    declared = world.ask(sql, path="/v1/quote").json()["draws"]
    assert bars[0][0][1] == pytest.approx(float(declared[0]["error_bar"]), abs=1)


def test_a_replaced_bound_is_seen(clinic_place: Place) -> None:
    """The checks above can fail: a plan that declares too little is found by the replay."""
    from tests.guarantee.replay import replay

    source, people = clinic_place
    honest = plan("SELECT sum(cost) FROM visits")
    (draw,) = honest.draws
    sly = replace(draw.sensitivity, l1=draw.sensitivity.l1 // 2, l2_squared=1)
    assert replay(changed(honest, draws=(replace(draw, sensitivity=sly),)), source, people)
