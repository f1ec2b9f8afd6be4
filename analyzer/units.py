"""Who owns each row: the privacy unit's key, carried through every relation.

A relation over protected tables keeps its owner, or the query is refused. The rules, each sound by
itself: a table's rows belong to the unit that its declared path of keys leads to; a join with a
public table keeps the owner; two protected relations join only where their unit keys are equal (or
along a declared step of a path, which implies it), so the joined row has one owner; the kept side
of a left join has to be protected, so no row lacks an owner; a group belongs to a unit where the
unit key is grouped by; rows that are put together all have owners. Rows with a NULL owner are
dropped where contributions are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet

from analyzer.catalog import Catalog, Table
from analyzer.expressions import Call, Constant, Expr, OverRows, Ref, aliases_in, walk
from analyzer.refusals import UnboundedInfluence
from analyzer.relation import (
    Derived,
    Grouped,
    Join,
    Ownership,
    Relation,
    Scan,
    Union,
    conjuncts,
    visible_scans,
)
from analyzer.types import Type

PUBLIC = Ownership(None, None)

Place = tuple[str, str]
"""A column by our alias and its name in there."""
Names = Mapping[Place, str]
"""What the analyst calls the columns in FROM."""


def rows_per_unit(table: Table) -> int | None:
    """1 where the declared keys make the owner unique in the table, else None."""
    return 1 if owner_column(table) is not None and (owner_column(table),) in table.keys else None


def owner_column(table: Table) -> str | None:
    """The table's own column that holds the unit key, or None where it is further down the path."""
    if not table.protected:
        return None
    if not table.path:
        return table.keys[0][0]
    return table.path[0].column if len(table.path) == 1 else None


def owner_places(relation: Relation) -> set[Place]:
    """The columns that hold the owner of every row of ``relation``.

    Not those of the padded side of a left join: they are NULL where nothing matches.
    """
    if isinstance(relation, Scan):
        return set() if relation.owner is None else {place(relation.owner)}
    if isinstance(relation, Derived):
        inner = owner_places(relation.source)
        return _matching(relation.alias, "c", relation.columns, inner)
    if isinstance(relation, Grouped):
        inner = owner_places(relation.source)
        return _matching(relation.alias, "k", relation.keys, inner)
    if isinstance(relation, Union):
        shared = [{name for _, name in owner_places(arm)} for arm in relation.arms]
        return {(relation.alias, name) for name in set.intersection(*shared)}
    right = set() if relation.outer else owner_places(relation.right)
    return owner_places(relation.left) | right


def place(ref: Ref) -> Place:
    return ref.alias, ref.name


def _matching(alias: str, letter: str, columns: Sequence[Expr], inner: set[Place]) -> set[Place]:
    return {
        (alias, f"{letter}{i}")
        for i, column in enumerate(columns)
        if isinstance(column, Ref) and place(column) in inner
    }


def ownership(
    relation: Relation,
    where: Expr | None,
    catalog: Catalog,
    names: Callable[[], Names] = dict,
) -> Ownership:
    """The owner of each row of ``relation`` filtered by ``where``.

    Args:
        relation: the FROM of a query.
        where: its WHERE.
        catalog: for the declared paths.
        names: what the query calls the columns, asked for where a hint needs it.

    Raises:
        UnboundedInfluence: rows of several units would meet in one row, or a row has no owner.
    """
    return _Owners(catalog, names).of(relation, conjuncts(where))


def same_owner(condition: Expr, inside: Callable[[Ref], bool], catalog: Catalog) -> bool:
    """True for an equality that makes owners equal: one side's row is ``inside``, the other's
    not."""
    if not isinstance(condition, Call) or condition.function != "=":
        return False
    a, b = condition.args
    if not (isinstance(a, Ref) and isinstance(b, Ref)) or inside(a) == inside(b):
        return False
    if a.facts.owner and b.facts.owner:
        return True
    steps = _is_hop(a, b, catalog) or _is_hop(b, a, catalog)
    return steps or _are_siblings(a, b, catalog)


def _is_hop(child: Ref, parent: Ref, catalog: Catalog) -> bool:
    """True where ``child`` leads to the row of ``parent``, as the first step of its path."""
    if child.origin is None or parent.origin is None:
        return False
    return _first_step(child.origin, catalog) == parent.origin


