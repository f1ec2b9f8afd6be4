"""Joins: which columns a name means after them, and what is still one value for each unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from analyzer.expressions import Expr, Ref, walk
from analyzer.functions import build
from analyzer.refusals import SyntaxRefused, Unsupported
from analyzer.relation import Join, Relation
from analyzer.scope import Entry, Scope, name_of
from analyzer.syntax import only, position_of
from analyzer.units import aliases


def join(
    left: Relation,
    scope: Scope,
    node: exp.Join,
    item: tuple[Relation, Entry],
    condition: Callable[[exp.Expression, Scope], Expr],
) -> tuple[Relation, Scope]:
    """``left``, whose columns ``scope`` has, joined with one more item of FROM.

    Args:
        left: what is joined so far.
        scope: its columns.
        node: the join as written.
        item: the item on the right.
        condition: binds ON.

    Raises:
        Refusal: an unsupported join, or a condition that says nothing here.
    """
    right, entry = item
    side = side_of(node, scope, entry)
    on, used = condition_of(scope, entry, node, condition)
    merged = dict(scope.merged) | {name: b if side == "RIGHT" else a for name, a, b in used}
    parts = merged_parts(scope, entry, used)
    if not side:
        both = replace(scope, entries=(*scope.entries, entry))
        return Join(False, left, right, on), replace(both, merged=merged, parts=parts)
    if on is None:
        raise SyntaxRefused(f"{side} JOIN needs ON or USING.", position=position_of(node))
    padded, kept = (right, left) if side == "LEFT" else (left, right)
    # Where ON reads one value for each unit on the kept side, all rows of a unit match alike.
    others = aliases(padded)
    refs = [e for e in walk(on) if isinstance(e, Ref) and e.alias not in others]
    whole = all(ref.facts.per_unit for ref in refs)
    if side == "LEFT":
        entries = (*scope.entries, _padded(entry, whole=whole))
    else:
        entries = (*(_padded(e, whole=whole) for e in scope.entries), entry)
        new = {name for name, _, _ in used}
        merged = {n: ref if n in new else _pad(ref, whole=whole) for n, ref in merged.items()}
    whole_scope = replace(scope, entries=entries, merged=merged, parts=parts)
    return Join(True, kept, padded, on), whole_scope


def side_of(node: exp.Join, scope: Scope, entry: Entry, *, full: bool = False) -> str:
    """LEFT, RIGHT, FULL where that is possible (``full``), or nothing, of a join that adds
    ``entry`` to ``scope``.

    Raises:
        Unsupported: another kind of join.
        SyntaxRefused: the name is there already.
    """
    only(node, "this", "on", "using", "side", "kind", "method")
    side, kind = str(node.args.get("side") or ""), str(node.args.get("kind") or "")
    method = str(node.args.get("method") or "")
    known = side in ("", "LEFT", "RIGHT", *(("FULL",) if full else ())) and kind in (
        "",
        "INNER",
        "CROSS",
        "OUTER",
    )
    if not known or method not in ("", "NATURAL"):
        raise Unsupported(
            f"{side or kind or method} JOIN is not supported.",
            hint="Use JOIN, LEFT JOIN, RIGHT JOIN or CROSS JOIN.",
            position=position_of(node),
        )
    if any(e.name == entry.name for e in scope.entries):
        raise SyntaxRefused(
            f'The name "{entry.name}" is used twice in FROM.',
            hint="Give one of them an alias.",
            position=position_of(node),
        )
    return side


def shared(node: exp.Join, scope: Scope, entry: Entry) -> list[tuple[str, int | None]]:
    """The names that USING merges, with their positions; NATURAL is USING with all names that both
    sides have."""
    if not node.args.get("method"):
        return [(name_of(n), position_of(n)) for n in node.args.get("using") or []]
    theirs, at = {label for label, _ in entry.fields}, position_of(node)
    mine = dict.fromkeys(label for label, _ in scope.stars(None, at))
    return [(label, at) for label in mine if label in theirs]


Used = list[tuple[str, Ref, Ref]]
"""The names that USING merges, with the columns of the left and the right."""


def condition_of(
    scope: Scope,
    entry: Entry,
    node: exp.Join,
    condition: Callable[[exp.Expression, Scope], Expr],
) -> tuple[Expr | None, Used]:
    """What a join demands by ON or by USING, and what USING merges."""
    both = replace(scope, entries=(*scope.entries, entry))
    on = condition(node.args["on"], both) if node.args.get("on") else None
    used = []
    for name, at in shared(node, scope, entry):
        a, b = scope.column(name, None, at), Scope((entry,)).column(name, None, at)
        equal = build("=", [a, b])
        on = equal if on is None else build("and", [on, equal])
        used.append((name, a, b))
    return on, used


def merged_parts(scope: Scope, entry: Entry, used: Used) -> dict[str, frozenset[str]]:
    """The items whose columns each merged name stands for."""
    parts = dict(scope.parts)
    for name, _, _ in used:
        had = {e.name for e in scope.entries if any(label == name for label, _ in e.fields)}
        parts[name] = frozenset({*had, entry.name})
    return parts


def _padded(entry: Entry, *, whole: bool) -> Entry:
    """The columns of a side that a left join fills with NULL where nothing matches. A column that
    was one value for each unit stays so only where all of a unit's rows match alike."""
    fields = tuple((label, _pad(ref, whole=whole)) for label, ref in entry.fields)
    return replace(entry, fields=fields)


def _pad(ref: Ref, *, whole: bool) -> Ref:
    facts = replace(ref.facts, per_unit=ref.facts.per_unit and whole)
    return replace(ref, nullable=True, facts=facts)
