"""UNION over noisy results: the rows of its parts under one another, as one more stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from analyzer.bind_clauses import Item, count_of, of_one_type, sort_keys
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_noisy import Ctes, bare
from analyzer.expressions import Expr, Facts, Ref
from analyzer.refusals import Unsupported, WrongType
from analyzer.scope import Entry, Scope
from analyzer.stages import Arm, Stacked, Stage
from analyzer.syntax import given, only, position_of, spoken

if TYPE_CHECKING:
    from analyzer.bind_outer import OuterBinder

_TAIL = ("with_", "order", "limit", "offset")


def stacked(binder: OuterBinder, tree: exp.SetOperation, ctes: Ctes) -> Stage:
    """The stage of a UNION, of which some part is noisy.

    Args:
        binder: of the parts.
        tree: UNION or UNION ALL; parts that are the same kind of UNION are taken apart.
        ctes: the common table expressions around it.

    Raises:
        Refusal: another set operation, parts that do not fit, or a part's own.
    """
    known = binder.relations.ctes_of(tree, ctes)
    arms = [binder.read(arm, known, position_of(tree)) for arm in _arms(tree)]
    labels = [name for name, _ in arms[0][1]]
    if any(len(fields) != len(labels) for _, fields in arms):
        raise WrongType("The parts of UNION have different numbers of columns.")
    alias = binder.alias(position_of(tree))
    columns = [
        _shared(alias, i, [fields[i][1] for _, fields in arms], tree) for i in range(len(labels))
    ]
    parts = tuple(
        Arm(rows, tuple(values[number] for _, values in columns))
        for number, (rows, _) in enumerate(arms)
    )
    refs = tuple(ref for ref, _ in columns)
    source = Stacked(alias, parts, tuple(ref.facts.stored for ref in refs))
    outputs = tuple(zip(labels, refs, strict=True))
    scope = Scope((Entry("", outputs),))
    rows = ExpressionBinder(scope, binder.parameters, "ORDER BY")
    items = [Item(name, tree, bound=ref) for name, ref in outputs]
    return Stage(
        source=source,
        where=None,
        groups=None,
        calls=(),
        outputs=outputs,
        companions=tuple(None for _ in outputs),
        distinct=bool(tree.args.get("distinct")),
        order=sort_keys(tree.args.get("order"), rows, items, outputs, distinct=True),
        limit=count_of(tree.args.get("limit"), "LIMIT"),
        offset=count_of(tree.args.get("offset"), "OFFSET") or 0,
    )


def _arms(tree: exp.SetOperation) -> list[exp.Expression]:
    """The parts of ``a UNION b UNION c``, which is nested to the left."""
    if not isinstance(tree, exp.Union):
        raise Unsupported(
            f"{spoken(tree)} is not supported over noisy results.",
            hint="Join them, or use UNION.",
            position=position_of(tree),
        )
    only(tree, "this", "expression", "distinct", *_TAIL)
    found: list[exp.Expression] = []
    node: exp.Expression = tree
    while isinstance(node, exp.Union) and node.args.get("distinct") == tree.args.get("distinct"):
        if node is not tree and set(_TAIL) & set(given(node)):
            break
        found.append(node.expression)
        node = bare(node.this)
    return [node, *reversed(found)]


def _shared(
    alias: str, index: int, values: list[Ref], tree: exp.Expression
) -> tuple[Ref, list[Expr]]:
    """A column of the union, with its values in the parts: they share a type as in CASE."""
    whole, typed = of_one_type(values, tree)
    facts = Facts(whole.facts.stored, whole.facts.physical)
    return Ref(alias, f"o{index}", whole.type, whole.nullable, facts), typed
