"""Noisy cells as they are stored with a release, and as the finish reads them.

What is stored is all that was released: the keys of every group that is shown, and every noisy
cell of it. So a later question about the same measurements, with other arithmetic, other quantiles
of the same column or another order, is answered from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from analyzer.plan import Block, PrivatePlan
from mechanisms.quantiles import read_quantile

Groups = list[tuple[list[Any], list[Decimal]]]
"""The groups of a block: keys, and noisy cells in grid steps, not always whole ones."""


def cells_json(blocks: Sequence[Sequence[tuple[Sequence[Any], Sequence[int | Decimal]]]]) -> str:
    """The groups of each block as they are stored: ``[[[keys, cells], ...], ...]``.

    Cells are strings where they are not whole, so that no float comes near them.
    """
    return json.dumps(
        [
            [[list(keys), [_number(cell) for cell in cells]] for keys, cells in groups]
            for groups in blocks
        ],
        separators=(",", ":"),
    )


def _number(cell: int | Decimal) -> int | str:
    return int(cell) if cell == int(cell) else f"{cell:f}"


def read_cells(cells: str) -> list[Groups]:
    """The groups of each block, from what :func:`cells_json` made."""
    return [
        [(keys, [Decimal(cell) for cell in own]) for keys, own in groups]
        for groups in json.loads(cells)
    ]


def finish_input(plan: PrivatePlan, cells: str) -> str:
    """What ``plan.finish`` reads: the groups of each block, and the error bars of all draws.

    Args:
        plan: with the noise that is in the cells.
        cells: as they are stored.
    """
    blocks = [
        [
            {
                "r": r,
                **{f"k{i}": key for i, key in enumerate(keys)},
                **_columns(block, [_whole(cell) for cell in noisy]),
            }
            for r, (keys, noisy) in enumerate(groups)
        ]
        for block, groups in zip(plan.blocks, read_cells(cells), strict=True)
    ]
    return json.dumps([*blocks, [draw.error_bar for draw in plan.draws]])


def _whole(cell: Decimal) -> int:
    """Noisy numbers are shown in whole steps."""
    return int(cell.to_integral_value(ROUND_HALF_EVEN))


def _columns(block: Block, cells: Sequence[int]) -> dict[str, Any]:
    """The noisy columns of a group: cells, and quantiles in place of histograms."""
    histograms = {q.draw for q in block.quantiles}
    columns: dict[str, Any] = {
        f"c{c}": cells[c]
        for i, draw in enumerate(block.draws)
        if i not in histograms
        for c in draw.cells
    }
    for i, one in enumerate(block.quantiles):
        draw = block.draws[one.draw]
        values = read_quantile(one, [cells[c] for c in draw.cells], draw.noise, draw.tick)
        for way, value in zip(("", "u", "d"), values, strict=True):
            columns[f"q{i}{way}"] = str(value)
    return columns
