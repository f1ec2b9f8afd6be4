"""What is charged covers what is done, recomputed from the events by other means."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import opendp.prelude as dp
import pytest

from accountant.events import GaussianEvent, LaplaceEvent, ThresholdEvent
from accountant.losses import DELTA_STEPS, EPSILON_STEPS, Loss, loss_of_events
from analyzer.analyze import analyze
from analyzer.asks import EpsilonAsk, ErrorAsk, RhoAsk, error_bar_of
from analyzer.plan import PrivatePlan
from analyzer.refusals import BadArgument
from mechanisms.calibration import Noise, NoiseKind
from tests.guarantee import data, questions
from tests.guarantee.test_neighbours import random_plans
from tests.mechanisms.exact import exact_law, union
from tests.released import changed

ASKS = (
    EpsilonAsk(Fraction(1), Fraction(1, 10**9)),
    EpsilonAsk(Fraction(1, 100), Fraction(1, 10**7)),
    EpsilonAsk(Fraction(5), Fraction(1, 10**6)),
)
OTHER_ASKS = (
    RhoAsk(Fraction(1, 100), Fraction(1, 10**9)),
    RhoAsk(Fraction(1, 10), Fraction(1, 10**6)),
    ErrorAsk(error_bar_of("5% of 20000 over 500 rows"), Fraction(1, 10**7)),
    ErrorAsk(error_bar_of("40"), Fraction(1, 10**6)),
)


def charge_violations(plan: PrivatePlan) -> list[str]:
    """What of a plan's charge does not cover its noise, in words; none if none."""
    found = []
    noises = [e for e in plan.events if not isinstance(e, ThresholdEvent)]
    thresholds = [e for e in plan.events if isinstance(e, ThresholdEvent)]
    if len(noises) != len(plan.draws):
        found.append(f"{len(plan.draws)} draws, {len(noises)} events")
    for draw, event in zip(plan.draws, noises, strict=False):
        if isinstance(event, LaplaceEvent):
            same = (event.scale, event.l1_sensitivity) == (draw.noise.scale, draw.sensitivity.l1)
            kind = NoiseKind.LAPLACE
        else:
            declared = (draw.noise.scale, draw.sensitivity.l2_squared)
            same = (event.sigma, event.l2_sensitivity_squared) == declared
            kind = NoiseKind.GAUSSIAN
        if not same or draw.noise.kind is not kind:
            found.append(f"{draw.label}: the event is not the draw's")
        if draw.noise.scale < Fraction(1, 2):
            found.append(f"{draw.label}: the noise is too small")
    conversion = Fraction(plan.loss.delta, DELTA_STEPS) - sum(
        (e.delta for e in thresholds), Fraction(0)
    )
    if any(isinstance(e, GaussianEvent) for e in noises) and conversion <= 0:
        found.append("no delta is left for the conversion")
    elif not plan.loss.covers(_spent(plan, conversion)):
        found.append("the events cost more than the charge")
    return found + _threshold_violations(plan, thresholds)


def _spent(plan: PrivatePlan, conversion: Fraction) -> Loss:
    spent = loss_of_events(plan.events, conversion)
    return Loss(spent.epsilon, min(spent.delta, plan.loss.delta), spent.rho, spent.slack)


def _threshold_violations(plan: PrivatePlan, thresholds: list[ThresholdEvent]) -> list[str]:
    """A key of one person counts 1, and is shown if the noise is at least the threshold less 1."""
    private = [block for block in plan.blocks if block.selection is not None]
    if len(private) != len(thresholds):
        return [f"{len(private)} sets of keys are not public, {len(thresholds)} thresholds"]
    found = []
    for block, event in zip(private, thresholds, strict=True):
        assert block.selection is not None
        assert block.threshold is not None
        draw = block.draws[block.selection]
        law = exact_law(Noise(draw.noise.kind, draw.noise.scale))
        shown = union(law.tail(block.threshold - 1), draw.sensitivity.l1)
        if Fraction(shown) > event.delta:
            found.append(f"keys are shown with probability {float(shown)} > {float(event.delta)}")
    return found


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: f"epsilon {float(ask.epsilon)}")
def test_the_charge_covers_the_noise(ask: EpsilonAsk) -> None:
    for sql in questions.ALL:
        plan = analyze(sql, data.catalog(), ask=ask)
        assert not charge_violations(plan), sql
        assert plan.loss.epsilon <= ask.epsilon * EPSILON_STEPS
        assert plan.loss.delta <= ask.delta * DELTA_STEPS


