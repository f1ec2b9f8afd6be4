"""What an ask means for the draws of a query, and how much each of them is worth."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from analyzer.asks import Ask, EpsilonAsk, ErrorBar, RhoAsk
from analyzer.blocks import Measured
from analyzer.measures import Count, Distinct, Measure, People, Shares, Sum
from analyzer.refusals import BadArgument
from mechanisms.calibration import Goal, WithinBars, WithinEpsilon, WithinRho


def weights_of(blocks: Sequence[Measured]) -> tuple[Fraction, ...]:
    """How many numbers are read off each measure of each block.

    Each different aggregate is one number, and where several measures make it up, they share it
    evenly: how much each will matter depends on the data. What is done with aggregates afterwards
    does not count, so that the same measurements get the same noise.
    """
    found: list[Fraction] = []
    for block in blocks:
        weights = dict.fromkeys(block.measures, Fraction(0))
        for several in block.of.values():
            for one in several:
                weights[one] += Fraction(1, len(several))
        found += (weights[one] for one in block.measures)
    return tuple(found)


def goal_of(ask: Ask, blocks: Sequence[Measured]) -> Goal:
    """What the ask demands of the draws, one for each measure of each block.

    An error is that of every count and every sum, as it is measured and before any arithmetic: that
    is known beforehand. The error of an average depends on how many rows it is over, so it is kept
    to where the ask says how many. Nothing is known of other aggregates, so they take part in the
    loss, by the weight of their draws, beside some whose error is known.

    Raises:
        BadArgument: no error of the query can be known beforehand.
    """
    if isinstance(ask, EpsilonAsk):
        return WithinEpsilon(ask.epsilon)
    if isinstance(ask, RhoAsk):
        return WithinRho(ask.rho)
    bars = tuple(bar for block in blocks for bar in _bars(block, ask.error))
    if all(bar is None for bar in bars):
        raise BadArgument(
            "What the error of this query will be cannot be known beforehand.",
            detail="That of a count or a sum can, and that of an average over a given number of"
            " rows.",
            hint="Say how many rows an average is over, as in '0.5 over 2000 rows'; add a count(*);"
            " or ask with epsilon or rho.",
        )
    return WithinBars(bars)


def _bars(block: Measured, error: ErrorBar) -> list[int | None]:
    """The error bars of the block's measures; None where the ask says nothing about one."""
    asked = {measure for several in block.of.values() for measure in several}
    averages = {several[0] for a, several in block.of.items() if a.kind == "avg"}
    return [
        _bar(one, error, average=one in averages) if one in asked else None
        for one in block.measures
    ]


def _bar(measure: Measure, error: ErrorBar, *, average: bool) -> int | None:
    """The error bar of one cell, in grid steps; None where the ask says nothing about it.

    A mean lies at ``u / (u + w)`` between its bounds, with ``u + w`` the rows times the width. To
    first order noise moves it by ``(w du - u dw) / (u + w)^2``, and as ``u^2 + w^2`` is at most
    ``(u + w)^2``, by no more than one cell's noise over ``u + w``. In the units of the data that is
    the cell's bar times the axis's grid over the number of rows.
    """
    if isinstance(measure, Count | Sum | People | Distinct):
        return int(error.width / measure.tick)
    if isinstance(measure, Shares) and average and error.rows is not None:
        return int(error.width * error.rows / measure.axes[0].tick)
    return None
