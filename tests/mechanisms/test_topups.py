"""Stored numbers and new draws: what is paid and what is had is as if it had been drawn at once."""

from __future__ import annotations

import math
import statistics
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.events import GaussianEvent
from accountant.losses import loss_of_events
from mechanisms.calibration import Noise, NoiseKind
from mechanisms.noise import add_noise
from mechanisms.topups import as_good, combined, missing, together

MILLIONTH = Fraction(1, 10**6)
sigmas = st.floats(0.5, 1e9).map(Fraction)


def gaussian(sigma: float | Fraction) -> Noise:
    return Noise(NoiseKind.GAUSSIAN, Fraction(sigma))


def rho(noise: Noise, square: int = 1) -> Fraction:
    return Fraction(square) / (2 * noise.scale**2)


@given(sigmas, st.floats(0.01, 0.999), st.integers(1, 10**12))
def test_both_parts_cost_what_the_whole_does(stored, share, square) -> None:
    """Up to the rounding of one sigma, and of each charge."""
    old, wanted = gaussian(stored), gaussian(float(stored) * share)
    new = missing(old, wanted)
    assert new is not None
    assert rho(old) + rho(new) >= rho(wanted)
    assert rho(old) + rho(new) <= rho(wanted) * (1 + Fraction(1, 10**11))
    apart = [
        loss_of_events([GaussianEvent(noise.scale, square)], MILLIONTH).rho for noise in (old, new)
    ]
    whole = loss_of_events([GaussianEvent(wanted.scale, square)], MILLIONTH).rho
    assert whole <= sum(apart) <= whole * (1 + Fraction(1, 10**11)) + 2


@given(sigmas, st.floats(0.01, 0.999))
def test_together_they_are_as_exact_as_wanted(stored, share) -> None:
    old, wanted = gaussian(stored), gaussian(float(stored) * share)
    new = missing(old, wanted)
    assert new is not None
    assert 1 / (1 / old.scale**2 + 1 / new.scale**2) <= wanted.scale**2
    assert float(together(old, new).scale) == pytest.approx(float(wanted.scale))
    assert as_good(together(old, new), wanted)


def test_a_chain_costs_what_its_end_does() -> None:
    effective, spent = gaussian(1000), rho(gaussian(1000))
    for sigma in (700, 300, 299.5, 40, 2.5):
        new = missing(effective, gaussian(sigma))
        assert new is not None
        spent += rho(new)
        effective = together(effective, new)
    assert float(spent) == pytest.approx(float(rho(gaussian(2.5))), rel=1e-12)


@pytest.mark.parametrize(
    "stored, wanted",
    [
        (gaussian(10), gaussian(10)),
        (gaussian(9), gaussian(10)),
        (Noise(NoiseKind.LAPLACE, Fraction(20)), gaussian(10)),
        (gaussian(20), Noise(NoiseKind.LAPLACE, Fraction(10))),
        (gaussian(2.0**50 + 1), gaussian(2.0**50)),
    ],
)
def test_where_nothing_is_to_be_drawn(stored: Noise, wanted: Noise) -> None:
    assert missing(stored, wanted) is None


def test_as_good_is_by_the_error_bar() -> None:
    laplace = Noise(NoiseKind.LAPLACE, Fraction(10))
    assert as_good(laplace, laplace)
    assert as_good(gaussian(10), laplace)
    assert not as_good(laplace, gaussian(10))


def test_a_mean_is_weighted_by_the_inverse_of_variances() -> None:
    noises = (gaussian(3), gaussian(1))
    assert combined([Decimal(10), Decimal("-1.5")], [20, 0], noises) == [
        Decimal(19),
        Decimal("-0.15"),
    ]
    assert combined([Decimal(1)], [2], (gaussian(1), gaussian(math.sqrt(2)))) == [
        Decimal("1.333333")
    ]


@pytest.mark.parametrize("wanted", [4.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_what_comes_of_real_draws(wanted: float) -> None:
    """Mean and variance of 40,000 combined numbers, within five of their own deviations."""
    count, exact = 40_000, 1_000
    old, target = gaussian(5), gaussian(wanted)
    new = missing(old, target)
    assert new is not None
    stored = [Decimal(value) for value in add_noise([exact] * count, old)]
    found = [float(v) for v in combined(stored, add_noise([exact] * count, new), (old, new))]
    assert abs(statistics.fmean(found) - exact) < 5 * wanted / math.sqrt(count)
    off = statistics.pvariance(found, exact) / wanted**2 - 1
    assert abs(off) < 5 * math.sqrt(2 / count)
