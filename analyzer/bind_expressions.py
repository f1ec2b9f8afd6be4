"""Syntax to typed expressions. Every node is on a list here; what is not is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from sqlglot import exp

from analyzer.bind_arrays import any_of, one_of, within_array
from analyzer.bind_calls import as_texts, beside_times, call
from analyzer.catalog import Given
from analyzer.expressions import Constant, Expr
from analyzer.functions import FUNCTIONS, build
from analyzer.functions.base import constant
from analyzer.refusals import (
    BadArgument,
    Refusal,
    SyntaxRefused,
    UnboundedInfluence,
    Unsupported,
    WrongGrouping,
)
from analyzer.scope import Scope, Subqueries, name_of, qualifiers_of
from analyzer.syntax import array_beside, only, position_of
from analyzer.types import Type
from analyzer.unknown import refused

_OPERATORS: dict[type[exp.Expression], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.And: "and",
    exp.Or: "or",
    exp.DPipe: "||",
    exp.Like: "like",
    exp.ILike: "ilike",
    exp.Neg: "neg",
    exp.Not: "not",
}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_VARIADIC: dict[type[exp.Expression], str] = {
    exp.Coalesce: "coalesce",
    exp.Greatest: "greatest",
    exp.Least: "least",
}
AGGREGATES = (
    exp.Count,
    exp.Sum,
    exp.Avg,
    exp.Variance,
    exp.VariancePop,
    exp.Stddev,
    exp.StddevPop,
    exp.StddevSamp,
    exp.Corr,
    exp.CovarPop,
    exp.CovarSamp,
    exp.LogicalAnd,
    exp.LogicalOr,
    exp.RegrAvgx,
    exp.RegrAvgy,
    exp.RegrCount,
    exp.RegrIntercept,
    exp.RegrR2,
    exp.RegrSlope,
    exp.RegrSxx,
    exp.RegrSxy,
    exp.RegrSyy,
    exp.Min,
    exp.Max,
    exp.WithinGroup,
    exp.Grouping,
)
_AGGREGATES = (exp.Filter, *AGGREGATES)


class ExpressionBinder:
    """Binds expressions over rows: WHERE, ON, group keys, and arguments of aggregates.

    Subclasses that bind over groups override :meth:`column` and :meth:`aggregate`.
    """

    def __init__(self, scope: Scope, parameters: Sequence[Given], place: str) -> None:
        self.scope = scope
        self.parameters = parameters
        self.place = place

    def bind(self, node: exp.Expression) -> Expr:
        """The typed expression that ``node`` means here.

        Raises:
            Refusal: always with a position where the parser kept one.
        """
        try:
            return self._bind(node)
        except Refusal as refusal:
            if refusal.position is None:
                refusal.position = position_of(node)
            raise

    def _bind(self, node: exp.Expression) -> Expr:
        if isinstance(node, exp.Column):
            return self.column(node)
        special = _SPECIAL.get(type(node))
        if special is not None:
            return special(self, node)
        called = call(self.bind, node)
        if called is not None:
            return called
        name = _OPERATORS.get(type(node))
        if name is not None:
            return self._operator(node, name)
        if isinstance(node, _AGGREGATES):
            return self.aggregate(node)
        name = _VARIADIC.get(type(node))
        if name is not None:
            only(node, "this", "expressions", "ignore_nulls")
            return build(name, [self.bind(n) for n in [node.this, *node.expressions]])
        return self.unknown(node)

    def _operator(self, node: exp.Expression, name: str) -> Expr:
        array = array_beside(node)
        if array is not None:
            found = within_array(self, self.bind(node.this), array)
            return build("not", [found]) if isinstance(node, exp.NEQ) else found
        arguments = ("this",) if isinstance(node, exp.Unary) else ("this", "expression")
        only(node, *arguments, *_MARKS.get(type(node), ()))
        if isinstance(node, _COMPARISONS):
            return build(name, [beside_times(self.bind, node.args[a]) for a in arguments])
        args = [self.bind(node.args[a]) for a in arguments]
        if name == "||":
            args = as_texts(args, bools=True)
        if name == "neg" and (negative := _negative(args[0])) is not None:
            return negative
        bound = build(name, args)
        return build("not", [bound]) if node.args.get("negate") else bound

    def column(self, node: exp.Column) -> Expr:
        only(node, "this", "table", "db", "catalog")
        if isinstance(node.this, exp.Star):
            raise Unsupported(
                "A star stands only in the select list.", hint="Name a column, or write count(*)."
            )
        table, places = qualifiers_of(node)
        return self.scope.column(name_of(node.this), table, None, places)

    def aggregate(self, _: exp.Expression) -> Expr:
        raise WrongGrouping(
            f"Aggregates are not allowed in {self.place}.",
            hint="Filter on aggregates with HAVING.",
        )

    def unknown(self, node: exp.Expression) -> Expr:
        if isinstance(
            node, exp.Subquery | exp.Select | exp.Exists | exp.All | exp.SetOperation
        ) or (isinstance(node, exp.Any) and isinstance(node.this, exp.Query)):
            raise self.no_subquery(node)
        raise refused(node)

    def no_subquery(self, _: exp.Expression) -> Refusal:
        return UnboundedInfluence(
            "A subquery cannot stand inside this expression.",
            detail="Its answer would be about everybody's rows at once, without noise.",
            hint="Write EXISTS or IN over the same person's rows, join the tables on the privacy"
            " unit, or ask the inner question first and send its answer as a parameter.",
        )

    def value(self, node: exp.Expression) -> Expr:
        """A subquery that stands for a value."""
        found = self.scope.values.get(node)
        if found is None:
            raise self.no_subquery(node)
        return found

    # One method for each syntax node that is more than a name and arguments.

    def on_paren(self, node: exp.Expression) -> Expr:
        only(node, "this")
        return self.bind(node.this)

    def on_literal(self, node: exp.Expression) -> Expr:
        text = str(node.this)
        if node.args.get("is_string"):
            return constant(text, untyped=True)
        return constant(int(text) if text.isdigit() else Decimal(text))

    def on_boolean(self, node: exp.Expression) -> Expr:
        return constant(bool(node.this))

    def on_null(self, _: exp.Expression) -> Expr:
        return constant(None, Type.TEXT, untyped=True)

    def on_parameter(self, node: exp.Expression) -> Expr:
        value = self.given(node)
        if isinstance(value, tuple):
            raise BadArgument(
                "A parameter that is a list stands in = ANY (...) and <> ALL (...) only.",
                hint="Write x = ANY ($1).",
            )
        return constant(
            value,
            Type.TEXT if value is None else None,
            untyped=value is None or isinstance(value, str),
        )

    def given(self, node: exp.Expression) -> Given:
        """The value of a parameter.

        Raises:
            BadArgument: there is none.
        """
        only(node, "this")
        index = str(node.this.this) if isinstance(node.this, exp.Literal) else ""
        if not index.isdigit() or not 1 <= int(index) <= len(self.parameters):
            raise BadArgument(
                f"There is no value for parameter ${index}.",
                hint=f"{len(self.parameters)} parameters were sent.",
            )
        return self.parameters[int(index) - 1]

    def on_is(self, node: exp.Expression) -> Expr:
        only(node, "this", "expression", "negate")
        what, subject = node.expression, self.bind(node.this)
        if isinstance(what, exp.Null):
            return build("is not null" if node.args.get("negate") else "is null", [subject])
        if not isinstance(what, exp.Boolean):
            raise Unsupported(
                "IS takes NULL, TRUE, FALSE or DISTINCT FROM.",
                hint="Compare with = where a value is meant.",
            )
        truth = build("is true" if what.this else "is false", [subject])
        return build("not", [truth]) if node.args.get("negate") else truth

    def on_between(self, node: exp.Expression) -> Expr:
        only(node, "this", "low", "high", "symmetric")
        sides = ("low", "this", "high")
        low, value, high = (beside_times(self.bind, node.args[a]) for a in sides)
        between = _between(value, low, high)
        if not node.args.get("symmetric"):
            return between
        return build("or", [between, _between(value, high, low)])

    def on_in(self, node: exp.Expression) -> Expr:
        only(node, "this", "expressions", "query")
        if isinstance(node.this, exp.Tuple):
            return self._row_in(node)
        value = self.bind(node.this)
        if node.args.get("query"):
            subqueries = self.subqueries(node)
            return subqueries.within(value, node, self.scope)
        return one_of(value, [self.bind(e) for e in node.expressions])

    def _row_in(self, node: exp.Expression) -> Expr:
        """``(a, b) IN ((1, 2), (3, 4))``: one of the rows is equal in every place."""
        only(node, "this", "expressions")
        size = len(node.this.expressions)
        sizes = {len(r.expressions) if isinstance(r, exp.Tuple) else 1 for r in node.expressions}
        if sizes != {size}:
            raise SyntaxRefused(f"The rows after IN have {size} values each.")
        values = [self.bind(e) for e in node.this.expressions]
        rows = [
            build("and", [build("=", [v, self.bind(e)]) for v, e in zip(values, row, strict=True)])
            for row in (r.expressions for r in node.expressions)
        ]
        return any_of(rows)

    def on_exists(self, node: exp.Expression) -> Expr:
        only(node, "this")
        return self.subqueries(node).exists(node, self.scope)

    def subqueries(self, node: exp.Expression) -> Subqueries:
        """What binds a condition's subquery; refused where a condition can hold none."""
        if self.scope.subqueries is None:
            raise self.no_subquery(node)
        return self.scope.subqueries

    def on_case(self, node: exp.Expression) -> Expr:
        only(node, "this", "ifs", "default")
        subject = self.bind(node.this) if node.this else None
        args: list[Expr] = []
        for branch in node.args["ifs"]:
            only(branch, "this", "true")
            condition = self.bind(branch.this)
            args.append(condition if subject is None else build("=", [subject, condition]))
            args.append(self.bind(branch.args["true"]))
        default = node.args.get("default")
        args.append(self.bind(default) if default else constant(None, Type.TEXT, untyped=True))
        return build("case", args)


