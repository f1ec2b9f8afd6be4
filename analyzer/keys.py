"""Group keys: are they public, how many are there, and how many can one unit be in?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analyzer.catalog import Catalog, ValuesFrom
from analyzer.expressions import Expr
from analyzer.relation import Query, scans


@dataclass(frozen=True, slots=True)
class Keys:
    """The group keys of a query and what bounds a unit's share in them."""

    expressions: tuple[Expr, ...]
    public: bool
    """True when every group appears, whatever the data; False when groups are thresholded."""
    max_groups: int
    """The most groups that one unit's contributions reach."""
    select_groups: bool
    """True when units can be in more groups, so that some have to be chosen."""


def keys_of(query: Query, catalog: Catalog, max_groups: int | None, one_row: bool) -> Keys:
    """Decide how the groups of a query are shown and bounded.

    ``max_groups`` is the analyst's own limit, ``one_row`` says that a unit has one row at most.
    """
    sizes = [_size(key) for key in query.keys]
    listed = [size for size in sizes if size is not None]
    public = all(key.facts.domain is not None for key in query.keys)
    public = public and math.prod(listed) <= catalog.max_keys
    limit = max_groups or _declared_limit(query, catalog)
    # Rows of one unit agree in a key that is one value per unit; the others can take all values.
    free = [s for key, s in zip(query.keys, sizes, strict=True) if not key.facts.per_unit]
    # Without a list of values to hold rows to, a key can take more values than were declared.
    bounded = public or all(k.facts.per_unit or k.facts.total_domain for k in query.keys)
    possible = None if None in free or not bounded else math.prod(s for s in free if s is not None)
    if one_row:
        possible = 1
    if possible is not None and possible <= limit:
        return Keys(query.keys, public, possible, select_groups=False)
    return Keys(query.keys, public, limit, select_groups=True)


def _declared_limit(query: Query, catalog: Catalog) -> int:
    """The data set's default, or the largest that a table of the query declares for itself."""
    own = [s.table.max_groups_contributed for s in scans(query.source)]
    declared = [n for n in own if n is not None]
    return max(declared) if declared else catalog.max_groups_contributed


def rows_limit(query: Query, catalog: Catalog) -> int:
    """Rows of one unit that count within one group, as the data owner declared it."""
    own = [s.table.max_rows_contributed for s in scans(query.source)]
    declared = [n for n in own if n is not None]
    return max(declared) if declared else catalog.max_rows_contributed


def _size(key: Expr) -> int | None:
    """How many values a key can show, NULL included; None when that is not known here."""
    domain = key.facts.domain
    if domain is None or isinstance(domain, ValuesFrom):
        return None
    return len(domain) + (1 if key.nullable else 0)
