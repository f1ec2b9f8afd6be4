"""Tails and error bars against the laws added up to sixty digits."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from mechanisms.distributions import Noise, distance_of_tail, error_bar, tail
from tests.mechanisms.exact import exact_law, gaussian, label, laplace

EXACT = [
    laplace(0.5),
    laplace(1.5),
    laplace(20.0),
    laplace(777.7),
    gaussian(0.5),
    gaussian(1.0),
    gaussian(2.5),
    gaussian(7.9),
    gaussian(31.9),
]
"""Computed from the discrete law itself."""
BOUNDED = [gaussian(32.0), gaussian(45.9), gaussian(333.3), gaussian(1500.0)]
"""Bounded by the continuous tail."""
CONFIDENCES = [Fraction(c, 1000) for c in (1, 100, 500, 680, 800, 950, 990, 999)]


def _distances(noise: Noise) -> list[int]:
    deepest = next(m for m in range(exact_law(noise).reach()) if exact_law(noise).tail(m) < 1e-90)
    return sorted({1, 2, 3, *(1 + deepest * i // 40 for i in range(41))})


@pytest.mark.parametrize("noise", EXACT, ids=label)
def test_tail_is_the_exact_one_and_never_less(noise: Noise) -> None:
    for distance in _distances(noise):
        exact = exact_law(noise).tail(distance)
        assert exact <= Decimal(tail(noise, distance)) <= exact * Decimal("1.00000000001")


@pytest.mark.parametrize("noise", BOUNDED, ids=label)
def test_continuous_tail_is_above_the_discrete_one_and_close_to_it(noise: Noise) -> None:
    sigma = float(noise.scale)
    for distance in _distances(noise):
        exact = exact_law(noise).tail(distance)
        bound = Decimal(tail(noise, distance))
        assert exact <= bound
        if sigma < distance - 0.5 <= 7 * sigma:
            assert bound <= exact * Decimal("1.003")


@pytest.mark.parametrize("noise", EXACT + BOUNDED, ids=label)
@pytest.mark.parametrize("probability", [0.5, 0.3, 0.1, 1e-3, 1e-9, 1e-18, 1e-80])
def test_distance_of_tail_is_the_smallest(noise: Noise, probability: float) -> None:
    distance = distance_of_tail(noise, probability)
    law = exact_law(noise)
    assert law.tail(distance) <= Decimal(probability)
    slack = 1 if noise in BOUNDED else 0
    assert distance == 1 or law.tail(distance - 1 - slack) > Decimal(probability)


@pytest.mark.parametrize("noise", EXACT + BOUNDED, ids=label)
@pytest.mark.parametrize("confidence", CONFIDENCES, ids=label)
def test_error_bar_is_the_smallest_that_holds_the_confidence(
    noise: Noise, confidence: Fraction
) -> None:
    width = error_bar(noise, confidence)
    law, wanted = exact_law(noise), Decimal(confidence.numerator) / confidence.denominator
    assert law.within(width) >= wanted
    slack = 1 if noise in BOUNDED else 0
    assert width == 0 or law.within(width - 1 - slack) < wanted


def test_error_bar_of_a_large_sigma_is_rarely_a_step_too_wide() -> None:
    sigmas = [40.0 + 3.7 * i for i in range(60)]
    wide = 0
    for sigma in sigmas:
        width = error_bar(gaussian(sigma))
        wide += exact_law(gaussian(sigma)).within(width - 1) >= Decimal("0.95")
    assert wide <= 1


@pytest.mark.parametrize("kind, scale", [(laplace, 2.0**53), (gaussian, 2.0**53)])
def test_the_largest_scale_keeps_within_64_bits(kind: type, scale: float) -> None:
    assert scale < error_bar(kind(scale)) < 4 * scale
    assert distance_of_tail(kind(scale), 1e-30) < 2**60


@pytest.mark.parametrize("confidence", [Fraction(0), Fraction(1), Fraction(3, 2)])
def test_a_confidence_out_of_range_is_a_bug(confidence: Fraction) -> None:
    with pytest.raises(ValueError, match="confidence"):
        error_bar(laplace(1.0), confidence)


@pytest.mark.parametrize("probability", [0.0, 0.51, 1e-101])
def test_a_tail_out_of_range_is_a_bug(probability: float) -> None:
    with pytest.raises(ValueError, match="tail"):
        distance_of_tail(gaussian(1.0), probability)
