"""Quantiles read off a noisy histogram: arithmetic on noisy counts, which costs no privacy.

Any number of quantiles of a column follow from one histogram, so asking for the median and both
quartiles costs what the median costs. The error of a rank is the noise of the buckets below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Protocol

from mechanisms.distributions import Noise, NoiseKind

_Z = 1.96
"""Two-sided 95 % of the normal distribution: a rank's error is a sum over many buckets."""


class Reading(Protocol):
    """Which quantile, and what the buckets stand for."""

    @property
    def fraction(self) -> Fraction: ...
    @property
    def continuous(self) -> bool: ...
    @property
    def lower(self) -> Fraction: ...
    @property
    def width(self) -> Fraction: ...
    @property
    def single(self) -> bool: ...
    @property
    def upper(self) -> Fraction: ...


def read_quantile(
    what: Reading, counts: Sequence[int], noise: Noise, tick: Fraction
) -> tuple[Decimal, Decimal, Decimal]:
    """The quantile, and the same with its rank moved up and down by the rank's error bar.

    The smallest and the largest value are read one error bar inside, where the noise of empty
    buckets does not reach.

    Args:
        what: fraction 0 is the smallest value, 1 the largest.
        counts: the noisy buckets, in steps of ``tick`` rows.
        noise: what was added to each of them.
        tick: rows that one step of a bucket stands for.
    """
    # What is below a bucket never falls from one bucket to the next; noise may say otherwise.
    below = list(accumulate(accumulate(counts), max))
    total = float(max(below[-1], 0) * tick)
    shift = _rank_error(what.fraction, below, noise) * float(tick)
    rank = _rank(what, total)
    if what.fraction in (0, 1):
        rank = max(1.0, shift) if what.fraction == 0 else min(total, total - shift)

    def at(wanted: float) -> Decimal:
        return _value(what, [b * float(tick) for b in below], wanted, total)

    return at(rank), at(rank + shift), at(rank - shift)


def _rank(what: Reading, total: float) -> float:
    """The 1-based rank, with PostgreSQL's rules: interpolated, or the first that reaches it."""
    if what.continuous:
        return 1 + float(what.fraction) * (total - 1)
    return math.ceil(float(what.fraction) * total - 1e-9)


def _rank_error(fraction: Fraction, below: Sequence[int], noise: Noise) -> float:
    """95 % of the noise of (rows below) - fraction * (all rows), in steps."""
    deviation = float(noise.scale) * (math.sqrt(2) if noise.kind is NoiseKind.LAPLACE else 1)
    share, buckets = float(fraction), len(below)
    if fraction in (0, 1):
        # Beyond the extreme value every bucket is empty, and their noise adds up.
        return _Z * deviation * math.sqrt(buckets)
    inside = sum(1 for b in below if b < share * below[-1]) + 1
    return _Z * deviation * math.sqrt(inside * (1 - share) ** 2 + (buckets - inside) * share**2)


def _value(what: Reading, below: Sequence[float], rank: float, total: float) -> Decimal:
    """The value at a rank between 1 and ``total``."""
    rank = min(max(rank, 1.0), max(total, 1.0))
    if what.single:
        low, high = math.floor(rank + 1e-9), math.ceil(rank - 1e-9)
        part = Fraction(rank - low) if what.continuous else Fraction(0)
        a, b = (_single(what, below, r) for r in (low if what.continuous else high, high))
        return _decimal(a + (b - a) * part)
    bucket = _bucket(below, rank)
    start = below[bucket - 1] if bucket else 0.0
    inside = (rank - start - 0.5) / max(below[bucket] - start, 1.0)
    value = what.lower + what.width * (bucket + Fraction(min(max(inside, 0.0), 1.0)))
    return _decimal(min(value, what.upper))


def _single(what: Reading, below: Sequence[float], rank: float) -> Fraction:
    return min(what.lower + what.width * _bucket(below, rank), what.upper)


def _bucket(below: Sequence[float], rank: float) -> int:
    """The first bucket that has ``rank`` rows at or below it; the last where none has."""
    return next((i for i, b in enumerate(below) if b >= rank - 1e-6), len(below) - 1)


def _decimal(value: Fraction) -> Decimal:
    return round(Decimal(value.numerator) / Decimal(value.denominator), 10).normalize()
