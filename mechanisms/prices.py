"""What a release takes of an account: its price, by which mechanisms are chosen.

An account admits a release while either of two sums still fits: of epsilon with delta, or of rho
with slack. So of releases that are all alike as many fit as the cheaper of the two lets in, and the
price of one is the smaller of its two shares. It is computed from the policy's caps alone, in
floats: it only chooses. What fits is decided by the ledger, in integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from accountant.losses import DELTA_STEPS, EPSILON_STEPS, Loss, epsilon_to_rho, floor_delta


@dataclass(frozen=True, slots=True)
class Cap:
    """What an account may spend in all, by the policy."""

    epsilon: Fraction
    delta: Fraction


def price(loss: Loss, cap: Cap) -> float:
    """The share of an account that each release takes, if all are like this one.

    Above one where not even the first fits; infinite where an account has nothing of a kind.
    """
    rho_cap, quarter = _room(cap)
    plain = max(
        _share(loss.epsilon / EPSILON_STEPS, float(cap.epsilon)), _share(loss.delta, quarter)
    )
    concentrated = max(_share(loss.rho / EPSILON_STEPS, rho_cap), _share(loss.slack, quarter))
    return min(plain, concentrated)


def _share(part: float, whole: float) -> float:
    return 0.0 if part == 0 else part / whole if whole > 0 else math.inf


@lru_cache(maxsize=256)
def _room(cap: Cap) -> tuple[float, int]:
    """The cap in rho, and the deltas that either sum may hold, in 1e-18: a quarter each for
    epsilon's, and for the thresholds beside rho; the other half turns rho into epsilon."""
    whole = floor_delta(cap.delta)
    quarter = whole // 4
    conversion = Fraction(whole - 2 * quarter, DELTA_STEPS)
    return float(epsilon_to_rho(cap.epsilon, conversion)) if conversion > 0 else 0.0, quarter
