"""Does the next event still fit? Basic composition: the sums of epsilon and of delta.

Sums are sound when every question, and what it may cost, is chosen after seeing all earlier answers
(Rogers, Roth, Ullman, Vadhan 2016, "Privacy odometers and filters", arXiv 1605.08294, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

from accountant.losses import Loss

MOST = 2**63 - 1
"""The largest number that the ledger's columns hold."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A ceiling, or what is left under one. Integers: epsilon in 1e-12, delta in 1e-18."""

    epsilon: int
    delta: int


def fits(spent: Loss, cap: Budget, charge: Loss) -> bool:
    """Whether the account stays within its ceiling after the charge.

    Rho has no ceiling yet; it is recorded for the accountants to come, so its sum must be storable.
    """
    total = spent + charge
    return total.epsilon <= cap.epsilon and total.delta <= cap.delta and total.rho <= MOST


def remaining(spent: Loss, cap: Budget) -> Budget:
    """What is left under the ceiling."""
    return Budget(cap.epsilon - spent.epsilon, cap.delta - spent.delta)
