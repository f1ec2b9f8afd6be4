"""Keys that one person has alone are shown as seldom as delta says, through what publishes them.

A delta as small as those of real questions cannot be seen from outside. So the threshold is put
lower, to where it can, and the same formula says how often.
"""

from __future__ import annotations

import math

import pytest

from analyzer.analyze import analyze
from analyzer.plan import PrivatePlan
from mechanisms.thresholds import show_key, threshold_delta
from server import releases
from server.noisy_cells import read_cells
from server.releases import Publisher
from tests.guarantee import data
from tests.released import changed

SQL = "SELECT diagnosis, count(DISTINCT patient_id) FROM visits GROUP BY diagnosis"
KEYS = 20_000


def lowered() -> tuple[PrivatePlan, float]:
    """A plan whose keys of one person are shown now and then, and how often by the formula."""
    plan = analyze(SQL, data.catalog())
    (draw,) = plan.draws
    threshold = 2 + math.ceil(3 * draw.noise.scale)
    lower = changed(plan, threshold=threshold)
    return lower, float(threshold_delta(draw.noise, 1, threshold))


def shown(plan: PrivatePlan) -> int:
    """Of many keys with one person each, how many come out."""
    publisher = Publisher(plan)
    publisher.take(0, [(f"key {i}", 1) for i in range(KEYS)])
    (groups,) = read_cells(publisher.release())
    return len(groups)


def too_many(count: int, delta: float) -> bool:
    """Beyond six deviations above what delta allows: a false alarm in a billion."""
    return count > KEYS * delta + 6 * math.sqrt(KEYS * delta)


def test_keys_of_one_person_are_shown_as_often_as_delta_says() -> None:
    plan, delta = lowered()
    count = shown(plan)
    assert not too_many(count, delta)
    assert count > KEYS * delta - 6 * math.sqrt(KEYS * delta)  # nor is delta paid for nothing


def test_a_threshold_that_is_too_low_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a third of the scale: what a wrong formula of the tail would make of it."""
    plan, delta = lowered()
    step = math.ceil(plan.draws[0].noise.scale / 3)
    monkeypatch.setattr(releases, "show_key", lambda n, t: show_key(n, t - step))
    assert too_many(shown(plan), delta)
