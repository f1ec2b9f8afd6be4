"""One aggregation as a block of the plan: its keys, what is measured of it, and its statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analyzer.canonical import order
from analyzer.catalog import Catalog
from analyzer.describe import describe
from analyzer.emit import exact_statement
from analyzer.emit_listed import MAX_LISTED
from analyzer.emit_members import factor, members
from analyzer.expressions import Aggregate, Expr
from analyzer.finish_variants import Cells
from analyzer.keys import Keys, bounds_of, keys_of
from analyzer.measures import Bounds, Count, Distinct, Histogram, Measure, People, Shares, Sum, axes
from analyzer.measuring import measures_of, people
from analyzer.noisy_values import quantile, value_of
from analyzer.plan import Block, Draw, Part, Quantile, QueryOptions, Statement
from analyzer.printing import Printer
from analyzer.relation import Aggregation
from analyzer.timelines import moment_of
from analyzer.types import Type
from mechanisms.calibration import KeySelection, Noise, Sensitivity, error_bar


@dataclass(frozen=True, slots=True)
class Measured:
    """An aggregation, and what is measured of it."""

    aggregation: Aggregation
    keys: Keys
    bounds: Bounds
    of: Mapping[Aggregate, tuple[Measure, ...]]
    """What each aggregate is computed from."""
    measures: tuple[Measure, ...]
    """One draw each."""
    selection: int | None
    """For keys that are not public: which of the measures counts people; else None."""
    exact: Statement
    parts: tuple[Part, ...]

    def sensitivity(self, measure: Measure) -> Sensitivity:
        """What one unit changes: one of those whose rows they are, or the unit around it."""
        times, own = factor(self.aggregation.around), measure.sensitivity
        return Sensitivity(times * own.l1, times**2 * own.l2_squared)

    @property
    def units(self) -> list[str]:
        """Whose rows are measured."""
        around = self.aggregation.around
        return [unit.table for unit in (self.aggregation.unit, around) if unit is not None]

    @property
    def key_selection(self) -> KeySelection | None:
        """How keys that are not public are selected, by the draws of this block."""
        if self.selection is None:
            return None
        around = self.aggregation.around
        groups = factor(around) * self.bounds.max_groups
        return KeySelection(self.selection, groups, members(around))


def measured(
    aggregation: Aggregation,
    aggregates: Sequence[Aggregate],
    catalog: Catalog,
    options: QueryOptions,
) -> Measured:
    """Decide what to measure for the aggregates.

    Raises:
        BadArgument: an argument has no bounds, or they leave nothing to measure.
    """
    printer = Printer(dict(catalog.tables), ceiling=aggregation.ceiling).over(aggregation.source)
    if aggregation.unit is None:
        keys = Keys(aggregation.keys, public=True, possible=1)
        alone = Bounds(one_row=True, max_rows=1, max_groups=1, one_group=True, some_groups=False)
        return _measured(aggregation, keys, alone, {}, (), None, printer)
    keys = _sorted(keys_of(aggregation, catalog), printer)
    bounds = bounds_of(aggregation, keys, catalog, options)
    of = {aggregate: measures_of(aggregate, bounds) for aggregate in aggregates}
    units = None if keys.public else people(None, bounds)
    wanted = dict.fromkeys(m for several in of.values() for m in several)
    wanted |= {} if units is None else {units: None}
    # Equal measures get one draw: asking twice in one query costs nothing and tells nothing.
    names = {measure: _name(measure, printer) for measure in wanted}
    one_of = {names[measure]: measure for measure in reversed(wanted)}
    return _measured(
        aggregation,
        keys,
        bounds,
        {a: tuple(one_of[names[m]] for m in several) for a, several in of.items()},
        tuple(one_of[name] for name in sorted(one_of)),
        None if units is None else sorted(one_of).index(names[units]),
        printer,
    )


def _measured(
    aggregation: Aggregation,
    keys: Keys,
    bounds: Bounds,
    of: Mapping[Aggregate, tuple[Measure, ...]],
    measures: tuple[Measure, ...],
    selection: int | None,
    printer: Printer,
) -> Measured:
    exact, parts = exact_statement(printer, aggregation, keys, bounds, measures)
    return Measured(aggregation, keys, bounds, of, measures, selection, exact, parts)


def _sorted(keys: Keys, printer: Printer) -> Keys:
    """The keys in the order of their texts; grouping sets number them, so there they stay."""
    if len(keys.sets) > 1:
        return keys
    texts = [order(printer.expression(key)) for key in keys.expressions]
    ranked = sorted(range(len(texts)), key=texts.__getitem__)
    if ranked == list(range(len(texts))):
        return keys
    expressions = tuple(keys.expressions[i] for i in ranked)
    return replace(
        keys, expressions=expressions, places=tuple(map(ranked.index, range(len(texts))))
    )


def _name(measure: Measure, printer: Printer) -> tuple[str, ...]:
    """What tells a measure from all others, however its arguments were written."""
    numbers = [
        getattr(measure, name)
        for name in measure.__dataclass_fields__
        if name not in ("argument", "axes", "axis")
    ]
    numbers += [(axis.lower, axis.upper, axis.tick) for axis in axes(measure)]
    arguments = [order(printer.expression(argument)) for argument in measure.arguments]
    return (type(measure).__name__, *arguments, repr(numbers))


def block_of(one: Measured, noises: Sequence[Noise], threshold: int | None) -> Block:
    """The block, its draws having been calibrated."""
    draws, first = [], 0
    for measure, noise in zip(one.measures, noises, strict=True):
        cells, spent = tuple(range(first, first + measure.cells)), error_bar(noise)
        draws.append(
            Draw(_label(measure), cells, one.sensitivity(measure), noise, measure.tick, spent)
        )
        first += measure.cells
    key_types = tuple(_key_type(key) for key in one.keys.expressions)
    if len(one.keys.sets) > 1:
        key_types = (*key_types, Type.INT4)
    listed = one.aggregation.unit is None
    if listed:
        key_types = (*key_types, Type.INT8)  # the number of the row
    return Block(
        exact=one.exact,
        parts=one.parts,
        key_types=key_types,
        public_keys=one.keys.public,
        draws=tuple(draws),
        selection=one.selection,
        threshold=threshold,
        members=members(one.aggregation.around),
        quantiles=tuple(_quantiles(one)),
        most_rows=MAX_LISTED if listed else None,
    )


def draws_of(one: Measured, aggregate: Aggregate) -> list[int]:
    """The draws of the block that an aggregate is computed from."""
    return [one.measures.index(measure) for measure in one.of[aggregate]]


def values_of(one: Measured, number: int, block: Block) -> dict[Expr, Expr]:
    """The aggregates in terms of the noisy columns of the block with that number."""
    quantiles = _quantiles(one)
    values: dict[Expr, Expr] = {}
    for aggregate, measures in one.of.items():
        if aggregate.kind == "quantile":
            values[aggregate] = quantile(number, quantiles.index(_quantile(one, aggregate)))
        else:
            first = [block.draws[i].cells[0] for i in draws_of(one, aggregate)]
            values[aggregate] = value_of(aggregate, measures, first)
    return values


def cells_of(one: Measured, block: Block, at: int, first: int, options: QueryOptions) -> Cells:
    """The noisy columns of the groups of the plan's block ``at``, whose first draw is ``first``."""
    counts = (Count, People, Distinct)
    pairs = list(zip(one.measures, block.draws, strict=True))
    return Cells(
        at,
        block.key_types,
        one.keys.places,
        draws={
            cell: number
            for number, (measure, draw) in enumerate(pairs, first)
            if not isinstance(measure, Histogram)
            for cell in draw.cells
        },
        quantiles=len(block.quantiles),
        # Those that count something, where such are wanted without numbers below zero.
        floored=frozenset(
            cell
            for measure, draw in pairs
            if options.non_negative and isinstance(measure, counts)
            for cell in draw.cells
        ),
    )


