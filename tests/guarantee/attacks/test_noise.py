"""T8 in short: the grid, independent draws, thresholds. tests/mechanisms has the statistics."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import opendp.mod
import pytest

from analyzer.analyze import analyze
from analyzer.asks import EpsilonAsk
from analyzer.plan import Block
from mechanisms import noise, thresholds
from mechanisms.calibration import NoiseKind
from server.settings import Settings
from tests.guarantee.attacks.test_attacks import CATALOG, asked, plan_of
from tests.guarantee.attacks.world import World
from tests.mechanisms.exact import ExactLaw
from tests.released import publish

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "sql,grid",
    [
        ("SELECT sum(balance) FROM visits", Fraction(1, 100)),
        ("SELECT sum(weight) FROM patients", Fraction(1, 10)),
        ("SELECT sum(cost), count(*) FROM visits", Fraction(1, 100)),
        ("SELECT sum(score) FROM visits", None),
    ],
)
def test_noisy_values_lie_on_the_grid(world: World, sql: str, grid: Fraction | None) -> None:
    for _ in range(3):
        body = world.ask(sql, epsilon="0.01").json()
        (step,) = (
            Fraction(str(one["grid"]))
            for one in body["mechanisms"]
            if one["measures"].startswith("sum")
        )
        assert grid is None or step == grid
        value = Fraction(str(body["rows"][0][0]))
        assert (value / step).denominator == 1


def test_cells_are_integers_before_and_after_noise() -> None:
    """No float is near a draw: exact cells are integers, and so are noisy ones."""
    for text in asked(answered=True):
        plan = plan_of(text)
        exact = [[_row(block)] for block in plan.blocks]
        *blocks, _ = json.loads(publish(plan, *exact))
        for groups in blocks:
            for row in groups:
                assert all(type(row[n]) is int for n in row if n.startswith("c")), text.name


def _row(block: Block) -> tuple[Any, ...]:
    several = (0, None) if len(block.parts) > 1 else ()
    cells = [10**6 for _ in block.parts[0].cells]
    return (*several, *("1" for _ in block.key_types), *cells)


def test_two_processes_draw_apart() -> None:
    """Two workers started alike, with one hash seed, and noise so wide that no draw comes twice."""
    code = (
        "from fractions import Fraction; from mechanisms.noise import add_noise;"
        "from mechanisms.calibration import Noise, NoiseKind;"
        "print(add_noise([0] * 20, Noise(NoiseKind.LAPLACE, Fraction(2 ** 50))))"
    )
    environment = {"PYTHONHASHSEED": "0", "PATH": "", "OPENDP_SEED": "1", "SEED": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, env=environment
        )
        for _ in range(2)
    ]
    drawn = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]
    assert len({value for values in drawn for value in values}) == 40


def test_there_is_no_way_to_give_a_seed() -> None:
    assert list(inspect.signature(noise.add_noise).parameters) == ["values", "noise"]
    assert not [name for name in Settings.model_fields if "seed" in name or "random" in name]


def test_equal_questions_draw_anew(world: World) -> None:
    """Also with and without Alice, and under the same request id in other hands."""
    sql, drawn = "SELECT count(*) FROM patients", []
    for clinic, who in (("D", "ada"), ("D", "ada"), ("without", "ada"), ("D", "bob")):
        with world.on(clinic):
            drawn.append(world.ask(sql, who=who, epsilon="1e-9").json()["rows"][0][0])
    assert len(set(drawn)) == 4


def test_no_noise_is_narrower_than_the_policy_allows() -> None:
    """Nor than the largest loss of a release buys: then one person's part would stand out."""
    assert CATALOG.most.epsilon is not None
    for text in asked(answered=True):
        for draw in plan_of(text).draws:
            assert draw.noise.scale >= CATALOG.min_error_scale, text.name
            if draw.noise.kind is NoiseKind.LAPLACE:
                least = draw.sensitivity.l1 / CATALOG.most.epsilon
                assert draw.noise.scale >= least, text.name


def test_every_cell_has_noise_of_its_own(world: World) -> None:
    """Over nothing every exact cell is 0 or has a fixed share of the bounds: only noise is left."""
    with world.on("D"):
        rows = world.ask(
            "SELECT kind, count(*), sum(cost) FROM visits WHERE cost < 0 GROUP BY kind",
            epsilon="1e-6",
        ).json()["rows"]
    cells = [cell for row in rows for cell in row[1:]]
    assert len(cells) == 8
    assert len(set(cells)) == 8
    ratios = {round(row[2] / row[1], 6) for row in rows}
    assert len(ratios) == 4


@pytest.mark.parametrize("epsilon", ["0.2", "1", "5"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT zip, count(*) FROM patients GROUP BY zip",
        "SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis",
        "SELECT zip, sex, count(*) FROM patients GROUP BY CUBE (zip, sex)",
    ],
)
def test_the_threshold_is_that_of_the_noise_that_is_drawn(sql: str, epsilon: str) -> None:
    """By adding up the law itself: that any of a person's own groups is shown has at most delta."""
    ask = EpsilonAsk(Fraction(epsilon), Fraction(1, 10**7))
    plan = analyze(sql, CATALOG, ask=ask)
    assert plan.blocks[0].selection is not None
    assert plan.blocks[0].threshold is not None
    draw = plan.draws[plan.blocks[0].selection]
    alone = ExactLaw(draw.noise).tail(plan.blocks[0].threshold - 1)
    groups = draw.sensitivity.l1
    assert groups * alone <= plan.loss.delta / 10**18 * (1 + 1e-6) or (
        1 - (1 - float(alone)) ** groups <= plan.loss.delta / 10**18 * (1 + 1e-6)
    )
    assert thresholds.show_key(plan.blocks[0].threshold, plan.blocks[0].threshold)
    assert not thresholds.show_key(plan.blocks[0].threshold - 1, plan.blocks[0].threshold)


def test_the_library_is_not_told_to_be_less_careful() -> None:
    assert set(opendp.mod.GLOBAL_FEATURES) == {"contrib"}
