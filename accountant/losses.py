"""What it costs: epsilon, delta and rho as integers, charges rounded up, caps rounded down."""

from __future__ import annotations

from dataclasses import dataclass

EPSILON_STEPS = 10**12
"""Epsilon and rho are counted in 1e-12."""
DELTA_STEPS = 10**18
"""Delta is counted in 1e-18."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A charge. Integers: ``epsilon`` and ``rho`` in 1e-12, ``delta`` in 1e-18."""

    epsilon: int
    delta: int
    rho: int
