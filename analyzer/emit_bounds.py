"""What one privacy unit contributes, bounded inside the SQL that Postgres runs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from analyzer.expressions import Expr
from analyzer.functions.base import as_type
from analyzer.keys import Keys
from analyzer.measures import Bounds, Count, Mean, Measure, People, Sum, decimal
from analyzer.plan import SELECTION_KEY
from analyzer.printing import Printer
from analyzer.types import Type


def parts(
    printer: Printer,
    keys: Keys,
    bounds: Bounds,
    measures: Sequence[Measure],
    arguments: Sequence[Expr],
    rows: str,
) -> str:
    """What each unit contributes to each group, bounded in rows, groups and values."""
    names = [f"k{i}" for i in range(len(keys.expressions))]
    inputs = [None if m.argument is None else f"r.v{arguments.index(m.argument)}" for m in measures]
    listed = [f"r.{name}" for name in names]
    if bounds.one_row:
        cells = [c for m, name in zip(measures, inputs, strict=True) for c in _row_cells(m, name)]
        return f"{_select([*listed, *_numbered(cells)])} FROM (\n{rows}\n) AS r"
    totals = [c for m, name in zip(measures, inputs, strict=True) for c in _totals(m, name)]
    grouping = ", ".join(["r.owner", *listed])
    if bounds.one_group:
        # One group a unit: its totals are all there is of it, and are bounded on the spot.
        cells = [c for m, own in _split(measures, totals) for c in _bounded_alone(m, own)]
        columns = _select([*listed, *_numbered(cells)])
        return f"{columns} FROM (\n{rows}\n) AS r GROUP BY {grouping}"
    columns = _select(["r.owner", *listed, *_numbered(totals)])
    pairs = f"{columns} FROM (\n{rows}\n) AS r GROUP BY {grouping}"
    chosen = _chosen(printer, keys, bounds, measures, names)
    if chosen is not None:
        pairs = f"SELECT b.*, {chosen} AS pick FROM (\n{pairs}\n) AS b"
        if not keys.public:
            pairs = f"SELECT * FROM (\n{pairs}\n) AS p WHERE p.pick <= {bounds.max_groups}"
    return _scaled(measures, names, pairs, bounds, picked=chosen is not None and keys.public)


def _select(columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns) or '1'}"


def _numbered(cells: Sequence[str]) -> list[str]:
    return [f"{text} AS c{i}" for i, text in enumerate(cells)]


def _split(measures: Sequence[Measure], cells: Sequence[str]) -> list[tuple[Measure, list[str]]]:
    """Each measure with its own cells."""
    found, first = [], 0
    for measure in measures:
        found.append((measure, list(cells[first : first + measure.cells])))
        first += measure.cells
    return found


def _chosen(
    printer: Printer, keys: Keys, bounds: Bounds, measures: Sequence[Measure], names: list[str]
) -> str | None:
    """The rank of a group among its unit's groups, where a unit may count in some of them only.

    Which ones depends on that unit alone: a keyed hash of its own owner and keys, ties broken by
    the keys. The choices of all other units are the same with and without it.
    """
    enough = keys.possible is not None and keys.possible <= bounds.max_groups
    if enough or not any(isinstance(m, People) for m in measures):
        return None
    secret = printer.parameter(SELECTION_KEY, "bigint")
    own = ", ".join(f"b.{name}" for name in ("owner", *names))
    ties = "".join(f", b.{name}" for name in names)
    order = f"hash_record_extended(ROW({own}), {secret}){ties}"
    return f"row_number() OVER (PARTITION BY b.owner ORDER BY {order})"


def _scaled(
    measures: Sequence[Measure], names: list[str], pairs: str, bounds: Bounds, *, picked: bool
) -> str:
    """The pairs with every measure's norm over the unit's groups held to its limit."""
    cells = [f"q.c{i}" for i in range(sum(m.cells for m in measures))]
    norms, sums = [], []
    for i, (measure, own) in enumerate(_split(measures, cells)):
        norms.append(f"n.n{i}")
        if not isinstance(measure, People):
            sums.append(f"sum({_norm(measure, own)}) OVER (PARTITION BY q.owner) AS n{i}")
    inner = f"SELECT {', '.join(['q.*', *sums])} FROM (\n{pairs}\n) AS q"
    outer = [c.replace("q.", "n.") for c in cells]
    bounded = _bounded(measures, outer, norms)
    if picked:
        for i, (measure, _) in enumerate(_split(measures, cells)):
            if isinstance(measure, People):
                at = sum(m.cells for m in measures[:i])
                bounded[at] = (
                    f"CASE WHEN n.pick <= {bounds.max_groups} THEN {bounded[at]} ELSE 0 END"
                )
    columns = _select([*(f"n.{name}" for name in names), *_numbered(bounded)])
    return f"{columns} FROM (\n{inner}\n) AS n"


def _norm(measure: Measure, cells: Sequence[str]) -> str:
    """The L1 norm of a unit's cells in one group, as SQL. Cells of counts and means are not
    negative."""
    if isinstance(measure, Sum) and measure.lower < 0:
        return f"abs({cells[0]})"
    return " + ".join(cells)


def _bounded(measures: Sequence[Measure], cells: Sequence[str], norms: Sequence[str]) -> list[str]:
    """Cells scaled by limit / norm where the norm passes the limit, rounded towards zero."""
    bounded = []
    for (measure, own), norm in zip(_split(measures, cells), norms, strict=True):
        if isinstance(measure, People):
            bounded.append(f"LEAST({own[0]}, 1)")
            continue
        limit = _integer(measure.limit)
        bounded += [
            f"CASE WHEN {norm} > {limit} THEN div(CAST({cell} AS numeric) * {limit}, {norm})"
            f" ELSE CAST({cell} AS numeric) END"
            for cell in own
        ]
    return bounded


def _bounded_alone(measure: Measure, own: Sequence[str]) -> list[str]:
    """As :func:`_bounded`, for a unit whose cells in one group are all that it has."""
    if isinstance(measure, Mean):
        return _bounded([measure], own, [_norm(measure, own)])
    limit = 1 if isinstance(measure, People) else measure.limit
    cell = own[0]
    if isinstance(measure, Sum) and measure.lower < 0:
        cell = f"GREATEST({cell}, {_integer(-limit)})"
    return [f"LEAST({cell}, {_integer(limit)})"]


def _row_cells(measure: Measure, name: str | None) -> list[str]:
    """The cells of a unit that has one row: the row itself, its value clamped."""
    if isinstance(measure, Count | People):
        return ["1" if name is None else f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END"]
    assert name is not None
    return [f"CASE WHEN {name} IS NULL THEN 0 ELSE {p} END" for p in _points(measure, name)]


def _totals(measure: Measure, name: str | None) -> list[str]:
    """The cells of a unit's rows in one group, before they are bounded."""
    if isinstance(measure, People):
        return [f"count({name or '*'})"]
    if isinstance(measure, Count):
        share = int(1 / measure.tick)
        return [f"count({name or '*'})" if share == 1 else f"(count({name or '*'}) * {share})"]
    assert name is not None
    return [f"sum(CASE WHEN {name} IS NULL THEN 0 ELSE {p} END)" for p in _points(measure, name)]


