"""The two laws of noise on the integers: how far they reach, never told too short.

Tails are computed in float64 and widened by more than the rounding error, so every probability here
is an upper bound. What it costs is at most one grid step, and only near a tie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache


class NoiseKind(Enum):
    LAPLACE = "discrete_laplace"
    GAUSSIAN = "discrete_gaussian"


@dataclass(frozen=True, slots=True)
class Noise:
    """One calibrated distribution on the integers. ``scale`` is exactly a float64 (OpenDP's input):
    the Laplace scale, or the Gaussian sigma, in grid steps."""

    kind: NoiseKind
    scale: Fraction


MIN_TAIL = 1e-100
"""The smallest probability that a distance is computed for."""
_WIDER = 1.0 + 4e-12
"""Outward margin of a tail. The argument of an exponential near 1e-100 is about 230, and of an
error function 15 with a slope of 2 x^2 = 460, each off by a few units of 1.1e-16."""
_SUMMED_SIGMA = 32.0
"""Below this sigma the tail of the discrete Gaussian is summed term by term."""


def tail(noise: Noise, distance: int) -> float:
    """P(Z >= distance), or a little more.

    Laplace: ``a^m / (1 + a)`` with ``a = exp(-1/scale)``, exact but for rounding. Gaussian: summed
    for a small sigma; else the continuous tail, see :func:`_gaussian_tail`.

    Args:
        noise: the law of Z.
        distance: in grid steps, 1 or more.
    """
    scale = float(noise.scale)
    if noise.kind is NoiseKind.LAPLACE:
        probability = math.exp(-distance / scale) / (1.0 + math.exp(-1.0 / scale))
    elif scale < _SUMMED_SIGMA:
        probability = _summed_gaussian_tail(scale, distance)
    else:
        probability = _gaussian_tail(scale, distance)
    return max(probability * _WIDER, 1e-300)  # the floor: an exponential may underflow to zero


@lru_cache(maxsize=4096)
def distance_of_tail(noise: Noise, probability: float) -> int:
    """The smallest m of 1 or more with ``tail(noise, m) <= probability``, in grid steps.

    Args:
        noise: the law of Z.
        probability: between 1e-100 and one half.

    Raises:
        ValueError: the probability is out of range.
    """
    if not MIN_TAIL <= probability <= 0.5:
        raise ValueError("the probability of a tail is not between 1e-100 and 0.5")
    scale, surprise = float(noise.scale), -math.log(probability)
    reach = surprise if noise.kind is NoiseKind.LAPLACE else math.sqrt(2.0 * surprise)
    low, high = 0, math.ceil(scale * reach * (1.0 + 1e-9)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if tail(noise, middle) <= probability:
            high = middle
        else:
            low = middle
    return high


_CONFIDENCE = Fraction(95, 100)
"""Of every error bar that is shown."""


@lru_cache(maxsize=4096)
def error_bar(noise: Noise, confidence: Fraction = _CONFIDENCE) -> int:
    """The smallest integer w with P(abs(Z) <= w) >= confidence, in grid steps.

    Exact for Laplace and for a sigma below 32; for a larger sigma at most one step more.

    Raises:
        ValueError: the confidence is not above zero and below one.
    """
    if not 0 < confidence < 1:
        raise ValueError("the confidence is not between 0 and 1")
    return distance_of_tail(noise, float((1 - confidence) / 2)) - 1


@lru_cache(maxsize=4096)
def widest(kind: NoiseKind, bar: int) -> Noise:
    """The noise of the largest scale whose error bar is at most ``bar`` grid steps.

    The scale has six significant digits, rounded down: the same on every machine, whatever its
    last digits of an exponential are.

    Raises:
        ValueError: the bar is below zero.
    """
    if bar < 0:
        raise ValueError("an error bar is zero or more")

    def fits(scale: float) -> bool:
        noise = Noise(kind, Fraction(scale))
        return tail(noise, bar + 1) <= float((1 - _CONFIDENCE) / 2)

    # P(Z > bar) is above one in eight where the scale is bar + 2, and below 1e-3 at a sixth of bar.
    low, high = (bar + 0.5) / 12.0, bar + 2.0
    while high - low > 1e-7 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if fits(middle) else (low, middle)
    places = 5 - math.floor(math.log10(low))
    rounded = Fraction(math.floor(Fraction(low) * Fraction(10) ** places)) / Fraction(10) ** places
    return Noise(kind, Fraction(float(rounded)))


def _gaussian_tail(sigma: float, distance: int) -> float:
    """An upper bound of the discrete Gaussian's tail by the continuous one.

    By Poisson's summation formula the sum of ``exp(-z^2 / 2 sigma^2)`` over the integers is at
    least ``sigma sqrt(2 pi)``. A term of the tail is at most the integral over the step around it
    where the density is convex (z - 1/2 >= sigma), and over the step before it everywhere above
    zero (the second is the tail bound of Canonne, Kamath and Steinke 2020).
    """
    start = distance - 0.5 if distance - 0.5 >= sigma else distance - 1.0
    return 0.5 * math.erfc(start / (sigma * math.sqrt(2.0)))


def _summed_gaussian_tail(sigma: float, distance: int) -> float:
    """The tail, term by term until what is left is below 1e-14 of it; then, for what is left, the
    geometric series that lies above it."""
    half = 0.5 / (sigma * sigma)
    end = max(distance + math.ceil(5.0 * sigma), math.ceil(9.0 * sigma)) + 1
    terms = math.fsum(math.exp(-z * z * half) for z in range(distance, end))
    rest = math.exp(-end * end * half) / -math.expm1(-(2 * end + 1) * half)
    return (terms + rest) / _gaussian_mass(sigma)


@lru_cache(maxsize=1024)
def _gaussian_mass(sigma: float) -> float:
    """The sum of ``exp(-z^2 / 2 sigma^2)`` over the integers within 9 sigma: a lower bound."""
    half = 0.5 / (sigma * sigma)
    return 1.0 + 2.0 * math.fsum(
        math.exp(-z * z * half) for z in range(1, math.ceil(9.0 * sigma) + 1)
    )
