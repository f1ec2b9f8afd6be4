"""Syntax over groups: select list, HAVING and ORDER BY, with aggregates in place of columns."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from sqlglot import exp

from analyzer.bind_clauses import only_where
from analyzer.bind_expressions import AGGREGATES, ExpressionBinder, no_value_of_groups
from analyzer.bind_noisy_aggregates import PAIRS
from analyzer.bind_quantiles import EXTREMES, PERCENTILES, Argument, extreme, percentile
from analyzer.bind_windows import Calls, refuse_companion
from analyzer.expressions import Aggregate, Call, Expr, Facts, Ref
from analyzer.functions import build
from analyzer.functions.base import coerce, constant
from analyzer.functions.clamps import narrowed
from analyzer.functions.times import is_time
from analyzer.ranges import NOISY, limited
from analyzer.refusals import NoMechanism, RowsRefused, Unsupported, WrongGrouping, WrongType
from analyzer.scope import Subqueries
from analyzer.stages import ARRAY, cells_of
from analyzer.syntax import element_of, only, scalars
from analyzer.types import Type

_ONE: dict[type[exp.Expression], tuple[str, str]] = {
    exp.Sum: ("sum", "sum"),
    exp.Avg: ("avg", "avg"),
    exp.Variance: ("var_samp", "variance"),
    exp.VariancePop: ("var_pop", "var_pop"),
    exp.Stddev: ("stddev_samp", "stddev"),
    exp.StddevPop: ("stddev_pop", "stddev_pop"),
    exp.StddevSamp: ("stddev_samp", "stddev_samp"),
}
"""Aggregates of one number: what is computed, and what the analyst calls it."""
_OF_PAIRS: dict[type[exp.Expression], tuple[str, str]] = {
    exp.RegrAvgx: ("avg", "x"),
    exp.RegrAvgy: ("avg", "y"),
    exp.RegrCount: ("count", "y"),
    exp.RegrSxx: ("squares", "x"),
    exp.RegrSyy: ("squares", "y"),
}
"""Of the aggregates of two numbers, (y, x), those that need only one where both are there: what is
computed, and of which."""
_OVER_GROUPS = (exp.AggFunc, exp.Filter, exp.Window, *AGGREGATES)


class GroupBinder(ExpressionBinder):
    """Binds expressions over groups: select list, HAVING, ORDER BY.

    A part that equals a group key becomes that key's column of ``noisy``; an aggregate becomes an
    :class:`Aggregate`; any other column is refused.
    """

    def __init__(
        self,
        rows: ExpressionBinder,
        keys: Sequence[Expr],
        key_refs: Sequence[Expr],
        sets: Sequence[int],
        calls: Calls,
        block: int = 0,
        where: Expr | None = None,
    ) -> None:
        """``sets``: the grouping sets by their GROUPING numbers. ``calls`` collects windows.
        ``block``: the number of the aggregation whose groups they are. ``where``: what all rows
        that are aggregated fulfil."""
        super().__init__(rows.scope, rows.parameters, "this place")
        self.rows = rows
        self.keys = keys
        self.key_refs = key_refs
        self.sets = sets
        self.calls = calls
        self.block = block
        self.where = where

    def _bind(self, node: exp.Expression) -> Expr:
        if isinstance(node, exp.Window):
            return self.calls.window(self, node)
        if isinstance(node, exp.Subquery):
            return self.value(node)
        if isinstance(node, exp.Bracket):
            return self._element(node)
        refuse_companion(node)
        return super()._bind(node)

    def _element(self, node: exp.Bracket) -> Expr:
        """One of several percentiles, or NULL where there are not so many."""
        array, number = self.bind(node.this), element_of(node)
        if not isinstance(array, Call) or array.function != ARRAY:
            raise Unsupported(
                "A subscript follows an array of percentiles, in parentheses.",
                hint="Write (percentile_cont(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY x))[1].",
            )
        if number > len(array.args):
            return constant(None, Type.FLOAT8)
        return array.args[number - 1]

    def value(self, node: exp.Expression) -> Expr:
        if node in self.scope.values or not isinstance(node, exp.Subquery):
            raise no_value_of_groups()
        return self.calls.scalar(node)

    def bind(self, node: exp.Expression) -> Expr:
        if self.keys and not isinstance(node, exp.Literal) and not self._over_groups(node):
            row = self.rows.bind(node)
            if row in self.keys:
                return self.key_refs[self.keys.index(row)]
        return super().bind(node)

    def _over_groups(self, node: exp.Expression) -> bool:
        """Whether a part of the expression has a value for groups only."""
        if isinstance(node, _OVER_GROUPS):
            return True
        if node.find(exp.Query, *_OVER_GROUPS) is None:
            return False
        if any(one not in self.scope.values for one in scalars(node)):
            return True
        here = node.walk(prune=lambda part: isinstance(part, exp.Query))
        return any(isinstance(part, _OVER_GROUPS) for part in here)

    def subqueries(self, node: exp.Expression) -> Subqueries:
        """None here: what is computed of noisy values must read no rows."""
        raise self.no_subquery(node)

    def column(self, node: exp.Column) -> Expr:
        row = self.rows.column(node)
        if not self.keys and not row.facts.protected:
            raise WrongGrouping(f'Column "{node.name}" is not inside an aggregate.')
        raise WrongGrouping(
            f'Column "{node.name}" is neither a group key nor inside an aggregate.',
            hint=f"Add it to GROUP BY, or aggregate it, for example count({node.name}).",
        )

    def aggregate(self, node: exp.Expression) -> Expr:
        condition: Expr | None = None
        if isinstance(node, exp.Filter):
            only(node, "this", "expression")
            condition = self._rows("FILTER").bind(node.expression.this)
            if condition.type is not Type.BOOL:
                raise WrongType("FILTER takes a condition.")
            node = node.this
        if isinstance(node, exp.Grouping):
            return self._grouping(node, condition)
        if isinstance(node, exp.Count):
            return self._count(node, condition)
        if isinstance(node, exp.WithinGroup):
            if type(node.this) not in PERCENTILES:
                return self.unknown(node.this)
            return percentile(node, self._moments(condition), self._quantile, self.rows)
        if type(node) in EXTREMES:
            return extreme(node, self._moments(condition), self._quantile)
        if type(node) in _ONE:
            return self._one(node, condition)
        if type(node) in PAIRS:
            return self._two(node, condition)
        return self.unknown(node)

    def _made(
        self,
        kind: str,
        arguments: tuple[Expr, ...],
        type_: Type,
        name: str,
        fraction: Fraction | None = None,
        *,
        continuous: bool = False,
    ) -> Aggregate:
        # Noisy values are computed as exact numerics; integer cells keep them inside this range.
        size = 1 + sum(argument.facts.size for argument in arguments)
        work = 1 + sum(argument.facts.work for argument in arguments)
        facts = Facts(Type.NUMERIC, NOISY, size=size, work=work)
        return Aggregate(kind, arguments, type_, facts, name, fraction, continuous, self.block)

    def _rows(self, place: str) -> ExpressionBinder:
        return ExpressionBinder(self.rows.scope, self.parameters, place)

    def _moments(self, condition: Expr | None) -> Argument:
        """Binds arguments of quantiles, NULL where the condition does not hold."""
        return lambda name, node: self._number(name, node, condition, or_moment=True)

    def _quantile(self, name: str, argument: Expr, type_: Type, fraction: Fraction) -> Expr:
        continuous = name == "percentile_cont"
        return self._made("quantile", (argument,), type_, name, fraction, continuous=continuous)

    def _number(
        self,
        name: str,
        node: exp.Expression,
        condition: Expr | None,
        *,
        or_moment: bool = False,
    ) -> Expr:
        """The argument of an aggregate over numbers, NULL where the condition does not hold.

        ``or_moment``: a date or a timestamp will do as well.
        """
        if isinstance(node, exp.Star):
            raise WrongType(f"{name} takes a number, not *.")
        if isinstance(node, exp.Distinct):
            raise NoMechanism(
                f"There is no private mechanism for {name.upper()}(DISTINCT ...).",
                hint="Leave DISTINCT out, or GROUP BY the column and count.",
            )
        argument = coerce(self._rows("the argument of an aggregate").bind(node), Type.NUMERIC)
        if not (argument.type.is_number or (or_moment and is_time(argument.type))):
            raise WrongType(
                f"{name} takes a number, not {argument.type.value}.",
                hint="For conditions write count(*) FILTER (WHERE ...).",
            )
        if argument.facts.owner or argument.facts.holds_owner:
            raise RowsRefused(
                "The privacy unit's key cannot be measured.",
                hint="Count people with count(DISTINCT key), or take a column that is no key.",
            )
        return narrowed(only_where(condition, argument), self.where, argument)

    def _one(self, node: exp.Expression, condition: Expr | None) -> Expr:
        only(node, "this")
        kind, name = _ONE[type(node)]
        argument = self._number(name, node.this, condition)
        result = Type.FLOAT8 if argument.type is Type.FLOAT8 else Type.NUMERIC
        if name == "sum" and argument.type is Type.INT4:
            result = Type.INT8
        return self._made(kind, (argument,), result, name)

    def _two(self, node: exp.Expression, condition: Expr | None) -> Expr:
        only(node, "this", "expression")
        name = PAIRS[type(node)]
        kind, of = _OF_PAIRS.get(type(node), (name, "yx"))
        y, x = (self._number(name, n, condition) for n in (node.this, node.expression))
        # Only rows that have both count, so each is NULL where the other one is.
        both = [
            only_where(build("is not null", [other]) if other.nullable else None, one)
            for one, other in ((y, x), (x, y))
        ]
        measured = [one for letter, one in zip("yx", both, strict=True) if letter in of]
        if kind == "count":
            return self._made(kind, _counted(*measured), Type.INT8, name)
        return self._made(kind, tuple(measured), Type.FLOAT8, name)

    def _count(self, node: exp.Expression, condition: Expr | None) -> Expr:
        only(node, "this", "big_int")
        inner, distinct = node.this, isinstance(node.this, exp.Distinct)
        if inner is None:
            raise WrongType("count takes * or one expression.", hint="Write count(*).")
        if isinstance(inner, exp.Distinct):
            only(inner, "expressions")
            if len(inner.expressions) != 1:
                raise NoMechanism(
                    "COUNT(DISTINCT ...) takes one expression.",
                    hint="Put several together, for example a || ' ' || b.",
                )
            inner = inner.expressions[0]
        if isinstance(inner, exp.Star):
            argument = None if condition is None else only_where(condition, constant(1))
            return self._made("count", () if argument is None else (argument,), Type.INT8, "count")
        subject = coerce(self._rows("the argument of an aggregate").bind(inner), Type.TEXT)
        argument = only_where(condition, subject)
        counted = _counted(argument)
        if not distinct:
            return self._made("count", counted, Type.INT8, "count")
        if subject.facts.owner:
            return self._made("count_units", counted, Type.INT8, "count")
        if subject.facts.holds_owner:
            raise RowsRefused(
                "Values made of the privacy unit's key cannot be counted.",
                hint="Count people with count(DISTINCT key), with the bare key.",
            )
        return self._made("count_distinct", (argument,), Type.INT8, "count")

    def _grouping(self, node: exp.Expression, condition: Expr | None) -> Expr:
        """GROUPING(a, b): which keys the grouping set leaves out, the last in the lowest bit."""
        only(node, "expressions")
        if condition is not None:
            raise WrongGrouping("GROUPING takes no FILTER.", hint="Leave FILTER out.")
        places = []
        for argument in node.expressions:
            row = self.rows.bind(argument)
            if row not in self.keys:
                raise WrongGrouping(
                    "The arguments of GROUPING have to be group keys.",
                    hint="Write them as in GROUP BY.",
                )
            places.append(len(self.keys) - 1 - self.keys.index(row))
        if len(self.sets) == 1:
            return constant(0)
        number = grouping_ref(self.block, len(self.keys))
        branches: list[Expr] = []
        for one in self.sets:
            bits = sum(((one >> place) & 1) << i for i, place in enumerate(reversed(places)))
            branches += [build("=", [number, constant(one)]), constant(bits)]
        return build("case", [*branches, constant(0)])


def key_ref(block: int, index: int, key: Expr, *, nullable: bool = False) -> Ref:
    """A group key as a column of the block's noisy rows, where numbers are exact numerics."""
    stored = Type.NUMERIC if key.facts.stored is Type.FLOAT8 else key.facts.stored
    facts = Facts(stored, limited(key.facts.physical), key.facts.declared, per_unit=True)
    return Ref(cells_of(block), f"k{index}", key.type, key.nullable or nullable, facts)


def grouping_ref(block: int, keys: int) -> Ref:
    """The number of a noisy row's grouping set, in the column after the keys."""
    return Ref(cells_of(block), f"k{keys}", Type.INT4, False, Facts(Type.INT4))


def _counted(argument: Expr) -> tuple[Expr, ...]:
    """What a count is over: all rows, where the argument is never NULL."""
    return (argument,) if argument.nullable else ()
