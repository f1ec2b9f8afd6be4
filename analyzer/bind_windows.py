"""Window functions and aggregates over noisy rows, as calls that a stage prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

from sqlglot import exp

from analyzer.bind_expressions import ExpressionBinder
from analyzer.expressions import Constant, Expr, Facts, Interval, Ref
from analyzer.functions import build
from analyzer.functions.base import coerce, constant, numbers, static_integer
from analyzer.ranges import NOISY
from analyzer.refusals import (
    NoMechanism,
    TooComplex,
    UnknownFunction,
    Unsupported,
    WrongGrouping,
    WrongType,
)
from analyzer.stages import CALLS, COMPANIONS, NoisyCall, Over, SortKey
from analyzer.syntax import given, only
from analyzer.types import Type

_RANKS: dict[type[exp.Expression], tuple[str, Type]] = {
    exp.RowNumber: ("row_number", Type.INT8),
    exp.Rank: ("rank", Type.INT8),
    exp.DenseRank: ("dense_rank", Type.INT8),
    exp.PercentRank: ("percent_rank", Type.FLOAT8),
    exp.CumeDist: ("cume_dist", Type.FLOAT8),
}
_NEIGHBOURS: dict[type[exp.Expression], str] = {
    exp.Lag: "lag",
    exp.Lead: "lead",
    exp.FirstValue: "first_value",
    exp.LastValue: "last_value",
}
_TOTALS: dict[type[exp.Expression], str] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.Count: "count",
}
_SUMS = {Type.INT4: Type.INT8, Type.FLOAT8: Type.FLOAT8}
_UNORDERED = (Type.BOOL, Type.UUID)
_BOUNDS = ("UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING")
_MOST_CALLS = 64
_MOST_ROWS = 1_000_000


def refuse_companion(node: exp.Expression) -> None:
    """Raises:
    Unsupported: error_bar and its like, anywhere but as an item of the select list."""
    if isinstance(node, exp.Anonymous) and str(node.this).lower() in COMPANIONS:
        raise Unsupported(
            "error_bar, ci_low and ci_high stand alone in the outermost select list.",
            hint="Put the arithmetic inside, for example error_bar(100.0 * sum(x)).",
        )


class Calls:
    """The window functions, aggregates and single values of one SELECT over noisy rows."""

    def __init__(self, scalar: Callable[[exp.Subquery], Expr]) -> None:
        """``scalar`` binds a subquery that stands for one value."""
        self.scalar = scalar
        self.made: list[NoisyCall] = []
        self._refused = ""

    @contextmanager
    def no_windows(self, place: str) -> Iterator[None]:
        """Inside, a window function is refused: it cannot stand in ``place``."""
        before, self._refused = self._refused, place
        try:
            yield
        finally:
            self._refused = before

    def window(self, binder: ExpressionBinder, node: exp.Expression) -> Expr:
        """A function with OVER, whose parts ``binder`` binds."""
        if self._refused:
            raise WrongGrouping(
                f"Window functions are not allowed in {self._refused}.",
                hint="Compute it in a subquery, and filter outside.",
            )
        if node.args.get("alias") or node.args.get("over") != "OVER":
            raise Unsupported("Named windows are not supported.", hint="Write OVER (...).")
        only(node, "this", "partition_by", "order", "spec", "over")
        with self.no_windows("a window function"):
            over = _over(binder, node)
            what, condition = node.this, None
            if isinstance(what, exp.Filter):
                condition = _condition(binder, what)
                what = what.this
            if type(what) in _TOTALS:
                return self._total(binder, what, condition, over)
            if condition is not None:
                raise WrongType("FILTER follows aggregates only.")
            return self._function(binder, what, over)

    def aggregate(self, binder: ExpressionBinder, node: exp.Expression) -> Expr:
        """An aggregate over noisy rows; ``binder`` binds over the rows."""
        condition = None
        if isinstance(node, exp.Filter):
            condition = _condition(binder, node)
            node = node.this
        if type(node) not in _TOTALS:
            raise NoMechanism(
                "Over noisy results the aggregates are sum, avg, count, min and max.",
                hint="Other aggregates belong in the query over the tables.",
            )
        return self._total(binder, node, condition, None)

    def _function(self, binder: ExpressionBinder, node: exp.Expression, over: Over) -> Expr:
        if type(node) in _RANKS:
            only(node)
            name, type_ = _RANKS[type(node)]
            most = Fraction(2**40 if type_ is Type.INT8 else 1)
            return self._add(
                name, (), type_, Facts(type_, Interval(Fraction(0), most)), over, nullable=False
            )
        if isinstance(node, exp.Ntile):
            only(node, "this")
            buckets = binder.bind(node.this)
            static_integer("ntile", buckets, 1, _MOST_ROWS)
            facts = Facts(Type.INT4, Interval(Fraction(1), Fraction(_MOST_ROWS)))
            return self._add("ntile", (buckets,), Type.INT4, facts, over, nullable=False)
        if type(node) in _NEIGHBOURS:
            return self._neighbour(binder, node, over)
        raise UnknownFunction(
            "There is no such window function here.",
            hint="Window functions are row_number, rank, dense_rank, percent_rank, cume_dist,"
            " ntile, lag, lead, first_value, last_value, sum, avg, count, min and max.",
        )

    def _neighbour(self, binder: ExpressionBinder, node: exp.Expression, over: Over) -> Expr:
        only(node, "this", "offset", "default")
        name, args = _NEIGHBOURS[type(node)], [coerce(binder.bind(node.this), Type.TEXT)]
        value = args[0]
        facts = Facts(value.facts.stored, value.facts.physical)
        if node.args.get("offset") is not None:
            offset = binder.bind(node.args["offset"])
            static_integer(name, offset, 0, _MOST_ROWS)
            args.append(offset)
        if node.args.get("default") is not None:
            default = coerce(binder.bind(node.args["default"]), value.type)
            # The type and the range are those that a CASE over both would have.
            both = build("case", [constant(True), value, default])
            if both.type is not value.type:
                raise WrongType(f"The default of {name} has another type than its value.")
            facts = Facts(both.facts.stored, both.facts.physical)
            args.append(default)
        return self._add(name, tuple(args), value.type, facts, over, nullable=True)

    def _total(
        self,
        binder: ExpressionBinder,
        node: exp.Expression,
        condition: Expr | None,
        over: Over | None,
    ) -> Expr:
        only(node, "this", "big_int")
        name, what, distinct = _TOTALS[type(node)], node.this, False
        if isinstance(what, exp.Distinct):
            only(what, "expressions")
            if over is not None or len(what.expressions) != 1:
                raise Unsupported("DISTINCT takes one expression, and no window.")
            what, distinct = what.expressions[0], True
        if isinstance(what, exp.Star):
            if name != "count" or distinct:
                raise WrongType(f"{name} takes a value, not *.")
            value = None if condition is None else _where(condition, constant(1))
        else:
            with self.no_windows("an aggregate"):
                value = _where(condition, coerce(binder.bind(what), Type.TEXT))
        if name == "count":
            args = () if value is None else (value,)
            facts = Facts(Type.INT8, Interval(Fraction(0), Fraction(2**40)))
            return self._add(name, args, Type.INT8, facts, over, nullable=False, distinct=distinct)
        assert value is not None, "only count takes a star"
        if name in ("min", "max"):
            if value.type in _UNORDERED:
                raise WrongType(f"{name} does not take {value.type.value}.")
            facts = Facts(value.facts.stored, value.facts.physical)
            return self._add(name, (value,), value.type, facts, over, nullable=True)
        (value,) = numbers(name, [value])
        type_ = _SUMS.get(value.type, Type.NUMERIC)
        if name == "avg" and type_ is not Type.FLOAT8:
            type_ = Type.NUMERIC
        facts = Facts(Type.NUMERIC, NOISY)
        return self._add(name, (value,), type_, facts, over, nullable=True, distinct=distinct)

    def _add(
        self,
        function: str,
        args: Sequence[Expr],
        type_: Type,
        facts: Facts,
        over: Over | None,
        *,
        nullable: bool,
        distinct: bool = False,
    ) -> Ref:
        """What stands for the call; a call that is made twice is one."""
        if len(self.made) == _MOST_CALLS:
            raise TooComplex(f"A SELECT makes more than {_MOST_CALLS} calls over noisy results.")
        parts = [*args, *(over.partition if over else ())]
        parts += [key.expression for key in (over.order if over else ())]
        size, work = (1 + sum(getattr(e.facts, n) for e in parts) for n in ("size", "work"))
        facts = replace(facts, size=size, work=work)
        ref = Ref(CALLS, f"x{len(self.made)}", type_, nullable, facts)
        call = NoisyCall(ref, function, tuple(args), over, distinct)
        for made in self.made:
            if replace(call, ref=made.ref) == made:
                return made.ref
        self.made.append(call)
        return ref


def _condition(binder: ExpressionBinder, node: exp.Expression) -> Expr:
    only(node, "this", "expression")
    condition = coerce(binder.bind(node.expression.this), Type.BOOL)
    if condition.type is not Type.BOOL:
        raise WrongType("FILTER takes a condition.")
    return condition


def _where(condition: Expr | None, value: Expr) -> Expr:
    if condition is None:
        return value
    return build("case", [condition, value, constant(None, untyped=True)])


def _over(binder: ExpressionBinder, node: exp.Expression) -> Over:
    partition = [coerce(binder.bind(n), Type.TEXT) for n in node.args.get("partition_by") or []]
    order, keys = node.args.get("order"), []
    if order is not None:
        only(order, "expressions")
        for ordered in order.expressions:
            only(ordered, "this", "desc", "nulls_first")
            expression = coerce(binder.bind(ordered.this), Type.TEXT)
            descending = bool(ordered.args.get("desc"))
            nulls_first = bool(ordered.args.get("nulls_first"))
            if not isinstance(expression, Constant):  # a constant neither orders nor divides rows
                keys.append(SortKey(expression, descending, nulls_first))
    spec = node.args.get("spec")
    frame = "" if spec is None else _frame(spec, ordered=bool(keys))
    divided = tuple(e for e in partition if not isinstance(e, Constant))
    return Over(divided, tuple(keys), frame)


def _frame(spec: exp.Expression, *, ordered: bool) -> str:
    """The frame in our own words.

    Raises:
        Unsupported: EXCLUDE, or a distance in values.
        WrongType: no frame at all, by PostgreSQL's rules.
    """
    only(spec, "kind", "start", "start_side", "end", "end_side")
    args = given(spec)
    kind = str(args["kind"]).upper()
    start, first = _bound(args.get("start"), args.get("start_side"))
    end, last = _bound(args.get("end") or "CURRENT ROW", args.get("end_side"))
    if _BOUNDS[1] in (first, last) or _BOUNDS[3] in (first, last):
        if kind == "RANGE":
            raise Unsupported("RANGE with a distance is not supported.", hint="Use ROWS or GROUPS.")
        if kind == "GROUPS" and not ordered:
            raise WrongType("GROUPS needs ORDER BY in its window.")
    a, b = _BOUNDS.index(first), _BOUNDS.index(last)
    if a > b or a == len(_BOUNDS) - 1 or b == 0:
        raise WrongType("A window frame cannot start after its end.")
    return f"{kind} BETWEEN {start} AND {end}"


def _bound(what: object, side: object) -> tuple[str, str]:
    """An end of a frame as SQL, and its kind."""
    side = str(side or "").upper()
    if isinstance(what, str):
        text = f"{what.upper()} {side}".strip()
        if text in _BOUNDS:
            return text, text
    elif isinstance(what, exp.Literal) and side in _BOUNDS:
        text = str(what.this)
        if not what.args.get("is_string") and text.isdigit() and int(text) <= _MOST_ROWS:
            return f"{int(text)} {side}", side
    raise Unsupported("This window frame is not supported.")
