"""Exact rows to noisy cells, and noisy outputs to an answer with error bars.

:class:`Publisher` is where exact values end: what it releases is private, and everything after it
is arithmetic on noisy values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from analyzer.plan import Block, Draw, OutputColumn, PrivatePlan
from analyzer.refusals import Refusal
from analyzer.types import Type
from mechanisms.calibration import NoiseKind
from mechanisms.noise import add_noise
from mechanisms.thresholds import show_key
from server.noisy_cells import cells_json

MAX_GROUPS = 200_000
"""The most groups that one answer may be made of."""

Cell = bool | int | float | str | list[float] | None
"""A value of an answer, as JSON has it."""
Bar = int | float | list[int | float | None] | None
"""The error bar of a cell: of each element, where the cell is an array."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The noisy answer: ordered rows of cells, with an error bar for every noisy number."""

    columns: tuple[OutputColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]
    error_bars: tuple[tuple[Bar, ...], ...]
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


class TooManyPublicRows(Refusal):
    """Public tables are longer than a query may read. It says nothing of protected rows."""

    code = "54000"
    advice = "Filter public tables in the query."

    def __init__(self, most: int) -> None:
        super().__init__(
            f"The query reads more than {most} rows of public tables.",
            hint="Filter them in the query, or join them with protected rows before aggregating.",
        )


class TooManyGroups(Exception):
    """More groups are to be shown than an answer may have. A function of noisy values."""


class Publisher:
    """Adds noise to the exact rows of a plan as they come, and keeps noisy cells only.

    Every cell of every group gets noise of its own. Where keys are not public, a group is kept when
    its noisy number of units reaches the threshold; nothing is kept of the others, so what one
    person can fill is time, not room, and whether there are too many groups is decided on noisy
    numbers.
    """

    def __init__(self, plan: PrivatePlan, *, most: int = MAX_GROUPS) -> None:
        """``most``: groups of all blocks together that an answer may show."""
        self._plan = plan
        self._blocks = [_Block(block) for block in plan.blocks]
        self._most = most

    def take(self, block: int, rows: Sequence[Sequence[Any]]) -> None:
        """Some rows of ``plan.blocks[block].exact``, in their order.

        Raises:
            NoiseFailed: the sampler failed; its text holds no value.
            TooManyGroups: what is shown of the rows so far is too much.
            TooManyPublicRows: the block lists public rows, and there are too many.
        """
        found, most = self._blocks[block], self._plan.blocks[block].most_rows
        found.take(rows)
        if most is not None and len(found.groups) > most:
            raise TooManyPublicRows(most)
        if sum(len(one.groups) for one in self._blocks) > self._most:
            raise TooManyGroups

    def release(self) -> str:
        """The noisy cells of all groups that are shown, as they are stored."""
        return cells_json([one.release() for one in self._blocks])


class _Block:
    """The groups of one block that are shown, by their keys as JSON has them."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._start = 2 if len(block.parts) > 1 else 0
        own = set(block.parts[0].cells)
        # A draw is of one part: of the first, which has every group, or of another beside it.
        self._first = [draw for draw in block.draws if own.issuperset(draw.cells)]
        self._later = [draw for draw in block.draws if not own.issuperset(draw.cells)]
        self.groups: dict[tuple[Any, ...], list[int]] = {}

    def take(self, rows: Sequence[Sequence[Any]]) -> None:
        first = [row for row in rows if self._part(row) == 0]
        exact = [self._cells(row) for row in first]
        _blur(self._first, exact)
        for row, cells in zip(first, exact, strict=True):
            if self._is_shown(cells):
                self.groups[self._key(row)] = cells
        for row in rows:
            # Groups that the first part has not, or that are not shown, have nothing here.
            own = self.groups.get(self._key(row)) if self._part(row) > 0 else None
            if own is not None:
                self._fill(own, row)

    def release(self) -> list[tuple[tuple[Any, ...], list[int]]]:
        _blur(self._later, list(self.groups.values()))
        return list(self.groups.items())

    def _part(self, row: Sequence[Any]) -> int:
        return int(row[0]) if self._start else 0

    def _key(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(map(_key, row[self._start : self._start + len(self._block.key_types)]))

    def _cells(self, row: Sequence[Any]) -> list[int]:
        """All cells of a group from its row in the first part; those of other parts are zero."""
        cells = [0] * self._block.cells
        self._fill(cells, row)
        return cells

    def _fill(self, cells: list[int], row: Sequence[Any]) -> None:
        part, values = self._block.parts[self._part(row)], row[self._start :]
        values = values[len(self._block.key_types) :]
        if part.buckets:
            cells[part.cells[row[1]]] = int(values[0])
        else:
            for cell, value in zip(part.cells, values, strict=False):
                cells[cell] = int(value)

    def _is_shown(self, cells: Sequence[int]) -> bool:
        block = self._block
        if block.selection is None or block.threshold is None:
            return True
        (units,) = block.draws[block.selection].cells
        return show_key(cells[units], block.threshold)


def _blur(draws: Sequence[Draw], groups: Sequence[list[int]]) -> None:
    """Puts noisy cells in place of the exact ones of the draws."""
    for draw in draws:
        values = [cells[c] for cells in groups for c in draw.cells]
        blurred = iter(add_noise(values, draw.noise))
        for cells in groups:
            for c in draw.cells:
                cells[c] = next(blurred)


def _key(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def answer(plan: PrivatePlan, finished: Sequence[Sequence[Any]]) -> Answer:
    """The answer from the rows of ``plan.finish``: place, outputs, error bars, in that order."""
    count = len(plan.columns)
    rows, bars = [], []
    for _, *cells in finished:
        shown = zip(cells[:count], plan.columns, strict=True)
        rows.append(tuple(_cell(value, column.type) for value, column in shown))
        own = zip(cells[count:], plan.columns, strict=True)
        bars.append(tuple(_bar(value, column.type) for value, column in own))
    return Answer(plan.columns, tuple(rows), tuple(bars), _mechanisms(plan), plan.notices)


def _bar(value: list[Decimal | None] | Decimal | None, type_: Type) -> Bar:
    if isinstance(value, list):
        return [_half_width(one, type_) for one in value]
    return _half_width(value, type_)


def _half_width(value: Decimal | None, type_: Type) -> int | float | None:
    if value is None or not value.is_finite():
        return None
    return int(value) if type_.is_integer or type_ is Type.DATE else float(value)


def _cell(value: Any, type_: Type) -> Cell:
    if value is None or isinstance(value, bool | str | list):
        return value
    # JSON has no infinity, and a stored number can be too large for a float.
    if isinstance(value, Decimal) and not math.isfinite(float(value)):
        return str(value)
    if type_.is_integer:
        return int(value)
    return float(value) if type_.is_number else str(value)


def _mechanisms(plan: PrivatePlan) -> tuple[dict[str, Any], ...]:
    """One entry for each draw, in the units of the data."""
    thresholds = [
        block.threshold if index == block.selection else None
        for block in plan.blocks
        for index in range(len(block.draws))
    ]
    return tuple(
        _mechanism(plan, index, draw, threshold)
        for index, (draw, threshold) in enumerate(zip(plan.draws, thresholds, strict=True))
    )


def _mechanism(plan: PrivatePlan, index: int, draw: Draw, threshold: int | None) -> dict[str, Any]:
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
        "threshold": threshold,
    }


def _float(value: Fraction) -> float:
    return float(f"{float(value):.10g}")
