"""How the loss of one release is split over its draws of noise.

A draw is worth as much as the numbers that are read off it. With ``w`` the weights of the draws and
``s`` their scales of noise, a split is the better, the smaller the sum of ``w log s`` is: the
geometric mean of the error bars, each draw's as often as its weight says. No other mean is the same
in euros and in cents, and so it is the only one that does not favour the column that happens to
have the larger numbers.

The best split has a closed form. Laplace noise has ``s = l1 / epsilon_i`` and, where rho is what is
split, ``s = l1 / sqrt(2 rho_i)``; Gaussian noise ``s = l2 / sqrt(2 rho_i)``. So ``log s`` is a
constant less ``log x_i``, once or half, with ``x_i`` the draw's part of what is split. Of all parts
with a fixed sum, ``x_i`` proportional to ``w_i`` gives the largest sum of ``w_i log x_i`` (Gibbs'
inequality). Sensitivities play no part: a draw twice as sensitive is twice as noisy in any split.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from accountant.losses import epsilon_to_rho
from mechanisms.distributions import Noise, NoiseKind, widest

MAX_SCALE = 2**53
"""In grid steps. Noise of this scale stays far within 64 bits next to a cell of up to 2^62."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The most that one privacy unit can change one draw: all its cells, over all groups.

    In grid steps. Neighbours differ by adding or removing all rows of one unit.
    """

    l1: int
    l2_squared: int


@dataclass(frozen=True, slots=True)
class WithinEpsilon:
    """The release is to be (epsilon, delta)-DP."""

    epsilon: Fraction


@dataclass(frozen=True, slots=True)
class WithinRho:
    """The release is to be rho-zCDP; with thresholds, but for their delta."""

    rho: Fraction


@dataclass(frozen=True, slots=True)
class WithinBars:
    """The error bars of the draws are to be no wider than these, for the least loss."""

    bars: tuple[int | None, ...]
    """At 95 %, in grid steps. A draw with None gets what its weight says beside the others."""


Goal = WithinEpsilon | WithinRho | WithinBars


def noises_for(
    goal: Goal,
    kind: NoiseKind,
    draws: Sequence[Sensitivity],
    weights: Sequence[Fraction],
    conversion_delta: Fraction,
) -> tuple[Noise, ...] | None:
    """The noise of every draw, scales rounded to the safe side; None where the kind cannot do it.

    Args:
        goal: what the release has to keep to.
        kind: the law of all draws.
        draws: what one unit can change.
        weights: above zero, one for each draw.
        conversion_delta: at which rho is turned into epsilon; zero where there is none.
    """
    if isinstance(goal, WithinBars):
        return _within_bars(goal.bars, kind, draws, weights)
    whole = sum(weights)
    shares = [Fraction(weight) / whole for weight in weights]
    if isinstance(goal, WithinRho):
        rho = goal.rho
    elif kind is NoiseKind.LAPLACE:
        # Scale l1 / epsilon (Dwork et al. 2006); discrete Laplace noise has the same epsilon.
        parts = [goal.epsilon * share for share in shares]
        scales = [float_at_least(d.l1 / part) for d, part in zip(draws, parts, strict=True)]
        return tuple(Noise(kind, scale) for scale in scales)
    elif conversion_delta > 0:
        rho = epsilon_to_rho(goal.epsilon, conversion_delta)
    else:
        rho = Fraction(0)
    if rho <= 0:
        return None
    return tuple(_of_rho(kind, d, rho * share) for d, share in zip(draws, shares, strict=True))


def _of_rho(kind: NoiseKind, draw: Sensitivity, rho: Fraction) -> Noise:
    """Gaussian: sigma ``l2 / sqrt(2 rho)``. Laplace: scale ``l1 / sqrt(2 rho)``, as rho is half the
    square of epsilon. Sources: ``accountant.losses.loss_of_events``."""
    square = draw.l1**2 if kind is NoiseKind.LAPLACE else draw.l2_squared
    return Noise(kind, root_at_least(square / (2 * rho)))


def _within_bars(
    bars: Sequence[int | None],
    kind: NoiseKind,
    draws: Sequence[Sensitivity],
    weights: Sequence[Fraction],
) -> tuple[Noise, ...]:
    """The widest noise for each bar: what the bars need is the least loss that there is.

    A draw without a bar gets the part that the best split gives it beside what the others cost,
    in epsilon for Laplace and in rho for Gaussian noise.
    """
    known = {i: widest(kind, min(bar, MAX_SCALE)) for i, bar in enumerate(bars) if bar is not None}
    laplace = kind is NoiseKind.LAPLACE
    parts = (
        draws[i].l1 / n.scale if laplace else draws[i].l2_squared / (2 * n.scale**2)
        for i, n in known.items()
    )
    whole = sum((weights[i] for i in known), Fraction(0))
    each = sum(parts, Fraction(0)) / whole
    noises = []
    for i, (draw, weight) in enumerate(zip(draws, weights, strict=True)):
        if i in known:
            noises.append(known[i])
        elif laplace:
            noises.append(Noise(kind, float_at_least(draw.l1 / (each * weight))))
        else:
            noises.append(_of_rho(kind, draw, each * weight))
    return tuple(noises)


def float_at_least(value: Fraction) -> Fraction:
    """The least float64 that is not below the value; 2^60 for all that is above."""
    if value > 2**60:
        return Fraction(2**60)
    nearest = float(value)
    return Fraction(nearest if nearest >= value else math.nextafter(nearest, math.inf))


def root_at_least(square: Fraction) -> Fraction:
    """A float64 whose square is not below the value, at most two units above the least; 2^60 for
    all that is above."""
    if square > 2**120:
        return Fraction(2**60)
    root = math.sqrt(float(square))
    while Fraction(root) ** 2 < square:
        root = math.nextafter(root, math.inf)
    return Fraction(root)