def _points(measure: Sum | Mean, name: str) -> list[str]:
    """A row's value in grid steps, clamped: as it is for a sum, from both bounds for a mean."""
    point = _grid_point(measure, name)
    if isinstance(measure, Sum):
        return [point]
    return [f"({point} - {_integer(measure.lower)})", f"({_integer(measure.upper)} - {point})"]


def _grid_point(measure: Sum | Mean, name: str) -> str:
    low, high, tick = measure.lower, measure.upper, measure.tick
    stored = measure.argument.facts.stored
    whole = "integer" if max(abs(low), abs(high)) < 2**30 else "bigint"
    if stored.is_integer and tick == 1:
        return f"CAST(LEAST(GREATEST({name}, {_integer(low)}), {_integer(high)}) AS {whole})"
    lower, upper = _number(low * tick), _number(high * tick)
    if stored is Type.FLOAT8 and (1 / tick).denominator == 1:
        # A factor of at least one cannot underflow, and the clamp before it rules out overflow.
        floor, ceiling = (f"CAST('{x}' AS double precision)" for x in (lower, upper))
        kept = f"LEAST(GREATEST({name}, {floor}), {ceiling})"
        steps = f"CAST(round({kept} * CAST('{1 / tick}' AS double precision)) AS bigint)"
        return f"CAST(LEAST(GREATEST({steps}, {_integer(low)}), {_integer(high)}) AS {whole})"
    value = as_type(name, measure.argument, Type.NUMERIC)
    kept = f"LEAST(GREATEST({value}, CAST('{lower}' AS numeric)), CAST('{upper}' AS numeric))"
    return f"CAST(round({kept} / CAST('{_number(tick)}' AS numeric)) AS {whole})"


def _integer(value: int) -> str:
    return (
        f"CAST({value} AS bigint)"
        if abs(value) >= 2**31
        else str(value)
        if value >= 0
        else f"({value})"
    )


def _number(value: Fraction) -> str:
    return format(decimal(value), "f")
