"""One person changes the exact cells by no more than the declared sensitivity, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

import pytest

from analyzer import emit, growth, printing
from analyzer.analyze import analyze
from analyzer.asks import EpsilonAsk
from analyzer.plan import PrivatePlan, QueryOptions
from analyzer.refusals import Refusal
from tests.analyzer.golden import indexed
from tests.guarantee import data, questions
from tests.guarantee.conftest import Place
from tests.guarantee.generator import Generator
from tests.guarantee.replay import Replay, replay
from tests.postgres import Postgres


@pytest.mark.parametrize("sql", questions.ALL)
def test_one_person_changes_no_more_than_is_declared(sql: str, wild_places: list[Place]) -> None:
    plan = analyze(sql, data.catalog())
    found = [text for source, people in wild_places for text in replay(plan, source, people)]
    assert not found


@pytest.mark.parametrize("sql", questions.ALL)
def test_the_same_holds_where_bounds_are_tight(sql: str, wild_places: list[Place]) -> None:
    options = QueryOptions(max_rows_contributed=3, max_groups_contributed=2)
    plan = analyze(sql, data.catalog(), options=options)
    found = [text for source, people in wild_places[2:3] for text in replay(plan, source, people)]
    assert not found


MULTIPLYING = [
    sql for sql in questions.ALL if "HAVING (" in analyze(sql, data.catalog()).blocks[0].exact.sql
]


@pytest.mark.parametrize("sql", MULTIPLYING)
def test_the_same_holds_where_people_of_many_rows_are_left_out(
    sql: str, wild_places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "MAX_MULTIPLIED", 3)
    monkeypatch.setattr(printing, "BYTES_OF_A_ROW", 10)
    plan = analyze(sql, data.catalog())
    assert " <= 3)" in plan.blocks[0].exact.sql
    found = [text for source, people in wild_places[:2] for text in replay(plan, source, people)]
    assert not found


INDEXED = indexed(data.catalog(), "visits", "profiles")
ORDERED = [
    sql
    for sql in questions.ALL
    if any("ORDER BY owner" in block.exact.sql for block in analyze(sql, INDEXED).blocks)
]


@pytest.mark.parametrize("sql", ORDERED)
def test_rows_in_the_order_of_an_index_give_the_same(sql: str, wild_places: list[Place]) -> None:
    ordered, plain = analyze(sql, INDEXED), analyze(sql, data.catalog())
    for source, _ in wild_places:
        assert source.exact(ordered) == source.exact(plain)


@pytest.fixture(scope="module")
def turned(postgres: Postgres) -> Iterator[list[Replay]]:
    """The same rows, stored in one order and in the other."""
    with ExitStack() as stack:
        small = data.wild(3)
        back = data.Small({name: rows[::-1] for name, rows in small.tables.items()})
        places = []
        for one in (small, back):
            uri = postgres.fresh()
            data.build(uri, one)
            places.append(stack.enter_context(Replay(uri, planned_once=False)))
        yield places


@pytest.mark.parametrize("sql", [questions.TIED, *questions.OVER_OWN_ROWS, *questions.LOOKED_UP])
def test_rows_stored_in_another_order_give_the_same(sql: str, turned: list[Replay]) -> None:
    plan = analyze(sql, data.catalog())
    assert turned[0].exact(plan) == turned[1].exact(plan)


TOGETHER = [
    sql
    for sql in questions.ALL
    if any("GROUP BY m.owner" in block.exact.sql for block in analyze(sql, data.catalog()).blocks)
]


@pytest.mark.parametrize("sql", TOGETHER)
@pytest.mark.parametrize("rows", [1, 3, 20])
def test_people_of_few_rows_count_together_as_they_would_alone(
    sql: str, rows: int, wild_places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = QueryOptions(max_rows_contributed=rows)
    together = analyze(sql, data.catalog(), options=options)
    monkeypatch.setattr(emit, "_again", lambda *_, **__: "no")
    alone = analyze(sql, data.catalog(), options=options)
    assert "GROUP BY m.owner" not in alone.blocks[0].exact.sql
    for source, _ in wild_places:
        assert source.exact(together) == source.exact(alone)


def random_plans(
    seed: int, number: int, *, plain: bool = False
) -> Iterator[tuple[str, PrivatePlan]]:
    """Questions of one seed that are answered, with random bounds and a random ask.

    Raises:
        AssertionError: fewer than half are answered, so the generator tests refusals.
    """
    generator, chance = Generator(seed, plain=plain), random.Random(seed)
    answered = 0
    for _ in range(number):
        sql = generator.question()
        options = QueryOptions(
            max_rows_contributed=chance.choice((None, 1, 2, 3, 7)),
            max_groups_contributed=chance.choice((None, 1, 2, 3)),
        )
        ask = EpsilonAsk(Fraction(chance.choice(("0.1", "1", "5"))), Fraction(1, 10**7))
        try:
            plan = analyze(sql, data.catalog(), ask=ask, options=options)
        except Refusal:
            continue
        answered += 1
        yield sql, plan
    assert answered > number / 2, f"seed {seed}: only {answered} of {number} are answered"


def _check(seed: int, number: int, places: list[Place]) -> None:
    for i, (sql, plan) in enumerate(random_plans(seed, number)):
        source, people = places[i % len(places)]
        assert not replay(plan, source, people), f"seed {seed}: {sql}"


@pytest.mark.parametrize("seed", range(4))
def test_random_questions(seed: int, wild_places: list[Place]) -> None:
    _check(seed, 45, wild_places)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_040))
def test_many_random_questions(seed: int, wild_places: list[Place]) -> None:
    _check(seed, 250, wild_places)
