"""The noisy groups as SQL, each once as it is and again in variants that give error bars.

Variant 0 is the answer. The others come in pairs, an odd one and the even one after it, which move
noisy cells by their error bars in opposite directions. Where each row of the answer is made of one
group, a pair moves one cell of every group at once. Where rows depend on several groups (totals,
shares, running sums), that would move all groups together, though their noise is independent. There
each pair moves every cell of every group, with signs of its own. Up to 64 cells over all groups the
signs are rows of a Hadamard matrix, by which the squared moves average exactly to the sum over
cells, to first order. With more cells the signs are pseudorandom, and what depends on several
groups has an estimated error bar, with a relative standard error of about 1 / sqrt(2 * pairs); what
depends on one cell keeps its exact one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from analyzer.stages import cells_of
from analyzer.types import Type

MOST_PAIRS = 64
LEAST_PAIRS = 16
"""Pairs of variants where there are very many groups: bars within about a fifth."""
_ROWS = 16_000
"""Rows of all pairs together, unless that leaves fewer than the least pairs."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The noisy columns of a block's groups."""

    at: int
    """Where the block is in the plan, whose blocks have an order of their own."""
    key_types: tuple[Type, ...]
    """Types of the keys ``k0, k1, ...``, as they were published."""
    places: tuple[int, ...]
    """Where each key of the query is among those; empty where they are in its order."""
    draws: Mapping[int, int]
    """The cells that are columns of their own, and the draws (of all blocks) that they are of."""
    quantiles: int
    """How many quantiles come with each group, each with its value moved up and down."""
    floored: frozenset[int] = frozenset()
    """Cells that are zero where noise made them less; they are moved from there."""

    @property
    def count(self) -> int:
        return len(self.draws) + self.quantiles


def noisy_groups(blocks: Sequence[Cells], *, crossed: bool) -> list[str]:
    """Common table expressions up to ``variants`` (column ``v``), and for each block its groups
    (``r``, ``v``, keys, cells and quantiles) under the name of :func:`cells_of`.

    They read the JSON in ``$1``: an array with an array of groups for each block, and then one of
    the error bars of draws, so that a text holds for every noise.

    Args:
        blocks: what is moved, and how far.
        crossed: whether rows of the answer depend on several groups.
    """
    total = sum(cells.count for cells in blocks)
    signed = crossed and total > 0
    before, ways = _signed(blocks) if signed else _one_by_one(total)
    groups, noisy = [], []
    for number, cells in enumerate(blocks):
        groups.append(f"groups{number} AS MATERIALIZED (\n{_read(cells)}\n)")
        own, ways = ways[: cells.count], ways[cells.count :]
        source = f"{'signed' if signed else 'groups'}{number}"
        text = f"SELECT {', '.join(_moved(cells, own))}\nFROM {source} AS g"
        text += " CROSS JOIN variants AS s"
        text += " CROSS JOIN bars_of_draws AS e" if cells.draws else ""
        noisy.append(f"{cells_of(number)} AS MATERIALIZED (\n{text}\n)")
    draws = sorted({draw for cells in blocks for draw in cells.draws.values()})
    bars = [f"CAST(CAST($1 AS jsonb) -> {len(blocks)} ->> {i} AS numeric) AS e{i}" for i in draws]
    steps = [f"bars_of_draws AS MATERIALIZED (SELECT {', '.join(bars)})"] if bars else []
    return [*groups, *steps, *before, *noisy]


def _read(cells: Cells) -> str:
    """The groups of a block, as they were published."""
    names = ["r integer", *(f"k{i} {t.value}" for i, t in enumerate(cells.key_types))]
    names += [f"c{i} numeric" for i in cells.draws]
    names += [f"q{i}{way} numeric" for i in range(cells.quantiles) for way in ("", "u", "d")]
    groups = f"jsonb_to_recordset(CAST($1 AS jsonb) -> {cells.at}) AS j ({', '.join(names)})"
    if not cells.places:
        return f"SELECT * FROM {groups}"
    # Groups are published in the order of their keys as they were published; here it is the
    # query's, by which rows come that nothing else puts in order.
    types = [cells.key_types[place] for place in cells.places]
    keys = [
        f'j.k{place} COLLATE "C"' if type_ is Type.TEXT else f"j.k{place}"
        for place, type_ in zip(cells.places, types, strict=True)
    ]
    columns = [f"CAST(row_number() OVER (ORDER BY {', '.join(keys)}) - 1 AS integer) AS r"]
    columns += [f"j.k{place} AS k{i}" for i, place in enumerate(cells.places)]
    columns += [f"j.{name.split()[0]}" for name in names[1 + len(keys) :]]
    return f"SELECT {', '.join(columns)} FROM {groups}"


