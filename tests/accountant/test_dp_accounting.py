"""Losses and filters against Google's dp-accounting, which lives in ``.clients``: see ``peer.py``.

It composes what is fixed in advance, by privacy loss distributions, which are tight, and by Rényi
divergences. So what our filters admit has to be within the cap by its figures too; that is needed
and does not suffice, as nothing here is adaptive: see ``test_filters_exactly.py``.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from accountant.events import Event, GaussianEvent, LaplaceEvent, ThresholdEvent, to_json
from accountant.filters import Budget, conversion_delta, delta_quarter, fits, rho_cap
from accountant.losses import (
    DELTA_STEPS,
    EPSILON_STEPS,
    ZERO,
    Loss,
    loss_of_events,
    rho_to_epsilon,
)
from tests.clients.place import client_program

PEER = Path(__file__).with_name("peer.py")
FINE, COARSE = 1e-5, 1e-4
"""To what privacy losses are rounded up: so much may an event add to an epsilon of theirs."""

Case = tuple[Sequence[Event], Fraction]
"""Events, and a delta."""


def told(**asked: Any) -> dict[str, Any]:
    """What the peer answers, or a skip where it is not installed."""
    done = subprocess.run(
        [client_program("python"), PEER],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "No module named 'dp_accounting'" in done.stderr:
        pytest.skip("dp-accounting is not in .clients: make clients")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def composed(cases: Sequence[Case], interval: float) -> list[dict[str, float]]:
    """Their epsilons of each case: ``whole`` and ``spread`` are tight, ``rdp`` is not."""
    found: list[dict[str, float]] = told(
        compositions=[
            {"events": [to_json(e) for e in events], "delta": float(delta), "interval": interval}
            for events, delta in cases
        ]
    )["compositions"]
    return found


LAPLACE: list[Event] = [
    LaplaceEvent(Fraction(b), n) for b, n in ((50, 1), (10, 1), (4, 2), (2, 2), (3, 3))
]
GAUSSIAN: list[Event] = [
    GaussianEvent(Fraction(s), n)
    for s, n in ((1, 1), (2, 1), (10, 1), (10, 4), (40, 3), (60, 36), (90, 1))
]


CAPS = [
    Budget(EPSILON_STEPS // 2, 10**12),
    Budget(EPSILON_STEPS, 10**12),
    Budget(3 * EPSILON_STEPS, 10**10),
]
DELTAS = (Fraction(1, 10**6), Fraction(1, 10**9))


@pytest.fixture(scope="module")
def singles() -> list[tuple[Event, Fraction, dict[str, float]]]:
    """Their epsilons of single events at a delta."""
    cases = [(event, delta) for event in (*LAPLACE, *GAUSSIAN) for delta in DELTAS]
    answers = composed([([event], delta) for event, delta in cases], FINE)
    return [(*case, theirs) for case, theirs in zip(cases, answers, strict=True)]


def tight(event: Event, theirs: dict[str, float]) -> float:
    """Their epsilon of one event, less what their rounding can have added."""
    return max(theirs["whole"], theirs["spread"]) - cells_of([event]) * FINE


def test_one_release_costs_what_it_tightly_does_and_little_more(singles) -> None:
    """Epsilon of Laplace noise is that of any delta; that of Gaussian noise, by rho, is at most 17
    % above. Rho is no less for either, though for Laplace noise it is much more."""
    for event, delta, theirs in singles:
        loss, least = loss_of_events([event], delta), tight(event, theirs)
        epsilon = loss.epsilon / EPSILON_STEPS
        by_rho = float(rho_to_epsilon(Fraction(loss.rho, EPSILON_STEPS), delta))
        assert least <= epsilon, event
        assert least <= by_rho, event
        if isinstance(event, LaplaceEvent):
            assert loss.delta == loss.slack == 0
            assert epsilon <= (least + 2 * cells_of([event]) * FINE) * 1.001, event
        else:
            assert epsilon <= least * 1.17, event
            assert epsilon == pytest.approx(theirs["rdp"], rel=2e-3)


def test_half_of_a_loss_would_be_seen(singles) -> None:
    """The comparison is no comfort to a formula with a factor of two in it."""
    for event, delta, theirs in singles:
        loss = loss_of_events([event], delta)
        half = float(rho_to_epsilon(Fraction(loss.rho, 2 * EPSILON_STEPS), delta))
        wrong = half if isinstance(event, GaussianEvent) else loss.epsilon / 2 / EPSILON_STEPS
        assert wrong < tight(event, theirs), event


def test_rho_becomes_the_same_epsilon() -> None:
    """Theirs is the least over a list of orders, so a hair above."""
    cases = [(Fraction(r), d) for r in ("1e-4", "0.02", "0.5", "20") for d in DELTAS]
    cases += [(Fraction(rho_cap(cap), EPSILON_STEPS), conversion_delta(cap)) for cap in CAPS]
    asked = [{"rho": float(rho), "delta": float(delta)} for rho, delta in cases]
    answers = told(conversions=asked)["conversions"]
    for (rho, delta), theirs in zip(cases, answers, strict=True):
        ours = float(rho_to_epsilon(rho, delta))
        assert ours * (1 - 1e-9) <= theirs <= ours * (1 + 1e-4), (rho, delta)
    caps = [cap.epsilon / EPSILON_STEPS for cap in CAPS]
    assert answers[-len(CAPS) :] == pytest.approx(caps, rel=1e-4)


@dataclass(frozen=True)
class Release:
    """Events of one release, and the delta at which its rho is converted."""

    events: tuple[Event, ...]
    delta: Fraction

    @property
    def loss(self) -> Loss:
        return loss_of_events(self.events, self.delta)


def some_releases(chance: random.Random, cap: Budget) -> list[Release]:
    """What an analyst may choose from: some large and some small, with thresholds and without."""
    epsilon = Fraction(cap.epsilon, EPSILON_STEPS)
    found = []
    for size in (3, 10, 40):
        sensitivity = chance.choice((1, 2, 3))
        scale = Fraction(round(sensitivity * size / epsilon * Fraction(chance.uniform(1, 2)), 2))
        noise: Event = (
            LaplaceEvent(max(scale, Fraction(1, 2)), sensitivity)
            if chance.random() < 0.5
            else GaussianEvent(max(scale, Fraction(1, 2)) * 3, sensitivity**2)
        )
        slack = Fraction(cap.delta, DELTA_STEPS) / (2 * size)
        keys = (ThresholdEvent(slack),) if chance.random() < 0.4 else ()
        found.append(Release((noise, *keys), Fraction(1, 10**9)))
    little = LaplaceEvent(200 / epsilon, 1), ThresholdEvent(Fraction(cap.delta, 6 * DELTA_STEPS))
    return [*found, Release(little, Fraction(0))]


Filter = Callable[[Sequence[Loss], Budget, Loss], bool]
"""Whether a charge is admitted after others."""


def ours(spent: Sequence[Loss], cap: Budget, charge: Loss) -> bool:
    return fits(sum(spent, start=ZERO), cap, charge)


def filled(seed: int, cap: Budget, admits: Filter) -> list[Event]:
    """All that a filter lets through, until nothing of the menu fits any more."""
    chance = random.Random(seed)
    menu = some_releases(chance, cap)
    losses = {release: release.loss for release in menu}
    spent: list[Loss] = []
    events: list[Event] = []
    while menu:
        chosen = chance.choice(menu)
        if admits(spent, cap, losses[chosen]):
            spent.append(losses[chosen])
            events.extend(chosen.events)
        else:
            menu.remove(chosen)
    return events


SEEDS = range(4)


def overspent(admits: Filter) -> list[tuple[float, float]]:
    """Of each run, how far their tight epsilon is above the cap, and how much of it it is."""
    runs = [(cap, filled(seed, cap, admits)) for cap in CAPS for seed in SEEDS]
    answers = composed([(e, Fraction(c.delta, DELTA_STEPS)) for c, e in runs], COARSE)
    found = []
    for (cap, events), theirs in zip(runs, answers, strict=True):
        most, epsilon = cap.epsilon / EPSILON_STEPS, max(theirs["whole"], theirs["spread"])
        found.append((epsilon - most - cells_of(events) * COARSE, epsilon / most))
    return found


def cells_of(events: Sequence[Event]) -> int:
    """Over how many cells privacy losses were rounded up."""
    return sum(
        e.l1_sensitivity if isinstance(e, LaplaceEvent) else e.l2_sensitivity_squared
        for e in events
        if not isinstance(e, ThresholdEvent)
    )


def test_what_is_admitted_is_within_the_cap_by_their_figures() -> None:
    found = overspent(ours)
    assert max(above for above, _ in found) <= 0
    # Nor is most of the cap left over: accounts are filled.
    assert max(part for _, part in found) > 0.9
    assert sorted(part for _, part in found)[len(found) // 2] > 0.6


def _each_its_own(spent: Sequence[Loss], cap: Budget, charge: Loss) -> bool:
    """Basic counts what it admitted, zCDP counts the rest."""
    basic = zcdp = ZERO
    for one in (*spent, charge):
        more = basic + one
        if more.epsilon <= cap.epsilon and more.delta <= delta_quarter(cap):
            basic = more
        else:
            zcdp += one
    return zcdp.rho <= rho_cap(cap) and zcdp.slack <= delta_quarter(cap)


def _half_of_rho(spent: Sequence[Loss], cap: Budget, charge: Loss) -> bool:
    return ours([_with_rho(one) for one in spent], cap, _with_rho(charge))


def _with_rho(loss: Loss) -> Loss:
    return Loss(loss.epsilon, loss.delta, loss.rho // 2, loss.slack)


def _no_thresholds(spent: Sequence[Loss], cap: Budget, charge: Loss) -> bool:
    def without(loss: Loss) -> Loss:
        return Loss(loss.epsilon, loss.delta - loss.slack, loss.rho, 0)

    return ours([without(one) for one in spent], cap, without(charge))


@pytest.mark.slow
@pytest.mark.parametrize("planted", [_each_its_own, _half_of_rho, _no_thresholds])
def test_a_filter_that_is_not_sound_is_found(planted: Filter) -> None:
    assert max(above for above, _ in overspent(planted)) > 0