def _are_siblings(a: Ref, b: Ref, catalog: Catalog) -> bool:
    """True where both lead to the same row, whose owner is then the owner of both."""
    if a.origin is None or b.origin is None:
        return False
    step = _first_step(a.origin, catalog)
    return step is not None and step == _first_step(b.origin, catalog)


def _first_step(column: tuple[str, str], catalog: Catalog) -> tuple[str, str] | None:
    """The unique key that a column leads to where its table's path begins with it."""
    path = catalog.tables[column[0]].path
    return (path[0].table, path[0].key) if path and path[0].column == column[1] else None


def aliases(relation: Relation) -> set[str]:
    """Our aliases that are visible outside ``relation``."""
    if isinstance(relation, Join):
        return aliases(relation.left) | aliases(relation.right)
    return {relation.alias}


class _Owners:
    """The rules, over one FROM."""

    def __init__(self, catalog: Catalog, names: Callable[[], Names]) -> None:
        self.catalog = catalog
        self.names = names

    def of(self, relation: Relation, known: Sequence[Expr]) -> Ownership:
        if isinstance(relation, Scan):
            if relation.owner is None:
                return PUBLIC
            return Ownership(relation.owner, rows_per_unit(relation.table))
        if isinstance(relation, Join):
            return self._join(relation, known)
        key = owner_of(relation)
        if key is None:
            return PUBLIC
        most = [_most(relation, one) for one in known] if isinstance(relation, Derived) else []
        return Ownership(key, min((n for n in (*most, relation.rows) if n), default=None))

    def _join(self, join: Join, known: Sequence[Expr]) -> Ownership:
        conditions = conjuncts(join.on)
        # What WHERE demands holds on both sides of an inner join, and on the kept side of a left
        # join.
        left = self.of(join.left, [*known, *([] if join.outer else conditions)])
        right = self.of(join.right, [] if join.outer else [*known, *conditions])
        usable = conditions if join.outer else [*known, *conditions]
        if left.owner is None and right.owner is None:
            return PUBLIC
        if left.owner is None:
            if join.outer:
                raise UnboundedInfluence(
                    "A public table cannot be the kept side of an outer join with protected rows.",
                    detail="Its unmatched rows are nobody's, yet their number tells about"
                    " somebody.",
                    hint="Group the protected table by declared keys: keys without rows are shown"
                    " too.",
                )
            return Ownership(right.owner, _times(right.rows, join.left, join.right, usable))
        if right.owner is None:
            return Ownership(left.owner, _times(left.rows, join.right, join.left, usable))
        mine = aliases(join.left)
        theirs = aliases(join.right)
        if not any(
            same_owner(c, lambda ref: ref.alias in mine, self.catalog)
            for c in usable
            if aliases_in(c) <= mine | theirs
        ):
            raise UnboundedInfluence(
                "Two protected tables are joined without their privacy unit.",
                detail="A row that belongs to two people has no bounded influence.",
                hint=join_hint(join.left, join.right, self.names(), self.catalog),
            )
        return Ownership(left.owner, _paired(join, usable, left.rows, right.rows))


def _most(relation: Derived, condition: Expr) -> int | None:
    """The rows of one unit that a condition on their numbers leaves: those that row_number gave to
    all rows of the unit, one by one."""
    if not isinstance(condition, Call) or condition.function not in ("=", "<=", "<"):
        return None
    number, most = condition.args
    if not isinstance(number, Ref) or number.alias != relation.alias or number.name == "owner":
        return None
    window = relation.columns[int(number.name[1:])]
    if not isinstance(window, OverRows) or window.function != "row_number":
        return None
    value = most.value if isinstance(most, Constant) else None
    if not isinstance(value, int) or not all(e.facts.per_unit for e in window.partition):
        return None
    return max(value, 1)


def relation_owner(relation: Derived | Grouped | Union) -> Expr | None:
    """The expression inside a subquery that is printed as its column ``owner``."""
    if isinstance(relation, Derived):
        return relation.owner
    return relation_owner(relation.source if isinstance(relation, Grouped) else relation.arms[0])


