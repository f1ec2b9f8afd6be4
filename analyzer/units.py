"""Who owns each row: the privacy unit's key, carried through every relation.

A relation over protected tables keeps its owner, or the query is refused. The rules, each sound by
itself: a table's rows belong to the unit that its declared path of keys leads to; a join with a
public table keeps the owner; two protected relations join only where their unit keys are equal (or
along a declared step of a path, which implies it), so the joined row has one owner; the kept side
of a left join has to be protected, so no row lacks an owner. Rows with a NULL owner are dropped
where contributions are bounded.
"""

from __future__ import annotations

from collections.abc import Sequence

from analyzer.catalog import Catalog, Table
from analyzer.expressions import Call, Expr, Ref, walk
from analyzer.refusals import UnboundedInfluence
from analyzer.relation import Derived, Join, Ownership, Relation, Scan, conjuncts
from analyzer.types import Type

PUBLIC = Ownership(None, None)


def rows_per_unit(table: Table) -> int | None:
    """1 where the declared keys make the owner unique in the table, else None."""
    return 1 if owner_column(table) is not None and (owner_column(table),) in table.keys else None


def owner_column(table: Table) -> str | None:
    """The table's own column that holds the unit key, or None where it is further down the path."""
    if not table.protected:
        return None
    if not table.path:
        return next((key[0] for key in table.keys if len(key) == 1), None)
    return table.path[0].column if len(table.path) == 1 else None


def ownership(relation: Relation, where: Expr | None, catalog: Catalog) -> Ownership:
    """The owner of each row of ``relation`` filtered by ``where``.

    Raises:
        UnboundedInfluence: rows of several units would meet in one row, or a row has no owner.
    """
    return _ownership(relation, conjuncts(where), catalog)


def _ownership(relation: Relation, known: Sequence[Expr], catalog: Catalog) -> Ownership:
    if isinstance(relation, Scan):
        if relation.owner is None:
            return PUBLIC
        return Ownership(relation.owner, rows_per_unit(relation.table))
    if isinstance(relation, Derived):
        if relation.owner is None:
            return PUBLIC
        key = Ref(relation.alias, "owner", relation.owner.type, True, relation.owner.facts)
        return Ownership(key, relation.rows)
    return _join(relation, known, catalog)


def _join(join: Join, known: Sequence[Expr], catalog: Catalog) -> Ownership:
    conditions = conjuncts(join.on)
    # What WHERE demands holds on both sides of an inner join, and on the kept side of a left join.
    left = _ownership(join.left, [*known, *([] if join.outer else conditions)], catalog)
    right = _ownership(join.right, [] if join.outer else [*known, *conditions], catalog)
    usable = conditions if join.outer else [*known, *conditions]
    if left.owner is None and right.owner is None:
        return PUBLIC
    if left.owner is None:
        if join.outer:
            raise UnboundedInfluence(
                "A public table cannot be the kept side of an outer join with protected rows.",
                detail="Its unmatched rows are nobody's, yet their number tells about somebody.",
                hint="Group the protected table by declared keys: keys without rows are shown too.",
            )
        return Ownership(right.owner, _times(right.rows, join.left, join.right, usable))
    if right.owner is None:
        return Ownership(left.owner, _times(left.rows, join.right, join.left, usable))
    if not any(_joins_owners(c, join, catalog) for c in usable):
        raise UnboundedInfluence(
            "Two protected tables are joined without their privacy unit.",
            detail="A row that belongs to two people has no bounded influence.",
            hint=_join_hint(join),
        )
    rows = None if left.rows is None or right.rows is None else left.rows * right.rows
    return Ownership(left.owner, rows)


def _times(
    rows: int | None, public: Relation, kept: Relation, conditions: Sequence[Expr]
) -> int | None:
    """Rows of a unit after ``kept``, which has ``rows``, is joined with a public relation.

    Unchanged where values of ``kept`` and constants meet a unique key. A column of a table that is
    joined later fixes nothing: it may itself be fixed by nothing but this one.
    """
    if rows is None or not isinstance(public, Scan):
        return None
    fixed = set()
    for condition in conditions:
        if isinstance(condition, Call) and condition.function == "=":
            for mine, other in (condition.args, condition.args[::-1]):
                if not isinstance(mine, Ref) or mine.alias != public.alias:
                    continue
                read = {e.alias for e in walk(other) if isinstance(e, Ref)}
                # Several float8 can compare equal to one numeric, so they fix nothing.
                if read <= aliases(kept) and mine.type is not Type.FLOAT8:
                    fixed.add(mine.name)
    return rows if any(set(key) <= fixed for key in public.table.keys) else None


def _joins_owners(condition: Expr, join: Join, catalog: Catalog) -> bool:
    """True for an equality between the two sides that makes their owners equal."""
    if not isinstance(condition, Call) or condition.function != "=":
        return False
    a, b = condition.args
    if not (isinstance(a, Ref) and isinstance(b, Ref)):
        return False
    left, right = aliases(join.left), aliases(join.right)
    if not ((a.alias in left and b.alias in right) or (a.alias in right and b.alias in left)):
        return False
    if a.facts.owner and b.facts.owner:
        return True
    return _is_hop(a, b, catalog) or _is_hop(b, a, catalog)


def _is_hop(child: Ref, parent: Ref, catalog: Catalog) -> bool:
    if child.origin is None or parent.origin is None:
        return False
    path = catalog.tables[child.origin[0]].path
    return bool(path) and (path[0].column, path[0].table, path[0].key) == (
        child.origin[1],
        *parent.origin,
    )


def aliases(relation: Relation) -> set[str]:
    """Our aliases that are visible outside ``relation``."""
    if isinstance(relation, Join):
        return aliases(relation.left) | aliases(relation.right)
    return {relation.alias}


def _join_hint(join: Join) -> str:
    names = []
    for side in (join.left, join.right):
        scan = side if isinstance(side, Scan) else None
        column = owner_column(scan.table) if scan else None
        names.append(f"{scan.table.name}.{column}" if scan and column else "the unit key")
    return f"Join on the privacy unit: ON {names[1]} = {names[0]}."
