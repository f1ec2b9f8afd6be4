"""The whole road, with recorded values in place of noise: what leaves has the same shape.

On two neighbours the noise is drawn as often, from the same laws, for as many cells; with equal
noisy cells the answers are equal; and what computes them reads no table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from analyzer.analyze import analyze
from analyzer.plan import PrivatePlan
from mechanisms.calibration import Noise
from server import releases
from tests.guarantee import data, questions
from tests.guarantee.conftest import Place
from tests.guarantee.replay import Replay, Row
from tests.guarantee.test_neighbours import random_plans
from tests.postgres import Postgres
from tests.released import publish


@dataclass(slots=True)
class Recorder:
    """Stands in for ``add_noise``: keeps what it is asked for, gives the values back unchanged."""

    draws: list[tuple[Noise, int]] = field(default_factory=list)
    make: Callable[[int], int] = lambda value: value

    def __call__(self, values: Sequence[int], noise: Noise) -> list[int]:
        self.draws.append((noise, len(values)))
        return [self.make(value) for value in values]


@pytest.fixture(scope="module")
def bare(postgres: Postgres) -> Replay:
    """A database without any table."""
    return Replay(postgres.fresh())


def recorded(
    plan: PrivatePlan, rows: Sequence[Sequence[Row]], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[tuple[Noise, int]], str]:
    """The draws that publishing makes, and what it publishes where noise is nothing."""
    recorder = Recorder()
    monkeypatch.setattr(releases, "add_noise", recorder)
    text = publish(plan, *rows)
    return recorder.draws, text


def laws(draws: Sequence[tuple[Noise, int]]) -> Counter[Noise]:
    """How often each law is drawn from. Draws beside the first part of a block come after it."""
    return Counter(noise for noise, _ in draws)


@pytest.mark.parametrize("sql", questions.ALL)
def test_draws_are_those_of_the_plan(
    sql: str, wild_places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = analyze(sql, data.catalog())
    source, people = wild_places[2]
    whole, _ = recorded(plan, source.exact(plan), monkeypatch)
    assert laws(whole) == Counter(draw.noise for draw in plan.draws)
    for person in people[:4]:
        with source.without(person):
            fewer, _ = recorded(plan, source.exact(plan), monkeypatch)
        if all(block.public_keys for block in plan.blocks):
            assert fewer == whole
        else:  # how many groups there are is seen by nobody: what is shown is decided by noise
            assert laws(fewer) == laws(whole)


@pytest.mark.parametrize("sql", questions.ALL)
def test_answers_have_one_shape_and_come_from_noisy_cells_alone(
    sql: str, wild_places: list[Place], bare: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = analyze(sql, data.catalog())
    source, people = wild_places[0]
    shapes, texts = set(), set()
    for person in people[:4]:
        with source.without(person):
            rows = source.exact(plan)
        # The same noisy cells on every neighbour: as if the noise had come out so.
        monkeypatch.setattr(releases, "add_noise", Recorder(make=lambda _: 12_345))
        noisy = publish(plan, *rows)
        answer = releases.answer(plan, bare.run(plan.finish, noisy))
        texts.add(repr(answer.rows) + repr(answer.error_bars))
        shapes.add(len(answer.rows))
        assert all(len(row) == len(plan.columns) for row in answer.rows)
    if all(block.public_keys for block in plan.blocks):
        assert len(texts) == len(shapes) == 1


@pytest.mark.parametrize("seed", range(3))
def test_answers_to_random_questions(
    seed: int, wild_places: list[Place], bare: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = wild_places[seed]
    for sql, plan in random_plans(seed + 100, 40):
        draws, noisy = recorded(plan, source.exact(plan), monkeypatch)
        assert laws(draws) == Counter(draw.noise for draw in plan.draws), sql
        answer = releases.answer(plan, bare.run(plan.finish, noisy))
        assert all(len(row) == len(plan.columns) for row in answer.rows), sql


def test_a_plan_is_a_function_of_its_arguments() -> None:
    for sql in questions.ALL:
        assert analyze(sql, data.catalog()) == analyze(sql, data.catalog())


def test_a_key_is_shown_from_the_threshold_on(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = analyze("SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis", data.catalog())
    assert plan.blocks[0].selection is not None
    assert plan.blocks[0].threshold is not None
    (people,) = plan.draws[plan.blocks[0].selection].cells
    cells = sum(len(draw.cells) for draw in plan.draws)

    def row(key: str, count: int) -> Row:
        return (key, *(count if cell == people else 10**6 for cell in range(cells)))

    rows = [row("few", plan.blocks[0].threshold - 1), row("enough", plan.blocks[0].threshold)]
    _, text = recorded(plan, [rows], monkeypatch)
    assert "enough" in text
    assert "few" not in text
