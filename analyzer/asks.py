"""The ways to say what an answer may cost.

Exactly one way is taken: a loss in epsilon, a loss in rho, an error, or nothing, which is the data
owner's default. Delta goes with any of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from analyzer.refusals import BadArgument


@dataclass(frozen=True, slots=True)
class EpsilonAsk:
    """The release alone is (epsilon, delta)-DP."""

    epsilon: Fraction
    delta: Fraction


@dataclass(frozen=True, slots=True)
class RhoAsk:
    """The release is rho-zCDP. Delta is for thresholds, and for the epsilon that it is charged."""

    rho: Fraction
    delta: Fraction


@dataclass(frozen=True, slots=True)
class ErrorBar:
    """How exact numbers are to be: half-widths at 95 %."""

    width: Fraction
    """Of every count and sum, in the units of the data."""
    rows: Fraction | None = None
    """About how many rows an average is over; its error cannot be known without."""


@dataclass(frozen=True, slots=True)
class ErrorAsk:
    """The error bars are no wider than this, at the least price."""

    error: ErrorBar
    delta: Fraction


Ask = EpsilonAsk | RhoAsk | ErrorAsk
"""What one release may cost, or how exact it has to be. Exact rationals; delta may be zero."""

_NUMBER = r"([0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?)"
_ERROR = re.compile(
    rf"\s*{_NUMBER}\s*(?:(%)\s*of\s+{_NUMBER})?(?:\s+over\s+{_NUMBER}(?:\s+rows)?)?\s*"
)
_HINT = "For example: 500, or 5% of 20000, or 0.5 over 2000 rows for an average."


def error_bar_of(text: str) -> ErrorBar:
    """An error as an analyst writes it: ``500``, ``5% of 20000``, ``0.5 over 2000 rows``.

    Raises:
        BadArgument: it is none, or not above zero.
    """
    found = _ERROR.fullmatch(text)
    if found is None:
        raise BadArgument("The error is not one that can be read.", hint=_HINT)
    number, percent, whole, rows = found.groups()
    width = Fraction(Decimal(number))
    if percent:
        width *= Fraction(Decimal(whole)) / 100
    over = None if rows is None else Fraction(Decimal(rows))
    if width <= 0 or over == 0:
        raise BadArgument("An error has to be greater than zero.", hint=_HINT)
    return ErrorBar(width, over)


def ask_of(
    default: Ask,
    *,
    epsilon: Fraction | None = None,
    rho: Fraction | None = None,
    error: ErrorBar | None = None,
    delta: Fraction | None = None,
) -> Ask:
    """The ask that an analyst's words come to; what is not said is the default's.

    Raises:
        BadArgument: it is said in several ways.
    """
    if sum(way is not None for way in (epsilon, rho, error)) > 1:
        raise BadArgument(
            "A query asks in one way: by epsilon, by rho or by error.",
            hint="Leave out all but one of them; delta may go with any.",
        )
    given = default.delta if delta is None else delta
    if epsilon is not None:
        return EpsilonAsk(epsilon, given)
    if rho is not None:
        return RhoAsk(rho, given)
    if error is not None:
        return ErrorAsk(error, given)
    return replace(default, delta=given)
