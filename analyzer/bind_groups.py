"""Syntax over groups: select list, HAVING and ORDER BY, with aggregates in place of columns."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from analyzer.bind_expressions import AGGREGATES, ExpressionBinder
from analyzer.expressions import Aggregate, Expr, Facts
from analyzer.functions import build
from analyzer.functions.base import coerce, constant
from analyzer.parse import only
from analyzer.ranges import NOISY
from analyzer.refusals import NoMechanism, RowsRefused, WrongGrouping, WrongType
from analyzer.types import Type


class GroupBinder(ExpressionBinder):
    """Binds expressions over groups: select list, HAVING, ORDER BY.

    A part that equals a group key becomes that key's column of ``noisy``; an aggregate becomes an
    :class:`Aggregate`; any other column is refused.
    """

    def __init__(
        self, rows: ExpressionBinder, keys: Sequence[Expr], key_refs: Sequence[Expr]
    ) -> None:
        super().__init__(rows.scope, rows.parameters, "this place")
        self.rows = rows
        self.keys = keys
        self.key_refs = key_refs

    def bind(self, node: exp.Expression) -> Expr:
        if self.keys and not isinstance(node, exp.Literal) and not _has_aggregate(node):
            row = self.rows.bind(node)
            if row in self.keys:
                return self.key_refs[self.keys.index(row)]
        return super().bind(node)

    def column(self, node: exp.Column) -> Expr:
        row = self.rows.column(node)
        if not self.keys and not row.facts.protected:
            raise WrongGrouping(f'Column "{node.name}" is not inside an aggregate.')
        raise WrongGrouping(
            f'Column "{node.name}" is neither a group key nor inside an aggregate.',
            hint=f"Add it to GROUP BY, or aggregate it, for example count({node.name}).",
        )

    def aggregate(self, node: exp.Expression) -> Expr:
        condition: exp.Expression | None = None
        if isinstance(node, exp.Filter):
            only(node, "this", "expression")
            condition, node = node.expression.this, node.this
            if not isinstance(node, AGGREGATES):
                return self.unknown(node)
        only(node, "this", "big_int")
        inner, distinct = node.this, False
        if isinstance(inner, exp.Distinct):
            only(inner, "expressions")
            distinct = True
            inner = inner.expressions[0] if len(inner.expressions) == 1 else inner
        if isinstance(inner, exp.Star):
            argument: Expr | None = None
        else:
            argument = ExpressionBinder(
                self.rows.scope, self.parameters, "the argument of another aggregate"
            ).bind(inner)
        if condition is not None:
            holds = ExpressionBinder(self.rows.scope, self.parameters, "FILTER").bind(condition)
            argument = build("case", [holds, argument or constant(1), constant(None, untyped=True)])
        if isinstance(node, exp.Count):
            return self._count(argument, distinct=distinct, filtered=condition is not None)
        return self._total(node, argument, distinct=distinct)

    def _count(self, argument: Expr | None, *, distinct: bool, filtered: bool) -> Expr:
        kind = "count"
        if argument is not None and not argument.nullable and not distinct:
            argument = None
        if distinct:
            assert argument is not None
            subject = argument.args[1] if filtered and hasattr(argument, "args") else argument
            if not subject.facts.owner:
                raise NoMechanism(
                    "COUNT(DISTINCT ...) counts privacy units only.",
                    hint="Use COUNT(DISTINCT the unit key), or GROUP BY the column.",
                )
            kind = "count_units"
            if not argument.nullable:
                argument = None
        return _aggregate(kind, argument, Type.INT8)

    def _total(self, node: exp.Expression, argument: Expr | None, *, distinct: bool) -> Expr:
        name = "sum" if isinstance(node, exp.Sum) else "avg"
        if argument is None:
            raise WrongType(f"{name} takes a number, not *.")
        if distinct:
            raise NoMechanism(
                f"There is no private mechanism for {name.upper()}(DISTINCT ...).",
                hint="Leave DISTINCT out, or GROUP BY the column and count.",
            )
        argument = coerce(argument, Type.NUMERIC)
        if not argument.type.is_number:
            raise WrongType(
                f"{name} takes a number, not {argument.type.value}.",
                hint="For conditions write count(*) FILTER (WHERE ...).",
            )
        if argument.facts.owner or argument.facts.holds_owner:
            raise RowsRefused("The privacy unit's key cannot be summed.")
        result = Type.FLOAT8 if argument.type is Type.FLOAT8 else Type.NUMERIC
        if name == "sum" and argument.type is Type.INT4:
            result = Type.INT8
        return _aggregate(name, argument, result)


def _aggregate(kind: str, argument: Expr | None, type_: Type) -> Aggregate:
    # Noisy values are computed as exact numerics; integer cells keep them inside this range.
    size = 1 if argument is None else 1 + argument.facts.size
    return Aggregate(kind, argument, type_, Facts(Type.NUMERIC, NOISY, size=size))


def _has_aggregate(node: exp.Expression) -> bool:
    return node.find(exp.AggFunc, exp.Filter) is not None
