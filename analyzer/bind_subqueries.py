"""Subqueries that give rows: plain ones and grouped ones; each row with its owner."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from analyzer.bind_clauses import aggregates, inner, output_name, refuse_clauses
from analyzer.bind_combined import combined
from analyzer.bind_own import OwnBinder, fields_of, grouped
from analyzer.bind_own_windows import RowBinder, first_rows, in_full_order
from analyzer.expressions import Expr
from analyzer.functions.base import coerce
from analyzer.functions.clamps import narrowed
from analyzer.refusals import Unsupported
from analyzer.relation import Derived, Union
from analyzer.scope import Fields, Scope, qualifiers_of
from analyzer.syntax import given, only, position_of, spoken
from analyzer.types import Type

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
        tree: SELECT, or several of them put together.
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
        return combined(
            binder, tree, ctes, lambda part, known: _select(binder, part, known, position, outer)
        )
    relation, labels = _select(binder, tree, ctes, position, outer)
    relation = replace(relation, columns=tuple(coerce(e, Type.TEXT) for e in relation.columns))
    return relation, fields_of(relation, labels)


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
    distinct = tree.args.get("distinct")
    first = distinct is not None and distinct.args.get("on") is not None
    refuse_clauses(tree, *(() if first else ("order",)), "limit", "offset")
    clauses = ("with_", "expressions", "from_", "joins", "where", "group", "having", "distinct")
    only(tree, *clauses, "order")
    source, scope, where, owned = binder.source(tree, ctes, outer)
    own = OwnBinder(binder, scope, source, where, owned)
    if tree.args.get("group") or tree.args.get("having") or any(map(aggregates, tree.expressions)):
        return grouped(tree, own)
    rows = RowBinder(binder, scope, source, where, owned)
    labels, columns = _columns(tree, rows)
    if distinct is not None and first:
        only(distinct, "on")
        return first_rows(rows, tree, labels, columns), labels
    columns = in_full_order(columns)
    if distinct is not None:
        only(distinct)
        columns = [coerce(e, Type.TEXT) for e in columns]
        return own.relation([own.key(e) for e in columns], None, position_of(tree)), labels
    name = binder.spend(position)
    columns = [narrowed(e, where, e) for e in columns]
    return Derived(name, source, where, tuple(columns), owned.owner, owned.rows), labels


def _columns(tree: exp.Select, rows: RowBinder) -> tuple[list[str], list[Expr]]:
    labels: list[str] = []
    columns: list[Expr] = []
    for item in tree.expressions:
        node = inner(item)
        if isinstance(node, exp.Star) or (
            isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
        ):
            only(node if isinstance(node, exp.Star) else node.this)
            table, places = qualifiers_of(node)
            for label, ref in rows.scope.stars(table, position_of(node), places):
                labels.append(label)
                columns.append(ref)
        else:
            labels.append(output_name(item))
            columns.append(rows.bind(node))
    return labels, columns