def no_value_of_groups() -> WrongGrouping:
    """What is said of a subquery for a value of each row where there are groups."""
    return WrongGrouping(
        "A subquery for a value of each row is neither a group key nor inside an aggregate.",
        hint="Write it inside an aggregate, or join and aggregate in a subquery of its own.",
    )


def _between(value: Expr, low: Expr, high: Expr) -> Expr:
    return build("and", [build(">=", [value, low]), build("<=", [value, high])])


def _negative(expression: Expr) -> Expr | None:
    """A number with a minus sign is a constant too; -2147483648 is an integer again."""
    if not isinstance(expression, Constant) or not isinstance(expression.value, int | Decimal):
        return None
    if expression.untyped or not expression.type.is_number:
        return None
    plain, value = constant(expression.value).type is expression.type, expression.value
    # The minus of a Decimal rounds it to 28 digits.
    negative = value.copy_negate() if isinstance(value, Decimal) else -value
    return constant(negative, None if plain else expression.type)


_MARKS: dict[type[exp.Expression], tuple[str, ...]] = {
    exp.Div: ("typed", "safe"),
    exp.DPipe: ("safe",),
    exp.Like: ("negate",),
    exp.ILike: ("negate",),
}
_SPECIAL: dict[type[exp.Expression], Callable[[ExpressionBinder, exp.Expression], Expr]] = {
    exp.Paren: ExpressionBinder.on_paren,
    exp.Literal: ExpressionBinder.on_literal,
    exp.Boolean: ExpressionBinder.on_boolean,
    exp.Null: ExpressionBinder.on_null,
    exp.Parameter: ExpressionBinder.on_parameter,
    exp.Is: ExpressionBinder.on_is,
    exp.Between: ExpressionBinder.on_between,
    exp.In: ExpressionBinder.on_in,
    exp.Exists: ExpressionBinder.on_exists,
    exp.Subquery: lambda binder, node: binder.value(node),
    exp.Case: ExpressionBinder.on_case,
}


assert all(name in FUNCTIONS for name in (*_OPERATORS.values(), *_VARIADIC.values()))
