"""Sensitivities and a loss to scales of noise, and which mechanism does it better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from accountant.events import Event, GaussianEvent, LaplaceEvent, ThresholdEvent
from accountant.losses import (
    DELTA_STEPS,
    Loss,
    ceil_delta,
    ceil_epsilon,
    epsilon_to_rho,
    loss_of_events,
)
from mechanisms.distributions import Noise, NoiseKind, error_bar
from mechanisms.thresholds import threshold_delta, threshold_for

__all__ = [
    "Calibration",
    "CannotCalibrate",
    "KeySelection",
    "Noise",
    "NoiseKind",
    "Sensitivity",
    "calibrate",
    "error_bar",
]

MAX_SCALE = 2**53
"""In grid steps. Noise of this scale stays far within 64 bits next to a cell of up to 2^62."""
MIN_THRESHOLD_DELTA = Fraction(1, 10**30)
"""Far below one step of the ledger, and far above what the tails can be computed for."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The most that one privacy unit can change one draw: all its cells, over all groups.

    In grid steps. Neighbours differ by adding or removing all rows of one unit.
    """

    l1: int
    l2_squared: int


@dataclass(frozen=True, slots=True)
class KeySelection:
    """The group keys are not public: they are shown where a noisy unit count is large enough."""

    draw: int
    """Index of the draw whose cell counts the units of a group; a unit adds at most 1 to each."""
    max_groups: int
    """The most groups that one unit can appear in."""


@dataclass(frozen=True, slots=True)
class Calibration:
    noises: tuple[Noise, ...]
    """One for each draw, in order."""
    thresholds: tuple[int, ...]
    """One for each key selection, in order: keys are shown when the noisy unit count is at least
    this."""
    events: tuple[Event, ...]
    """One for each draw, in order; then one for each threshold."""
    loss: Loss
    """What the release is charged: at most what was asked, rounded up."""


class CannotCalibrate(ValueError):
    """No mechanism meets the ask; the text says why, in words for an analyst."""


def calibrate(
    draws: Sequence[Sensitivity],
    *,
    epsilon: Fraction,
    delta: Fraction,
    keys: Sequence[KeySelection] = (),
    min_scale: Fraction = Fraction(1, 2),
) -> Calibration:
    """The noise for one release that as a whole is (epsilon, delta)-DP, with the least error.

    Two candidates are weighed, each with the same share of the loss for every draw. Laplace spends
    epsilon, and delta only on a threshold. Gaussian spends rho, the largest that (epsilon, delta)
    allows; with thresholds, half of delta is the conversion's and half the thresholds'. Thresholds
    share their delta evenly. The least mean logarithm of the error bars, and of the thresholds'
    heights, wins; Laplace on a tie.

    Every rounding is outward: scales up to the next float64, the charge up to the ledger's grid.
    The charge is then checked against the loss recomputed from the events alone.

    Args:
        draws: one or more, each greater than zero in both norms.
        epsilon: greater than zero.
        delta: zero, or up to one half.
        keys: one for each set of group keys that are not public.
        min_scale: the smallest scale of noise, in grid steps; below it the integers hide too little
            of the shape of the noise to be worth the name.

    Raises:
        CannotCalibrate: the ask is out of range, or no mechanism meets it.
        ValueError: the draws or keys are malformed, which is a bug of the caller.
    """
    _check_draws(draws, keys)
    if epsilon <= 0:
        raise CannotCalibrate("Epsilon must be greater than zero.")
    if not 0 <= delta <= Fraction(1, 2):
        raise CannotCalibrate("Delta must be zero or more, and at most 0.5.")
    groups = max((one.max_groups for one in keys), default=0)
    if delta / 2 < len(keys) * groups * MIN_THRESHOLD_DELTA:
        raise CannotCalibrate(
            "The group keys are not public: which of them are shown depends on the data,"
            " so the query needs a delta greater than zero."
            if delta == 0
            else "Delta is too small to show group keys that are not public."
        )
    candidates = [_laplace(draws, epsilon)]
    if delta > 0:
        rho = epsilon_to_rho(epsilon, delta / 2 if keys else delta)
        candidates += [_gaussian(draws, rho)] if rho > 0 else []
    fitting = [noises for noises in candidates if _fits(noises, min_scale)]
    if not fitting:
        raise CannotCalibrate(_why_not(candidates[0]))
    choices = [_complete(draws, noises, epsilon, delta, keys) for noises in fitting]
    return min(choices, key=_error)  # the first, which is Laplace, on a tie


def _check_draws(draws: Sequence[Sensitivity], keys: Sequence[KeySelection]) -> None:
    if not draws:
        raise ValueError("a calibration needs at least one draw")
    if any(draw.l1 <= 0 or draw.l2_squared <= 0 for draw in draws):
        raise ValueError("a draw that no privacy unit can change needs no noise")
    if not all(0 <= one.draw < len(draws) and one.max_groups >= 1 for one in keys):
        raise ValueError("the key selection names no draw, or no group")


def _laplace(draws: Sequence[Sensitivity], epsilon: Fraction) -> tuple[Noise, ...]:
    """Scale ``l1 / epsilon_i`` with ``epsilon_i = epsilon / draws`` (Dwork et al. 2006), rounded
    up. Discrete Laplace of that scale on integers has the same epsilon."""
    share = epsilon / len(draws)
    return tuple(Noise(NoiseKind.LAPLACE, _float_at_least(draw.l1 / share)) for draw in draws)


def _gaussian(draws: Sequence[Sensitivity], rho: Fraction) -> tuple[Noise, ...]:
    """Sigma ``l2 / sqrt(2 rho_i)`` with ``rho_i = rho / draws`` (Canonne, Kamath and Steinke 2020,
    Theorem 14), rounded up."""
    share = rho / len(draws)
    return tuple(
        Noise(NoiseKind.GAUSSIAN, _root_at_least(draw.l2_squared / (2 * share))) for draw in draws
    )


def _float_at_least(value: Fraction) -> Fraction:
    """The least float64 that is not below the value; 2^60 for all that is above."""
    if value > 2**60:
        return Fraction(2**60)
    nearest = float(value)
    return Fraction(nearest if nearest >= value else math.nextafter(nearest, math.inf))


def _root_at_least(square: Fraction) -> Fraction:
    """A float64 whose square is not below the value, at most two units above the least; 2^60 for
    all that is above."""
    if square > 2**120:
        return Fraction(2**60)
    root = math.sqrt(float(square))
    while Fraction(root) ** 2 < square:
        root = math.nextafter(root, math.inf)
    return Fraction(root)


def _fits(noises: tuple[Noise, ...], min_scale: Fraction) -> bool:
    return all(min_scale <= noise.scale <= MAX_SCALE for noise in noises)


def _why_not(laplace: tuple[Noise, ...]) -> str:
    if any(noise.scale > MAX_SCALE for noise in laplace):
        return (
            "Epsilon is too small: the noise would not fit into 64-bit integers."
            " Ask for a larger epsilon, fewer aggregates or tighter bounds."
        )
    return (
        "Epsilon is too large: the noise would be smaller than the grid that answers lie on."
        " Ask for a smaller epsilon."
    )


def _complete(
    draws: Sequence[Sensitivity],
    noises: tuple[Noise, ...],
    epsilon: Fraction,
    delta: Fraction,
    keys: Sequence[KeySelection],
) -> Calibration:
    """Adds the thresholds, the events and the charge, and checks the charge against the events."""
    pure = noises[0].kind is NoiseKind.LAPLACE
    key_delta = (delta if pure else delta / 2) / max(len(keys), 1)
    conversion_delta = Fraction(0) if pure else delta / 2 if keys else delta
    events: list[Event] = [_event(draw, noise) for draw, noise in zip(draws, noises, strict=True)]
    thresholds = []
    for one in keys:
        noise = noises[one.draw]
        thresholds.append(threshold_for(noise, one.max_groups, key_delta))
        used = threshold_delta(noise, one.max_groups, thresholds[-1])
        # On the ledger's grid the number is short; what was allotted is an upper bound as well.
        events.append(ThresholdEvent(min(Fraction(ceil_delta(used), DELTA_STEPS), key_delta)))
    spent = loss_of_events(events, conversion_delta)
    loss = Loss(ceil_epsilon(epsilon), spent.delta, spent.rho, spent.slack)
    if not (loss.covers(spent) and loss.delta <= ceil_delta(delta)):
        raise AssertionError("calibration: the events cost more than the charge")
    return Calibration(noises, tuple(thresholds), tuple(events), loss)


def _event(draw: Sensitivity, noise: Noise) -> Event:
    if noise.kind is NoiseKind.LAPLACE:
        return LaplaceEvent(scale=noise.scale, l1_sensitivity=draw.l1)
    return GaussianEvent(sigma=noise.scale, l2_sensitivity_squared=draw.l2_squared)


def _error(choice: Calibration) -> float:
    """Mean logarithm of the error bars (in half steps, as a bar may be zero) and thresholds."""
    heights = [error_bar(noise) + 0.5 for noise in choice.noises]
    heights += map(float, choice.thresholds)
    return math.fsum(math.log(height) for height in heights) / len(heights)
