"""No adversary gets past the filters: the best one there is, found by dynamic programming.

The adversary chooses the next mechanism after seeing all outcomes, as long as the filter admits it.
Mechanisms have two or three outcomes, so the privacy loss is a whole number of steps and its law is
exact: what the best adversary reaches is computed, not estimated. Said without a filter: the
largest, over all ways to choose, of ``E[max(0, 1 - exp(e - loss))]``, which is the delta that the
whole run really has at epsilon ``e``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import pytest

from accountant.filters import Budget, delta_quarter, fits, rho_cap
from accountant.losses import ZERO, Loss

STEP = 10**11
"""A step of epsilon: a tenth."""
STEPS = 10**12


@dataclass(frozen=True)
class Mechanism:
    """Randomised response of some steps of epsilon, which says all with a probability ``leak``."""

    steps: int
    leak: float = 0.0

    @property
    def loss(self) -> Loss:
        """Its rho is ``e tanh(e / 2) / 2``'s upper bound ``e^2 / 2``, as the ledger charges it."""
        epsilon, delta = self.steps * STEP, math.ceil(self.leak * 10**18)
        return Loss(epsilon, delta, -(-(epsilon**2) // (2 * STEPS)), delta)


Filter = Callable[[tuple[int, ...]], bool]
"""Whether a run with so many of each mechanism is admitted."""


def worst_delta(menu: Sequence[Mechanism], epsilon_steps: int, admits: Filter) -> float:
    """What the best adversary reaches at the epsilon."""

    @cache
    def reached(counts: tuple[int, ...], loss: int) -> float:
        best = max(0.0, 1.0 - math.exp((epsilon_steps - loss) / 10))
        for i, mechanism in enumerate(menu):
            after = (*counts[:i], counts[i] + 1, *counts[i + 1 :])
            if not admits(after):
                continue
            up = 1.0 / (1.0 + math.exp(-mechanism.steps / 10))
            stays = reached(after, loss + mechanism.steps) * up
            stays += reached(after, loss - mechanism.steps) * (1.0 - up)
            best = max(best, mechanism.leak + (1.0 - mechanism.leak) * stays)
        return best

    return reached((0,) * len(menu), 0)


def of_the_ledger(menu: Sequence[Mechanism], cap: Budget) -> Filter:
    """The filter as accounts use it: the sums so far, and the next charge."""

    @cache
    def admits(counts: tuple[int, ...]) -> bool:
        for i, count in enumerate(counts):
            if count:
                before = (*counts[:i], count - 1, *counts[i + 1 :])
                if admits(before) and fits(_spent(menu, before), cap, menu[i].loss):
                    return True
        return not any(counts)

    return admits


def _spent(menu: Sequence[Mechanism], counts: tuple[int, ...]) -> Loss:
    total = ZERO
    for mechanism, count in zip(menu, counts, strict=True):
        for _ in range(count):
            total += mechanism.loss
    return total


MENUS = {
    "one small": [Mechanism(1)],
    "small and large": [Mechanism(1), Mechanism(4)],
    "three sizes": [Mechanism(1), Mechanism(2), Mechanism(5)],
    "with a leak": [Mechanism(1), Mechanism(2, leak=0.004)],
    "leaks only": [Mechanism(1, leak=0.001), Mechanism(3, leak=0.01)],
}


@pytest.mark.parametrize("delta", [0.001, 0.02, 0.1])
@pytest.mark.parametrize("epsilon_steps", [5, 10, 20])
@pytest.mark.parametrize("menu", MENUS)
def test_the_best_adversary_stays_within_the_cap(menu: str, epsilon_steps: int, delta: float):
    mechanisms = MENUS[menu]
    cap = Budget(epsilon_steps * STEP, int(delta * 10**18))
    assert worst_delta(mechanisms, epsilon_steps, of_the_ledger(mechanisms, cap)) <= delta


def test_without_delta_nothing_is_reached_at_all():
    menu = MENUS["three sizes"]
    assert worst_delta(menu, 10, of_the_ledger(menu, Budget(10 * STEP, 0))) == 0


UNSOUND: dict[str, Callable[[int, int], int]] = {
    "each filter counts only what it admitted": lambda basic, zcdp: basic + zcdp,
    "rho is not squared": lambda _, zcdp: 12 * zcdp,
    "the conversion forgets delta": lambda basic, zcdp: max(basic, 3 * zcdp),
}


@pytest.mark.parametrize("bug", UNSOUND)
def test_a_filter_that_is_not_sound_is_caught(bug: str):
    """The same search over filters with a bug: how many small answers they would admit."""
    delta, menu = 0.001, [Mechanism(1)]
    cap = Budget(10 * STEP, int(delta * 10**18))
    most = UNSOUND[bug](cap.epsilon // STEP, rho_cap(cap) // menu[0].loss.rho)
    assert worst_delta(menu, 10, lambda counts: counts[0] <= most) > delta


def test_the_leaks_of_both_filters_add_up_to_no_more_than_their_quarters():
    """An account that thresholds filled takes none more, under either filter."""
    cap = Budget(10 * STEP, 10**16)
    leak = Mechanism(0, leak=0.0025)
    assert leak.loss.slack == delta_quarter(cap)
    assert fits(ZERO, cap, leak.loss)
    assert not fits(leak.loss, cap, Mechanism(0, leak=0.0001).loss)
