"""Which group keys may be shown when the keys themselves are protected.

A key is shown when the noisy count of its units reaches the threshold. A key that only one unit has
counts 1 at most, so it is shown with probability P(Z >= threshold - 1) at most (and where one unit
may count more, by that much likelier). The bound is for
*at least*, not *more than*: confusing the two under-reports delta (opendp issue 2922).
"""

from __future__ import annotations

import math
from fractions import Fraction

from mechanisms.distributions import MIN_TAIL, Noise, distance_of_tail, tail

_WIDER = 1.0 + 1e-14
"""Outward margin over the union of the groups: a few roundings of 1.1e-16."""
_NARROWER = 1.0 - 4e-14
"""Inward margin of a group's share, so that the way back stays within the delta asked for."""


def threshold_for(noise: Noise, max_groups: int, delta: Fraction, *, most: int = 1) -> int:
    """The smallest threshold that hides the keys of any one unit but for a probability of delta.

    With T the threshold: ``1 - (1 - P(Z >= T - most)) ** max_groups <= delta``, as the noise of the
    groups is independent. Exact for Laplace and for a sigma below 32; for a larger sigma the tail
    is an upper bound, and T at most one step too large.

    Args:
        noise: what is added to the count of units.
        max_groups: the most groups that one unit can appear in, 1 or more.
        delta: greater than zero, at most one half.
        most: what a unit adds to the count of a group at most, 1 or more.

    Raises:
        ValueError: an argument is out of range, or delta for each group is below 1e-100.
    """
    if max_groups < 1 or most < 1:
        raise ValueError("a unit appears in at least one group, and counts one there")
    if not 0 < delta <= Fraction(1, 2):
        raise ValueError("the delta of a threshold is not above 0 and at most 0.5")
    each = -math.expm1(math.log1p(-float(delta)) / max_groups)
    if each * _NARROWER < MIN_TAIL:
        raise ValueError("the delta of a threshold is too small for each group")
    return distance_of_tail(noise, each * _NARROWER) + most


def threshold_delta(noise: Noise, max_groups: int, threshold: int, *, most: int = 1) -> Fraction:
    """An upper bound of the probability that any key that only one unit has is shown.

    ``1 - (1 - P(Z >= threshold - most)) ** max_groups``, rounded up.

    Args:
        noise: what is added to the count of units.
        max_groups: the most groups that one unit can appear in, 1 or more.
        threshold: greater than ``most``.
        most: what a unit adds to the count of a group at most, 1 or more.

    Raises:
        ValueError: an argument is out of range.
    """
    if max_groups < 1 or most < 1 or threshold <= most:
        raise ValueError("a threshold is 2 or more, for at least one group")
    each = tail(noise, threshold - most)
    return Fraction(min(1.0, -math.expm1(max_groups * math.log1p(-each)) * _WIDER))


def show_key(noisy_units: int, threshold: int) -> bool:
    """True where the noisy count of a group's units reaches the threshold."""
    return noisy_units >= threshold
