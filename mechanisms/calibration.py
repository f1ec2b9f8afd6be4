"""What was asked for to scales of noise: which mechanism does it better, and what it is charged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from accountant.events import Event, GaussianEvent, LaplaceEvent, ThresholdEvent
from accountant.losses import (
    DELTA_STEPS,
    Loss,
    as_text,
    ceil_delta,
    ceil_epsilon,
    epsilon_as_text,
    loss_of_events,
)
from mechanisms.distributions import Noise, NoiseKind, error_bar
from mechanisms.prices import Cap, price
from mechanisms.splits import (
    MAX_SCALE,
    Goal,
    Sensitivity,
    WithinBars,
    WithinEpsilon,
    WithinRho,
    noises_for,
)
from mechanisms.thresholds import threshold_delta, threshold_for

__all__ = [
    "Calibration",
    "CannotCalibrate",
    "Cap",
    "Goal",
    "KeySelection",
    "Noise",
    "NoiseKind",
    "Sensitivity",
    "Terms",
    "WithinBars",
    "WithinEpsilon",
    "WithinRho",
    "calibrate",
    "error_bar",
]

MIN_THRESHOLD_DELTA = Fraction(1, 10**30)
"""Far below one step of the ledger, and far above what the tails can be computed for."""
KEY_WEIGHT = Fraction(1)
"""A threshold's height counts as much as a number of the answer: as much less of one is worth as
much less of the other. See decision 0022 for what other weights do."""


@dataclass(frozen=True, slots=True)
class KeySelection:
    """The group keys are not public: they are shown where a noisy unit count is large enough."""

    draw: int
    """Index of the draw whose cell counts the units of a group."""
    max_groups: int
    """The most groups that one unit can appear in."""
    most: int = 1
    """What one unit adds to the count of a group at most; more than 1 where it has members."""


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


@dataclass(frozen=True, slots=True)
class Terms:
    """What the data owner says about every release."""

    cap: Cap
    """Of an analyst's account."""
    most_epsilon: Fraction | None = None
    """The most that one release may cost in epsilon; None where only rho is limited."""
    most_rho: Fraction | None = None
    min_scale: Fraction = Fraction(1, 2)
    """The smallest scale of noise, in grid steps; below it the integers hide too little of the
    shape of the noise to be worth the name."""

    def allow(self, loss: Loss) -> bool:
        """Whether one release may cost this much."""
        return (self.most_epsilon is None or loss.epsilon <= ceil_epsilon(self.most_epsilon)) and (
            self.most_rho is None or loss.rho <= ceil_epsilon(self.most_rho)
        )


def calibrate(
    draws: Sequence[Sensitivity],
    goal: Goal,
    *,
    delta: Fraction,
    terms: Terms,
    weights: Sequence[Fraction] | None = None,
    keys: Sequence[KeySelection] = (),
) -> Calibration:
    """The noise for one release that reaches the goal with the least error, or at the least price.

    Laplace and Gaussian noise are weighed. Laplace spends epsilon, and delta only on thresholds.
    Gaussian spends rho, which is turned into epsilon at a delta; with thresholds, half of delta is
    the conversion's and half the thresholds'. Thresholds share their delta evenly.

    Of what the terms allow, and what an account has room for if any of it has, a goal of error bars
    is reached by what takes the least of an account (see ``mechanisms.prices``), and a loss is
    spent on what has the smallest error: the mean logarithm of the error bars, each draw's as often
    as its weight says, and of the thresholds' heights, each once. A tie goes to the cheaper.

    Every rounding is outward: scales up to the next float64, the charge up to the ledger's grid.
    The charge is then checked against the loss recomputed from the events alone.

    Args:
        draws: one or more, each greater than zero in both norms.
        goal: what was asked for.
        delta: zero, or up to one half.
        terms: the data owner's.
        weights: how many numbers are read off each draw; None is one off each. Zero is for a draw
            that only selects keys.
        keys: one for each set of group keys that are not public.

    Raises:
        CannotCalibrate: the ask is out of range, or no mechanism meets it.
        ValueError: the draws or keys are malformed, which is a bug of the caller.
    """
    weights = weights or (Fraction(1),) * len(draws)
    parts = _weights(draws, weights, keys)
    _check(goal, delta, keys)
    conversion = delta / 2 if keys else delta
    kinds = (NoiseKind.LAPLACE, NoiseKind.GAUSSIAN) if delta > 0 else (NoiseKind.LAPLACE,)
    tried = [noises_for(goal, kind, draws, parts, conversion) for kind in kinds]
    found = [noises for noises in tried if noises is not None]
    fitting = [noises for noises in found if _fits(noises, terms.min_scale)]
    if not fitting:
        raise CannotCalibrate(_why_not(goal, found[0]))
    choices = [_complete(draws, noises, goal, delta, keys) for noises in fitting]
    allowed = [choice for choice in choices if terms.allow(choice.loss)]
    if not allowed:
        raise CannotCalibrate(_too_dear(choices, terms))
    prices = {id(choice): price(choice.loss, terms.cap) for choice in allowed}
    payable = [choice for choice in allowed if prices[id(choice)] <= 1] or allowed
    if isinstance(goal, WithinBars):
        return min(payable, key=lambda choice: prices[id(choice)])
    return min(payable, key=lambda choice: (_error(choice, weights), prices[id(choice)]))