def owner_of(relation: Derived | Grouped | Union) -> Ref | None:
    """A subquery's column ``owner``, as the query around it reads it."""
    inside = relation_owner(relation)
    return None if inside is None else Ref(relation.alias, "owner", inside.type, True, inside.facts)


def _times(
    rows: int | None, public: Relation, kept: Relation, conditions: Sequence[Expr]
) -> int | None:
    """Rows of a unit after ``kept``, which has ``rows``, is joined with a public relation."""
    return rows if rows is not None and is_pinned(public, aliases(kept), conditions) else None


def _paired(
    join: Join, conditions: Sequence[Expr], left: int | None, right: int | None
) -> int | None:
    """Rows of a unit after a join of relations in which it has ``left`` and ``right``."""
    known = aliases(join.left)
    if is_pinned(join.right, known, conditions):
        # Texts could be equal to the join and not to the key, where their collations differ.
        exact = [c for c in conditions if all(e.type is not Type.TEXT for e in walk(c))]
        if is_pinned(join.right, known, exact):
            return left
    return None if left is None or right is None else left * right


def is_pinned(found: Relation, known: Collection[str], conditions: Sequence[Expr]) -> bool:
    """Whether at most one row of ``found`` fits to a row of the relations ``known`` by alias.

    So it is where values of those and constants meet a unique key. A column of a table that is
    joined later fixes nothing: it may itself be fixed by nothing but this one.
    """
    if isinstance(found, Join):
        return False
    fixed = set()
    for condition in conditions:
        if isinstance(condition, Call) and condition.function == "=":
            for mine, other in (condition.args, condition.args[::-1]):
                if not isinstance(mine, Ref) or mine.alias != found.alias:
                    continue
                # Several float8 can compare equal to one numeric, so they fix nothing.
                if aliases_in(other) <= set(known) and mine.type is not Type.FLOAT8:
                    fixed.add(mine.name)
    return any(key <= fixed for key in _unique(found))


def _unique(relation: Relation) -> list[AbstractSet[str]]:
    """Sets of columns that no two rows of a relation, or of one owner in it, agree in."""
    if isinstance(relation, Scan):
        return [set(key) for key in relation.table.keys]
    if isinstance(relation, Grouped):
        return [{f"k{i}" for i in range(len(relation.keys))}]
    if not isinstance(relation, Derived) or isinstance(relation.source, Join):
        return []
    inside = relation.source.alias
    shown = {
        column.name: f"c{i}"
        for i, column in enumerate(relation.columns)
        if isinstance(column, Ref) and column.alias == inside
    }
    keys = [key for key in _unique(relation.source) if key <= shown.keys()]
    return [{shown[name] for name in key} for key in keys]


def join_hint(left: Relation, right: Relation, names: Names, catalog: Catalog) -> str:
    """The condition that would make the owners of two relations equal, in the analyst's names."""
    owners = [sorted(names[p] for p in owner_places(side) if p in names) for side in (right, left)]
    if all(owners):
        return f"Join on the privacy unit: ON {owners[0][0]} = {owners[1][0]}."
    for child, parent in ((right, left), (left, right)):
        for scan in visible_scans(child):
            hop = scan.table.path[0] if scan.table.path else None
            for other in visible_scans(parent):
                if hop is not None and other.table.name == hop.table:
                    a, b = names.get((scan.alias, hop.column)), names.get((other.alias, hop.key))
                    if a and b:
                        return f"Join along the path to the privacy unit: ON {a} = {b}."
    return _path_hint((right, left), names, catalog)


def _path_hint(sides: Sequence[Relation], names: Names, catalog: Catalog) -> str:
    """The tables in between, where a table's own columns do not hold the unit key."""
    for side in sides:
        for scan in visible_scans(side):
            hop = scan.table.path[0] if len(scan.table.path) > 1 else None
            written = names.get((scan.alias, hop.column)) if hop else None
            if hop and written:
                between = catalog.tables[hop.table]
                return (
                    f"Join the way to the privacy unit first:"
                    f" JOIN {between.name} ON {written} = {between.name}.{hop.key}."
                )
    return "Keep the privacy unit's key in every subquery, and join on it."