@pytest.mark.parametrize("ask", OTHER_ASKS, ids=lambda ask: type(ask).__name__)
def test_the_charge_covers_the_noise_however_it_was_asked_for(ask: RhoAsk | ErrorAsk) -> None:
    """A wished-for error is kept too, by every draw that it is about."""
    answered = 0
    for sql in questions.ALL:
        try:
            plan = analyze(sql, data.catalog(), ask=ask)
        except BadArgument:  # an error that nobody can know beforehand, or that costs too much
            continue
        answered += bool(plan.draws)
        assert not charge_violations(plan), sql
        assert plan.loss.delta <= ask.delta * DELTA_STEPS
        if isinstance(ask, RhoAsk):
            assert plan.loss.rho <= ask.rho * EPSILON_STEPS
        elif not any("average" in notice.lower() for notice in plan.notices):
            known = [d for d in plan.draws if d.label.startswith(("count", "sum"))]
            assert all(d.error_bar * d.tick <= ask.error.width for d in known), sql
    assert answered > 10


@pytest.mark.parametrize("seed", range(3))
def test_the_charge_covers_the_noise_of_random_questions(seed: int) -> None:
    for sql, plan in random_plans(seed + 200, 100):
        assert not charge_violations(plan), sql


def test_opendp_agrees() -> None:
    """OpenDP's own map of the mechanism that is invoked gives no more than the event says."""
    cells = dp.vector_domain(dp.atom_domain(T="i64"))
    kinds = set()
    for ask in ASKS:
        for sql in questions.ALL[::3]:
            for draw in analyze(sql, data.catalog(), ask=ask).draws:
                scale, sensitivity = draw.noise.scale, draw.sensitivity
                kinds.add(draw.noise.kind)
                if draw.noise.kind is NoiseKind.LAPLACE:
                    laplace = dp.m.make_laplace(cells, dp.l1_distance(T="i64"), scale=float(scale))
                    said, ours = laplace.map(sensitivity.l1), sensitivity.l1 / scale  # type: ignore[no-untyped-call]
                else:
                    gauss = dp.m.make_gaussian(cells, dp.l2_distance(T="f64"), scale=float(scale))
                    said = gauss.map(math.sqrt(sensitivity.l2_squared))  # type: ignore[no-untyped-call]
                    ours = Fraction(sensitivity.l2_squared) / (2 * scale**2)
                assert said <= float(ours) * (1 + 1e-9), (sql, draw)
    assert kinds == set(NoiseKind)


def test_a_planted_charge_is_found() -> None:
    plan = analyze("SELECT diagnosis, count(*) FROM visits GROUP BY 1", data.catalog(), ask=ASKS[1])
    assert not charge_violations(plan)
    less = replace(plan.loss, epsilon=plan.loss.epsilon - 1)
    half = replace(
        plan.draws[0], noise=replace(plan.draws[0].noise, scale=plan.draws[0].noise.scale / 2)
    )
    threshold = plan.blocks[0].threshold
    assert threshold is not None
    planted = {
        "cost more": [replace(plan, loss=replace(less, epsilon=0))],
        "not the draw's": [changed(plan, draws=(half, *plan.draws[1:]))],
        "shown with probability": [changed(plan, threshold=threshold - 20)],
        "events": [replace(plan, events=plan.events[1:])],
    }
    for said, plans in planted.items():
        for tampered in plans:
            assert any(said in text for text in charge_violations(tampered)), said
