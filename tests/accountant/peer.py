"""What dp-accounting says of events: run by the Python of ``.clients``, JSON in and JSON out.

Each event becomes the pairs of laws that one unit makes worst. Of a change of the L1 norm n in a
vector there are two extremes: all of it in one cell, and a step in each of n cells. The same for
the square of the L2 norm. A threshold tells all with its delta, and nothing otherwise.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from fractions import Fraction
from functools import cache
from math import exp, inf, isqrt
from typing import Any

import dp_accounting as dp
import numpy as np
from dp_accounting.pld import common
from dp_accounting.pld import privacy_loss_distribution as pld

MANY, FEW = (1.0 + np.geomspace(0.02, 1e6, count) for count in (2_000, 200))
"""Orders of Rényi divergences: many for six digits of an epsilon, few where each takes long."""
WHOLE, SPREAD = "whole", "spread"


def answered(case: dict[str, Any]) -> dict[str, float]:
    """The figures of one composition.

    Args:
        case: ``events``, as the ledger writes them; ``delta``, of all of them; ``interval``, to
            which privacy losses are rounded up.

    Returns:
        ``whole`` and ``spread``: epsilon by privacy loss distributions. ``rdp``: epsilon by Rényi
        divergences, with the deltas of thresholds taken off delta.
    """
    events = Counter(json.dumps(event, sort_keys=True) for event in case["events"])
    delta, interval = case["delta"], case["interval"]
    found = {}
    for extreme in (WHOLE, SPREAD):
        total = pld.identity(interval)
        for text, times in events.items():
            for shift, cells in shifts(json.loads(text), extreme):
                total = total.compose(law(text, shift, interval).self_compose(times * cells))
        found[extreme] = total.get_epsilon_for_delta(delta)
    return found | {"rdp": by_renyi(events, delta)}


def shifts(event: dict[str, Any], extreme: str) -> list[tuple[int, int]]:
    """How far how many cells move."""
    if event["kind"] == "key_threshold":
        return [(0, 1)]
    if event["kind"] == "discrete_laplace":
        norm = event["l1_sensitivity"]
        return [(norm, 1)] if extreme == WHOLE else [(1, norm)]
    square = event["l2_sensitivity_squared"]
    if extreme == SPREAD:
        return [(1, square)]
    root = isqrt(square)
    rest = square - root * root
    return [(root, 1)] + ([(1, rest)] if rest else [])


@cache
def law(text: str, shift: int, interval: float) -> pld.PrivacyLossDistribution:
    """The privacy loss of one cell that moves, rounded up."""
    event = json.loads(text)
    if event["kind"] == "key_threshold":
        delta = float(Fraction(event["delta"]))
        return pld.from_privacy_parameters(
            common.DifferentialPrivacyParameters(0.0, delta), interval
        )
    if event["kind"] == "discrete_laplace":
        return pld.from_discrete_laplace_mechanism(
            float(1 / Fraction(event["scale"])), shift, value_discretization_interval=interval
        )
    return pld.from_discrete_gaussian_mechanism(
        float(Fraction(event["sigma"])), shift, value_discretization_interval=interval
    )


def by_renyi(events: Counter[str], delta: float) -> float:
    """Epsilon by Rényi divergences: randomised response lies above every pure mechanism."""
    accountant = dp.rdp.RdpAccountant(FEW, dp.NeighboringRelation.REPLACE_ONE)
    for text, times in events.items():
        event = json.loads(text)
        if event["kind"] == "key_threshold":
            delta -= times * float(Fraction(event["delta"]))
            continue
        if event["kind"] == "discrete_laplace":
            epsilon = float(event["l1_sensitivity"] / Fraction(event["scale"]))
            one = dp.RandomizedResponseDpEvent(2 / (1 + exp(epsilon)), 2)
        else:
            square = event["l2_sensitivity_squared"] / Fraction(event["sigma"]) ** 2
            one = dp.ZCDpEvent(float(square / 2))
        accountant.compose(one, times)
    return float(accountant.get_epsilon(delta)) if delta > 0 else inf


def converted(case: dict[str, float]) -> float:
    """The epsilon of a rho at a delta."""
    accountant = dp.rdp.RdpAccountant(MANY)
    accountant.compose(dp.ZCDpEvent(case["rho"]))
    return float(accountant.get_epsilon(case["delta"]))


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(
        {
            "compositions": [answered(case) for case in asked.get("compositions", [])],
            "conversions": [converted(case) for case in asked.get("conversions", [])],
        },
        sys.stdout,
    )