def _key_type(key: Expr) -> Type:
    return Type.NUMERIC if key.facts.stored is Type.FLOAT8 else key.facts.stored


def _quantiles(one: Measured) -> list[Quantile]:
    return list(dict.fromkeys(_quantile(one, a) for a in one.of if a.kind == "quantile"))


def _quantile(one: Measured, aggregate: Aggregate) -> Quantile:
    """How the noisy histogram is read for an aggregate."""
    (measure,), (draw,) = one.of[aggregate], draws_of(one, aggregate)
    assert isinstance(measure, Histogram)
    assert aggregate.fraction is not None
    tick = measure.axis.tick
    return Quantile(
        draw,
        aggregate.fraction,
        aggregate.continuous,
        measure.axis.lower * tick,
        measure.step * tick,
        single=measure.step == 1,
        upper=measure.axis.upper * tick,
    )


def _label(one: Measure) -> str:
    inside = ", ".join(describe(a) for a in one.arguments) or "*"
    match one:
        case Count():
            return f"count({inside})"
        case People():
            return "number of people" if one.argument is None else f"people with {inside}"
        case Sum():
            return f"sum({inside})"
        case Histogram():
            return f"histogram of {describe(moment_of(one.axis.argument) or one.axis.argument)}"
        case Distinct():
            return f"count(distinct {inside})"
        case Shares():
            name = "squares" if one.squared else "mean" if len(one.axes) == 1 else "products"
            return f"{name} of {inside}"
