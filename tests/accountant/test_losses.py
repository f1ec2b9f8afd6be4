"""Losses: exact sums, outward rounding, and conversions against brute force and OpenDP."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import Any

import opendp.prelude as dp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.events import Event, GaussianEvent, LaplaceEvent, ThresholdEvent
from accountant.losses import (
    Loss,
    as_text,
    ceil_delta,
    ceil_epsilon,
    delta_as_text,
    epsilon_as_text,
    epsilon_to_rho,
    floor_delta,
    floor_epsilon,
    loss_of_events,
    rho_to_epsilon,
)

dp.enable_features("contrib")

MILLIONTH = Fraction(1, 10**6)
rhos = st.one_of(
    st.fractions(Fraction(1, 10**12), 100, max_denominator=10**13),
    st.integers(0, 30).map(lambda e: Fraction(3, 10**e)),
)
epsilons = st.one_of(
    st.fractions(Fraction(1, 10**6), 100, max_denominator=10**13),
    st.integers(0, 12).map(lambda e: Fraction(7, 10**e)),
)
deltas = st.one_of(
    st.integers(1, 30).map(lambda e: Fraction(1, 10**e)),
    st.fractions(Fraction(1, 10**18), Fraction(9, 10), max_denominator=10**18),
)


# --- integers ------------------------------------------------------------------------------------


@given(st.fractions(0, 10**6))
def test_charges_round_up_and_caps_round_down(value: Fraction) -> None:
    for ceil, floor, steps in (
        (ceil_epsilon, floor_epsilon, 10**12),
        (ceil_delta, floor_delta, 10**18),
    ):
        assert Fraction(floor(value), steps) <= value <= Fraction(ceil(value), steps)
        assert ceil(value) - floor(value) in {0, 1}
        assert (ceil(value) == floor(value)) == ((value * steps).denominator == 1)


def test_a_tenth_is_a_tenth() -> None:
    """Eight times 0.00125 is refused by a budget of 0.01 in floats."""
    assert 8 * ceil_epsilon(Fraction("0.00125")) == floor_epsilon(Fraction("0.01"))
    assert ceil_epsilon(Fraction(1, 3)) == 333_333_333_334
    assert floor_epsilon(Fraction(1, 3)) == 333_333_333_333
    assert ceil_delta(Fraction(1, 10**30)) == 1  # a spend below the grid is not lost


def test_losses_add_up() -> None:
    assert Loss(1, 2, 3, 4) + Loss(10, 20, 30, 40) == Loss(11, 22, 33, 44)


@pytest.mark.parametrize(
    "other, covered",
    [
        ((5, 5, 5, 5), True),
        ((4, 0, 5, 1), True),
        ((6, 5, 5, 5), False),
        ((5, 6, 5, 5), False),
        ((5, 5, 6, 5), False),
        ((5, 5, 5, 6), False),
    ],
)
def test_a_loss_covers_what_is_no_greater_in_any_part(
    other: tuple[int, int, int, int], covered: bool
) -> None:
    assert Loss(5, 5, 5, 5).covers(Loss(*other)) is covered


@pytest.mark.parametrize(
    "parts",
    [
        (-1, 0, 0, 0),
        (0, -1, 0, 0),
        (0, 0, -1, 0),
        (0, 0, 0, -1),
        (1.0, 0, 0, 0),
        (0, True, 0, 0),
        (0, 0, 0, Fraction(1)),
    ],
)
def test_a_loss_is_made_of_integers_of_zero_or_more(parts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="integers"):
        Loss(*parts)


@pytest.mark.parametrize(
    "loss, text",
    [
        (Loss(250_000_000_000, 0, 1, 0), "epsilon 0.25"),
        (Loss(10**13, 10**9, 1, 0), "epsilon 10, delta 1e-9"),
        (Loss(333_333_333_334, 1, 1, 0), "epsilon 0.333333333334, delta 1e-18"),
        (Loss(0, 0, 0, 0), "epsilon 0"),
        (Loss(1, 1_500_000, 0, 0), "epsilon 0.000000000001, delta 1.5e-12"),
    ],
)
def test_a_loss_in_words(loss: Loss, text: str) -> None:
    assert as_text(loss) == text


@given(st.integers(0, 10**25))
def test_texts_are_exact(steps: int) -> None:
    assert Fraction(epsilon_as_text(steps)) == Fraction(steps, 10**12)
    assert Fraction(delta_as_text(steps)) == Fraction(steps, 10**18)


# --- conversions ---------------------------------------------------------------------------------


@lru_cache
def brute_force(rho: Fraction, delta: Fraction) -> Decimal:
    """Proposition 12 with fifty digits, minimised by a ternary search over ln(alpha - 1)."""
    with localcontext() as context:
        context.prec = 50
        r, log_delta = _decimal(rho), _decimal(delta).ln()

        def epsilon(t: Decimal) -> Decimal:
            alpha = 1 + t.exp()
            return r * alpha + (1 - 1 / alpha).ln() - (log_delta + alpha.ln()) / (alpha - 1)

        low, high = Decimal(-20), Decimal(80)
        for _ in range(90):
            third = (high - low) / 3
            if epsilon(low + third) <= epsilon(high - third):
                high -= third
            else:
                low += third
        return max(Decimal(0), epsilon(low))


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


@settings(deadline=None, max_examples=150)
@given(rhos, deltas.filter(lambda d: d <= Fraction(1, 2)))
def test_epsilon_of_rho_is_the_least_and_never_less(rho: Fraction, delta: Fraction) -> None:
    exact = brute_force(rho, delta)
    ours = _decimal_of(rho_to_epsilon(rho, delta))
    # The search is good to 1e-14 in ln(alpha - 1), and flat there: its own excess is below 1e-20.
    assert exact * (1 - Decimal("1e-20")) <= ours
    assert ours <= exact * (1 + Decimal("1e-9")) + Decimal("1e-11")


def _decimal_of(value: Fraction) -> Decimal:
    with localcontext() as context:
        context.prec = 50
        return _decimal(value)


@pytest.mark.parametrize("rho", ["0.000001", "0.001", "0.02", "0.1", "0.5", "2", "30"])
@pytest.mark.parametrize("delta", ["0.01", "0.000001", "0.000000001", "0.000000000000001"])
def test_epsilon_of_rho_agrees_with_opendp(rho: str, delta: str) -> None:
    cells = dp.vector_domain(dp.atom_domain(T="i64"))
    gaussian = dp.m.make_gaussian(cells, dp.l2_distance(T="f64"), scale=1.0)
    converted: Any = dp.c.make_zCDP_to_approxDP(gaussian)
    profile = converted.map((2 * float(rho)) ** 0.5)
    ours = float(rho_to_epsilon(Fraction(rho), Fraction(delta)))
    assert ours == pytest.approx(profile.epsilon(float(delta)), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(
    "epsilon, delta, rho",
    [
        (1, 10**-6, 0.02436),
        (3, 10**-6, 0.18507),
        (10, 10**-6, 1.53928),
        (1, 5e-7, 0.02294),
        (3, 5e-7, 0.17575),
        (10, 5e-7, 1.47844),
    ],
)
def test_rho_of_epsilon_at_known_budgets(epsilon: int, delta: float, rho: float) -> None:
    assert float(epsilon_to_rho(Fraction(epsilon), Fraction(delta))) == pytest.approx(rho, abs=6e-6)


@settings(deadline=None, max_examples=500)
@given(epsilons, deltas, st.fractions(Fraction(99, 100), 1))
def test_there_and_back_never_exceeds_epsilon(
    epsilon: Fraction, delta: Fraction, part: Fraction
) -> None:
    rho = epsilon_to_rho(epsilon, delta)
    assert rho > 0
    assert rho_to_epsilon(rho, delta) <= epsilon
    nearly = rho * (1 - (1 - part) ** 8)  # from a hair below rho to rho itself
    assert rho_to_epsilon(nearly, delta) <= epsilon
    assert rho_to_epsilon(rho * (1 + Fraction(1, 10**9)), delta) > epsilon * (
        1 - Fraction(1, 10**11)
    )


@settings(deadline=None, max_examples=200)
@given(rhos, deltas)
def test_epsilon_grows_with_rho_and_falls_with_delta(rho: Fraction, delta: Fraction) -> None:
    here = rho_to_epsilon(rho, delta)
    assert here >= 0
    assert rho_to_epsilon(rho * Fraction(101, 100), delta) >= here
    assert rho_to_epsilon(rho, delta / 2) >= here


def test_a_delta_next_to_one_is_taken_for_one_half() -> None:
    nearly_one = 1 - Fraction(1, 10**18)
    assert rho_to_epsilon(Fraction(2), nearly_one) == rho_to_epsilon(Fraction(2), Fraction(1, 2))
    assert epsilon_to_rho(Fraction(2), nearly_one) == epsilon_to_rho(Fraction(2), Fraction(1, 2))


def test_no_rho_costs_no_epsilon() -> None:
    assert rho_to_epsilon(Fraction(0), MILLIONTH) == 0


@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1), Fraction(-1, 2), Fraction(1, 10**301)])
def test_a_delta_out_of_range_has_no_conversion(delta: Fraction) -> None:
    with pytest.raises(ValueError, match="delta"):
        rho_to_epsilon(Fraction(1), delta)
    with pytest.raises(ValueError, match="delta"):
        epsilon_to_rho(Fraction(1), delta)


def test_a_negative_rho_or_no_epsilon_has_no_conversion() -> None:
    with pytest.raises(ValueError, match="rho"):
        rho_to_epsilon(Fraction(-1), MILLIONTH)
    with pytest.raises(ValueError, match="epsilon"):
        epsilon_to_rho(Fraction(0), MILLIONTH)


# --- events --------------------------------------------------------------------------------------


def test_nothing_done_costs_nothing() -> None:
    assert loss_of_events([], Fraction(0)) == Loss(0, 0, 0, 0)


def test_laplace_events_add_up_in_epsilon() -> None:
    events = [
        LaplaceEvent(Fraction(10), 1),
        LaplaceEvent(Fraction(10), 1),
        LaplaceEvent(Fraction(3), 1),
    ]
    loss = loss_of_events(events, MILLIONTH)
    assert loss.epsilon == ceil_epsilon(Fraction(1, 5) + Fraction(1, 3))
    assert loss.delta == 0  # no conversion, so its delta is not spent
    assert loss.rho == ceil_epsilon(2 * Fraction(1, 200) + Fraction(1, 18))


def test_the_sum_is_rounded_once_not_each_event() -> None:
    thirds = [LaplaceEvent(Fraction(3), 1)] * 3
    assert loss_of_events(thirds, Fraction(0)).epsilon == 10**12


def test_a_gaussian_event_makes_the_sum_one_of_rho() -> None:
    events: list[Event] = [
        GaussianEvent(Fraction(5), 4),
        GaussianEvent(Fraction(10), 1),
        LaplaceEvent(Fraction(10), 1),
    ]
    rho = Fraction(4, 50) + Fraction(1, 200) + Fraction(1, 200)
    loss = loss_of_events(events, MILLIONTH)
    assert loss.rho == ceil_epsilon(rho)
    assert loss.epsilon == ceil_epsilon(rho_to_epsilon(rho, MILLIONTH))
    assert loss.delta == 10**12


def test_thresholds_add_delta() -> None:
    small = ThresholdEvent(Fraction(1, 10**9))
    assert loss_of_events([LaplaceEvent(Fraction(1), 1), small, small], MILLIONTH) == Loss(
        10**12, 2 * 10**9, 5 * 10**11, 2 * 10**9
    )


def test_slack_is_the_part_of_the_thresholds_without_the_conversion() -> None:
    small = ThresholdEvent(Fraction(1, 10**9))
    loss = loss_of_events([GaussianEvent(Fraction(1), 1), small], MILLIONTH)
    assert (loss.delta, loss.slack) == (10**12 + 10**9, 10**9)


@pytest.mark.parametrize(
    "event",
    [
        LaplaceEvent(Fraction(0), 1),
        LaplaceEvent(Fraction(-1), 1),
        LaplaceEvent(Fraction(1), -1),
        GaussianEvent(Fraction(0), 1),
        GaussianEvent(Fraction(-1), 1),
        GaussianEvent(Fraction(1), -1),
        ThresholdEvent(Fraction(-1, 10**9)),
    ],
)
def test_a_degenerate_event_has_no_loss(event: Event) -> None:
    with pytest.raises(ValueError):
        loss_of_events([LaplaceEvent(Fraction(1), 100), event], MILLIONTH)


def test_a_gaussian_event_needs_a_delta_to_convert_at() -> None:
    with pytest.raises(ValueError, match="delta"):
        loss_of_events([GaussianEvent(Fraction(1), 1)], Fraction(0))


def test_an_unknown_event_is_not_guessed() -> None:
    with pytest.raises(AssertionError):
        loss_of_events(["an event of tomorrow"], MILLIONTH)  # type: ignore[list-item]
