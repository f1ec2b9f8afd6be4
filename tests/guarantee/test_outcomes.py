"""Whatever the data holds, a question that is accepted is answered.

Through the engine, the noise and the finish as they are. An error that only some data cause would be
an answer without noise.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest

from analyzer.analyze import analyze
from analyzer.refusals import UnknownColumn, UnknownTable
from server.engines.postgres import PostgresEngine
from server.releases import Answer, answer
from tests import fixture
from tests.guarantee import data, questions
from tests.guarantee.test_neighbours import random_plans
from tests.postgres import Postgres
from tests.released import exact_rows, publish

PLACES = (
    "poisoned",
    "empty",
    "wild",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("clinic", "with whale", "emptied")),
)


def _build(uri: str, name: str) -> None:
    clinic = fixture.clinic(patients=60, visits=200, items=80)
    match name:
        case "clinic":
            fixture.load(uri, clinic)
        case "poisoned":
            fixture.load(uri, fixture.with_poison(clinic))
        case "with whale":
            fixture.load(uri, fixture.with_whale(clinic, visits=300, items=150))
        case "empty":
            fixture.load(uri, fixture.EMPTY)
        case "wild":
            data.build(uri, data.wild(77, people=40))
        case "emptied":
            data.build(uri, data.Small({name: [] for name in data.PROTECTED}), public=False)


@pytest.fixture(params=PLACES)
async def place(
    request: pytest.FixtureRequest, postgres: Postgres
) -> AsyncIterator[tuple[str, PostgresEngine]]:
    """A database by name, behind the engine that a server has."""
    uri = postgres.template(f"guarantee {request.param}", lambda uri: _build(uri, request.param))
    engine = await PostgresEngine(uri).open()
    yield request.param, engine
    await engine.close()


async def _ask(sql: str, engine: PostgresEngine) -> Answer:
    plan = analyze(sql, data.catalog())
    noisy = publish(plan, *await exact_rows(engine, plan))
    return answer(plan, await engine.finish(plan.finish, noisy))


def _is_there(sql: str) -> bool:
    """Whether the question reads the clinic of ``tests.fixture`` alone."""
    try:
        analyze(sql, fixture.catalog())
    except (UnknownTable, UnknownColumn):
        return False
    return True


async def test_every_question_is_answered(place: tuple[str, PostgresEngine]) -> None:
    name, engine = place
    whole = name in ("wild", "emptied")
    asked = [sql for sql in questions.ALL if whole or _is_there(sql)]
    assert len(asked) > 100
    for sql in asked:
        found = await _ask(sql, engine)
        for row in found.rows:
            for column, cell in zip(found.columns, row, strict=True):
                if column.noisy and isinstance(cell, float):
                    assert math.isfinite(cell), f"{sql}: {row}"


@pytest.mark.parametrize("place", ["wild", "emptied"], indirect=True)
async def test_random_questions_are_answered(place: tuple[str, PostgresEngine]) -> None:
    _, engine = place
    for sql, plan in random_plans(seed=900, number=50):
        try:
            noisy = publish(plan, *await exact_rows(engine, plan))
            answer(plan, await engine.finish(plan.finish, noisy))
        except Exception as error:
            raise AssertionError(sql) from error


async def test_totals_over_nothing_are_noisy_zeros(postgres: Postgres) -> None:
    uri = postgres.template("guarantee empty", lambda uri: _build(uri, "empty"))
    engine = await PostgresEngine(uri).open()
    try:
        counts = [(await _ask("SELECT count(*) FROM patients", engine)).rows for _ in range(40)]
    finally:
        await engine.close()
    assert all(len(rows) == 1 for rows in counts)
    # All forty draws are zero with a chance of (1 - e^-1)/(1 + e^-1) to the fortieth: 4e-14.
    assert len({rows[0][0] for rows in counts}) > 1
