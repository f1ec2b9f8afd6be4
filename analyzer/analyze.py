"""The passes in order: parse, bind (with owners), keys, measures, calibrate, emit.

``analyze`` is a pure function of its arguments. It refuses or it plans; it never sees a row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from fractions import Fraction
from functools import lru_cache

from accountant.losses import ZERO
from analyzer.asks import Ask, EpsilonAsk, RhoAsk
from analyzer.bind import bind
from analyzer.catalog import Catalog, Scalar
from analyzer.describe import describe
from analyzer.emit import exact_statement
from analyzer.expressions import Aggregate, Expr, walk
from analyzer.finish import Cells, finish_statement
from analyzer.goals import goal_of, weights_of
from analyzer.keys import Keys, bounds_of, keys_of
from analyzer.lexical import TextLimits
from analyzer.measures import (
    Axis,
    Bounds,
    Count,
    Distinct,
    Histogram,
    Measure,
    People,
    Shares,
    Sum,
    axes,
    decimal,
    measures_of,
    people,
)
from analyzer.noisy_values import quantile, value_of
from analyzer.parse import parse_as
from analyzer.plan import Draw, OutputColumn, PrivatePlan, Quantile, QueryOptions, Statement
from analyzer.refusals import BadArgument, PrivateKeys, WrongType
from analyzer.relation import Query
from analyzer.stages import Stage, aggregates_of, expressions
from analyzer.types import Type
from mechanisms.calibration import (
    Calibration,
    CannotCalibrate,
    Cap,
    KeySelection,
    Terms,
    calibrate,
    error_bar,
)


def analyze(
    sql: str,
    catalog: Catalog,
    *,
    ask: Ask | None = None,
    parameters: Sequence[Scalar | None] = (),
    options: QueryOptions | None = None,
    limits: TextLimits | None = None,
) -> PrivatePlan:
    """The plan that answers ``sql`` over ``catalog``.

    Args:
        sql: one SELECT statement of the analyst.
        catalog: what the data owner declared.
        ask: what the answer may cost, or how exact it has to be; the data owner's default without.
        parameters: values of ``$1 ..``; strings take the type of their surroundings.
        options: tighter or wider contribution bounds for this query.
        limits: ceilings on the text.

    Raises:
        Refusal: with code, hint and position. Nothing has been charged or sent anywhere.
    """
    ask, options = ask or catalog.default_ask, options or QueryOptions()
    _check(ask, catalog, options)
    query = parse_as(sql, lambda tree: bind(tree, catalog, parameters), limits)
    keys = keys_of(query, catalog)
    bounds = bounds_of(query, keys, catalog, options)
    of = {aggregate: measures_of(aggregate, bounds) for aggregate in _aggregates(query)}
    # Equal measures get one draw: asking twice in one query costs nothing and tells nothing.
    measures = list(dict.fromkeys(m for several in of.values() for m in several))
    selection: int | None = None
    if not keys.public:
        units = people(None, bounds)
        measures = list(dict.fromkeys([*measures, units]))
        selection = measures.index(units)
    calibration = _calibrate(measures, of, bounds, selection, ask, catalog)
    draws = _draws(measures, calibration)
    return _plan(query, keys, bounds, of, measures, draws, calibration, selection, catalog, options)


def _check(ask: Ask, catalog: Catalog, options: QueryOptions) -> None:
    most = catalog.most
    if isinstance(ask, EpsilonAsk):
        _check_range("Epsilon", ask.epsilon, most.epsilon)
    elif isinstance(ask, RhoAsk):
        _check_range("Rho", ask.rho, most.rho)
    if not 0 <= ask.delta <= most.delta:
        raise BadArgument(
            "Delta is out of range.", detail=f"It has to be between 0 and {decimal(most.delta)}."
        )
    for bound in (options.max_rows_contributed, options.max_groups_contributed):
        if bound is not None and not 1 <= bound <= 1_000_000:
            raise BadArgument("A contribution bound has to be between 1 and 1,000,000.")


def _check_range(name: str, asked: Fraction, most: Fraction | None) -> None:
    if asked <= 0 or (most is not None and asked > most):
        limit = "" if most is None else f" and at most {decimal(most)}"
        raise BadArgument(f"{name} is out of range.", detail=f"It has to be greater than 0{limit}.")


def _aggregates(query: Query) -> list[Aggregate]:
    found = [e for stage in query.stages for one in expressions(stage) for e in walk(one)]
    return list(dict.fromkeys(e for e in found if isinstance(e, Aggregate)))


def _calibrate(
    measures: Sequence[Measure],
    of: Mapping[Aggregate, Sequence[Measure]],
    bounds: Bounds,
    selection: int | None,
    ask: Ask,
    catalog: Catalog,
) -> Calibration:
    if not measures:
        # Public keys alone: nothing of the data leaves.
        return Calibration((), (), (), ZERO)
    if selection is not None and ask.delta == 0:
        raise PrivateKeys(
            "The group keys are not public, and showing them needs a delta.",
            hint="Ask with a delta such as 1e-9, or group by columns whose values are declared.",
        )
    try:
        return _calibrated(
            tuple(m.sensitivity for m in measures),
            goal_of(ask, measures, of),
            delta=ask.delta,
            terms=_terms(catalog),
            weights=weights_of(measures, of),
            keys=() if selection is None else (KeySelection(selection, bounds.max_groups),),
        )
    except CannotCalibrate as error:
        raise BadArgument(
            str(error), hint="Ask for another loss or error, or for fewer or narrower aggregates."
        ) from None


def _terms(catalog: Catalog) -> Terms:
    own, most = catalog.analyst_limits, catalog.most
    return Terms(Cap(own.epsilon, own.delta), most.epsilon, most.rho, catalog.min_error_scale)


def _draws(measures: Sequence[Measure], calibration: Calibration) -> tuple[Draw, ...]:
    draws, first = [], 0
    for one, noise in zip(measures, calibration.noises, strict=True):
        cells = tuple(range(first, first + one.cells))
        draws.append(Draw(_label(one), cells, one.sensitivity, noise, one.tick, error_bar(noise)))
        first += one.cells
    return tuple(draws)


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
            return f"histogram of {inside}"
        case Distinct():
            return f"count(distinct {inside})"
        case Shares():
            name = "squares" if one.squared else "mean" if len(one.axes) == 1 else "products"
            return f"{name} of {inside}"


def _plan(
    query: Query,
    keys: Keys,
    bounds: Bounds,
    of: dict[Aggregate, tuple[Measure, ...]],
    measures: Sequence[Measure],
    draws: tuple[Draw, ...],
    calibration: Calibration,
    selection: int | None,
    catalog: Catalog,
    options: QueryOptions,
) -> PrivatePlan:
    index = {a: [measures.index(m) for m in several] for a, several in of.items()}
    quantiles = list(
        dict.fromkeys(_quantile(a, of[a], index[a]) for a in of if a.kind == "quantile")
    )
    values: dict[Expr, Expr] = {}
    for aggregate, several in of.items():
        if aggregate.kind == "quantile":
            own = _quantile(aggregate, several, index[aggregate])
            values[aggregate] = quantile(quantiles.index(own))
        else:
            first = [draws[i].cells[0] for i in index[aggregate]]
            values[aggregate] = value_of(aggregate, several, first)
    key_types = tuple(_key_type(key) for key in keys.expressions)
    if len(keys.sets) > 1:
        key_types = (*key_types, Type.INT4)
    bars = {
        cell: draw.error_bar
        for one, draw in zip(measures, draws, strict=True)
        if not isinstance(one, Histogram)
        for cell in draw.cells
    }
    exact, parts = exact_statement(query, keys, bounds, measures, dict(catalog.tables))
    last, used = query.stages[-1], aggregates_of(query.stages)
    noisy = [bool(u) and e.type.is_number for (_, e), u in zip(last.outputs, used, strict=True)]
    cells = Cells(bars, len(quantiles), _floored(measures, draws, options))
    finish = finish_statement(query.stages, noisy, key_types, cells, values)
    columns = tuple(_column(last, i, used[i], index) for i in range(len(used)))
    return PrivatePlan(
        dataset=catalog.dataset,
        policy_version=catalog.version,
        units=(catalog.unit.table,),
        exact=exact,
        parts=parts,
        key_types=key_types,
        public_keys=keys.public,
        draws=draws,
        selection=selection,
        threshold=next(iter(calibration.thresholds), None),
        quantiles=tuple(quantiles),
        finish=finish,
        columns=columns,
        events=calibration.events,
        loss=calibration.loss,
        notices=(*_notices(keys, bounds, measures, calibration), *_cleaned(of, options)),
        digest=_digest(catalog, exact, finish, calibration),
    )


def _key_type(key: Expr) -> Type:
    return Type.NUMERIC if key.facts.stored is Type.FLOAT8 else key.facts.stored


def _column(
    last: Stage, output: int, used: AbstractSet[Aggregate], of: dict[Aggregate, list[int]]
) -> OutputColumn:
    (name, expression), companion = last.outputs[output], last.companions[output]
    draws = tuple(sorted({i for aggregate in used for i in of[aggregate]}))
    type_ = expression.type
    if companion is not None and not (draws and type_.is_number):
        raise WrongType(f"{companion} takes a noisy number.", hint="Keys and constants are exact.")
    if companion == "error_bar":
        type_ = Type.INT8 if type_.is_integer else Type.FLOAT8
    return OutputColumn(name, type_, bool(draws) and companion is None, draws)


def _notices(
    keys: Keys, bounds: Bounds, measures: Sequence[Measure], calibration: Calibration
) -> tuple[str, ...]:
    found = []
    if any(not isinstance(one, People) for one in measures) and not bounds.one_row:
        found.append(
            f"Each person counts with at most {bounds.max_rows} rows; more are weighted down."
        )
    if any(isinstance(one, People) for one in measures) and bounds.some_groups:
        found.append(f"Each person counts in at most {bounds.max_groups} groups.")
    if len(keys.sets) > 1:
        found.append(f"The answer holds {len(keys.sets)} groupings, which share the loss.")
    found += list(dict.fromkeys(_clamped(axis) for one in measures for axis in axes(one)))
    if calibration.thresholds:
        found.append(
            "The group keys are not public: a group is shown when its noisy number of people"
            f" reaches {calibration.thresholds[0]}."
        )
    elif any(not key.facts.total_domain for key in keys.expressions):
        found.append("Groups are the declared values; rows with other values are left out.")
    return tuple(found)


def _floored(
    measures: Sequence[Measure], draws: Sequence[Draw], options: QueryOptions
) -> frozenset[int]:
    """The cells that count something, where such are wanted without numbers below zero."""
    counts = (Count, People, Distinct)
    return frozenset(
        cell
        for one, draw in zip(measures, draws, strict=True)
        if options.non_negative and isinstance(one, counts)
        for cell in draw.cells
    )


def _cleaned(of: Mapping[Aggregate, Sequence[Measure]], options: QueryOptions) -> list[str]:
    """What was done to noisy numbers so that they lie where such numbers can lie."""
    found = []
    if any(isinstance(one, Shares | Histogram) for several in of.values() for one in several):
        found.append("Averages, quantiles and the like are kept where such numbers can lie.")
    if options.non_negative and any(a.kind.startswith("count") for a in of):
        found.append("Counts below zero are shown as zero.")
    return found


def _clamped(axis: Axis) -> str:
    low, high = (decimal(bound * axis.tick) for bound in (axis.lower, axis.upper))
    return f"Values of {describe(axis.argument)} are kept between {low:f} and {high:f}."


def _quantile(aggregate: Aggregate, several: Sequence[Measure], index: Sequence[int]) -> Quantile:
    """How the noisy histogram is read for an aggregate."""
    (one,), (draw,) = several, index
    assert isinstance(one, Histogram)
    assert aggregate.fraction is not None
    tick = one.axis.tick
    return Quantile(
        draw,
        aggregate.fraction,
        aggregate.continuous,
        one.axis.lower * tick,
        one.step * tick,
        single=one.step == 1,
        upper=one.axis.upper * tick,
    )


def _digest(catalog: Catalog, exact: Statement, finish: Statement, calibration: Calibration) -> str:
    """What makes two questions the same: the SQL that runs, its parameters, the noise, the
    policy."""
    parts: list[object] = [catalog.dataset, catalog.version, exact.sql, finish.sql]
    parts += [repr(p) for p in (*exact.parameters, *finish.parameters)]
    parts += [[n.kind.value, str(Fraction(n.scale))] for n in calibration.noises]
    parts.append(calibration.thresholds)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


# A pure function of a few numbers, which most queries over a data set share.
_calibrated = lru_cache(maxsize=4096)(calibrate)