def _weights(
    draws: Sequence[Sensitivity], weights: Sequence[Fraction], keys: Sequence[KeySelection]
) -> list[Fraction]:
    """The weights of a split: a threshold's height is that of its draw's noise, so it adds its own.

    Raises:
        ValueError: the arguments are malformed.
    """
    if not draws:
        raise ValueError("a calibration needs at least one draw")
    if any(draw.l1 <= 0 or draw.l2_squared <= 0 for draw in draws):
        raise ValueError("a draw that no privacy unit can change needs no noise")
    if not all(0 <= one.draw < len(draws) and one.max_groups >= 1 for one in keys):
        raise ValueError("the key selection names no draw, or no group")
    parts = [Fraction(weight) for weight in weights]
    for one in keys:
        parts[one.draw] += KEY_WEIGHT
    if len(parts) != len(draws) or any(part <= 0 for part in parts):
        raise ValueError("a draw that nothing is read off needs no noise")
    return parts


def _check(goal: Goal, delta: Fraction, keys: Sequence[KeySelection]) -> None:
    if isinstance(goal, WithinEpsilon) and goal.epsilon <= 0:
        raise CannotCalibrate("Epsilon must be greater than zero.")
    if isinstance(goal, WithinRho) and goal.rho <= 0:
        raise CannotCalibrate("Rho must be greater than zero.")
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


def _fits(noises: tuple[Noise, ...], min_scale: Fraction) -> bool:
    return all(min_scale <= noise.scale <= MAX_SCALE for noise in noises)


def _why_not(goal: Goal, noises: tuple[Noise, ...]) -> str:
    if isinstance(goal, WithinBars):
        return (
            "The error is too small: the noise would be smaller than the grid that answers lie on."
            " Ask for a larger error."
        )
    name = "Epsilon" if isinstance(goal, WithinEpsilon) else "Rho"
    if any(noise.scale > MAX_SCALE for noise in noises):
        return (
            f"{name} is too small: the noise would not fit into 64-bit integers."
            f" Ask for a larger {name.lower()}, fewer aggregates or tighter bounds."
        )
    return (
        f"{name} is too large: the noise would be smaller than the grid that answers lie on."
        f" Ask for a smaller {name.lower()}."
    )


def _too_dear(choices: Sequence[Calibration], terms: Terms) -> str:
    least = min(choices, key=lambda choice: price(choice.loss, terms.cap)).loss
    return (
        f"That costs {as_text(least)}, and rho {epsilon_as_text(least.rho)}: more than one answer"
        " may. Ask for a larger error, fewer aggregates or tighter bounds."
    )


def _complete(
    draws: Sequence[Sensitivity],
    noises: tuple[Noise, ...],
    goal: Goal,
    delta: Fraction,
    keys: Sequence[KeySelection],
) -> Calibration:
    """Adds the thresholds, the events and the charge, and checks the charge against the events.

    What was asked for in epsilon or in rho is charged whole, so that the sum is what people expect.
    """
    pure = noises[0].kind is NoiseKind.LAPLACE
    key_delta = (delta if pure else delta / 2) / max(len(keys), 1)
    conversion_delta = Fraction(0) if pure else delta / 2 if keys else delta
    events: list[Event] = [event_of(draw, noise) for draw, noise in zip(draws, noises, strict=True)]
    thresholds = []
    for one in keys:
        noise = noises[one.draw]
        thresholds.append(threshold_for(noise, one.max_groups, key_delta, most=one.most))
        used = threshold_delta(noise, one.max_groups, thresholds[-1], most=one.most)
        # On the ledger's grid the number is short; what was allotted is an upper bound as well.
        events.append(ThresholdEvent(min(Fraction(ceil_delta(used), DELTA_STEPS), key_delta)))
    loss = spent = loss_of_events(events, conversion_delta)
    if isinstance(goal, WithinEpsilon):
        loss = replace(spent, epsilon=ceil_epsilon(goal.epsilon))
    elif isinstance(goal, WithinRho):
        loss = replace(spent, rho=ceil_epsilon(goal.rho))
    if not (loss.covers(spent) and loss.delta <= ceil_delta(delta)):
        raise AssertionError("calibration: the events cost more than the charge")
    return Calibration(noises, tuple(thresholds), tuple(events), loss)


def event_of(draw: Sensitivity, noise: Noise) -> Event:
    """What is recorded of one draw of noise."""
    if noise.kind is NoiseKind.LAPLACE:
        return LaplaceEvent(scale=noise.scale, l1_sensitivity=draw.l1)
    return GaussianEvent(sigma=noise.scale, l2_sensitivity_squared=draw.l2_squared)


def _error(choice: Calibration, weights: Sequence[Fraction]) -> float:
    """The weighted mean logarithm of the error bars (in half steps, as a bar may be zero) and of
    the thresholds."""
    parts = [(error_bar(n) + 0.5, float(w)) for n, w in zip(choice.noises, weights, strict=True)]
    parts += [(float(height), float(KEY_WEIGHT)) for height in choice.thresholds]
    return math.fsum(weight * math.log(height) for height, weight in parts)
