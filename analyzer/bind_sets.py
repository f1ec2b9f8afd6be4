"""GROUP BY to its keys and grouping sets: plain keys, ROLLUP, CUBE and GROUPING SETS."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from sqlglot import exp

from analyzer.refusals import TooComplex, Unsupported
from analyzer.syntax import only, position_of

MAX_SETS = 32
"""The most grouping sets of one query; each takes its share of the loss."""

_Set = tuple[exp.Expression, ...]


def grouping_sets(
    nodes: Sequence[exp.Expression], key: Callable[[exp.Expression], exp.Expression]
) -> tuple[list[exp.Expression], tuple[int, ...]]:
    """The different keys in order of appearance, and the sets of keys that are grouped by.

    A set is written as the number that GROUPING over all keys gives: a bit for each key that is
    left out, the last key in the lowest. Items of GROUP BY multiply, as the SQL standard says.

    Args:
        nodes: the items of GROUP BY.
        key: looks up ordinals and aliases.

    Raises:
        TooComplex: too many sets.
        Unsupported: the same set twice.
    """
    products = [_sets_of(node, key) for node in nodes]
    count = 1
    for one in products:
        count *= len(one)
        if count > MAX_SETS:
            raise TooComplex(f"GROUP BY makes more than {MAX_SETS} grouping sets.")
    chosen = [tuple(itertools.chain(*parts)) for parts in itertools.product(*products)]
    keys: list[exp.Expression] = []
    for node in itertools.chain(*chosen):
        if node not in keys:
            keys.append(node)
    last = len(keys) - 1
    numbers = [
        sum(1 << (last - i) for i, one in enumerate(keys) if one not in group) for group in chosen
    ]
    if len(set(numbers)) < len(numbers):
        raise Unsupported(
            "A grouping set comes twice.", hint="Leave one out.", position=position_of(nodes[0])
        )
    return keys, tuple(numbers)


def _sets_of(node: exp.Expression, key: Callable[[exp.Expression], exp.Expression]) -> list[_Set]:
    """The grouping sets that one item of GROUP BY stands for."""
    if isinstance(node, exp.GroupingSets):
        only(node, "expressions")
        return [found for item in node.expressions for found in _sets_of(item, key)]
    if isinstance(node, exp.Rollup | exp.Cube):
        only(node, "expressions")
        parts = [_members(item, key) for item in node.expressions]
        if isinstance(node, exp.Rollup):
            chosen = [parts[:n] for n in range(len(parts), -1, -1)]
        else:
            if 2 ** len(parts) > MAX_SETS:
                raise TooComplex(f"CUBE makes more than {MAX_SETS} grouping sets.")
            chosen = [
                list(some)
                for n in range(len(parts), -1, -1)
                for some in itertools.combinations(parts, n)
            ]
        return [tuple(itertools.chain(*some)) for some in chosen]
    return [_members(node, key)]


def _members(node: exp.Expression, key: Callable[[exp.Expression], exp.Expression]) -> _Set:
    """One element: an expression, or several in parentheses that stay together."""
    if isinstance(node, exp.Tuple):
        only(node, "expressions")
        return tuple(key(item) for item in node.expressions)
    return (key(node.this if isinstance(node, exp.Paren) else node),)
