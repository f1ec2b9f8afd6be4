"""EXISTS and IN over subqueries: conditions that a row's own unit decides alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from analyzer.bind_clauses import inner, refuse_clauses
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_subqueries import subquery
from analyzer.expressions import Exists, Expr, Ref, Within, walk
from analyzer.functions import build
from analyzer.functions.base import merged
from analyzer.functions.comparison import comparable
from analyzer.refusals import SyntaxRefused, UnboundedInfluence, Unsupported
from analyzer.relation import Derived, Grouped, Relation, conjuncts
from analyzer.scope import Scope
from analyzer.syntax import only, position_of, spoken
from analyzer.types import Type
from analyzer.units import aliases, owner_places, place, relation_owner, same_owner

if TYPE_CHECKING:
    from analyzer.bind_relations import Ctes, RelationBinder


class ConditionBinder:
    """Binds the subqueries in conditions of one SELECT.

    What is bound once stays bound, so that the same text in the select list and in GROUP BY is the
    same key.
    """

    def __init__(self, relations: RelationBinder, ctes: Ctes) -> None:
        self.relations = relations
        self.ctes = ctes
        self._bound: dict[object, Expr] = {}

    def exists(self, node: exp.Expression, scope: Scope) -> Expr:
        """``EXISTS (SELECT ...)``: over protected tables only with equal unit keys.

        Raises:
            UnboundedInfluence: rows of others would decide.
        """
        known = (node, scope.entries)
        if known not in self._bound:
            self._bound[known] = self._exists(node.this, scope)
        return self._bound[known]

    def within(self, value: Expr, node: exp.Expression, scope: Scope) -> Expr:
        """``value IN (SELECT ...)``: over protected tables only for unit keys on both sides.

        Raises:
            UnboundedInfluence: rows of others would decide.
        """
        known = (node, scope.entries)
        if known not in self._bound:
            self._bound[known] = self._within(value, node, scope)
        return self._bound[known]

    def _exists(self, tree: exp.Expression, scope: Scope) -> Expr:
        if not isinstance(tree, exp.Select):
            raise Unsupported(f"{spoken(tree)} is not supported in EXISTS.")
        refuse_clauses(tree, "order", "limit", "offset", "distinct", "group", "having")
        only(tree, "with_", "expressions", "from_", "joins", "where")
        relation, inside, where, owned = self.relations.source(
            tree, self.ctes, scope, correlated=True
        )
        # The select list of EXISTS is never computed; its names have to be there all the same.
        rows = ExpressionBinder(inside, self.relations.parameters, "a subquery's select list")
        for item in tree.expressions:
            if item.find(exp.Star) is None:
                rows.bind(inner(item))
        here = aliases(relation)
        if owned.owner is not None and not any(
            same_owner(c, lambda ref: ref.alias in here, self.relations.catalog)
            for c in conjuncts(where)
        ):
            raise UnboundedInfluence(
                "EXISTS over protected rows has to look at the row's own person only.",
                detail="Otherwise rows of everybody would decide about each row.",
                hint=_hint(relation, inside, scope),
                position=position_of(tree),
            )
        return exists(relation, where, protected=owned.owner is not None)

    def _within(self, value: Expr, node: exp.Expression, scope: Scope) -> Expr:
        tree = node.args["query"]
        position = position_of(tree) or position_of(node)
        relation, fields = subquery(self.relations, tree, self.ctes, position, scope)
        if len(fields) != 1:
            raise SyntaxRefused(
                "A subquery after IN has one column.",
                hint="Select the column that is compared.",
                position=position,
            )
        column = fields[0][1]
        left, right = comparable("IN", [value, column])
        if relation_owner(relation) is None:
            facts = merged([left], Type.BOOL, domain=(False, True), total_domain=True)
            return Within(left, right, relation, facts)
        if not (isinstance(value, Ref) and value.facts.owner) or place(column) not in owner_places(
            relation
        ):
            raise UnboundedInfluence(
                "IN over protected rows compares the privacy unit's key, on both sides.",
                detail="Otherwise rows of everybody would decide about each row.",
                hint="Write key IN (SELECT key FROM ...), where both are the privacy unit's key.",
                position=position,
            )
        unsure = value.nullable or (
            self._may_be_missing(column) and not _is_required(column, relation)
        )
        if unsure and not _is_demanded(node):
            raise UnboundedInfluence(
                "A key can be NULL here, and then IN is neither true nor false.",
                detail="One NULL in the list decides about the rows of everybody.",
                hint="Write NOT EXISTS (SELECT 1 FROM ... WHERE ...) in place of NOT IN, or add key"
                " IS NOT NULL to the subquery's WHERE.",
                position=position,
            )
        return exists(relation, build("=", [column, value]), protected=True)

    def _may_be_missing(self, column: Ref) -> bool:
        """Whether the table has rows without an owner. They do not count, but they are in lists."""
        if column.origin is None:
            return True
        table, name = column.origin
        return self.relations.catalog.tables[table].columns[name].nullable


def _is_required(column: Ref, relation: Relation) -> bool:
    """Whether a subquery's WHERE leaves no rows out of which a column's NULL could come."""
    if not isinstance(relation, Derived):
        return False
    inner, source = relation.columns[int(column.name[1:])], relation.source
    if build("is not null", [inner]) in conjuncts(relation.where):
        return True
    if not (isinstance(source, Grouped) and isinstance(inner, Ref) and inner.name.startswith("k")):
        return False
    return _is_required(source.keys[int(inner.name[1:])], source.source)


def _is_demanded(node: exp.Expression) -> bool:
    """Whether a condition counts only where it is true, so that NULL does what false does."""
    while isinstance(node.parent, exp.Paren | exp.And | exp.Or):
        node = node.parent
    return isinstance(node.parent, exp.Where | exp.Join) or (
        isinstance(node.parent, exp.If) and node.arg_key == "this"
    )


def exists(relation: Relation, where: Expr | None, *, protected: bool) -> Exists:
    """Whether a relation has a row where ``where`` holds, which demands equal unit keys where it is
    ``protected``."""
    here = aliases(relation)
    found = [] if where is None else walk(where)
    refs = dict.fromkeys(e for e in found if isinstance(e, Ref) and e.alias not in here)
    reads = tuple(refs)
    facts = merged(
        reads,
        Type.BOOL,
        domain=(False, True),
        total_domain=True,
        protected=protected or any(ref.facts.protected for ref in reads),
        # That there are such rows does not tell whose they are.
        holds_owner=any(ref.facts.holds_owner for ref in reads),
        size=1 + (0 if where is None else where.facts.size),
        work=1 + (0 if where is None else where.facts.work),
    )
    return Exists(relation, where, reads, facts)


def _hint(relation: Relation, inside: Scope, outside: Scope) -> str:
    """The equality of unit keys that is missing."""
    places = owner_places(relation)
    mine = [
        f"{e.name}.{label}" for e in inside.entries for label, r in e.fields if place(r) in places
    ]
    theirs = [
        f"{e.name}.{label}" for e in outside.entries for label, r in e.fields if r.facts.owner
    ]
    if mine and theirs:
        return f"Add {mine[0]} = {theirs[0]} to the WHERE of the subquery."
    return "Compare the privacy unit's key inside with the one outside, in the subquery's WHERE."
