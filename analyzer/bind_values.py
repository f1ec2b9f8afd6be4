"""Subqueries that stand for a value of a row: what its own person's other rows add up to.

``(SELECT max(v.cost) FROM visits v WHERE v.patient_id = p.id)`` is a column of a left join with the
visits, grouped by what they are found by. So the rules of joins prove whose the rows are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from analyzer.bind_clauses import aggregates, inner, refuse_clauses
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_own import OwnBinder, fields_of
from analyzer.expressions import Call, Expr, Ref, aliases_in, walk
from analyzer.functions import build
from analyzer.functions.base import coerce, constant
from analyzer.refusals import SyntaxRefused, UnboundedInfluence, Unsupported, WrongGrouping
from analyzer.relation import Derived, Join, Relation, conjuncts
from analyzer.scope import Scope, name_of
from analyzer.syntax import given, only, position_of, scalars
from analyzer.types import Type
from analyzer.units import aliases, is_pinned, same_owner

if TYPE_CHECKING:
    from analyzer.bind_relations import RelationBinder

_Pair = tuple[Ref, Expr]
"""A column inside, and what of the row outside it has to be equal to."""


def with_values(
    binder: RelationBinder,
    tree: exp.Select,
    relation: Relation,
    scope: Scope,
    ctes: Mapping[str, Any],
) -> tuple[Relation, Scope]:
    """The rows of a SELECT's FROM, and beside them what its subqueries look up for each of them.

    Raises:
        Refusal: a subquery that reads the row outside, and could not be a join.
    """
    values: dict[exp.Expression, Expr] = {}
    for node in _of_rows(tree, scope):
        if node not in values:
            try:
                relation, values[node] = _Value(binder, node, scope, ctes).beside(relation)
            except SyntaxRefused as refusal:
                refusal.position = refusal.position or position_of(node)
                raise
    return relation, replace(scope, values=values) if values else scope


def _of_rows(tree: exp.Select, scope: Scope) -> Iterator[exp.Subquery]:
    """The subqueries for values that name a column of the row outside."""
    if tree.find(exp.Subquery) is None:
        return
    clauses = [*tree.expressions, tree.args.get("where"), tree.args.get("group")]
    names = {entry.name for entry in scope.entries}
    for node in (found for clause in clauses if clause is not None for found in scalars(clause)):
        inside = {_called(item) for item in node.this.find_all(exp.Table, exp.Subquery)}
        outside = names - inside
        if any(
            isinstance(table := column.args.get("table"), exp.Identifier)
            and name_of(table) in outside
            for column in node.find_all(exp.Column)
        ):
            yield node


def _called(item: exp.Expression) -> str | None:
    """What an item of FROM is called in its query."""
    alias = item.args.get("alias")
    name = item.this if alias is None else alias.this
    return name_of(name) if isinstance(name, exp.Identifier) else None


class _Value:
    """One such subquery."""

    def __init__(
        self,
        binder: RelationBinder,
        node: exp.Subquery,
        scope: Scope,
        ctes: Mapping[str, Any],
    ) -> None:
        self.binder = binder
        self.scope = scope
        self.position = position_of(node)
        self.near = {ref.alias for entry in scope.entries for _, ref in entry.fields}
        """The row outside; what is outside of that again is not seen by a join with it."""
        tree: exp.Expression = node
        while isinstance(tree, exp.Subquery) and set(given(tree)) == {"this"}:
            tree = tree.this
        if not isinstance(tree, exp.Select):
            raise Unsupported("A subquery for a value of a row is one SELECT.")
        refuse_clauses(tree, "order", "limit", "offset", "distinct", "group", "having")
        only(tree, "with_", "expressions", "from_", "joins", "where")
        if len(tree.expressions) != 1:
            raise SyntaxRefused("A subquery that stands for a value has one column.")
        self.item = inner(tree.expressions[0])
        found = binder.source(tree, ctes, scope, correlated=True)
        self.source, self.inside, where, self.owned = found
        self.alone, self.pairs = self._split(where)

    def _split(self, where: Expr | None) -> tuple[Expr | None, list[_Pair]]:
        """WHERE's conditions on the rows inside alone, and the columns that are compared with the
        row outside.

        Raises:
            Refusal: a comparison that is no equality, or rows of others that would be found.
        """
        here, alone, pairs = aliases(self.source), None, []
        found = conjuncts(where)
        for one in found:
            if aliases_in(one) <= here:
                alone = one if alone is None else build("and", [alone, one])
            else:
                pairs.append(self._pair(one, here))
        if self.owned.owner is not None and not any(
            same_owner(one, lambda ref: ref.alias in here, self.binder.catalog) for one in found
        ):
            raise UnboundedInfluence(
                "A subquery over protected rows has to look at the row's own person only.",
                detail="Otherwise rows of everybody would decide about each row.",
                hint="Compare the privacy unit's key inside with the one outside, in the"
                " subquery's WHERE.",
                position=self.position,
            )
        return alone, pairs

    def _pair(self, condition: Expr, here: set[str]) -> _Pair:
        if isinstance(condition, Call) and condition.function == "=":
            for mine, other in (condition.args, condition.args[::-1]):
                if not isinstance(mine, Ref) or mine.alias not in here:
                    continue
                if not aliases_in(other) <= self.near:
                    continue
                if mine.type is not Type.FLOAT8:  # several can compare equal to one numeric
                    return mine, other
        raise Unsupported(
            "This subquery compares with the row outside in more than equal columns.",
            hint="Join the tables on the privacy unit and group by its key, or write EXISTS.",
            position=self.position,
        )

    def reads_outside(self) -> Unsupported:
        """What is said where more of the row outside is read than the subquery is found by."""
        return Unsupported(
            "What this subquery gives reads the row outside.",
            hint="Compute with the row outside of the subquery, or join the tables.",
            position=self.position,
        )

    def beside(self, relation: Relation) -> tuple[Relation, Expr]:
        """``relation`` with the subquery's rows beside it, and the value."""
        outer = [ref for _, other in self.pairs for ref in walk(other) if isinstance(ref, Ref)]
        whole = all(ref.facts.per_unit for ref in outer)
        groups = _Groups(self, whole=whole)
        if aggregates(self.item):
            value = groups.bind(self.item)
            found = groups.found(self.position)
        else:
            rows = ExpressionBinder(self.inside, self.binder.parameters, "a subquery")
            shown = coerce(rows.bind(self.item), Type.TEXT)
            if not aliases_in(shown) <= aliases(self.source):
                raise self.reads_outside()
            columns = (shown, *(mine for mine, _ in self.pairs))
            found = Derived(
                groups.alias, self.source, self.alone, columns, self.owned.owner, self.owned.rows
            )
            ((_, ref), *_) = fields_of(found, [""] * len(columns))
            facts = replace(ref.facts, per_unit=ref.facts.per_unit and whole)
            value = replace(ref, nullable=True, facts=facts)
        fields = fields_of(found, [""] * len(found.columns))[-len(self.pairs) :]
        equal = [
            build("=", [ref, other])
            for (_, ref), (_, other) in zip(fields, self.pairs, strict=True)
        ]
        on = equal[0]
        for one in equal[1:]:
            on = build("and", [on, one])
        if not is_pinned(found, {ref.alias for ref in outer}, equal):
            raise UnboundedInfluence(
                "A subquery that stands for a value could find several rows.",
                detail="That it fails would say that there are.",
                hint="Take an aggregate of them, such as max(x).",
                position=self.position,
            )
        return Join(True, relation, found, on), value


