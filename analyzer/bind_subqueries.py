"""Subqueries that give rows: plain ones, grouped ones, and unions; each row with its owner."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from analyzer.bind_clauses import aggregates, inner, of_one_type, output_name
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_own import OwnBinder, grouped
from analyzer.catalog import ValuesFrom
from analyzer.domains import as_column
from analyzer.expressions import Expr, Ref, Steps
from analyzer.functions.base import coerce
from analyzer.refusals import UnboundedInfluence, Unsupported
from analyzer.relation import Derived, Union
from analyzer.scope import Fields, Scope, qualifiers_of
from analyzer.syntax import given, only, position_of, spoken
from analyzer.types import Type
from analyzer.units import owner_places, place, relation_owner

if TYPE_CHECKING:
    from analyzer.bind_relations import Ctes, RelationBinder


def subquery(
    binder: RelationBinder,
    tree: exp.Expression,
    ctes: Ctes,
    position: int | None,
    outer: Scope | None = None,
) -> tuple[Derived | Union, Fields]:
    """A subquery as rows, each with its owner, and its columns.

    Args:
        binder: of the relations in its FROM.
        tree: SELECT or UNION ALL.
        ctes: the common table expressions around it.
        position: of the subquery, for refusals that have none better.
        outer: what the query around sees, where this stands in a condition. Its columns may not be
            used, and a name that would mean one is refused as that.

    Raises:
        Refusal: an unsupported form, or rows without one owner.
    """
    while isinstance(tree, exp.Subquery) and set(given(tree)) == {"this"}:
        tree = tree.this
    if isinstance(tree, exp.SetOperation):
        return _union(binder, tree, ctes, outer)
    relation, labels = _select(binder, tree, ctes, position, outer)
    relation = replace(relation, columns=tuple(coerce(e, Type.TEXT) for e in relation.columns))
    return relation, _fields(relation.alias, labels, relation.columns)


def _fields(alias: str, labels: list[str], columns: tuple[Expr, ...]) -> Fields:
    return tuple(
        (
            label,
            as_column(Ref(alias, f"c{i}", e.type, e.nullable, e.facts, _origin(e), label), e),
        )
        for i, (label, e) in enumerate(zip(labels, columns, strict=True))
    )


def _origin(expression: Expr) -> tuple[str, str] | None:
    return expression.origin if isinstance(expression, Ref) else None


def _select(
    binder: RelationBinder,
    tree: exp.Expression,
    ctes: Ctes,
    position: int | None,
    outer: Scope | None,
) -> tuple[Derived, list[str]]:
    """One SELECT and the names of its columns. Bare strings and NULLs have no type yet."""
    if not isinstance(tree, exp.Select):
        raise Unsupported(
            f"{spoken(tree)} is not supported in a subquery.",
            position=position_of(tree) or position,
        )
    refuse_clauses(tree, "order", "limit", "offset")
    clauses = ("with_", "expressions", "from_", "joins", "where", "group", "having", "distinct")
    only(tree, *clauses)
    source, scope, where, owned = binder.source(tree, ctes, outer)
    own = OwnBinder(binder, scope, source, where, owned)
    if tree.args.get("group") or tree.args.get("having") or any(map(aggregates, tree.expressions)):
        return grouped(tree, own)
    labels, columns = _columns(tree, scope, binder)
    if tree.args.get("distinct") is not None:
        only(tree.args["distinct"])
        columns = [coerce(e, Type.TEXT) for e in columns]
        return own.relation([own.key(e) for e in columns], None, position_of(tree)), labels
    name = binder.spend(position)
    return Derived(name, source, where, tuple(columns), owned.owner, owned.rows), labels


def refuse_clauses(tree: exp.Expression, *clauses: str) -> None:
    """Refuse what picks rows, or makes groups, by looking at everybody's.

    Raises:
        UnboundedInfluence: the subquery has one of the clauses.
    """
    for clause in clauses:
        if tree.args.get(clause) is not None:
            word = {"order": "ORDER BY", "group": "GROUP BY"}.get(clause, clause.upper())
            raise UnboundedInfluence(
                f"{word} is not supported in this subquery.",
                detail="Which rows it gives would depend on everybody's rows.",
                hint=f"Leave {word} out here; in the outer query it works on noisy values.",
                position=position_of(tree.args[clause]) or position_of(tree),
            )


def _columns(
    tree: exp.Select, scope: Scope, binder: RelationBinder
) -> tuple[list[str], list[Expr]]:
    labels: list[str] = []
    columns: list[Expr] = []
    rows = ExpressionBinder(scope, binder.parameters, "a subquery's select list")
    for item in tree.expressions:
        node = inner(item)
        if isinstance(node, exp.Star) or (
            isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
        ):
            only(node if isinstance(node, exp.Star) else node.this)
            table, schema = qualifiers_of(node)
            for label, ref in scope.stars(table, position_of(node), schema):
                labels.append(label)
                columns.append(ref)
        else:
            labels.append(output_name(item))
            columns.append(rows.bind(node))
    return labels, columns


def _union(
    binder: RelationBinder, tree: exp.SetOperation, ctes: Ctes, outer: Scope | None
) -> tuple[Union, Fields]:
    """UNION ALL: every row of every arm, each with the owner that it has there."""
    ctes = binder.ctes_of(tree, ctes)
    parts = [_arm(binder, part, ctes, outer) for part in _arms(tree)]
    arms, labels = [arm for arm, _ in parts], parts[0][1]
    if len({len(arm.columns) for arm in arms}) > 1:
        raise Unsupported(
            "The parts of UNION ALL have different numbers of columns.", position=position_of(tree)
        )
    if len({arm.owner is None for arm in arms}) > 1:
        raise UnboundedInfluence(
            "UNION ALL cannot mix protected rows with rows of public tables.",
            detail="Rows of a public table belong to nobody.",
            hint="Ask about them in two queries.",
            position=position_of(tree),
        )
    name = binder.spend(position_of(tree))
    columns = [_shared(column, tree) for column in zip(*(a.columns for a in arms), strict=True)]
    arms = [
        replace(arm, columns=tuple(values[i] for _, values in columns))
        for i, arm in enumerate(arms)
    ]
    counts = [arm.rows for arm in arms]
    rows = None if None in counts else sum(n for n in counts if n is not None)
    union = Union(name, tuple(arms), tuple(ref.facts.stored for ref, _ in columns), rows)
    owners = owner_places(union)
    fields = []
    for i, (label, (ref, _)) in enumerate(zip(labels, columns, strict=True)):
        ref = replace(ref, alias=name, name=f"c{i}", label=label)
        # One value for each unit in every part is not the same value in all of them.
        facts = replace(ref.facts, per_unit=place(ref) in owners)
        fields.append((label, replace(ref, facts=facts)))
    return union, tuple(fields)


def _arms(tree: exp.Expression) -> list[exp.Expression]:
    """The parts of ``a UNION ALL b UNION ALL c``, which is nested to the left."""
    found: list[exp.Expression] = []
    top = tree
    while isinstance(tree, exp.SetOperation):
        refuse_clauses(tree, "order", "limit", "offset")
        if not isinstance(tree, exp.Union) or tree.args.get("distinct"):
            raise Unsupported(
                f"{spoken(tree)} without ALL is not supported."
                if isinstance(tree, exp.Union)
                else f"{spoken(tree)} is not supported.",
                detail="It would compare rows of different people.",
                hint="Write UNION ALL, or EXISTS over the same person's rows.",
                position=position_of(tree),
            )
        only(tree, "this", "expression", *(("with_",) if tree is top else ()))
        found.append(tree.expression)
        tree = tree.this
    return [tree, *reversed(found)]


def _arm(
    binder: RelationBinder, tree: exp.Expression, ctes: Ctes, outer: Scope | None
) -> tuple[Derived, list[str]]:
    while isinstance(tree, exp.Subquery) and set(given(tree)) == {"this"}:
        tree = tree.this
    if not isinstance(tree, exp.SetOperation):
        return _select(binder, tree, ctes, position_of(tree), outer)
    union, fields = _union(binder, tree, ctes, outer)
    inside = relation_owner(union)
    owner = None if inside is None else Ref(union.alias, "owner", inside.type, True, inside.facts)
    columns = tuple(ref for _, ref in fields)
    name = binder.spend(position_of(tree))
    return Derived(name, union, None, columns, owner, union.rows), [label for label, _ in fields]


def _shared(values: tuple[Expr, ...], tree: exp.Expression) -> tuple[Ref, list[Expr]]:
    """A column of a union, with its values in the parts: they share a type as in CASE."""
    whole, typed = of_one_type(values, tree)
    domains = [value.facts.domain for value in typed]
    domain = whole.facts.domain
    if not isinstance(domain, tuple):
        alike = all(d == domains[0] for d in domains) and isinstance(domains[0], ValuesFrom | Steps)
        domain = domains[0] if alike else None
    facts = replace(
        whole.facts,
        domain=domain,
        inputs=None,
        total_domain=domain is not None and all(v.facts.total_domain for v in typed),
        owner=all(v.facts.owner for v in typed),
    )
    return Ref("", "", whole.type, whole.nullable, facts), typed
