"""Exact rows to noisy cells, and noisy outputs to an answer with error bars.

:func:`publish` is where exact values end: what it returns is private, and everything after it is
arithmetic on noisy values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from analyzer.plan import Draw, OutputColumn, PrivatePlan
from analyzer.types import Type
from mechanisms.calibration import NoiseKind
from mechanisms.noise import add_noise
from mechanisms.quantiles import read_quantile
from mechanisms.thresholds import show_key

Cell = bool | int | float | str | None
"""A value of an answer, as JSON has it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The noisy answer: ordered rows of cells, with an error bar for every noisy number."""

    columns: tuple[OutputColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]
    error_bars: tuple[tuple[int | float | None, ...], ...]
    """Half-widths at 95 %, in the shape of ``rows``; None where a cell is exact or no number."""
    mechanisms: tuple[dict[str, Any], ...]
    notices: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": [{"name": c.name, "type": c.type.value} for c in self.columns],
            "rows": [list(row) for row in self.rows],
            "error_bars": [list(row) for row in self.error_bars],
            "mechanisms": list(self.mechanisms),
            "notices": list(self.notices),
        }


def publish(plan: PrivatePlan, exact: Sequence[Sequence[Any]]) -> str:
    """The noisy rows as the JSON that ``plan.finish`` reads.

    Every cell of every group gets noise of its own. Where keys are not public, a group is kept when
    its noisy number of units reaches the threshold; what is kept is numbered anew.

    Args:
        plan: what was decided before the data was asked.
        exact: rows of ``plan.exact``.

    Raises:
        NoiseFailed: the sampler failed; its text holds no value.
    """
    groups = assembled(plan, exact)
    noisy: list[list[int]] = [[0] * len(cells) for _, cells in groups]
    for draw in plan.draws:
        values = [cells[c] for _, cells in groups for c in draw.cells]
        blurred = iter(add_noise(values, draw.noise))
        for cells in noisy:
            for c in draw.cells:
                cells[c] = next(blurred)
    shown = zip((keys for keys, _ in groups), noisy, strict=True)
    if plan.selection is not None and plan.threshold is not None:
        (units,) = plan.draws[plan.selection].cells
        shown = ((k, c) for k, c in shown if show_key(c[units], plan.threshold))  # type: ignore[assignment]
    return json.dumps(
        [
            {
                "r": r,
                **{f"k{i}": key for i, key in enumerate(keys)},
                **_columns(plan, cells),
            }
            for r, (keys, cells) in enumerate(shown)
        ]
    )


def assembled(
    plan: PrivatePlan, exact: Sequence[Sequence[Any]]
) -> list[tuple[tuple[Any, ...], list[int]]]:
    """Every group with its keys, as JSON has them, and all its exact cells.

    The first part of the statement has every group; the others fill in cells, and where they have
    groups that the first has not (whose keys are not shown), nothing.
    """
    keys, several = len(plan.key_types), len(plan.parts) > 1
    count = sum(len(draw.cells) for draw in plan.draws)
    groups: dict[tuple[Any, ...], list[int]] = {}
    start = 2 if several else 0
    for row in exact:
        number = row[0] if several else 0
        key = tuple(_key(value) for value in row[start : start + keys])
        cells = groups.setdefault(key, [0] * count) if number == 0 else groups.get(key)
        if cells is None:
            continue
        part = plan.parts[number]
        if part.buckets:
            cells[part.cells[row[1]]] = int(row[start + keys])
        else:
            for cell, value in zip(part.cells, row[start + keys :], strict=False):
                cells[cell] = int(value)
    return list(groups.items())


def _key(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _columns(plan: PrivatePlan, cells: Sequence[int]) -> dict[str, Any]:
    """The noisy columns of a group: cells, and quantiles in place of histograms."""
    histograms = {q.draw for q in plan.quantiles}
    columns: dict[str, Any] = {
        f"c{c}": cells[c]
        for i, draw in enumerate(plan.draws)
        if i not in histograms
        for c in draw.cells
    }
    for i, one in enumerate(plan.quantiles):
        draw = plan.draws[one.draw]
        values = read_quantile(one, [cells[c] for c in draw.cells], draw.noise, draw.tick)
        for way, value in zip(("", "u", "d"), values, strict=True):
            columns[f"q{i}{way}"] = str(value)
    return columns


def answer(plan: PrivatePlan, finished: Sequence[Sequence[Any]]) -> Answer:
    """The answer from the rows of ``plan.finish``: place, outputs, error bars, in that order."""
    count = len(plan.columns)
    rows, bars = [], []
    for _, *cells in finished:
        shown = zip(cells[:count], plan.columns, strict=True)
        rows.append(tuple(_cell(value, column.type) for value, column in shown))
        own = zip(cells[count:], plan.columns, strict=True)
        bars.append(tuple(_bar(value, column) for value, column in own))
    return Answer(plan.columns, tuple(rows), tuple(bars), _mechanisms(plan), plan.notices)


def _bar(value: Decimal | None, column: OutputColumn) -> int | float | None:
    if value is None or not value.is_finite():
        return None
    return int(value) if column.type.is_integer else float(value)


def _cell(value: Any, type_: Type) -> Cell:
    if value is None or isinstance(value, bool | str):
        return value
    # JSON has no infinity, and a stored number can be too large for a float.
    if isinstance(value, Decimal) and not math.isfinite(float(value)):
        return str(value)
    if type_.is_integer:
        return int(value)
    return float(value) if type_.is_number else str(value)


def _mechanisms(plan: PrivatePlan) -> tuple[dict[str, Any], ...]:
    """One entry for each draw, in the units of the data."""
    return tuple(_mechanism(plan, index, draw) for index, draw in enumerate(plan.draws))


def _mechanism(plan: PrivatePlan, index: int, draw: Draw) -> dict[str, Any]:
    laplace = draw.noise.kind is NoiseKind.LAPLACE
    return {
        "measures": draw.label,
        "columns": [c.name for c in plan.columns if index in c.draws],
        "name": draw.noise.kind.value,
        "scale" if laplace else "sigma": _float(draw.noise.scale * draw.tick),
        "l1_sensitivity" if laplace else "l2_sensitivity": _float(
            draw.sensitivity.l1 * draw.tick
            if laplace
            else Fraction(math.sqrt(draw.sensitivity.l2_squared)) * draw.tick
        ),
        "grid": _float(draw.tick),
        "error_bar": _float(draw.error_bar * draw.tick),
        "threshold": plan.threshold if index == plan.selection else None,
    }


def _float(value: Fraction) -> float:
    return float(f"{float(value):.10g}")
