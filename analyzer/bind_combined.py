"""UNION, INTERSECT and EXCEPT of subqueries, with and without ALL; each row with its owner.

All of them are all rows of all parts, put together. Those without ALL then group them by all
columns: a group is a row that differs from the others, and has rows of the first part, of another,
or of both. That is about one person where the privacy unit's key is among the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from analyzer.bind_clauses import of_one_type, refuse_clauses
from analyzer.bind_own import OwnBinder, fields_of
from analyzer.catalog import ValuesFrom
from analyzer.expressions import Constant, Expr, Ref, Steps
from analyzer.functions import build
from analyzer.functions.base import constant
from analyzer.refusals import UnboundedInfluence, Unsupported
from analyzer.relation import Derived, Ownership, Union
from analyzer.scope import Entry, Fields, Scope
from analyzer.syntax import given, only, position_of, spoken
from analyzer.units import owner_of, owner_places, place

if TYPE_CHECKING:
    from analyzer.bind_relations import RelationBinder

Select = Callable[[exp.Expression, Mapping[str, Any]], tuple[Derived, list[str]]]
"""Binds one SELECT, which sees these common table expressions: its rows, and their names."""


def combined(
    binder: RelationBinder, tree: exp.SetOperation, ctes: Mapping[str, Any], select: Select
) -> tuple[Derived | Union, Fields]:
    """The rows of a set operation, and its columns.

    Args:
        binder: of the relations in its parts.
        tree: the set operation.
        ctes: the common table expressions around it.
        select: binds its parts.

    Raises:
        Refusal: parts that do not fit together, or that would mix rows of several people.
    """
    ctes = binder.ctes_of(tree, ctes)
    parts = [_arm(binder, part, ctes, select) for part in _arms(tree)]
    if not tree.args.get("distinct"):
        return all_of(binder, tree, parts)
    if isinstance(tree, exp.Union):
        union, fields = all_of(binder, tree, parts)
        return _different(binder, tree, union, fields)
    tagged = [
        (replace(arm, columns=(*arm.columns, constant(i == 0))), [*labels, ""])
        for i, (arm, labels) in enumerate(parts)
    ]
    union, (*columns, (_, first)) = all_of(binder, tree, tagged)
    return _different(binder, tree, union, tuple(columns), first)


def _different(
    binder: RelationBinder,
    tree: exp.SetOperation,
    union: Union,
    fields: Fields,
    first: Ref | None = None,
) -> tuple[Derived, Fields]:
    """The rows of a union that differ; ``first`` says which are of the first part, where that
    matters.

    Raises:
        UnboundedInfluence: equal rows could be of different people.
    """
    owner, places = owner_of(union), owner_places(union)
    if owner is not None and not any(place(ref) in places for _, ref in fields):
        name = spoken(tree)
        raise UnboundedInfluence(
            f"The privacy unit's key is not in the same place of all parts of {name}.",
            detail="Rows of different people would be compared.",
            hint="Add the key to each part's select list, or write UNION ALL."
            if isinstance(tree, exp.Union)
            else "Add the key to each part's select list.",
            position=position_of(tree),
        )
    scope, owned = Scope((Entry("", fields),)), Ownership(owner, union.rows)
    groups = OwnBinder(binder, scope, union, None, owned)
    columns = [groups.key(ref) for _, ref in fields]
    having: Expr | None = None
    if first is not None:
        having = groups.made("bool_and", groups.row(first))
        if isinstance(tree, exp.Intersect):
            some = groups.made("bool_or", groups.row(first))
            having = build("and", [some, build("not", [having])])
    relation = groups.relation(columns, having, position_of(tree))
    return relation, fields_of(relation, [label for label, _ in fields])


def all_of(
    binder: RelationBinder, tree: exp.Expression, parts: list[tuple[Derived, list[str]]]
) -> tuple[Union, Fields]:
    """Every row of every part, each with the owner that it has there."""
    arms, labels = [arm for arm, _ in parts], parts[0][1]
    name = spoken(tree)
    if len({len(arm.columns) for arm in arms}) > 1:
        raise Unsupported(
            f"The parts of {name} have different numbers of columns.", position=position_of(tree)
        )
    if len({arm.owner is None for arm in arms}) > 1:
        raise UnboundedInfluence(
            f"{name} cannot mix protected rows with rows of public tables.",
            detail="Rows of a public table belong to nobody.",
            hint="Ask about them in two queries.",
            position=position_of(tree),
        )
    alias = binder.spend(position_of(tree))
    columns = [_shared(column, tree) for column in zip(*(a.columns for a in arms), strict=True)]
    arms = [
        replace(arm, columns=tuple(values[i] for _, values in columns))
        for i, arm in enumerate(arms)
    ]
    counts = [arm.rows for arm in arms]
    rows = None if None in counts else sum(n for n in counts if n is not None)
    union = Union(alias, tuple(arms), tuple(ref.facts.stored for ref, _ in columns), rows)
    owners = owner_places(union)
    fields = []
    for i, (label, (ref, _)) in enumerate(zip(labels, columns, strict=True)):
        ref = replace(ref, alias=alias, name=f"c{i}", label=label)
        # One value for each unit in every part is not the same value in all of them.
        facts = replace(ref.facts, per_unit=place(ref) in owners)
        fields.append((label, replace(ref, facts=facts)))
    return union, tuple(fields)


def _arms(tree: exp.SetOperation) -> list[exp.Expression]:
    """The parts: of ``a UNION b UNION c``, which is nested to the left, all three. Where rows that
    are equal become one, that holds with any ALL inside."""
    found: list[exp.Expression] = []
    inside: exp.Expression = tree
    while isinstance(inside, exp.SetOperation) and (inside is tree or _goes_on(inside, tree)):
        refuse_clauses(inside, "order", "limit", "offset")
        if not isinstance(inside, exp.Union) and not inside.args.get("distinct"):
            raise Unsupported(
                f"{spoken(inside)} ALL is not supported.",
                hint=f"Write {spoken(inside)}, or count rows in a subquery.",
                position=position_of(inside),
            )
        only(inside, "this", "expression", "distinct", *(("with_",) if inside is tree else ()))
        found.append(inside.expression)
        inside = inside.this
    return [inside, *reversed(found)]


def _goes_on(inside: exp.SetOperation, tree: exp.SetOperation) -> bool:
    if not isinstance(inside, exp.Union) or not isinstance(tree, exp.Union):
        return False
    return bool(tree.args.get("distinct")) or not inside.args.get("distinct")


def _arm(
    binder: RelationBinder, tree: exp.Expression, ctes: Mapping[str, Any], select: Select
) -> tuple[Derived, list[str]]:
    while isinstance(tree, exp.Subquery) and set(given(tree)) == {"this"}:
        tree = tree.this
    if not isinstance(tree, exp.SetOperation):
        return select(tree, ctes)
    relation, fields = combined(binder, tree, ctes, select)
    labels = [label for label, _ in fields]
    if isinstance(relation, Derived):
        return relation, labels
    columns = tuple(ref for _, ref in fields)
    name = binder.spend(position_of(tree))
    return Derived(name, relation, None, columns, owner_of(relation), relation.rows), labels


def _shared(values: tuple[Expr, ...], tree: exp.Expression) -> tuple[Ref, list[Expr]]:
    """A column of a union, with its values in the parts: they share a type as in CASE."""
    whole, typed = of_one_type(values, tree)
    domains = [value.facts.domain for value in typed]
    domain = whole.facts.domain
    if not isinstance(domain, tuple):
        alike = all(d == domains[0] for d in domains) and isinstance(domains[0], ValuesFrom | Steps)
        domain = domains[0] if alike else None
    # Where a key is NULL, it is equal to no key.
    keys = [value.facts.owner for value in typed if not _is_null(value)]
    owner = bool(keys) and all(keys)
    facts = replace(
        whole.facts,
        domain=domain,
        inputs=None,
        total_domain=domain is not None and all(v.facts.total_domain for v in typed),
        owner=owner,
        holds_owner=whole.facts.holds_owner and not owner,
    )
    return Ref("", "", whole.type, whole.nullable, facts), typed


def _is_null(expression: Expr) -> bool:
    return isinstance(expression, Constant) and expression.value is None
