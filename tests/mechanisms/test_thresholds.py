"""Thresholds: delta against the summed discrete law, at equality, and against the sampler."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.calibration import Noise, NoiseKind
from mechanisms.noise import add_noise
from mechanisms.thresholds import show_key, threshold_delta, threshold_for
from tests.mechanisms.exact import exact_law, gaussian, label, laplace, union

SUMMED = [
    laplace(0.5),
    laplace(1.0),
    laplace(10.0),
    laplace(123.4),
    gaussian(0.7),
    gaussian(1.0),
    gaussian(6.25),
]
BOUNDED = [gaussian(45.9), gaussian(400.0)]
DELTAS = [
    Fraction(1, 2),
    Fraction(1, 100),
    Fraction(1, 10**6),
    Fraction(1, 10**10),
    Fraction(1, 10**18),
]


def _exact_delta(noise: Noise, max_groups: int, threshold: int) -> Decimal:
    """A key of one unit is shown where 1 + Z is the threshold *or more*."""
    return union(exact_law(noise).tail(threshold - 1), max_groups)


@pytest.mark.parametrize("noise", SUMMED + BOUNDED, ids=label)
@pytest.mark.parametrize("max_groups", [1, 2, 7, 1000])
@pytest.mark.parametrize("delta", DELTAS, ids=label)
def test_threshold_is_the_smallest_that_keeps_delta(
    noise: Noise, max_groups: int, delta: Fraction
) -> None:
    threshold = threshold_for(noise, max_groups, delta)
    limit = Decimal(delta.numerator) / delta.denominator
    assert _exact_delta(noise, max_groups, threshold) <= limit
    slack = 1 if noise in BOUNDED else 0
    assert threshold == 2 or _exact_delta(noise, max_groups, threshold - 1 - slack) > limit
    assert threshold_delta(noise, max_groups, threshold) <= delta


@pytest.mark.parametrize("noise", SUMMED, ids=label)
@pytest.mark.parametrize("max_groups", [1, 3, 50])
def test_delta_is_never_under_reported_and_hardly_over(noise: Noise, max_groups: int) -> None:
    for threshold in (2, 3, 4, 5, 8, 13, 40):
        exact = _exact_delta(noise, max_groups, threshold)
        claimed = Decimal(float(threshold_delta(noise, max_groups, threshold)))
        assert exact <= claimed <= max(exact * Decimal("1.00000000002"), Decimal("1e-130"))


@pytest.mark.parametrize(
    "noise, threshold, exact",
    [(laplace(1.0), 5, 0.01339), (laplace(0.5), 5, 0.000295), (gaussian(1.0), 4, 0.00457)],
)
def test_equality_counts_as_shown(noise: Noise, threshold: int, exact: float) -> None:
    """opendp issue 2922: the library keeps a key at equality, and reports the tail above it."""
    claimed = float(threshold_delta(noise, 1, threshold))
    assert claimed == pytest.approx(exact, rel=2e-3)
    without_equality = float(exact_law(noise).tail(threshold))
    assert claimed > 2.5 * without_equality


@pytest.mark.parametrize("noise, threshold", [(laplace(1.0), 4), (gaussian(1.0), 3)])
def test_keys_of_one_unit_are_shown_as_often_as_delta_says(noise: Noise, threshold: int) -> None:
    keys = 60_000
    shown = sum(show_key(noisy, threshold) for noisy in add_noise([1] * keys, noise))
    expected = keys * float(threshold_delta(noise, 1, threshold))
    assert abs(shown - expected) < 6 * math.sqrt(
        expected
    )  # a false alarm in 1e8; the next T is 20 away


def test_a_key_is_shown_from_the_threshold_on() -> None:
    assert [show_key(noisy, 12) for noisy in (-5, 0, 11, 12, 13)] == [
        False,
        False,
        False,
        True,
        True,
    ]


@settings(deadline=None, max_examples=200)
@given(
    kind=st.sampled_from(list(NoiseKind)),
    scale=st.floats(0.5, 2.0**53),
    max_groups=st.integers(1, 10**6),
    exponent=st.floats(0.5, 29.0),
)
def test_threshold_at_any_scale(
    kind: NoiseKind, scale: float, max_groups: int, exponent: float
) -> None:
    noise, delta = Noise(kind, Fraction(scale)), Fraction(10.0**-exponent)
    threshold = threshold_for(noise, max_groups, delta)
    assert threshold_delta(noise, max_groups, threshold) <= delta
    assert threshold == 2 or threshold_delta(noise, max_groups, threshold - 1) > delta * (
        1 - Fraction(1, 10**10)
    )
    assert threshold_for(noise, max_groups + 1, delta) >= threshold
    assert threshold_for(noise, max_groups, delta / 2) >= threshold
    assert threshold < 2**60


@pytest.mark.parametrize("max_groups", [0, -1])
def test_no_groups_is_a_bug(max_groups: int) -> None:
    with pytest.raises(ValueError, match="group"):
        threshold_for(laplace(1.0), max_groups, Fraction(1, 10))
    with pytest.raises(ValueError, match="group"):
        threshold_delta(laplace(1.0), max_groups, 5)


@pytest.mark.parametrize(
    "delta", [Fraction(0), Fraction(-1, 10), Fraction(3, 5), Fraction(1, 10**101)]
)
def test_a_delta_out_of_range_is_a_bug(delta: Fraction) -> None:
    with pytest.raises(ValueError, match="delta"):
        threshold_for(laplace(1.0), 1, delta)


def test_a_threshold_that_one_unit_reaches_without_noise_is_a_bug() -> None:
    with pytest.raises(ValueError, match="threshold"):
        threshold_delta(laplace(1.0), 1, 1)
