"""Does the next release still fit? Two filters, of which one has to say yes.

Releases are chosen, and their losses too, after all earlier answers were seen; so are the analysts
who ask. A *filter* is a test on the losses so far that stays sound all the same:

- **Basic**: the sums of epsilon and of delta stay within (e, d). Then all releases together are
  (e, d)-DP: Rogers, Roth, Ullman, Vadhan 2016, "Privacy odometers and filters" (arXiv 1605.08294),
  theorem 3.6.
- **zCDP**: the sums of rho and of slack stay within (r, s). Then they are s-approximate r-zCDP:
  Whitehouse, Ramdas, Rogers, Wu 2023, "Fully adaptive composition in differential privacy" (arXiv
  2203.05481), theorem 1. And that is (e, s + c)-DP where r converts to e at c: Canonne, Kamath,
  Steinke 2020 (arXiv 2004.00010), proposition 12.

**The portfolio.** A cap (e, d) is divided: basic gets d/4, zCDP d/4 for slack and d/2 for c. A
release is admitted if one of them holds for all releases so far and this one. Together they are
(e, d)-DP. Proof: the sums only grow, so a filter that holds at the end of a run held throughout;
the admission of its last release says that one does. Assign each run to basic if that holds at its
end, else to zCDP. For two neighbours with laws P and Q of runs, and any set of runs S,
P(S) - exp(e) Q(S) is the sum of the same over its two parts. On the runs of one part, P and Q are
those of the system that stops as soon as its one filter would break, so the part is at most the
delta of that filter: d/4, and d/4 + d/2. They add up to d.

Basic is better for few large losses, zCDP for many small ones, and no analyst has to choose.

The numbers of theorems are those that others cite them by; of the papers themselves only abstracts
were at hand. Tests check what they say in numbers: ``test_filters_exactly.py`` the filters against
the best adversary, ``test_dp_accounting.py`` and ``test_losses.py`` the conversions.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import isqrt

from accountant.losses import (
    DELTA_STEPS,
    EPSILON_STEPS,
    Loss,
    epsilon_to_rho,
    floor_epsilon,
    rho_to_epsilon,
)

MOST = 2**63 - 1
"""The largest number that the ledger's columns hold."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A ceiling, or what is left under one. Integers: epsilon in 1e-12, delta in 1e-18."""

    epsilon: int
    delta: int


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of a ceiling is used, under each filter; it is used up at 1 in both."""

    basic: Fraction
    zcdp: Fraction

    @property
    def least(self) -> Fraction:
        """The share that counts: a release needs only one filter."""
        return min(self.basic, self.zcdp)


def delta_quarter(cap: Budget) -> int:
    """What the sum of delta may reach under basic, and the sum of slack under zCDP; in 1e-18."""
    return cap.delta // 4


def conversion_delta(cap: Budget) -> Fraction:
    """The part of the cap's delta at which rho is turned into epsilon."""
    return Fraction(cap.delta - 2 * delta_quarter(cap), DELTA_STEPS)


@lru_cache(maxsize=4096)
def rho_cap(cap: Budget) -> int:
    """What the sum of rho may reach under zCDP, in 1e-12; 0 where the cap allows no delta."""
    delta = min(conversion_delta(cap), Fraction(1, 2))
    if cap.epsilon == 0 or delta == 0:
        return 0
    rho = epsilon_to_rho(Fraction(cap.epsilon, EPSILON_STEPS), delta)
    return min(floor_epsilon(rho), MOST)


def holds(spent: Loss, cap: Budget) -> bool:
    """Whether one of the filters holds for what is spent, and the ledger can store it."""
    quarter = delta_quarter(cap)
    basic = spent.epsilon <= cap.epsilon and spent.delta <= quarter
    zcdp = spent.rho <= rho_cap(cap) and spent.slack <= quarter and cap.delta > 0
    storable = max(spent.epsilon, spent.delta, spent.rho, spent.slack) <= MOST
    return (basic or zcdp) and storable


def fits(spent: Loss, cap: Budget, charge: Loss) -> bool:
    """Whether the account stays within its ceiling after the charge."""
    return holds(spent + charge, cap)


def shares(spent: Loss, cap: Budget) -> Shares:
    """What is used of the ceiling under each filter; more than 1 where the other one carries on."""
    quarter = delta_quarter(cap)
    return Shares(
        basic=max(_share(spent.epsilon, cap.epsilon, 1), _share(spent.delta, quarter, 0)),
        zcdp=max(_share(spent.rho, rho_cap(cap), 1), _share(spent.slack, quarter, 0)),
    )


def _share(part: int, whole: int, of_nothing: int) -> Fraction:
    """A part of a whole. A pure cap has no delta and lives; no epsilon or rho is used up."""
    if whole:
        return Fraction(part, whole)
    return Fraction(1 if part else of_nothing)


def spent_epsilon(spent: Loss, cap: Budget) -> int:
    """What is spent, in epsilon at the cap's delta, in 1e-12: the lesser of the filters' figures.

    It is a report. What is proven is the cap.
    """
    quarter = delta_quarter(cap)
    figures = []
    if spent.delta <= quarter:
        figures.append(spent.epsilon)
    if cap.delta and spent.slack <= quarter:
        delta = min(conversion_delta(cap), Fraction(1, 2))
        epsilon = rho_to_epsilon(Fraction(spent.rho, EPSILON_STEPS), delta)
        figures.append(-floor_epsilon(-epsilon))
    return min(figures, default=max(spent.epsilon, cap.epsilon))


def remaining(spent: Loss, cap: Budget) -> Budget:
    """The most that one more release could be charged.

    Its epsilon is that of a pure one, whose rho is half its square: more fits under zCDP than basic
    has left where ``e <= sqrt(2 rho)``. Its delta is that of one more threshold.
    """
    quarter = delta_quarter(cap)
    epsilon = delta = 0
    if spent.delta <= quarter:
        epsilon, delta = max(0, cap.epsilon - spent.epsilon), quarter - spent.delta
    rho = rho_cap(cap) - spent.rho
    if cap.delta and rho >= 0 and spent.slack <= quarter:
        # e / 1e12 with e^2 / 1e24 / 2 <= rho / 1e12, rounded down.
        epsilon = max(epsilon, isqrt(2 * rho * EPSILON_STEPS))
        delta = max(delta, quarter - spent.slack)
    return Budget(epsilon, delta)


def more_like(charge: Loss, spent: Loss, cap: Budget) -> int:
    """How many more releases of the same charge fit, one after another; at most :data:`MOST`."""
    quarter = delta_quarter(cap)
    basic = min(
        _times(cap.epsilon - spent.epsilon, charge.epsilon),
        _times(quarter - spent.delta, charge.delta),
    )
    zcdp = min(
        _times(rho_cap(cap) - spent.rho, charge.rho),
        _times(quarter - spent.slack, charge.slack),
    )
    return max(basic, zcdp if cap.delta else 0)


def _times(left: int, each: int) -> int:
    if left < 0:
        return 0
    return left // each if each else MOST
