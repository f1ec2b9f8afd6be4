"""The laws of noise to sixty digits, by nothing but adding up weights: what tests compare with.

No closed form, no tail bound and no float of the code under test is used here.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

from mechanisms.calibration import Noise, NoiseKind

DIGITS = 60
_NEGLIGIBLE = Decimal("1e-150")


def laplace(scale: float) -> Noise:
    return Noise(NoiseKind.LAPLACE, Fraction(scale))


def gaussian(sigma: float) -> Noise:
    return Noise(NoiseKind.GAUSSIAN, Fraction(sigma))


def label(value: object) -> str:
    """A short name of a case, for pytest."""
    if isinstance(value, Noise):
        return f"{value.kind.name.lower()} {float(value.scale):.4g}"
    return str(value)


class ExactLaw:
    """Weights of 0, 1, 2, ... down to 1e-150 of the greatest, and their sums from the far end."""

    def __init__(self, noise: Noise) -> None:
        with localcontext() as context:
            context.prec = DIGITS
            self.weights = _weights(noise)
            suffix, sums = Decimal(0), []
            for weight in reversed(self.weights):
                suffix += weight
                sums.append(suffix)
            self._suffixes = sums[::-1]
            self.total = 2 * self._suffixes[0] - self.weights[0]

    def pmf(self, z: int) -> Decimal:
        """P(Z = z)."""
        with localcontext() as context:
            context.prec = DIGITS
            reach = len(self.weights)
            return self.weights[abs(z)] / self.total if abs(z) < reach else Decimal(0)

    def tail(self, distance: int) -> Decimal:
        """P(Z >= distance), for a distance of zero or more; what is below 1e-140 may be zero."""
        with localcontext() as context:
            context.prec = DIGITS
            inside = distance < len(self._suffixes)
            return self._suffixes[distance] / self.total if inside else Decimal(0)

    def within(self, width: int) -> Decimal:
        """P(abs(Z) <= width)."""
        with localcontext() as context:
            context.prec = DIGITS
            return 1 - 2 * self.tail(width + 1)

    def reach(self) -> int:
        """Beyond this the weights were left out."""
        return len(self.weights) - 1


@lru_cache(maxsize=64)
def exact_law(noise: Noise) -> ExactLaw:
    return ExactLaw(noise)


def _weights(noise: Noise) -> list[Decimal]:
    scale = decimal(noise.scale)
    gauss = noise.kind is NoiseKind.GAUSSIAN
    ratio = (-1 / (2 * scale * scale)).exp() if gauss else (-1 / scale).exp()
    change = ratio * ratio if gauss else Decimal(1)
    weights = [Decimal(1)]
    while weights[-1] > _NEGLIGIBLE:
        weights.append(weights[-1] * ratio)
        ratio *= change
    return weights


def decimal(value: Fraction) -> Decimal:
    """The rational to the digits of the current context."""
    return Decimal(value.numerator) / Decimal(value.denominator)


def union(each: Decimal, groups: int) -> Decimal:
    """``1 - (1 - each) ** groups``, with digits enough for a tiny ``each``."""
    with localcontext() as context:
        context.prec = 200
        return 1 - (1 - each) ** groups


def hockey_stick(p: list[Decimal], q: list[Decimal], epsilon: Fraction) -> Decimal:
    """The least delta for which p is within (epsilon, delta) of q, output by output."""
    with localcontext() as context:
        context.prec = DIGITS
        factor = decimal(epsilon).exp()
        return sum((max(Decimal(0), a - factor * b) for a, b in zip(p, q, strict=True)), Decimal(0))
