"""What an answer says about how it was made, in sentences for an analyst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analyzer.blocks import Measured
from analyzer.describe import describe
from analyzer.emit_keys import MAX_KEY_BYTES, is_long
from analyzer.emit_members import members
from analyzer.growth import BYTES_OF_A_ROW
from analyzer.measures import Axis, Histogram, People, Shares, axes, decimal
from analyzer.plan import QueryOptions
from analyzer.timelines import moment_of, spelled


def notices(
    blocks: Sequence[Measured], thresholds: Sequence[int | None], options: QueryOptions
) -> tuple[str, ...]:
    """The sentences, each once. Thresholds are those of the blocks, None where keys are public."""
    found = [] if len(blocks) < 2 else [f"{len(blocks)} aggregations of the query share the loss."]
    for block, threshold in zip(blocks, thresholds, strict=True):
        found += _of_block(block, threshold)
    found += _cleaned(blocks, options)
    return tuple(dict.fromkeys(found))


def _of_block(block: Measured, threshold: int | None) -> Iterator[str]:
    keys, bounds, measures = block.keys, block.bounds, block.measures
    if any(not isinstance(one, People) for one in measures) and not bounds.one_row:
        yield f"Each person counts with at most {bounds.max_rows} rows; more are weighted down."
    if any(isinstance(one, People) for one in measures) and bounds.some_groups:
        yield f"Each person counts in at most {bounds.max_groups} groups."
    unit, around = block.aggregation.unit, block.aggregation.around
    if unit is None:
        yield "Rows of public tables are exact."
        return
    if around is not None:
        yield (
            f"Of each row of {around.table}, at most {members(around)} of {unit.table} count; both"
            " are protected."
        )
    ceiling = block.aggregation.ceiling
    if ceiling is not None and not bounds.one_row:
        yield (
            f"Where rows are joined with each other, a person with more than {ceiling.rows} in"
            " one table is left out of it."
        )
        if ceiling.texts:
            yield f"There, {BYTES_OF_A_ROW} bytes of the texts in the query count as one row more."
    if len(keys.sets) > 1:
        yield f"The answer holds {len(keys.sets)} groupings, which share the loss."
    yield from (_clamped(axis) for one in measures for axis in axes(one))
    if threshold is not None:
        yield (
            "The group keys are not public: a group is shown when its noisy number of people"
            f" reaches {threshold}."
        )
        if any(map(is_long, keys.expressions)):
            yield f"Rows with a group key of more than {MAX_KEY_BYTES:,} bytes are left out."
    elif any(not key.facts.total_domain for key in keys.expressions):
        yield "Groups are the declared values; rows with other values are left out."


def _cleaned(blocks: Sequence[Measured], options: QueryOptions) -> Iterator[str]:
    """What was done to noisy numbers so that they lie where such numbers can lie."""
    of = [(aggregate, m) for block in blocks for aggregate, m in block.of.items()]
    if any(isinstance(one, Shares | Histogram) for _, several in of for one in several):
        yield "Averages, quantiles and the like are kept where such numbers can lie."
    if options.non_negative and any(aggregate.kind.startswith("count") for aggregate, _ in of):
        yield "Counts below zero are shown as zero."


def _clamped(axis: Axis) -> str:
    bounds = [bound * axis.tick for bound in (axis.lower, axis.upper)]
    moment = moment_of(axis.argument)
    low, high = (f"{decimal(b):f}" if moment is None else spelled(b, moment.type) for b in bounds)
    return f"Values of {describe(moment or axis.argument)} are kept between {low} and {high}."