class _Groups(OwnBinder):
    """Binds what a subquery adds up, as an expression over the row that the groups are beside.

    Where there is no group, there are no rows: their count is 0, all else is NULL.
    """

    def __init__(self, value: _Value, *, whole: bool) -> None:
        super().__init__(value.binder, value.inside, value.source, value.alone, value.owned)
        self.alias = value.binder.spend(value.position)
        self.of = value
        self.whole = whole
        self.shown: list[Ref] = []
        self.found_by = [self.key(mine) for mine, _ in value.pairs]

    def bind(self, node: exp.Expression) -> Expr:
        """What is no aggregate belongs to no group: all rows that are found are one."""
        return self.of_group(node)

    def column(self, node: exp.Column) -> Expr:
        raise WrongGrouping(f'Column "{node.name}" is not inside an aggregate of the subquery.')

    def row(self, e: Expr) -> Ref:
        if not aliases_in(e) <= aliases(self.source):
            raise self.of.reads_outside()
        return super().row(e)

    def check_owner(self, position: int | None) -> None:
        """None here: the join has to prove it, also where its keys only lead to the owner."""

    def made(
        self,
        function: str,
        argument: Ref | None,
        kept: Ref | None = None,
        *,
        distinct: bool = False,
    ) -> Expr:
        made = super().made(function, argument, kept, distinct=distinct)
        assert isinstance(made, Ref)
        if made not in self.shown:
            self.shown.append(made)
        facts = replace(made.facts, per_unit=made.facts.per_unit and self.whole)
        name = f"c{self.shown.index(made)}"
        beside = Ref(self.alias, name, made.type, True, facts)
        return build("coalesce", [beside, constant(0)]) if function == "count" else beside

    def found(self, position: int | None) -> Derived:
        """The groups: what was added up, then the keys that they are found by."""
        return self.relation([*self.shown, *self.found_by], None, position, self.alias)
