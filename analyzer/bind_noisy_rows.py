"""Expressions and joins over noisy rows, and over groups of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_groups import GroupBinder
from analyzer.bind_joins import shared, side_of
from analyzer.bind_windows import Calls, refuse_companion
from analyzer.catalog import Given
from analyzer.expressions import Expr
from analyzer.functions import build
from analyzer.functions.base import coerce
from analyzer.refusals import SyntaxRefused, WrongType
from analyzer.scope import Entry, Scope
from analyzer.stages import Paired, Source
from analyzer.syntax import position_of
from analyzer.types import Type


class NoisyRows(ExpressionBinder):
    """Binds expressions over noisy rows, window functions among them."""

    def __init__(
        self,
        scope: Scope,
        parameters: Sequence[Given],
        place: str,
        calls: Calls | None,
    ) -> None:
        super().__init__(scope, parameters, place)
        self.calls = calls

    def _bind(self, node: exp.Expression) -> Expr:
        if self.calls is not None and isinstance(node, exp.Window):
            return self.calls.window(self, node)
        if self.calls is not None and isinstance(node, exp.Subquery):
            return self.calls.scalar(node)
        refuse_companion(node)
        return super()._bind(node)


class NoisyGroups(GroupBinder):
    """Binds expressions over groups of noisy rows."""

    def __init__(
        self, rows: NoisyRows, keys: Sequence[Expr], refs: Sequence[Expr], calls: Calls
    ) -> None:
        super().__init__(rows, keys, refs, (0,), calls)

    def aggregate(self, node: exp.Expression) -> Expr:
        if isinstance(node, exp.Grouping):
            return super().aggregate(node)
        return self.calls.aggregate(self.rows, node)


def paired(
    left: Source,
    scope: Scope,
    node: exp.Join,
    item: tuple[Source, Entry],
    parameters: Sequence[Given],
) -> tuple[Source, Scope]:
    """``left``, whose columns ``scope`` has, joined with one more item of FROM.

    Raises:
        Refusal: an unsupported join, or a condition that says nothing here.
    """
    right, entry = item
    side = side_of(node, scope, entry)
    both, merged, on = Scope((*scope.entries, entry), scope.merged), dict(scope.merged), None
    if node.args.get("on"):
        on = coerce(NoisyRows(both, parameters, "ON", None).bind(node.args["on"]), Type.BOOL)
        if on.type is not Type.BOOL:
            raise WrongType("ON takes a condition.", position=position_of(node))
    used = shared(node, scope, entry)
    for name, place in used:
        a, b = scope.column(name, None, place), Scope((entry,)).column(name, None, place)
        equal = build("=", [a, b])
        on = equal if on is None else build("and", [on, equal])
        merged[name] = b if side == "RIGHT" else a
    if on is None:
        if side:
            raise SyntaxRefused(f"{side} JOIN needs ON or USING.", position=position_of(node))
        return Paired("CROSS JOIN", left, right, None), Scope(both.entries, merged)
    if side == "RIGHT":
        entries = (*(_padded(e) for e in scope.entries), entry)
        names = {name for name, _ in used}
        merged = {n: e if n in names else replace(e, nullable=True) for n, e in merged.items()}
        return Paired("LEFT JOIN", right, left, on), Scope(entries, merged)
    entries = (*scope.entries, _padded(entry) if side else entry)
    return Paired("LEFT JOIN" if side else "JOIN", left, right, on), Scope(entries, merged)


def _padded(entry: Entry) -> Entry:
    fields = tuple((label, replace(ref, nullable=True)) for label, ref in entry.fields)
    return Entry(entry.name, fields)
