"""Calibration: the whole release is (epsilon, delta)-DP, with the least error, never under-charged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import opendp.prelude as dp
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accountant.events import GaussianEvent, LaplaceEvent, ThresholdEvent
from accountant.losses import (
    DELTA_STEPS,
    EPSILON_STEPS,
    Loss,
    ceil_delta,
    ceil_epsilon,
    loss_of_events,
    rho_to_epsilon,
)
from mechanisms import splits
from mechanisms.calibration import (
    Calibration,
    CannotCalibrate,
    Cap,
    KeySelection,
    NoiseKind,
    Sensitivity,
    Terms,
    WithinEpsilon,
    calibrate,
    error_bar,
)
from mechanisms.thresholds import threshold_delta
from tests.mechanisms.exact import decimal, exact_law, hockey_stick, label

dp.enable_features("contrib")

ONE = Sensitivity(1, 1)

sensitivities = st.builds(
    lambda groups, largest: Sensitivity(groups * largest, groups * largest**2),
    st.integers(1, 200),
    st.integers(1, 10**9),
)
# Also off the ledger's grids, and not only with denominators of ten.
epsilons = st.fractions(Fraction(1, 10**4), 20, max_denominator=10**14)
deltas = st.one_of(
    st.just(Fraction(0)),
    st.integers(2, 20).map(lambda e: Fraction(1, 10**e)),
    st.fractions(Fraction(1, 10**15), Fraction(1, 100), max_denominator=10**20),
)


NO_LIMIT = Terms(Cap(Fraction(100), Fraction(1, 10)))


def spend(
    draws: Sequence[Sensitivity],
    *,
    epsilon: Fraction,
    delta: Fraction,
    keys: Sequence[KeySelection] = (),
    min_scale: Fraction = Fraction(1, 2),
) -> Calibration:
    """Calibrated for a loss in epsilon, by a data owner who allows much."""
    terms = replace(NO_LIMIT, min_scale=min_scale)
    return calibrate(draws, WithinEpsilon(epsilon), delta=delta, keys=keys, terms=terms)


@st.composite
def asks(draw: Any) -> dict[str, Any]:
    draws = draw(st.lists(sensitivities, min_size=1, max_size=6))
    delta = draw(deltas)
    selections = st.builds(KeySelection, st.integers(0, len(draws) - 1), st.integers(1, 200))
    keys = draw(st.lists(selections, max_size=3)) if delta else []
    return {"draws": draws, "epsilon": draw(epsilons), "delta": delta, "keys": keys}


def _calibrated(ask: dict[str, Any]) -> Calibration:
    try:
        return spend(**ask)
    except CannotCalibrate as error:
        assume(not str(error).startswith("Epsilon is too"))
        raise


def _conversion_delta(ask: dict[str, Any], result: Calibration) -> Fraction:
    if result.noises[0].kind is NoiseKind.LAPLACE:
        return Fraction(0)
    share: Fraction = ask["delta"] / (2 if ask["keys"] else 1)
    return share


@settings(deadline=None, max_examples=300)
@given(asks())
def test_the_events_cost_no_more_than_the_charge_and_the_charge_no_more_than_the_ask(
    ask: dict[str, Any],
) -> None:
    result = _calibrated(ask)
    spent = loss_of_events(result.events, _conversion_delta(ask, result))
    assert result.loss.covers(spent)
    assert result.loss.epsilon == ceil_epsilon(ask["epsilon"])
    assert result.loss.delta <= ceil_delta(ask["delta"])
    assert result.loss.delta == spent.delta
    assert result.loss.rho == spent.rho


@settings(deadline=None, max_examples=300)
@given(asks())
def test_events_say_what_the_noise_is(ask: dict[str, Any]) -> None:
    result = _calibrated(ask)
    pairs = list(zip(ask["draws"], result.noises, strict=True))
    for (draw, noise), event in zip(pairs, result.events, strict=False):
        assert Fraction(float(noise.scale)) == noise.scale  # exactly a float64
        if noise.kind is NoiseKind.LAPLACE:
            assert event == LaplaceEvent(noise.scale, draw.l1)
        else:
            assert event == GaussianEvent(noise.scale, draw.l2_squared)
    assert len({noise.kind for noise in result.noises}) == 1
    selected = list(zip(ask["keys"], result.thresholds, strict=True))
    for (keys, threshold), event in zip(selected, result.events[len(pairs) :], strict=True):
        assert isinstance(event, ThresholdEvent)
        noise = result.noises[keys.draw]
        share = ask["delta"] / len(selected) / (1 if noise.kind is NoiseKind.LAPLACE else 2)
        exact_enough = threshold_delta(noise, keys.max_groups, threshold)
        assert exact_enough * (1 - Fraction(1, 10**10)) <= event.delta <= share


@settings(deadline=None, max_examples=150)
@given(asks())
def test_opendp_agrees_with_the_charge(ask: dict[str, Any]) -> None:
    """The privacy map of the very measurements that are sampled from, as floats rounded up."""
    result = _calibrated(ask)
    cells = dp.vector_domain(dp.atom_domain(T="i64"))
    spent = 0.0
    for draw, noise in zip(ask["draws"], result.noises, strict=True):
        scale = float(noise.scale)
        if noise.kind is NoiseKind.LAPLACE:
            laplace: Any = dp.m.make_laplace(cells, dp.l1_distance(T="i64"), scale=scale)
            spent += laplace.map(draw.l1)
        else:
            gaussian: Any = dp.m.make_gaussian(cells, dp.l2_distance(T="f64"), scale=scale)
            spent += gaussian.map(math.nextafter(math.sqrt(draw.l2_squared), math.inf))
    pure = result.noises[0].kind is NoiseKind.LAPLACE
    charged = (result.loss.epsilon if pure else result.loss.rho) / EPSILON_STEPS
    assert spent <= charged * (1 + 1e-13)


@settings(deadline=None, max_examples=200)
@given(asks(), st.booleans())
def test_doubling_epsilon_never_gives_larger_error(ask: dict[str, Any], one_draw: bool) -> None:
    ask["keys"] = []
    if one_draw:  # then the error is one number; else it is the mean that is compared
        ask["draws"] = ask["draws"][:1]
    once = _calibrated(ask)
    twice = _calibrated({**ask, "epsilon": 2 * ask["epsilon"]})
    if one_draw:
        assert error_bar(twice.noises[0]) <= error_bar(once.noises[0])
    assert _mean_log(twice) <= _mean_log(once)


def _mean_log(result: Calibration) -> float:
    bars = [math.log(error_bar(noise) + 0.5) for noise in result.noises]
    return math.fsum(bars) / len(bars)


@pytest.mark.parametrize("epsilon", ["0.05", "0.3", "1", "1.9"])
@pytest.mark.parametrize("delta", ["0", "0.000001", "0.01"])
@pytest.mark.parametrize("sensitivity", [ONE, Sensitivity(12, 12)], ids=label)
def test_the_law_itself_is_within_epsilon_and_delta(
    epsilon: str, delta: str, sensitivity: Sensitivity
) -> None:
    """The divergence between one cell's outputs for neighbours, added up to sixty digits.

    The sensitivity of 12 is 12 cells that each move by one; one of them alone must cost less.
    """
    result = spend([sensitivity], epsilon=Fraction(epsilon), delta=Fraction(delta))
    law = exact_law(result.noises[0])
    reach = range(-law.reach() + 1, law.reach())
    here, moved = [law.pmf(z) for z in reach], [law.pmf(z - 1) for z in reach]
    lost = hockey_stick(here, moved, Fraction(epsilon))
    assert lost <= decimal(Fraction(delta)) + Decimal("1e-50")
    if result.noises[0].kind is NoiseKind.LAPLACE and sensitivity == ONE:
        assert hockey_stick(here, moved, Fraction(epsilon) * Fraction(99, 100)) > Decimal("1e-5")


@pytest.mark.parametrize("kind_of_ask", [(1, 1), (30, 30)], ids=["Laplace", "Gaussian"])
def test_a_count_with_a_threshold_is_within_epsilon_and_delta(kind_of_ask: tuple[int, int]) -> None:
    """One key, counts of 0 to 3 units, the noisy count shown from the threshold on, else nothing."""
    epsilon, delta, groups = Fraction(1), Fraction(1, 10**4), kind_of_ask[0]
    result = spend(
        [Sensitivity(*kind_of_ask)], epsilon=epsilon, delta=delta, keys=[KeySelection(0, groups)]
    )
    assert result.noises[0].kind is (NoiseKind.LAPLACE if groups == 1 else NoiseKind.GAUSSIAN)
    law, (threshold,) = exact_law(result.noises[0]), result.thresholds

    def outputs(units: int) -> list[Decimal]:
        if units == 0:  # the key does not exist, so nothing is drawn and nothing shown
            return [Decimal(1)] + [Decimal(0)] * (law.reach() - 10)
        shown = [law.pmf(threshold + i - units) for i in range(law.reach() - 10)]
        return [1 - law.tail(threshold - units), *shown]

    for units in range(3):
        for p, q in ((outputs(units), outputs(units + 1)), (outputs(units + 1), outputs(units))):
            size = min(len(p), len(q))
            assert hockey_stick(p[:size], q[:size], epsilon) <= decimal(delta)
    assert outputs(1)[0] > 1 - decimal(delta)


def test_laplace_for_one_count_is_as_everyone_expects() -> None:
    result = spend([ONE], epsilon=Fraction(1, 10), delta=Fraction(0))
    assert result.noises[0].scale == 10
    assert result.loss == Loss(10**11, 0, 5 * 10**9, 0)


def test_draws_share_epsilon_evenly() -> None:
    result = spend([ONE, Sensitivity(7, 49)], epsilon=Fraction(1), delta=Fraction(0))
    assert [noise.scale for noise in result.noises] == [2, 14]
    assert result.loss == Loss(10**12, 0, 10**12 // 4, 0)


def test_many_groups_prefer_gaussian_and_few_laplace() -> None:
    few, many = (
        spend([Sensitivity(n, n)], epsilon=Fraction(1, 10), delta=Fraction(1, 10**8))
        for n in (2, 60)
    )
    assert few.noises[0].kind is NoiseKind.LAPLACE
    assert few.loss.delta == 0
    assert many.noises[0].kind is NoiseKind.GAUSSIAN
    assert many.loss.delta == DELTA_STEPS // 10**8
    assert error_bar(many.noises[0]) < error_bar(
        spend([Sensitivity(60, 60)], epsilon=Fraction(1, 10), delta=Fraction(0)).noises[0]
    )


def test_gaussian_uses_the_whole_of_epsilon() -> None:
    delta = Fraction(1, 10**8)
    result = spend([Sensitivity(60, 60)] * 3, epsilon=Fraction(1), delta=delta)
    spent = loss_of_events(result.events, delta)
    assert spent.epsilon >= 10**12 - 10
    assert result.loss.epsilon == 10**12


def test_a_threshold_under_laplace_gets_all_of_delta_and_under_gaussian_half() -> None:
    delta, epsilon = Fraction(1, 10**6), Fraction(1)
    laplace = spend([ONE], epsilon=epsilon, delta=delta, keys=[KeySelection(0, 1)])
    gaussian = spend(
        [Sensitivity(60, 60)], epsilon=epsilon, delta=delta, keys=[KeySelection(0, 60)]
    )
    assert delta / 3 < Fraction(laplace.loss.delta, DELTA_STEPS) <= delta  # a step is a factor of e
    [_, event] = gaussian.events
    assert isinstance(event, ThresholdEvent)
    assert delta / 4 < event.delta <= delta / 2
    assert Fraction(gaussian.loss.delta, DELTA_STEPS) == event.delta + delta / 2
    assert gaussian.loss.rho == ceil_epsilon(Fraction(60) / (2 * gaussian.noises[0].scale ** 2))
    assert rho_to_epsilon(Fraction(gaussian.loss.rho, EPSILON_STEPS), delta / 2) < Fraction(
        1000001, 10**6
    )


def test_a_lower_threshold_is_worth_a_wider_error_bar() -> None:
    """Nine groups: Laplace's bar is 27 and its threshold 180, Gaussian's 32 and 103."""
    ask: dict[str, Any] = {"epsilon": Fraction(1), "delta": Fraction(1, 10**8)}
    public = spend([Sensitivity(9, 9)], **ask)
    private = spend([Sensitivity(9, 9)], **ask, keys=[KeySelection(0, 9)])
    assert public.noises[0].kind is NoiseKind.LAPLACE
    assert private.noises[0].kind is NoiseKind.GAUSSIAN
    assert error_bar(private.noises[0]) > error_bar(public.noises[0])


@given(st.fractions(Fraction(1, 10**20), 2**60))
def test_scales_are_rounded_up_to_the_next_float64(value: Fraction) -> None:
    scale = splits.float_at_least(value)
    assert Fraction(math.nextafter(float(scale), 0.0)) < value <= scale == Fraction(float(scale))
    root = splits.root_at_least(value)
    below = Fraction(float(root) - 3 * math.ulp(float(root)))
    assert below**2 < value <= root**2
    assert root == Fraction(float(root))


def test_an_odd_epsilon_is_charged_rounded_up() -> None:
    result = spend([ONE], epsilon=Fraction(1, 3), delta=Fraction(0))
    assert result.loss.epsilon == 333_333_333_334
    assert result.noises[0].scale == 3
    tenth = spend([ONE], epsilon=Fraction(3, 10), delta=Fraction(0)).noises[0].scale
    assert Fraction(10, 3) <= tenth <= Fraction(math.nextafter(float(tenth), math.inf))
    assert tenth > Fraction(10, 3)  # 10/3 is no float64: up, never down


@pytest.mark.parametrize(
    "ask, words",
    [
        ({"epsilon": Fraction(0)}, "greater than zero"),
        ({"epsilon": Fraction(-1)}, "greater than zero"),
        ({"delta": Fraction(-1, 10)}, "Delta"),
        ({"delta": Fraction(51, 100)}, "Delta"),
        ({"keys": [KeySelection(0, 1)]}, "group keys are not public"),
        ({"keys": [KeySelection(0, 1)], "delta": Fraction(1, 10**31)}, "Delta is too small"),
        ({"epsilon": Fraction(3)}, "Epsilon is too large"),
        ({"epsilon": Fraction(1, 10**16)}, "Epsilon is too small"),
        ({"epsilon": Fraction(1, 10**400)}, "Epsilon is too small"),
        ({"draws": [Sensitivity(2**60, 2**120)]}, "Epsilon is too small"),
        (
            {"draws": [Sensitivity(2**60, 2**120)], "delta": Fraction(1, 10**6)},
            "Epsilon is too small",
        ),
    ],
)
def test_an_ask_that_cannot_be_met_is_said_in_words(ask: dict[str, Any], words: str) -> None:
    whole: dict[str, Any] = {"draws": [ONE], "epsilon": Fraction(1), "delta": Fraction(0), **ask}
    with pytest.raises(CannotCalibrate, match=words):
        spend(**whole)


def test_the_smallest_scale_is_the_caller_s_to_choose() -> None:
    ask: dict[str, Any] = {"draws": [ONE], "epsilon": Fraction(3), "delta": Fraction(0)}
    assert spend(**ask, min_scale=Fraction(1, 4)).noises[0].scale < Fraction(1, 2)
    with pytest.raises(CannotCalibrate):
        spend(**{**ask, "epsilon": Fraction(1)}, min_scale=Fraction(2))


@pytest.mark.parametrize(
    "malformed",
    [
        {"draws": []},
        {"draws": [Sensitivity(0, 0)]},
        {"draws": [ONE, Sensitivity(0, 1)]},
        {"draws": [ONE, Sensitivity(1, 0)]},
        {"keys": [KeySelection(1, 1)], "delta": Fraction(1, 10)},
        {"keys": [KeySelection(-1, 1)], "delta": Fraction(1, 10)},
        {"keys": [KeySelection(0, 0)], "delta": Fraction(1, 10)},
    ],
)
def test_a_malformed_call_is_a_bug_and_not_the_analyst_s_fault(malformed: dict[str, Any]) -> None:
    whole: dict[str, Any] = {
        "draws": [ONE],
        "epsilon": Fraction(1),
        "delta": Fraction(0),
        **malformed,
    }
    with pytest.raises(ValueError) as caught:
        spend(**whole)
    assert not isinstance(caught.value, CannotCalibrate)


def test_a_charge_below_the_events_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The after-check, seen with a scale that was rounded the wrong way."""
    monkeypatch.setattr(
        splits, "float_at_least", lambda value: Fraction(math.nextafter(float(value), 0.0))
    )
    with pytest.raises(AssertionError, match="cost more than the charge"):
        spend([ONE], epsilon=Fraction(1), delta=Fraction(0))