def _moved(cells: Cells, ways: Sequence[str]) -> list[str]:
    """The columns of a variant of a group; ``ways`` say which way it moves each noisy one."""
    columns = ["g.r", "s.v", *(f"g.k{i}" for i in range(len(cells.key_types)))]
    for index, (cell, draw) in enumerate(cells.draws.items()):
        value = f"GREATEST(g.c{cell}, 0)" if cell in cells.floored else f"g.c{cell}"
        columns.append(f"({value} + {ways[index]} * e.e{draw}) AS c{cell}")
    for i, way in enumerate(ways[len(cells.draws) :]):
        columns.append(
            f"CASE {way} WHEN 1 THEN g.q{i}u WHEN -1 THEN g.q{i}d ELSE g.q{i} END AS q{i}"
        )
    return columns


@lru_cache
def _one_by_one(total: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A pair for each cell; which way a variant moves each of them: 1, -1 or 0."""
    rows = [["0"] * (total + 1)]
    for i in range(total):
        for variant, way in ((2 * i + 1, "1"), (2 * i + 2, "-1")):
            rows.append([str(variant), *["0"] * total])
            rows[-1][1 + i] = way
    values = ", ".join([f"({', '.join(row)})" for row in rows])
    ways = [f"w{i}" for i in range(total)]
    text = f"variants ({', '.join(['v', *ways])}) AS MATERIALIZED (VALUES {values})"
    return (text,), tuple(f"s.{way}" for way in ways)


def _signed(blocks: Sequence[Cells]) -> tuple[list[str], list[str]]:
    """As few pairs as are exact, or as many as are cheap; each moves all cells of all blocks."""
    powers = ", ".join(f"({2**i})" for i in range(MOST_PAIRS.bit_length()))
    sizes = [f"(SELECT count(*) FROM groups{number})" for number in range(len(blocks))]
    cells = [f"{size} * {block.count}" for size, block in zip(sizes, blocks, strict=True)]
    # The cells of a block are numbered after those of the blocks before it.
    firsts = [" + ".join(cells[:number]) or "0" for number in range(len(blocks))]
    listed = [f"{text} AS f{number}" for number, text in enumerate(firsts)]
    listed += [f"{' + '.join(sizes)} AS n", f"{' + '.join(cells)} AS c"]
    counts = f"SELECT {', '.join(listed)}"
    enough = f"least(n.c, greatest({LEAST_PAIRS}, {_ROWS} / greatest(n.n, 1)), {MOST_PAIRS})"
    size = (
        f"SELECT n.*, min(t.k) AS pairs, min(t.k) >= n.c AS exact"
        f" FROM (VALUES {powers}) AS t (k) CROSS JOIN ({counts}) AS n WHERE (t.k >= {enough})"
        f" GROUP BY {', '.join([*(f'n.f{i}' for i in range(len(blocks))), 'n.n', 'n.c'])}"
    )
    variants = (
        "SELECT t.v, (t.v + 1) / 2 - 1 AS p,"
        " CASE WHEN t.v = 0 THEN 0 ELSE 2 * (t.v % 2) - 1 END AS way"
        " FROM size CROSS JOIN generate_series(0, 2 * size.pairs) AS t (v)"
    )
    before, ways = [f"size AS MATERIALIZED ({size})"], []
    for number, block in enumerate(blocks):
        numbers = [f"(size.f{number} + g.r * {block.count} + {i})" for i in range(block.count)]
        columns = ["g.*", *(f"{_column_of(number)} AS w{i}" for i, number in enumerate(numbers))]
        signed = f"SELECT {', '.join(columns)} FROM groups{number} AS g CROSS JOIN size"
        before.append(f"signed{number} AS MATERIALIZED ({signed})")
        ways += [f"(s.way * (1 - 2 * int8and(g.w{i} >> s.p, 1)))" for i in range(block.count)]
    return [*before, f"variants AS MATERIALIZED ({variants})"], ways


def _column_of(number: str) -> str:
    """The signs of a cell, a bit for each pair: a column of Sylvester's matrix, or pseudorandom.

    A sign of the matrix is the parity of the bits that the numbers of row and column share, so a
    column is the XOR of those of its bits.
    """
    text = "CAST(0 AS bigint)"
    for bit in range(MOST_PAIRS.bit_length() - 1):
        rows = sum(1 << row for row in range(MOST_PAIRS) if row >> bit & 1)
        signed = rows - 2**64 if rows >= 2**63 else rows
        chosen = f"{number} / {1 << bit} % 2 = 1"
        text = f"int8xor({text}, CASE WHEN {chosen} THEN CAST({signed} AS bigint) ELSE 0 END)"
    return f"CASE WHEN size.exact THEN {text} ELSE hashint8extended({number}, 0) END"
