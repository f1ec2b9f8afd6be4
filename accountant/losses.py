"""What it costs: epsilon, delta and rho as integers, charges rounded up, caps rounded down.

Sums are exact (integers and rationals). Only the conversion between rho and epsilon needs
logarithms; it is computed in float64 and widened outward by more than the rounding error, so the
result is always on the safe side.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import assert_never

from accountant.events import Event, GaussianEvent, LaplaceEvent, ThresholdEvent

EPSILON_STEPS = 10**12
"""Epsilon and rho are counted in 1e-12."""
DELTA_STEPS = 10**18
"""Delta is counted in 1e-18."""

_MIN_DELTA = Fraction(1, 10**300)
_MIN_RHO = 1e-60
_ROUNDING = 2.0**-46
"""Relative to the sum of the absolute terms: 128 times the rounding unit of float64. A conversion
makes about a dozen roundings, so this covers them several times over."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A charge. Integers: ``epsilon`` and ``rho`` in 1e-12, ``delta`` and ``slack`` in 1e-18.

    Two statements about one release: it is (epsilon, delta)-DP, and it is slack-approximate
    rho-zCDP (Bun and Steinke 2016, arXiv 1605.02065, section 8; number not checked). ``slack`` is
    the part of the thresholds alone; ``delta`` holds the share that turns rho into epsilon as well.
    Each pair adds up by itself: the first by basic composition, the second by composition of
    approximate zCDP.

    Raises:
        ValueError: a part is negative or not an integer.
    """

    epsilon: int
    delta: int
    rho: int
    slack: int

    def __post_init__(self) -> None:
        for part in (self.epsilon, self.delta, self.rho, self.slack):
            if type(part) is not int or part < 0:
                raise ValueError("a loss is made of integers that are zero or more")

    def __add__(self, other: Loss) -> Loss:
        return Loss(
            self.epsilon + other.epsilon,
            self.delta + other.delta,
            self.rho + other.rho,
            self.slack + other.slack,
        )

    def covers(self, other: Loss) -> bool:
        """True where no part of ``other`` is greater than the same part of this loss."""
        return (
            other.epsilon <= self.epsilon
            and other.delta <= self.delta
            and other.rho <= self.rho
            and other.slack <= self.slack
        )


ZERO = Loss(0, 0, 0, 0)


def ceil_epsilon(value: Fraction) -> int:
    """A charge of epsilon or rho in steps of 1e-12, rounded up."""
    return math.ceil(value * EPSILON_STEPS)


def floor_epsilon(value: Fraction) -> int:
    """A cap of epsilon or rho in steps of 1e-12, rounded down."""
    return math.floor(value * EPSILON_STEPS)


def ceil_delta(value: Fraction) -> int:
    """A charge of delta in steps of 1e-18, rounded up."""
    return math.ceil(value * DELTA_STEPS)


def floor_delta(value: Fraction) -> int:
    """A cap of delta in steps of 1e-18, rounded down."""
    return math.floor(value * DELTA_STEPS)


def epsilon_as_text(steps: int) -> str:
    """Steps of 1e-12 as an exact decimal for people, e.g. ``0.25``."""
    return f"{Decimal(steps).scaleb(-12).normalize():f}"


def delta_as_text(steps: int) -> str:
    """Steps of 1e-18 as an exact number for people, e.g. ``1e-9``, or ``0``."""
    return f"{Decimal(steps).scaleb(-18).normalize():e}" if steps else "0"


def as_text(loss: Loss) -> str:
    """The loss for people, e.g. ``epsilon 0.25, delta 1e-9``; a delta of zero is left out."""
    text = f"epsilon {epsilon_as_text(loss.epsilon)}"
    return f"{text}, delta {delta_as_text(loss.delta)}" if loss.delta else text


def rho_to_epsilon(rho: Fraction, delta: Fraction) -> Fraction:
    """The epsilon for which every rho-zCDP mechanism is (epsilon, delta)-DP.

    Canonne, Kamath and Steinke (2020, arXiv 2004.00010), Proposition 12, solved for epsilon: the
    least over alpha > 1 of ``rho alpha + ln(1 - 1/alpha) - (ln delta + ln alpha) / (alpha - 1)``.
    Every alpha gives a valid bound, so the search for the best one need not be exact.

    Args:
        rho: zero or more.
        delta: at least 1e-300 and less than one.

    Returns:
        An upper bound, not less than zero.

    Raises:
        ValueError: an argument is out of range.
    """
    if rho < 0:
        raise ValueError("rho is negative")
    log_delta = _log_inverse(delta)
    if rho == 0:
        return Fraction(0)
    rho_float = max(float(rho), _MIN_RHO)
    epsilon, rounding = _epsilon_at(rho_float, log_delta, _best_order(rho_float, log_delta))
    return max(Fraction(0), Fraction(epsilon + rounding))


def epsilon_to_rho(epsilon: Fraction, delta: Fraction) -> Fraction:
    """The rho for which every rho-zCDP mechanism is (epsilon, delta)-DP.

    The inverse of :func:`rho_to_epsilon`, rounded down so that the way back,
    ``rho_to_epsilon(r, delta)`` for any ``r`` up to the result, never exceeds ``epsilon``.

    Args:
        epsilon: greater than zero.
        delta: at least 1e-300 and less than one.

    Returns:
        A lower bound, not less than zero.

    Raises:
        ValueError: an argument is out of range.
    """
    if epsilon <= 0:
        raise ValueError("epsilon is not greater than zero")
    log_delta = _log_inverse(delta)
    target = float(epsilon)
    # Bun and Steinke's rho + 2 sqrt(rho ln(1/delta)) is looser, so its inverse is a start below.
    # Epsilon is concave in rho: Newton's steps, each the best rho for one alpha, stay below.
    rho = (target / (math.sqrt(log_delta + target) + math.sqrt(log_delta))) ** 2
    for _ in range(8):
        if rho < _MIN_RHO:
            return Fraction(0)
        order = _best_order(rho, log_delta)
        epsilon_now, rounding = _epsilon_at(rho, log_delta, order)
        step = (target - epsilon_now) / (1.0 + order)
        rho += step
        if abs(step) <= 1e-15 * rho:
            break
    # Four times the rounding: two for either direction of the way back, for any smaller rho.
    rho -= 4.0 * rounding / (1.0 + order)
    while rho >= _MIN_RHO:
        epsilon_now, rounding = _epsilon_at(rho, log_delta, _best_order(rho, log_delta))
        if epsilon_now + 3.0 * rounding <= target:
            return Fraction(rho)
        rho *= 1.0 - 2.0**-44
    return Fraction(0)


def loss_of_events(events: Iterable[Event], conversion_delta: Fraction) -> Loss:
    """The loss of one release, from nothing but what was done.

    Only Laplace events: epsilon is the plain sum (pure DP) and the conversion is not used. With a
    Gaussian event: every event is counted in rho, and the sum is converted at ``conversion_delta``,
    which is then part of delta. Every threshold adds its delta, to delta and to slack.

    Rho of a Laplace event is half the square of its epsilon (Bun and Steinke 2016, Proposition
    1.4); of a Gaussian event ``l2^2 / (2 sigma^2)``, which holds on the integers too (Canonne,
    Kamath and Steinke 2020, Theorem 14; number not checked). Rho adds up (Bun and Steinke 2016,
    Lemma 1.7).

    Raises:
        ValueError: an event is degenerate, or there is a Gaussian event and ``conversion_delta`` is
            out of range.
    """
    epsilon = rho = slack = Fraction(0)
    pure = True
    for event, times in Counter(events).items():  # equal events at once: sums of rationals are slow
        if isinstance(event, LaplaceEvent):
            one = _at_least_zero(event.l1_sensitivity) / _above_zero(event.scale)
            epsilon += times * one
            rho += times * one * one / 2
        elif isinstance(event, GaussianEvent):
            pure = False
            square = _at_least_zero(event.l2_sensitivity_squared)
            rho += times * square / (2 * _above_zero(event.sigma) ** 2)
        elif isinstance(event, ThresholdEvent):
            slack += times * _at_least_zero(event.delta)
        else:  # an accountant that does not know an event must not guess
            assert_never(event)
    delta = slack
    if not pure:
        epsilon = rho_to_epsilon(rho, conversion_delta)
        delta += conversion_delta
    return Loss(ceil_epsilon(epsilon), ceil_delta(delta), ceil_epsilon(rho), ceil_delta(slack))


def _above_zero(scale: Fraction) -> Fraction:
    if scale <= 0:
        raise ValueError("noise of no scale has no finite loss")
    return scale


def _at_least_zero(part: Fraction | int) -> Fraction:
    if part < 0:
        raise ValueError("an event with a part below zero would pay back")
    return Fraction(part)


def _log_inverse(delta: Fraction) -> float:
    """``ln(1/delta)``; a delta above one half counts as one half, which is the stricter."""
    if not _MIN_DELTA <= delta < 1:
        raise ValueError("delta is not between 1e-300 and 1")
    return -math.log(min(delta, Fraction(1, 2)))


def _epsilon_at(rho: float, log_delta: float, order: float) -> tuple[float, float]:
    """Epsilon at one order ``alpha - 1``, and a bound of its rounding error.

    The terms of Proposition 12, regrouped so that large orders do not cancel.
    """
    gain = math.log1p(1.0 / order)
    log_alpha = math.log1p(order)
    epsilon = rho * (1.0 + order) - gain + (log_delta - log_alpha) / order
    size = rho * (1.0 + order) + gain + (log_delta + log_alpha) / order
    return epsilon, _ROUNDING * size


def _best_order(rho: float, log_delta: float) -> float:
    """The order ``x = alpha - 1`` of the least epsilon: the root of ``rho x^2 + ln(1+x) = L``.

    In ``t = ln x`` the left side is increasing and convex, so Newton's method from the right of the
    root comes down to it without a step too far.
    """
    t = min(0.5 * math.log(log_delta / rho), math.log(math.expm1(log_delta)))
    for _ in range(50):
        x = math.exp(t)
        square = rho * x * x
        step = (square + math.log1p(x) - log_delta) / (2.0 * square + x / (1.0 + x))
        t -= step
        if abs(step) < 1e-9:
            break
    return math.exp(t)
