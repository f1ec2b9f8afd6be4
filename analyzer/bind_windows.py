"""Window functions and aggregates over noisy rows, as calls that a stage prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

from sqlglot import exp

from analyzer.bind_clauses import sorted_by
from analyzer.bind_expressions import ExpressionBinder
from analyzer.bind_frames import frame_of
from analyzer.bind_noisy_aggregates import NoisyAggregate, noisy_aggregate, refuse_aggregate
from analyzer.expressions import Constant, Expr, Facts, Interval, Ref, SortKey
from analyzer.functions import build
from analyzer.functions.base import coerce, constant, static_integer
from analyzer.named_windows import WindowParts, parts_of
from analyzer.refusals import (
    TooComplex,
    UnknownFunction,
    Unsupported,
    WrongGrouping,
    WrongType,
)
from analyzer.stages import CALLS, COMPANIONS, NoisyCall, Over, of_call
from analyzer.syntax import only
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
    exp.NthValue: "nth_value",
}
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

    def __init__(
        self, scalar: Callable[[exp.Subquery], Expr], windows: Mapping[str, WindowParts]
    ) -> None:
        """``scalar`` binds a subquery that stands for one value; ``windows`` have names."""
        self.scalar = scalar
        self._windows = windows
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
        if node.args.get("over") != "OVER":
            raise Unsupported("This kind of window is not supported.", hint="Write OVER (...).")
        with self.no_windows("a window function"):
            over = _over(binder, parts_of(node, self._windows))
            found = noisy_aggregate(binder, node.this, windowed=True)
            if found is not None:
                return self._aggregate(found, over)
            if isinstance(node.this, exp.Filter):
                raise WrongType(
                    "FILTER follows aggregates only.",
                    hint="Put a CASE inside the function instead.",
                )
            return self._function(binder, node.this, over)

    def aggregate(self, binder: ExpressionBinder, node: exp.Expression) -> Expr:
        """An aggregate over noisy rows; ``binder`` binds over the rows."""
        with self.no_windows("an aggregate"):
            found = noisy_aggregate(binder, node, windowed=False)
        if found is None:
            raise refuse_aggregate()
        return self._aggregate(found, None)

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
            " ntile, lag, lead, first_value, last_value, nth_value, and the aggregates over noisy"
            " results without WITHIN GROUP.",
        )

    def _neighbour(self, binder: ExpressionBinder, node: exp.Expression, over: Over) -> Expr:
        only(node, "this", "offset", "default")
        name, args = _NEIGHBOURS[type(node)], [coerce(binder.bind(node.this), Type.TEXT)]
        value = args[0]
        facts = Facts(value.facts.stored, value.facts.physical)
        if node.args.get("offset") is not None:
            offset = binder.bind(node.args["offset"])
            static_integer(name, offset, 1 if name == "nth_value" else 0, _MOST_ROWS)
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

    def _aggregate(self, found: NoisyAggregate, over: Over | None) -> Ref:
        return self._add(
            found.function,
            found.arguments,
            found.type,
            found.facts,
            over,
            nullable=found.nullable,
            distinct=found.distinct,
            within=found.within,
        )

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
        within: SortKey | None = None,
    ) -> Ref:
        """What stands for the call; a call that is made twice is one."""
        if len(self.made) == _MOST_CALLS:
            raise TooComplex(f"A SELECT makes more than {_MOST_CALLS} calls over noisy results.")
        ref = Ref(CALLS, f"x{len(self.made)}", type_, nullable, facts)
        call = NoisyCall(ref, function, tuple(args), over, distinct, within)
        parts = list(of_call(call))
        size, work = (1 + sum(getattr(e.facts, n) for e in parts) for n in ("size", "work"))
        call = replace(call, ref=replace(ref, facts=replace(facts, size=size, work=work)))
        for made in self.made:
            if replace(call, ref=made.ref) == made:
                return made.ref
        self.made.append(call)
        return call.ref


def _over(binder: ExpressionBinder, window: WindowParts) -> Over:
    partition = [coerce(binder.bind(n), Type.TEXT) for n in window.partition]
    # A constant neither orders nor divides rows.
    sorts = sorted_by(window.order, binder.bind)
    keys = [key for key in sorts if not isinstance(key.expression, Constant)]
    frame = "" if window.frame is None else frame_of(window.frame, keys)
    divided = tuple(e for e in partition if not isinstance(e, Constant))
    return Over(divided, tuple(keys), frame)
