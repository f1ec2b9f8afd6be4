"""More exact from what is there: a stored noisy number and a new draw, put together.

With ``x + a`` stored and ``x + b`` new, a and b independent and Gaussian, the mean of both weighted
by the inverse of their variances has the noise of variance ``1 / (1/va + 1/vb)``, the least that
any unbiased mean has. Rho of a Gaussian draw is ``l2^2 / (2 v)``, so rho adds up as ``1 / v`` does:
what was paid for the stored number and what the new draw costs are together just what one draw of
the combined variance would have cost. Putting both together is arithmetic on noisy numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from mechanisms.calibration import Noise, NoiseKind, error_bar
from mechanisms.splits import root_at_least

_PLACES = 6
"""Decimals of a step to which a mean is rounded: a rounding error of no account beside any noise
that is drawn, however long a chain of such means becomes."""


def as_good(stored: Noise, wanted: Noise) -> bool:
    """Whether a stored number has no wider error bar than is wanted."""
    return stored == wanted or error_bar(stored) <= error_bar(wanted)


def missing(stored: Noise, wanted: Noise) -> Noise | None:
    """The noise of the draw that makes what is wanted out of what is stored.

    ``1/new = 1/wanted - 1/stored`` in variances; sigma is rounded down to a float64, so that
    together they are at least as exact as was wanted.

    Returns:
        None where there is none: the stored number is as exact, or one of the laws is not Gaussian,
        or the difference is so small that its noise would not fit into 64 bits.
    """
    if {stored.kind, wanted.kind} != {NoiseKind.GAUSSIAN} or stored.scale <= wanted.scale:
        return None
    variance = 1 / (1 / wanted.scale**2 - 1 / stored.scale**2)
    if variance >= Fraction(2) ** 100:
        return None
    root = math.sqrt(float(variance))
    while Fraction(root) ** 2 > variance:
        root = math.nextafter(root, 0.0)
    return Noise(NoiseKind.GAUSSIAN, Fraction(root))


def together(one: Noise, other: Noise) -> Noise:
    """What noise the mean of two numbers with Gaussian noise has; sigma is rounded up."""
    return Noise(NoiseKind.GAUSSIAN, root_at_least(1 / (1 / one.scale**2 + 1 / other.scale**2)))


def combined(
    stored: Sequence[Decimal], new: Sequence[int], noises: tuple[Noise, Noise]
) -> list[Decimal]:
    """The means of the numbers, pair by pair, weighted by the inverse of their variances.

    Args:
        stored: noisy numbers in grid steps.
        new: the same numbers, drawn anew.
        noises: what is in the stored and in the new ones.
    """
    before, after = (noise.scale**2 for noise in noises)
    weight = before / (before + after)
    return [
        _rounded(Fraction(old) + (number - Fraction(old)) * weight)
        for old, number in zip(stored, new, strict=True)
    ]


def _rounded(value: Fraction) -> Decimal:
    """Half to even, and independent of any context of decimals."""
    return Decimal(round(value * 10**_PLACES)).scaleb(-_PLACES)
