"""The passes in order: parse, bind (with owners), keys, measures, calibrate, emit.

``analyze`` is a pure function of its arguments. It refuses or it plans; it never sees a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from itertools import islice

from accountant.losses import ZERO
from analyzer.asks import Ask, EpsilonAsk, RhoAsk
from analyzer.bind import bind
from analyzer.blocks import Measured, block_of, cells_of, draws_of, measured, values_of
from analyzer.catalog import Catalog, Given
from analyzer.clock import reads_clock, stopped
from analyzer.digests import question_digest, release_digest
from analyzer.expressions import Aggregate, Expr
from analyzer.finish import finish_statement
from analyzer.goals import goal_of, weights_of
from analyzer.lexical import TextLimits
from analyzer.measures import decimal
from analyzer.notices import notices
from analyzer.parse import parse_as
from analyzer.plan import OutputColumn, PrivatePlan, QueryOptions
from analyzer.refusals import BadArgument, PrivateKeys, WrongType
from analyzer.relation import Query
from analyzer.stages import Stage, aggregates_in, aggregates_of
from analyzer.syntax import Tree
from analyzer.timelines import has_bar
from analyzer.types import Type
from mechanisms.calibration import Calibration, CannotCalibrate, Cap, Terms, calibrate


def analyze(
    sql: str,
    catalog: Catalog,
    *,
    ask: Ask | None = None,
    parameters: Sequence[Given] = (),
    options: QueryOptions | None = None,
    limits: TextLimits | None = None,
    now: datetime | None = None,
) -> PrivatePlan:
    """The plan that answers ``sql`` over ``catalog``.

    Args:
        sql: one SELECT statement of the analyst.
        catalog: what the data owner declared.
        ask: what the answer may cost, or how exact it has to be; the data owner's default without.
        parameters: values of ``$1 ..``; strings take the type of their surroundings.
        options: tighter or wider contribution bounds for this query.
        limits: ceilings on the text.
        now: what the query's clock says, in UTC; without, it has none.

    Raises:
        Refusal: with code, hint and position. Nothing has been charged or sent anywhere.
    """
    ask, options = ask or catalog.default_ask, options or QueryOptions()
    _check(ask, catalog, options)

    def bound(tree: Tree) -> tuple[Query, datetime | None]:
        at = now if reads_clock(sql, tree) else None
        return bind(tree if at is None else stopped(tree, at), catalog, parameters), at

    query, clock = parse_as(sql, bound, limits)
    aggregates = aggregates_in(query.stages)
    blocks = [
        measured(one, [a for a in aggregates if a.block == number], catalog, options)
        for number, one in enumerate(query.aggregations)
    ]
    found = list(enumerate(blocks))
    if len(found) > 1:
        # However an analyst puts them in order, the same aggregations make the same release.
        found.sort(key=lambda pair: (pair[1].exact.sql, repr(pair[1].exact)))
    calibration = _calibrate([one for _, one in found], ask, catalog)
    plan = _plan(query, found, calibration, catalog, options)
    if clock is None:
        return plan
    told = f"The current time is taken to be {clock:%Y-%m-%d %H:%M:%S} in UTC."
    return replace(plan, now=clock, notices=(*plan.notices, told))


def _check(ask: Ask, catalog: Catalog, options: QueryOptions) -> None:
    most = catalog.most
    if isinstance(ask, EpsilonAsk):
        _check_range("Epsilon", ask.epsilon, most.epsilon)
    elif isinstance(ask, RhoAsk):
        _check_range("Rho", ask.rho, most.rho)
    if not 0 <= ask.delta <= most.delta:
        raise BadArgument(
            "Delta is out of range.",
            hint="Leave it out for the data owner's default.",
            detail=f"It has to be between 0 and {decimal(most.delta)}.",
        )
    for bound in (options.max_rows_contributed, options.max_groups_contributed):
        if bound is not None and not 1 <= bound <= 1_000_000:
            raise BadArgument(
                "A contribution bound has to be between 1 and 1,000,000.",
                hint="Leave it out for the data owner's own.",
            )


def _check_range(name: str, asked: Fraction, most: Fraction | None) -> None:
    if asked <= 0 or (most is not None and asked > most):
        limit = "" if most is None else f" and at most {decimal(most)}"
        raise BadArgument(f"{name} is out of range.", detail=f"It has to be greater than 0{limit}.")


def _calibrate(blocks: Sequence[Measured], ask: Ask, catalog: Catalog) -> Calibration:
    """The noise of all draws of all blocks together, and the thresholds in order of the blocks."""
    if not any(block.measures for block in blocks):
        # Public keys alone: nothing of the data leaves.
        return Calibration((), (), (), ZERO)
    selections, first = [], 0
    for block in blocks:
        selection = block.key_selection
        if selection is not None:
            selections.append(replace(selection, draw=first + selection.draw))
        first += len(block.measures)
    if selections and ask.delta == 0:
        raise PrivateKeys(
            "The group keys are not public, and showing them needs a delta.",
            hint="Ask with a delta such as 1e-9, or group by columns whose values are declared.",
        )
    try:
        return _calibrated(
            tuple(block.sensitivity(m) for block in blocks for m in block.measures),
            goal_of(ask, blocks),
            delta=ask.delta,
            terms=_terms(catalog),
            weights=weights_of(blocks),
            keys=tuple(selections),
        )
    except CannotCalibrate as error:
        raise BadArgument(
            str(error), hint="Ask for another loss or error, or for fewer or narrower aggregates."
        ) from None


def _terms(catalog: Catalog) -> Terms:
    own, most = catalog.analyst_limits, catalog.most
    return Terms(Cap(own.epsilon, own.delta), most.epsilon, most.rho, catalog.min_error_scale)


def _plan(
    query: Query,
    numbered: Sequence[tuple[int, Measured]],
    calibration: Calibration,
    catalog: Catalog,
    options: QueryOptions,
) -> PrivatePlan:
    """The plan of aggregations in its order, each with its number in the query."""
    found = [one for _, one in numbered]
    noises, heights = iter(calibration.noises), iter(calibration.thresholds)
    thresholds = [None if one.selection is None else next(heights) for one in found]
    blocks = tuple(
        block_of(one, list(islice(noises, len(one.measures))), threshold)
        for one, threshold in zip(found, thresholds, strict=True)
    )
    values: dict[Expr, Expr] = {}
    draws: dict[Aggregate, list[int]] = {}
    cells = {}
    first = 0
    for at, ((number, one), block) in enumerate(zip(numbered, blocks, strict=True)):
        values |= values_of(one, number, block)
        draws |= {a: [first + i for i in draws_of(one, a)] for a in one.of}
        cells[number] = cells_of(one, block, at, first, options)
        first += len(block.draws)
    units = {unit for one in found for unit in one.units}
    last, used = query.stages[-1], aggregates_of(query.stages)
    finish = finish_statement(
        query.stages, [bool(u) for u in used], [cells[i] for i in sorted(cells)], values
    )
    question = question_digest(catalog.dataset, catalog.version, blocks)
    return PrivatePlan(
        dataset=catalog.dataset,
        policy_version=catalog.version,
        units=tuple(sorted(units or {unit.table for unit in catalog.units})),
        blocks=blocks,
        finish=finish,
        columns=tuple(_column(last, i, used[i], draws) for i in range(len(used))),
        events=calibration.events,
        loss=calibration.loss,
        notices=notices(found, thresholds, options),
        question=question,
        digest=release_digest(question, calibration.noises, thresholds),
    )


def _column(
    last: Stage, output: int, used: AbstractSet[Aggregate], of: dict[Aggregate, list[int]]
) -> OutputColumn:
    (name, expression), companion = last.outputs[output], last.companions[output]
    draws = tuple(sorted({i for aggregate in used for i in of[aggregate]}))
    type_ = expression.type
    if type_ is Type.INTERVAL:
        raise WrongType(
            "An interval is not shown.", hint="Show EXTRACT(epoch FROM x), which is in seconds."
        )
    if companion is not None and not (draws and has_bar(type_)):
        raise WrongType(
            f"{companion} takes a noisy number or date.", hint="Keys and constants are exact."
        )
    if companion == "error_bar":
        type_ = Type.INT8 if type_.is_integer or type_ is Type.DATE else Type.FLOAT8
    return OutputColumn(name, type_, bool(draws) and companion is None, draws)


# A pure function of a few numbers, which most queries over a data set share.
_calibrated = lru_cache(maxsize=4096)(calibrate)
