"""Inner joins in one order, whichever they were written in.

``A JOIN B ON c``, ``B JOIN A ON c`` and ``A, B WHERE c`` are the same rows. Here they are one list
of items and one of conditions. Items come in the order of the tables that they read; items that
read the same tables keep the order that they were written in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from analyzer.canonical import chain
from analyzer.expressions import Expr, aliases_in
from analyzer.relation import Derived, Grouped, Join, Relation, Scan, Union, scans
from analyzer.units import aliases, owner_of


def parts(relation: Relation, where: Expr | None = None) -> tuple[list[Relation], list[Expr]]:
    """What inner joins put together, and all conditions on it, those of ``where`` too."""
    items, conditions = _flat(relation)
    return sorted(items, key=_tables), [*conditions, *_demanded(where)]


def _flat(relation: Relation) -> tuple[list[Relation], list[Expr]]:
    if not isinstance(relation, Join) or relation.outer:
        return [relation], []
    (left, some), (right, others) = _flat(relation.left), _flat(relation.right)
    return [*left, *right], [*some, *others, *_demanded(relation.on)]


def _demanded(condition: Expr | None) -> list[Expr]:
    return [] if condition is None else chain("and", condition)


def _tables(relation: Relation) -> tuple[bool, list[str]]:
    """Tables first, by name; then subqueries and left joins, by the names of their tables."""
    if isinstance(relation, Scan):
        return False, [relation.table.name]
    return True, sorted(scan.table.name for scan in scans(relation))


def in_steps(
    items: Sequence[Relation], conditions: Sequence[Expr]
) -> tuple[list[tuple[Relation, list[Expr]]], list[Expr]]:
    """The items in the order that they are joined in, each with its conditions; then the others.

    The next item is the first that a condition connects with those before it, as PostgreSQL plans
    long joins in the order that they are printed in. Conditions on one item are the others.
    """
    here = frozenset[str]().union(*(aliases(item) for item in items))
    left = [(condition, _read(condition, here)) for condition in conditions]
    known: AbstractSet[str] = frozenset()
    steps: list[tuple[Relation, list[Expr]]] = []
    waiting = list(items)
    while waiting:
        found = next((i for i in waiting if _on(left, known, i)), waiting[0])
        on = _on(left, known, found)
        left = [pair for pair in left if pair[0] not in on]
        steps.append((found, on))
        known |= aliases(found)
        waiting.remove(found)
    return steps, [condition for condition, _ in left]


def _on(
    conditions: Sequence[tuple[Expr, AbstractSet[str]]], known: AbstractSet[str], item: Relation
) -> list[Expr]:
    """The conditions that connect an item with those that are known, and read no other."""
    own = aliases(item)
    return [c for c, read in conditions if read & own and read & known and read <= known | own]


def _read(condition: Expr, here: AbstractSet[str]) -> AbstractSet[str]:
    return here & aliases_in(condition)


def owner_in(relation: Relation, owner: Expr) -> Expr:
    """The owner of each row, of which all items that have one have the same: the first item's, or
    the one that is known where that is of another type."""
    found = (_owner(item) for item in parts(relation)[0])
    first = next((one for one in found if one is not None), owner)
    return first if (first.type, first.facts.stored) == (owner.type, owner.facts.stored) else owner


def _owner(item: Relation) -> Expr | None:
    if isinstance(item, Scan):
        return item.owner
    if isinstance(item, Join):
        return next((one for i in parts(item.left)[0] if (one := _owner(i)) is not None), None)
    return owner_of(item)


def inside(relation: Relation) -> Iterator[Scan | Derived | Grouped | Union]:
    """A relation and all inside it that have aliases, the innermost first, in the one order. Not
    the arms of a union, which have none in a text."""
    if isinstance(relation, Join):
        items = [relation.left, relation.right] if relation.outer else parts(relation)[0]
        for item in items:
            yield from inside(item)
        return
    if isinstance(relation, Derived | Grouped):
        yield from inside(relation.source)
    elif isinstance(relation, Union):
        for arm in relation.arms:
            yield from inside(arm.source)
    yield relation
