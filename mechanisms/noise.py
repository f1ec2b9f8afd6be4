"""Exact integers in, noisy integers out. The only import of OpenDP, and of any randomness.

OpenDP samples exactly (Canonne, Kamath and Steinke 2020) from the operating system's entropy, once
for every cell and every call. Nothing here can be seeded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import opendp.prelude as dp

from mechanisms.distributions import Noise, NoiseKind

OPENDP_VERSION = "0.16.0"
"""The release whose samplers were tested. Those before 0.14.2 are biased (opendp issue 2638)."""

if dp.__version__ != OPENDP_VERSION:
    raise ImportError(
        f"epsql needs opendp {OPENDP_VERSION}, whose samplers it has tested;"
        f" installed is {dp.__version__}."
    )

# Not "honest-but-curious" or "idealized-numerics": both give up a part of the guarantee.
dp.enable_features("contrib")

CELL_LIMIT = 2**62
"""Cells are clamped to plus or minus this before the noise, which leaves room for it in 64 bits."""


class NoiseFailed(RuntimeError):
    """No noise was added. The text is fixed: it never carries a value."""

    def __init__(self) -> None:
        super().__init__("the noise could not be added")


def add_noise(values: Sequence[int], noise: Noise) -> list[int]:
    """The values, each with its own draw of noise.

    Values are clamped to plus or minus 2^62 first. Clamping cannot raise a sensitivity: it never
    takes two numbers further apart, so no cell of two neighbours' vectors differs by more than
    before, and neither does any norm of the difference. Noisy values saturate at 64 bits, which
    happens after the noise and so costs nothing.

    Args:
        values: exact cells, in grid steps. Any length; none gives none.
        noise: the calibrated law.

    Raises:
        ValueError: the scale is not a finite float64 greater than zero. No value is looked at.
        NoiseFailed: a value is not an integer, or OpenDP failed.
    """
    scale = _scale(noise)
    measurement = _measurement(noise.kind, scale)
    noisy = _invoke(measurement, values) if values else []
    if noisy is None:
        # Raised outside of any handler: the error that it stands for may quote a value.
        raise NoiseFailed
    return noisy


def _invoke(
    measurement: Callable[[list[int]], list[int]], values: Sequence[int]
) -> list[int] | None:
    if any(type(value) is not int for value in values):
        return None
    try:
        noisy = measurement([max(-CELL_LIMIT, min(CELL_LIMIT, value)) for value in values])
    except Exception:  # noqa: BLE001 - any error of OpenDP may quote a value
        return None
    return noisy if len(noisy) == len(values) else None


def _scale(noise: Noise) -> float:
    """OpenDP takes a scale of zero, which is no noise at all, so the check is here."""
    try:
        scale = float(noise.scale)
    except OverflowError:
        scale = math.inf
    if not (math.isfinite(scale) and scale > 0 and scale == noise.scale):
        raise ValueError("a scale of noise is a finite float64 greater than zero")
    return scale


@lru_cache(maxsize=1024)
def _measurement(kind: NoiseKind, scale: float) -> Callable[[list[int]], list[int]]:
    """OpenDP's measurement on vectors of 64-bit integers. It has no state but the scale."""
    cells = dp.vector_domain(dp.atom_domain(T="i64"))
    if kind is NoiseKind.LAPLACE:
        return dp.m.make_laplace(cells, dp.l1_distance(T="i64"), scale=scale)
    return dp.m.make_gaussian(cells, dp.l2_distance(T="f64"), scale=scale)
