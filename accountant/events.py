"""What was done: the frozen record of every mechanism that touched protected data.

Events are the vocabulary of the ledger, so they are under contract: a class is never removed, a
field is only ever added, and the meaning of a field never changes. Any accountant written later can
be applied to old entries. All numbers are exact (integers and rationals).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True)
class LaplaceEvent:
    """Discrete Laplace noise of one scale was added to every cell of an integer vector."""

    scale: Fraction
    """P(Z = z) is proportional to exp(-|z| / scale); in grid steps, greater than zero."""
    l1_sensitivity: int
    """The most that one privacy unit can change the vector, in the L1 norm, in grid steps."""


@dataclass(frozen=True, slots=True)
class GaussianEvent:
    """Discrete Gaussian noise of one sigma was added to every cell of an integer vector."""

    sigma: Fraction
    """P(Z = z) is proportional to exp(-z^2 / (2 sigma^2)); in grid steps, greater than zero."""
    l2_sensitivity_squared: int
    """The square of the most that one unit can change the vector in the L2 norm, in steps^2."""


@dataclass(frozen=True, slots=True)
class ThresholdEvent:
    """Group keys that were not public were shown where a noisy unit count reached a threshold."""

    delta: Fraction
    """Upper bound of the probability that any key that only one unit has was shown."""


Event = LaplaceEvent | GaussianEvent | ThresholdEvent

_KINDS: dict[str, type[Event]] = {
    "discrete_laplace": LaplaceEvent,
    "discrete_gaussian": GaussianEvent,
    "key_threshold": ThresholdEvent,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_json(event: Event) -> dict[str, Any]:
    """The event as plain JSON, rationals as ``"p/q"`` strings, integers as integers."""
    body: dict[str, Any] = {"kind": _NAMES[type(event)]}
    for name in event.__dataclass_fields__:
        value = getattr(event, name)
        body[name] = str(value) if isinstance(value, Fraction) else value
    return body


def from_json(body: dict[str, Any]) -> Event:
    """The inverse of :func:`to_json`.

    Raises:
        ValueError: the kind is unknown. An accountant that does not know an event must not guess.
    """
    fields = dict(body)
    kind = _KINDS.get(fields.pop("kind", ""))
    if kind is None:
        raise ValueError(f"unknown event kind in {body!r}")
    values: dict[str, Any] = {
        k: Fraction(v) if isinstance(v, str) else v for k, v in fields.items()
    }
    return kind(**values)
