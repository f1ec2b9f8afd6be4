"""How a loss is split: never worse than evenly, and exactly as much as was given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.losses import loss_of_events
from mechanisms import calibration
from mechanisms.calibration import (
    Cap,
    KeySelection,
    Noise,
    NoiseKind,
    Sensitivity,
    Terms,
    WithinBars,
    WithinEpsilon,
    WithinRho,
    calibrate,
    error_bar,
)
from mechanisms.calibration import event_of as event
from mechanisms.splits import noises_for

ONE = Sensitivity(1, 1)
KINDS = list(NoiseKind)
GOALS = [WithinEpsilon(Fraction(1, 3)), WithinRho(Fraction(1, 100))]
MILLIONTH = Fraction(1, 10**6)

weighted = st.lists(
    st.tuples(
        st.integers(1, 10**6).map(lambda n: Sensitivity(n, n * n)),
        st.fractions(Fraction(1, 3), 5, max_denominator=6),
    ),
    min_size=1,
    max_size=6,
)


def objective(noises: Sequence[Noise], weights: Sequence[Fraction]) -> float:
    pairs = zip(noises, weights, strict=True)
    return math.fsum(float(weight) * math.log(noise.scale) for noise, weight in pairs)


@given(weighted, st.sampled_from(KINDS), st.sampled_from(GOALS), st.data())
def test_no_split_is_better_by_its_own_objective(pairs, kind, goal, data) -> None:
    """Neither the even one, nor any other."""
    draws, weights = [d for d, _ in pairs], [w for _, w in pairs]
    best = noises_for(goal, kind, draws, weights, MILLIONTH)
    even = noises_for(goal, kind, draws, [Fraction(1)] * len(draws), MILLIONTH)
    others = data.draw(st.lists(st.integers(1, 100), min_size=len(draws), max_size=len(draws)))
    other = noises_for(goal, kind, draws, [Fraction(n) for n in others], MILLIONTH)
    assert best is not None
    assert even is not None
    assert other is not None
    assert objective(best, weights) <= objective(even, weights) + 1e-9
    assert objective(best, weights) <= objective(other, weights) + 1e-9


@given(weighted, st.sampled_from(KINDS), st.sampled_from(GOALS))
def test_every_split_costs_the_same(pairs, kind, goal) -> None:
    draws, weights = [d for d, _ in pairs], [w for _, w in pairs]
    noises = noises_for(goal, kind, draws, weights, MILLIONTH)
    assert noises is not None
    events = [event(draw, noise) for draw, noise in zip(draws, noises, strict=True)]
    spent = loss_of_events(events, MILLIONTH)
    if isinstance(goal, WithinRho):
        asked, used = goal.rho, Fraction(spent.rho, 10**12)
    else:
        asked, used = goal.epsilon, Fraction(spent.epsilon, 10**12)
    assert asked * (1 - Fraction(1, 10**8)) <= used <= asked + Fraction(1, 10**12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_that_is_worth_twice_gets_twice(kind: NoiseKind) -> None:
    noises = noises_for(
        WithinRho(Fraction(3, 100)), kind, [ONE, ONE], [Fraction(2), Fraction(1)], MILLIONTH
    )
    assert noises is not None
    assert float(noises[1].scale / noises[0].scale) == pytest.approx(math.sqrt(2))
    epsilon = WithinEpsilon(Fraction(3))
    laplace = noises_for(
        epsilon, NoiseKind.LAPLACE, [ONE, ONE], [Fraction(2), Fraction(1)], MILLIONTH
    )
    assert laplace == (
        Noise(NoiseKind.LAPLACE, Fraction(1, 2)),
        Noise(NoiseKind.LAPLACE, Fraction(1)),
    )


def test_gaussian_noise_has_no_epsilon_without_a_delta() -> None:
    goal = WithinEpsilon(Fraction(1))
    assert noises_for(goal, NoiseKind.GAUSSIAN, [ONE], [Fraction(1)], Fraction(0)) is None


@settings(deadline=None)
@given(weighted, st.sampled_from(KINDS), st.lists(st.integers(3, 10**7), min_size=6, max_size=6))
def test_each_bar_is_kept_and_no_wider_noise_would_keep_it(pairs, kind, bars) -> None:
    draws, weights = [d for d, _ in pairs], [w for _, w in pairs]
    wanted = tuple(bars[: len(draws)])
    noises = noises_for(WithinBars(wanted), kind, draws, weights, MILLIONTH)
    assert noises is not None
    for noise, bar in zip(noises, wanted, strict=True):
        assert error_bar(noise) <= bar
        wider = Noise(kind, Fraction(float(noise.scale) * (1 + 2e-5)))
        # A step more for a large sigma, where the tail is an upper bound.
        assert error_bar(wider) > bar - (noise.scale >= 32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_without_a_bar_gets_its_part_beside_the_others(kind: NoiseKind) -> None:
    weights = [Fraction(1), Fraction(1, 2)]
    first, second = noises_for(WithinBars((60, None)), kind, [ONE, ONE], weights, MILLIONTH) or ()
    assert error_bar(first) == 60
    apart = 2 if kind is NoiseKind.LAPLACE else math.sqrt(2)
    assert float(second.scale / first.scale) == pytest.approx(apart)


def test_the_least_loss_for_an_error_is_not_split_evenly() -> None:
    """A sum of large values needs most of the loss, if both errors are to be kept."""
    draws = [ONE, Sensitivity(100, 10_000)]
    terms = Terms(Cap(Fraction(3), Fraction(0)))
    found = calibrate(draws, WithinBars((300, 300)), delta=Fraction(0), terms=terms)
    even = calibrate(
        draws, WithinEpsilon(Fraction(found.loss.epsilon, 10**12)), delta=Fraction(0), terms=terms
    )
    assert [error_bar(noise) for noise in found.noises] == [300, 300]
    assert error_bar(even.noises[1]) > 590


def searched(draws: Sequence[Sensitivity], weights: Sequence[Fraction], kind: NoiseKind) -> float:
    """The least objective that a search finds: shares move from one draw to another while it helps,
    by smaller and smaller steps."""
    shares, step = [Fraction(1)] * len(draws), Fraction(1, 2)

    def at(parts: Sequence[Fraction]) -> float:
        noises = noises_for(WithinRho(Fraction(1, 100)), kind, draws, parts, MILLIONTH)
        assert noises is not None
        return objective(noises, weights)

    best = at(shares)
    while step > Fraction(1, 500):
        moves = [
            [p * (1 + step) if k == i else p for k, p in enumerate(shares)]
            for i in range(len(draws))
        ]
        moves += [
            [p / (1 + step) if k == i else p for k, p in enumerate(shares)]
            for i in range(len(draws))
        ]
        found = min(moves, key=at)
        if at(found) < best - 1e-12:
            shares, best = [p.limit_denominator(10**6) for p in found], at(found)
        else:
            step /= 2
    return best


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "weights", [("1", "1"), ("2", "1/3"), ("1", "1/2", "1/2", "3")], ids=" ".join
)
def test_a_search_finds_no_better_split(kind: NoiseKind, weights: Sequence[str]) -> None:
    """Of a count, a mean over other bounds, and sums that are a million times as sensitive."""
    draws = [Sensitivity(n, n * n) for n in (1, 240, 10**6, 20)][: len(weights)]
    wanted = [Fraction(weight) for weight in weights]
    noises = noises_for(WithinRho(Fraction(1, 100)), kind, draws, wanted, MILLIONTH)
    assert noises is not None
    assert searched(draws, wanted, kind) >= objective(noises, wanted) - 1e-4
    even = noises_for(
        WithinRho(Fraction(1, 100)), kind, draws, [Fraction(1)] * len(draws), MILLIONTH
    )
    assert even is not None
    assert objective(even, wanted) > objective(noises, wanted) + 0.1 or len(set(weights)) == 1


@pytest.mark.parametrize("aggregates", [1, 3, 5])
def test_with_a_threshold_no_other_weight_of_it_is_much_better(aggregates, monkeypatch) -> None:
    """Its height is nearly in proportion to its noise, so the closed form is nearly the best."""
    draws = [*[Sensitivity(20, 400)] * aggregates, Sensitivity(5, 5)]
    weights = [*[Fraction(1)] * aggregates, Fraction(0)]
    terms, keys = Terms(Cap(Fraction(3), MILLIONTH)), [KeySelection(aggregates, 5)]

    def error(weight: Fraction) -> float:
        with monkeypatch.context() as patched:
            patched.setattr(calibration, "KEY_WEIGHT", weight)
            found = calibrate(
                draws,
                WithinEpsilon(Fraction(1)),
                delta=Fraction(1, 10**9),
                terms=terms,
                weights=weights,
                keys=keys,
            )
        return calibration._error(found, weights)

    others = [error(Fraction(n, 8)) for n in range(2, 24)]
    assert error(calibration.KEY_WEIGHT) <= min(others) + 0.02
    assert error(Fraction(1, 4)) > min(others) + 0.1
