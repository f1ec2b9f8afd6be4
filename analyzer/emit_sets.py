"""Grouping sets as SQL: what is grouped by all keys, once more for each set of them.

Every row counts once in every set, so one unit's part in all sets together is bounded at once.
"""

from __future__ import annotations

from collections.abc import Sequence


def each_set(sets: Sequence[int]) -> str:
    """The grouping sets by their GROUPING numbers, as an item of FROM."""
    return f"(VALUES {', '.join(f'({number})' for number in sets)}) AS s (g)"


def in_sets(names: Sequence[str]) -> list[str]:
    """The keys as a grouping set shows them, NULL where it leaves them out; then its number."""
    last = len(names) - 1
    shown = [
        f"CASE WHEN s.g & {1 << (last - i)} = 0 THEN {name} END AS k{i}"
        for i, name in enumerate(names)
    ]
    return [*shown, f"s.g AS k{len(names)}"]
