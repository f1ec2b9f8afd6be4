"""Stages over noisy rows as common table expressions.

A row of a stage has a number ``r``, a variant ``v`` and outputs ``o0, o1, ...``. What rows there
are, and which groups they make, is decided on variant 0 and holds for all variants: variants tell
how far the values of the answer move. Windows run over one variant at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from analyzer.expressions import Aggregate, Call, Expr, Ref, SortKey
from analyzer.functions.base import as_type, operand
from analyzer.functions.times import inside, is_time
from analyzer.plan import Parameter
from analyzer.printing import Printer, direction
from analyzer.ranges import DECIMALS
from analyzer.stages import (
    ARRAY,
    CALLS,
    KEYS,
    Item,
    NoisyCall,
    OneRow,
    Paired,
    Rows,
    Source,
    Stacked,
    Stage,
    aliased,
    cells_of,
    is_scalar,
)
from analyzer.types import Type

_TOTALS = ("sum", "avg", "stddev_samp", "stddev_pop", "var_samp", "var_pop")
_PAIRS = ("corr", "covar_", "regr_")
"""How the names of those begin that are of two numbers, in double precision."""
MAX_JOINED = 20_000
"""The most rows that a join of noisy results may make."""


@dataclass(frozen=True, slots=True)
class _From:
    """An item of FROM with the columns that number its rows and variants."""

    text: str
    row: str
    variant: str
    joined: bool
    counted: str = ""
    """What ``count(*)`` counts: where there is no row, a group of all rows has one of NULLs."""

    @property
    def item(self) -> str:
        return f"({self.text})" if self.joined else self.text


# A noisy aggregate is one of a few expressions over cells, of which most queries have the same.
@lru_cache(maxsize=1024)
def _printed(value: Expr) -> tuple[str, Mapping[str, Parameter]]:
    printer = Printer({})
    return printer.expression(value), printer.marks


class StagePrinter(Printer):
    """Prints stages; aggregates over protected rows are columns of ``noisy`` here."""

    def __init__(self, values: Mapping[Expr, Expr]) -> None:
        super().__init__({}, first_parameter=2)
        self._values = values
        self._calls: dict[str, tuple[NoisyCall, _From]] = {}
        self._keys = ""
        self._variant = ""
        self.texts: list[str] = []

    def expression(self, expression: Expr) -> str:
        if isinstance(expression, Aggregate):
            text, marks = _printed(self._values[expression])
            self.marks |= marks
            return text
        if isinstance(expression, Ref) and expression.alias == CALLS:
            return self._call(*self._calls[expression.name])
        if isinstance(expression, Ref) and is_scalar(expression):
            rows = f"s{expression.name} AS q WHERE (q.v = {self._variant})"
            return f"(SELECT q.o0 FROM {rows})"
        if isinstance(expression, Ref) and expression.alias == KEYS:
            return f"{self._keys}.{expression.name}"
        if isinstance(expression, Call) and expression.function == ARRAY:
            elements = [as_type(self.expression(e), e, Type.FLOAT8) for e in expression.args]
            return f"ARRAY[{', '.join(elements)}]"
        if isinstance(expression, Call) and any(isinstance(a, Aggregate) for a in expression.args):
            # What is printed depends on what arguments are, so aggregates become values first.
            values = (self._values[a] if isinstance(a, Aggregate) else a for a in expression.args)
            expression = replace(expression, args=tuple(values))
        return super().expression(expression)

    def stage(self, index: int, stage: Stage, more: Sequence[Expr] = ()) -> str:
        """Adds a stage's rows; the name of the table expression that holds them.

        Args:
            index: the stage's number.
            stage: what it computes.
            more: expressions that become further columns ``m0, m1, ...``.
        """
        source = self._source(index, stage)
        group_by: list[str] = []
        if stage.groups is not None:
            source, group_by = self._grouped(index, stage, source)
        self._calls = {call.ref.name: (call, source) for call in stage.calls}
        columns = [f"{source.row} AS r", f"{source.variant} AS v"]
        columns += [f"{self.expression(e)} AS o{i}" for i, (_, e) in enumerate(stage.outputs)]
        columns += [
            f"{self.expression(key.expression)} AS s{i}"
            for i, key in enumerate(stage.order)
            if key.output is None
        ]
        columns += [f"{self.expression(e)} AS m{i}" for i, e in enumerate(more)]
        text = f"SELECT {', '.join(columns)} FROM {source.text}"
        if group_by:
            text += f" GROUP BY {', '.join(group_by)}"
        return self._add(f"o{index}", text)

    def cut(self, index: int, stage: Stage) -> None:
        """Adds ``s<index>``: a stage's rows after DISTINCT, ORDER BY, LIMIT and OFFSET."""
        rows = f"o{index} AS q"
        if stage.distinct:
            rows = f"{distinct_rows(index, stage)} JOIN {rows} ON (q.r = d.r)"
        if stage.limit is not None or stage.offset:
            order = ", ".join([*sorting(stage.order, "q"), "q.r"])
            kept = f"SELECT q.r FROM {rows} WHERE (q.v = 0) ORDER BY {order}{limits(stage)}"
            rows = f"{self._add(f'l{index}', kept)} AS l JOIN o{index} AS q ON (q.r = l.r)"
        self._add(f"s{index}", f"SELECT q.* FROM {rows}")

    def _add(self, name: str, text: str) -> str:
        self.texts.append(f"{name} AS MATERIALIZED (\n{text}\n)")
        return name

    def _source(self, index: int, stage: Stage) -> _From:
        """FROM and WHERE."""
        if not isinstance(stage.source, Paired):
            alias = stage.source.alias
            item = f"{self._table(stage.source)} AS {alias}"
            plain = _From(item, f"{alias}.r", f"{alias}.v", joined=False)
            self._variant = plain.variant
            if stage.where is None:
                return plain
            condition = f"({plain.variant} = 0) AND {self.expression(stage.where)}"
            kept = self._add(f"j{index}", f"SELECT {plain.row} AS r FROM {item} WHERE {condition}")
            text = f"{kept} JOIN {item} ON ({alias}.r = {kept}.r)"
            return replace(plain, text=text, joined=True)
        self._variant = "0"
        items = list(aliased(stage.source))
        listed = [f"{one.alias}.r AS {one.alias}" for one in items]
        met = f"SELECT {', '.join(listed)} FROM {self._met(stage.source)}"
        if stage.where is not None:
            met += f" WHERE {self.expression(stage.where)}"
        met = self._add(f"f{index}", f"{met} LIMIT {MAX_JOINED + 1}")
        order = ", ".join(f"q.{one.alias}" for one in items)
        # With more rows than that it fails, by a division by zero, before it fills a disk.
        room = f"(1 / ({MAX_JOINED + 1} - (SELECT count(*) FROM {met})) >= 0)"
        numbered = f"SELECT q.*, row_number() OVER (ORDER BY {order}) AS r FROM {met} AS q"
        pairs, variant = self._add(f"j{index}", f"{numbered} WHERE {room}"), f"v{index}"
        text = f"{pairs} CROSS JOIN variants AS {variant}"
        for one in items:
            same = f"({one.alias}.r = {pairs}.{one.alias}) AND ({one.alias}.v = {variant}.v)"
            text += f" LEFT JOIN {self._table(one)} AS {one.alias} ON ({same})"
        self._variant = f"{variant}.v"
        return _From(text, f"{pairs}.r", f"{variant}.v", joined=True)

    def _met(self, source: Source) -> str:
        """The rows of variant 0 that meet in a join."""
        if not isinstance(source, Paired):
            return f"(SELECT * FROM {self._table(source)} WHERE (v = 0)) AS {source.alias}"
        on = f" ON {self.expression(source.on)}" if source.on is not None else ""
        return f"({self._met(source.left)} {source.kind} {self._met(source.right)}{on})"

    def _table(self, item: Item) -> str:
        """What holds the rows of an item of FROM, in all variants."""
        if isinstance(item, Rows):
            return cells_of(item.block) if item.stage is None else f"s{item.stage}"
        if isinstance(item, OneRow):
            return "(SELECT 0 AS r, v FROM variants)"
        return self._stacked(item)

    def _stacked(self, item: Stacked) -> str:
        """The rows of all arms under one another, numbered anew."""
        columns = range(len(item.stored))
        arms = []
        for number, arm in enumerate(item.arms):
            alias = arm.rows.alias
            values = [
                f"{as_type(self.expression(e), e, stored)} AS o{i}"
                for i, (e, stored) in enumerate(zip(arm.columns, item.stored, strict=True))
            ]
            listed = ", ".join([f"{number} AS a", f"{alias}.r", f"{alias}.v", *values])
            arms.append(f"SELECT {listed} FROM {self._table(arm.rows)} AS {alias}")
        place = "dense_rank() OVER (ORDER BY q.a, q.r) AS r"
        listed = ", ".join([place, "q.v", *(f"q.o{i}" for i in columns)])
        text = f"SELECT {listed} FROM ({' UNION ALL '.join(arms)}) AS q"
        return self._add(f"u{item.alias}", text)

    def _grouped(self, index: int, stage: Stage, source: _From) -> tuple[_From, list[str]]:
        """Rows with the number of their group, and what they are grouped by."""
        groups = stage.groups
        assert groups is not None
        if groups.keys:
            self._keys = f"g{index}"
            keys = [f"{self.expression(e)} AS k{i}" for i, e in enumerate(groups.keys)]
            names = [f"k{i}" for i in range(len(keys))]
            rows = (
                f"SELECT {', '.join([f'{source.row} AS r', *keys])} FROM {source.text}"
                f" WHERE ({source.variant} = 0)"
            )
            order = ", ".join(f"q.{name}" for name in names)
            self._add(
                self._keys,
                f"SELECT q.*, dense_rank() OVER (ORDER BY {order}) AS g FROM ({rows}) AS q",
            )
            text = f"{self._keys} JOIN {source.item} ON ({source.row} = {self._keys}.r)"
            grouped = _From(text, f"{self._keys}.g", source.variant, True, source.row)
            by = [grouped.row, grouped.variant, *(f"{self._keys}.{name}" for name in names)]
        else:
            variant = f"y{index}.v"
            text = f"variants AS y{index} LEFT JOIN {source.item} ON ({source.variant} = {variant})"
            grouped, by = _From(text, "0", variant, True, source.row), [variant]
            self._variant = variant
        if groups.having is None:
            return grouped, by
        self._calls = {call.ref.name: (call, grouped) for call in stage.calls}
        having = (
            f"SELECT {grouped.row} AS g FROM {grouped.text} WHERE ({grouped.variant} = 0)"
            f" GROUP BY {', '.join(by)} HAVING {self.expression(groups.having)}"
        )
        kept = self._add(f"h{index}", having)
        on = f"JOIN {grouped.item} ON ({kept}.g = {grouped.row})"
        return replace(grouped, text=f"{kept} {on}"), by

    def _call(self, call: NoisyCall, source: _From) -> str:
        arguments = [self._argument(call, i) for i in range(len(call.arguments))]
        inside = ", ".join(arguments)
        if call.function == "count" and not arguments:
            inside = "*" if call.over is not None else source.counted
        text = f"{call.function}({'DISTINCT ' if call.distinct else ''}{inside})"
        if call.within is not None:
            ordered = self.expression(call.within.expression)
            if call.function == "percentile_cont":
                ordered = _inexact(ordered, call.within.expression)
            text += f" WITHIN GROUP (ORDER BY {ordered} {direction(call.within)})"
        return text if call.over is None else f"{text} OVER ({self._over(call, source)})"

    def _argument(self, call: NoisyCall, index: int) -> str:
        argument = call.arguments[index]
        text = self.expression(argument)
        if call.function in _TOTALS:
            return operand(text, argument, Type.NUMERIC)
        if call.function.startswith(_PAIRS) or call.within is not None:
            return _inexact(text, argument)
        # The default of lag and lead.
        return as_type(text, argument, call.ref.facts.stored) if index == 2 else text

    def _over(self, call: NoisyCall, source: _From) -> str:
        over = call.over
        assert over is not None
        partition = [source.variant, *(self.expression(e) for e in over.partition)]
        text = f"PARTITION BY {', '.join(partition)}"
        order = [f"{self._sorted(key.expression)} {direction(key)}" for key in over.order]
        if order:
            text += f" ORDER BY {', '.join(order)}"
        return f"{text} {over.frame}".rstrip()

    def _sorted(self, expression: Expr) -> str:
        """What a window is ordered by: dates to which any distance can be added."""
        text = self.expression(expression)
        return inside(text, expression) if is_time(expression.type) else text


def _inexact(text: str, expression: Expr) -> str:
    """A printed number in double precision; one too fine for that would not be cast."""
    exact = f"round({operand(text, expression, Type.NUMERIC)}, {DECIMALS})"
    return f"CAST({exact} AS double precision)"


def distinct_rows(index: int, stage: Stage) -> str:
    """The numbers of a stage's rows that differ in the answer: the first of each."""
    names = ", ".join(f"o{i}" for i in range(len(stage.outputs)))
    return f"(SELECT min(r) AS r FROM o{index} WHERE (v = 0) GROUP BY {names}) AS d"


def sorting(order: Sequence[SortKey], alias: str) -> list[str]:
    """What rows are ordered by, over the columns of :meth:`StagePrinter.stage`."""
    return [
        f"{alias}.{f's{i}' if key.output is None else f'o{key.output}'} {direction(key)}"
        for i, key in enumerate(order)
    ]


def limits(stage: Stage) -> str:
    limit = "" if stage.limit is None else f" LIMIT {stage.limit}"
    return limit + (f" OFFSET {stage.offset}" if stage.offset else "")
