"""Group keys: are they public, how many are there, and how many can one unit be in?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analyzer.catalog import Catalog
from analyzer.domains import size
from analyzer.expressions import Expr
from analyzer.measures import Bounds
from analyzer.plan import QueryOptions
from analyzer.relation import Aggregation, scans


@dataclass(frozen=True, slots=True)
class Keys:
    """The group keys of an aggregation and what bounds a unit's share in them."""

    expressions: tuple[Expr, ...]
    public: bool
    """True when every group appears, whatever the data; False when groups are thresholded."""
    possible: int | None
    """The most groups that one unit can be in, by the declarations; None when they do not say."""
    sets: tuple[int, ...] = (0,)
    """The grouping sets by their GROUPING numbers: a bit for each key that is left out."""
    places: tuple[int, ...] = ()
    """Where each key of the query is among ``expressions``; empty where they are in its order."""


def keys_of(aggregation: Aggregation, catalog: Catalog) -> Keys:
    """Decide how the groups are shown, and how many of them one unit can be in."""
    sizes = [_size(key) for key in aggregation.keys]
    listed = [count for count in sizes if count is not None]
    public = all(key.facts.domain is not None for key in aggregation.keys)
    public = public and math.prod(listed) <= catalog.max_keys
    if aggregation.owned.rows == 1:
        return Keys(aggregation.keys, public, 1, aggregation.sets)
    # Rows of one unit agree in a key that is one value per unit; the others can take all values,
    # and only public keys hold rows to the declared ones.
    free = [
        count if public or key.facts.total_domain else None
        for key, count in zip(aggregation.keys, sizes, strict=True)
        if not key.facts.per_unit
    ]
    possible = None if None in free else math.prod(count for count in free if count is not None)
    return Keys(aggregation.keys, public, possible, aggregation.sets)


def bounds_of(
    aggregation: Aggregation, keys: Keys, catalog: Catalog, options: QueryOptions
) -> Bounds:
    """How much of one unit may be used: as the analyst says, else as the data owner does."""
    rows = options.max_rows_contributed or _limit(
        catalog.max_rows_contributed,
        [s.table.max_rows_contributed for s in scans(aggregation.source)],
    )
    if aggregation.owned.rows is not None:
        rows = min(rows, aggregation.owned.rows)
    groups = options.max_groups_contributed or _limit(
        catalog.max_groups_contributed,
        [s.table.max_groups_contributed for s in scans(aggregation.source)],
    )
    if keys.possible is not None:
        groups = min(groups, keys.possible)
    sets = len(keys.sets)
    some_groups = keys.possible is None or keys.possible > groups
    return Bounds(
        one_row=aggregation.owned.rows == 1,
        max_rows=rows,
        max_groups=groups * sets,
        one_group=keys.possible == 1 and sets == 1,
        some_groups=some_groups,
        sets=sets,
        alike=sets if keys.public or not some_groups else 1,
    )


def _limit(default: int, own: list[int | None]) -> int:
    """The data set's default, or the largest that a table of the query declares for itself."""
    return max((n for n in own if n is not None), default=default)


def _size(key: Expr) -> int | None:
    """How many values a key can show, NULL included; None when that is not known here."""
    values = size(key.facts.domain)
    return None if values is None else values + (1 if key.nullable else 0)
