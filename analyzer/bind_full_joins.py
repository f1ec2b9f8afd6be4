"""FULL JOIN: a left join, and the rows of the right side that it leaves out, put together.

So both parts have owners by the rules of joins and subqueries, where the sides are joined on the
privacy unit. A row's owner is that of the side that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from analyzer.bind_combined import all_of
from analyzer.bind_conditions import exists
from analyzer.bind_joins import condition_of, merged_parts, side_of
from analyzer.expressions import Call, Expr, Ref
from analyzer.functions import build
from analyzer.functions.base import constant
from analyzer.refusals import SyntaxRefused, UnboundedInfluence
from analyzer.relation import Derived, Join, Ownership, Relation, conjuncts
from analyzer.scope import Entry, Scope
from analyzer.syntax import position_of
from analyzer.units import ownership

if TYPE_CHECKING:
    from analyzer.bind_relations import RelationBinder


def full_join(
    binder: RelationBinder,
    left: Relation,
    scope: Scope,
    node: exp.Join,
    item: tuple[Relation, Entry],
    condition: Callable[[exp.Expression, Scope], Expr],
) -> tuple[Relation, Scope]:
    """As :func:`analyzer.bind_joins.join`, for FULL JOIN.

    Raises:
        Refusal: no condition, or sides that are not joined on the privacy unit.
    """
    right, entry = item
    side_of(node, scope, entry, full=True)
    on, used = condition_of(scope, entry, node, condition)
    if on is None:
        raise SyntaxRefused("FULL JOIN needs ON or USING.", position=position_of(node))
    kept = Join(True, left, right, on)
    sides = [ownership(one, None, binder.catalog, scope.names) for one in (left, right)]
    if len({side.owner is None for side in sides}) > 1:
        raise UnboundedInfluence(
            "FULL JOIN cannot keep rows of protected and of public tables.",
            detail="Rows of a public table belong to nobody.",
            hint="Use LEFT JOIN, with the protected table on the left.",
            position=position_of(node),
        )
    both = replace(scope, entries=(*scope.entries, entry))
    owned = ownership(kept, None, binder.catalog, both.names)
    mine = [ref for e in scope.entries for _, ref in e.fields]
    theirs = [ref for _, ref in entry.fields]
    before = [ref for name, ref in scope.merged.items() if name not in {n for n, _, _ in used}]
    found = Derived(
        binder.spend(None),
        kept,
        None,
        (*mine, *before, *(replace(r, nullable=True) for r in theirs), *(a for _, a, _ in used)),
        owned.owner,
        owned.rows,
    )
    absent = build("not", [exists(left, on, protected=sides[0].owner is not None)])
    nothing = [constant(None, ref.type) for ref in (*mine, *before)]
    alone = Derived(
        binder.spend(None),
        right,
        absent,
        (*nothing, *theirs, *(b for _, _, b in used)),
        sides[1].owner,
        sides[1].rows,
    )
    labels = [ref.label for ref in (*mine, *before, *theirs)] + [name for name, _, _ in used]
    union, fields = all_of(binder, node, [(found, labels), (alone, labels)])
    if _one_each(sides, on):
        union = replace(union, rows=1)
    refs, at = [ref for _, ref in fields], len(fields) - len(used)
    of = dict(zip([*mine, *before, *theirs], refs[:at], strict=True))
    entries = tuple(
        replace(e, fields=tuple((label, of[ref]) for label, ref in e.fields)) for e in both.entries
    )
    merged = {name: of.get(ref, ref) for name, ref in scope.merged.items()}
    merged |= {name: ref for (name, _, _), ref in zip(used, refs[at:], strict=True)}
    parts = merged_parts(scope, entry, used)
    return union, replace(scope, entries=entries, merged=merged, parts=parts)


def _one_each(sides: Sequence[Ownership], on: Expr) -> bool:
    """Whether a unit has one row on each side, and the two meet."""
    keys = [e for c in conjuncts(on) if isinstance(c, Call) and c.function == "=" for e in c.args]
    owners = len(keys) == 2 * len(conjuncts(on)) and all(
        isinstance(key, Ref) and key.facts.owner for key in keys
    )
    return owners and all(side.rows == 1 for side in sides)
