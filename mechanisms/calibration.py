"""Sensitivities and a loss to scales of noise, and which mechanism does it better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from accountant.events import Event
from accountant.losses import Loss


class NoiseKind(Enum):
    LAPLACE = "discrete_laplace"
    GAUSSIAN = "discrete_gaussian"


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The most that one privacy unit can change one draw: all its cells, over all groups.

    In grid steps. Neighbours differ by adding or removing all rows of one unit.
    """

    l1: int
    l2_squared: int


@dataclass(frozen=True, slots=True)
class Noise:
    """One calibrated distribution on the integers. ``scale`` is exactly a float64 (OpenDP's input):
    the Laplace scale, or the Gaussian sigma, in grid steps."""

    kind: NoiseKind
    scale: Fraction


@dataclass(frozen=True, slots=True)
class KeySelection:
    """The group keys are not public: they are shown where a noisy count of units is large enough."""

    draw: int
    """Index of the draw whose cell counts the units of a group (one unit adds at most 1 a group)."""
    max_groups: int
    """The most groups that one unit can appear in."""


@dataclass(frozen=True, slots=True)
class Calibration:
    noises: tuple[Noise, ...]
    """One for each draw, in order."""
    threshold: int | None
    """Keys are shown when the noisy unit count is at least this; None for public keys."""
    events: tuple[Event, ...]
    loss: Loss
    """What the release is charged: at most what was asked, rounded up."""


class CannotCalibrate(ValueError):
    """No mechanism meets the ask; the text says why, in words for an analyst."""


def calibrate(
    draws: Sequence[Sensitivity],
    *,
    epsilon: Fraction,
    delta: Fraction,
    keys: KeySelection | None = None,
    min_scale: Fraction = Fraction(1, 2),
) -> Calibration:
    """STUB: contract only."""
    raise NotImplementedError


def error_bar(noise: Noise, confidence: Fraction = Fraction(95, 100)) -> int:
    """STUB: contract only. Smallest w with P(|Z| <= w) >= confidence, in grid steps."""
    raise NotImplementedError
