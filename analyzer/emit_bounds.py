"""What one privacy unit contributes, bounded inside the SQL that Postgres runs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from analyzer.emit_rows import Rows, select
from analyzer.emit_sets import each_set
from analyzer.functions.base import as_type
from analyzer.measures import Axis, Bounds, Count, People, Regular, Shares, Sum, decimal
from analyzer.plan import SELECTION_KEY
from analyzer.printing import Printer
from analyzer.types import Type

_SMALL = 2**30
"""Grid points below it are integers, and so are their distances."""


def contributions(
    printer: Printer, rows: Rows, measures: Sequence[Regular], bounds: Bounds, *, public: bool
) -> str:
    """What each unit contributes to each group, bounded in rows, groups and values.

    Columns: the keys, then ``c0, c1, ..``, the cells of all measures in order.
    """
    if bounds.one_row:
        listed = [f"r.{name}" for name in rows.names]
        source = f"FROM (\n{rows.repeated().text}\n) AS r"
        if not public:
            cells = [cell for m in measures for cell in _row_cells(m, rows)]
            return f"{select([*listed, *numbered(cells)])} {source}"
        # Added up at once: a UNION ALL with the zeros of all keys takes each of its rows along.
        cells = [cell for m in measures for cell in _totals(m, rows)]
        text = f"{select([*listed, *numbered(cells)])} {source}"
        return f"{text} GROUP BY {', '.join(listed)}" if listed else text
    listed = [f"r.{name}" for name in rows.by]
    source = f"FROM {rows.grouped}"
    totals = [cell for m in measures for cell in _totals(m, rows)]
    grouping = ", ".join(["r.owner", *listed])
    if bounds.one_group:
        # One group a unit: its totals are all there is of it, and are bounded on the spot.
        cells = [c for m, own in _split(measures, totals) for c in _bounded_alone(m, own)]
        return f"{select([*listed, *numbered(cells)])} {source} GROUP BY {grouping}"
    counts_people = any(isinstance(m, People) for m in measures)
    together = rows.again != "no" and not counts_people
    if together:
        pairs = _many_apart(rows, measures, totals)
    else:
        pairs = f"{select(['r.owner', *listed, *numbered(totals)])} {source} GROUP BY {grouping}"
    if len(rows.sets) > 1:
        pairs = _totals_in_sets(rows, pairs, len(totals))
    picked = bounds.some_groups and counts_people
    if picked:
        pairs = f"SELECT b.*, {_pick(printer, rows.names, 'b')} AS pick FROM (\n{pairs}\n) AS b"
        if not public:
            pairs = f"SELECT * FROM (\n{pairs}\n) AS p WHERE p.pick <= {bounds.max_groups}"
    most = bounds.max_groups if picked and public else None
    return _scaled(measures, rows.names, pairs, most, together=together)


def _many_apart(rows: Rows, measures: Sequence[Regular], totals: Sequence[str]) -> str:
    """The totals of each unit of many rows, and without an owner those of all others together.

    A unit with no more rows than the cap passes no limit: each row adds at most the limit's share
    of one row to the L1 norm, once in each grouping set, and the cap counts all sets. So nothing of
    it is scaled, and it contributes what it would alone. Totals of all such units are below 2^63 as
    long as they have fewer than 2^32 rows.
    """
    cap = min(m.cap for m in measures if not isinstance(m, People)) // len(rows.sets)
    before, source = rows.with_many(cap)
    columns = ["m.owner", *(f"r.{name}" for name in rows.by)]
    listed = select([*columns, *numbered(totals)])
    return f"{before}{listed} FROM {source} GROUP BY {', '.join(columns)}"


def _totals_in_sets(rows: Rows, pairs: str, cells: int) -> str:
    """The totals of each unit in the groups of all grouping sets.

    Totals of a set's group are sums of those by all keys, which are fewer than the rows.
    """
    columns = ["e.owner", *rows.in_sets("e")]
    by = ", ".join(str(i + 1) for i in range(len(columns)))
    totals = [f"sum(e.c{i}) AS c{i}" for i in range(cells)]
    source = f"(\n{pairs}\n) AS e CROSS JOIN {each_set(rows.sets)}"
    return f"{select([*columns, *totals])} FROM {source} GROUP BY {by}"


def distinct_values(printer: Printer, rows: Rows, value: str, cap: int | None) -> str:
    """The different pairs of keys and value that each unit offers, at most ``cap`` of them.

    Columns: the keys, then ``v``. None for ``cap`` where a unit has one row.
    """
    rows = rows.repeated()
    names = [*(f"r.{name}" for name in rows.keys), f"{value} AS v"]
    kept = f"({value} IS NOT NULL)"
    if cap is None:
        return f"{select(names)} FROM (\n{rows.text}\n) AS r WHERE {kept}"
    pairs = f"{select(['r.owner', *names])} FROM (\n{rows.text}\n) AS r WHERE {kept}"
    pairs = pairs.replace("SELECT", "SELECT DISTINCT", 1)
    ranked = f"SELECT b.*, {_pick(printer, (*rows.keys, 'v'), 'b')} AS pick FROM (\n{pairs}\n) AS b"
    chosen = [*(f"p.{name}" for name in rows.keys), "p.v"]
    return f"{select(chosen)} FROM (\n{ranked}\n) AS p WHERE p.pick <= {cap}"


def numbered(cells: Sequence[str]) -> list[str]:
    return [f"{text} AS c{i}" for i, text in enumerate(cells)]


def _split(measures: Sequence[Regular], cells: Sequence[str]) -> list[tuple[Regular, list[str]]]:
    """Each measure with its own cells."""
    found, first = [], 0
    for measure in measures:
        found.append((measure, list(cells[first : first + measure.cells])))
        first += measure.cells
    return found


def _pick(printer: Printer, names: Sequence[str], alias: str) -> str:
    """The rank of a pair among its unit's pairs, where only some of them may count.

    Which ones depends on that unit alone: a keyed hash of its own owner and values, ties broken by
    the values. The choices of all other units are the same with and without it.
    """
    secret = printer.parameter(SELECTION_KEY, "bigint")
    own = ", ".join(f"{alias}.{name}" for name in ("owner", *names))
    ties = "".join(f", {alias}.{name}" for name in names)
    order = f"hash_record_extended(ROW({own}), {secret}){ties}"
    return f"row_number() OVER (PARTITION BY {alias}.owner ORDER BY {order})"


def _scaled(
    measures: Sequence[Regular],
    names: Sequence[str],
    pairs: str,
    most: int | None,
    *,
    together: bool,
) -> str:
    """The pairs with every measure's norm over the unit's groups held to its limit.

    Args:
        measures: what the cells of the pairs are.
        names: of the keys.
        pairs: SQL for the totals of each unit in each group.
        most: groups that count a unit as a person, where those with a larger ``pick`` do not.
        together: that pairs without an owner are many units, each within its limits.
    """
    cells = [f"q.c{i}" for i in range(sum(m.cells for m in measures))]
    sums = [
        f"sum({_norm(measure, own)}) OVER (PARTITION BY q.owner) AS n{i}"
        for i, (measure, own) in enumerate(_split(measures, cells))
        if not isinstance(measure, People)
    ]
    inner = f"{select(['q.*', *sums])} FROM (\n{pairs}\n) AS q"
    bounded = []
    outer = [cell.replace("q.", "n.") for cell in cells]
    alone = "(n.owner IS NOT NULL) AND " if together else ""
    for i, (measure, own) in enumerate(_split(measures, outer)):
        found = _bounded(measure, own, f"n.n{i}", alone)
        if most is not None and isinstance(measure, People):
            found = [f"CASE WHEN n.pick <= {most} THEN {c} ELSE 0 END" for c in found]
        bounded += found
    columns = [*(f"n.{name}" for name in names), *numbered(bounded)]
    return f"{select(columns)} FROM (\n{inner}\n) AS n"


def _norm(measure: Regular, cells: Sequence[str]) -> str:
    """The L1 norm of a unit's cells in one group, as SQL. Only sums can be negative."""
    if isinstance(measure, Sum) and measure.lower < 0:
        return f"abs({cells[0]})"
    return f"({' + '.join(cells)})" if len(cells) > 1 else cells[0]


def _bounded(measure: Regular, cells: Sequence[str], norm: str, alone: str = "") -> list[str]:
    """Cells scaled by limit / norm where the norm passes the limit, rounded towards zero.

    ``alone`` is a condition on what can pass it, before an AND.
    """
    if isinstance(measure, People):
        return [f"LEAST({cells[0]}, 1)"]
    limit = integer(measure.limit)
    return [
        f"CASE WHEN {alone}{norm} > {limit} THEN div(CAST({cell} AS numeric) * {limit}, {norm})"
        f" ELSE CAST({cell} AS numeric) END"
        for cell in cells
    ]


def _bounded_alone(measure: Regular, own: Sequence[str]) -> list[str]:
    """As :func:`_bounded`, for a unit whose cells in one group are all that it has."""
    if isinstance(measure, Shares):
        return _bounded(measure, own, _norm(measure, own))
    limit = 1 if isinstance(measure, People) else measure.limit
    cell = own[0]
    if isinstance(measure, Sum) and measure.lower < 0:
        cell = f"GREATEST({cell}, {integer(-limit)})"
    return [f"LEAST({cell}, {integer(limit)})"]


def _row_cells(measure: Regular, rows: Rows) -> list[str]:
    """The cells of a unit that has one row: the row itself, its values clamped."""
    missing = " OR ".join(f"({rows.of(a)} IS NULL)" for a in measure.arguments)
    if isinstance(measure, Count | People):
        return [f"CASE WHEN {missing} THEN 0 ELSE 1 END" if missing else "1"]
    return [f"CASE WHEN {missing} THEN 0 ELSE {p} END" for p in _points(measure, rows)]


def _totals(measure: Regular, rows: Rows) -> list[str]:
    """The cells of a unit's rows in one group, before they are bounded."""
    if isinstance(measure, Count | People):
        counted = f"count({rows.of(measure.argument) if measure.argument is not None else '*'})"
        share = measure.tick.denominator // measure.tick.numerator
        return [counted if share == 1 else f"({counted} * {share})"]
    if isinstance(measure, Shares) and not measure.squared and len(measure.axes) == 1:
        (axis,) = measure.axes
        if max(abs(axis.lower), abs(axis.upper)) < _SMALL:
            return _distances(axis, rows.of(axis.argument))
    return [f"sum({cell})" for cell in _row_cells(measure, rows)]


def _distances(axis: Axis, name: str) -> list[str]:
    """The distances of a unit's values from both bounds, added up.

    From one sum and one count, which PostgreSQL keeps once for both: values are read and clamped
    once for each row, not twice. Bounds are small, so nothing overflows before 2^33 rows.
    """
    low, high = integer(axis.lower), integer(axis.upper)
    total = f"sum(CASE WHEN ({name} IS NULL) THEN 0 ELSE {grid_point(axis, name)} END)"
    return [f"({total} - ({low} * count({name})))", f"(({high} * count({name})) - {total})"]


def _points(measure: Sum | Shares, rows: Rows) -> list[str]:
    """A row's cells in grid steps: its clamped value, or its weight split over the cells."""
    if isinstance(measure, Sum):
        axis = Axis(measure.argument, measure.lower, measure.upper, measure.tick)
        return [grid_point(axis, rows.of(measure.argument))]
    ends = []
    for axis in measure.axes:
        point = grid_point(axis, rows.of(axis.argument))
        low, high = integer(axis.lower), integer(axis.upper)
        big = len(measure.axes) > 1 or measure.squared
        kind = "CAST({} AS bigint)" if big else "{}"
        ends.append([kind.format(t) for t in (f"({point} - {low})", f"({high} - {point})")])
    if measure.squared:
        (u, w) = ends[0]
        return [f"({u} * {u})", f"(2 * {u} * {w})", f"({w} * {w})"]
    if len(ends) == 1:
        return ends[0]
    return [f"({a} * {b})" for a in ends[0] for b in ends[1]]


def grid_point(axis: Axis, name: str) -> str:
    """The value in grid steps, clamped between its bounds, as an integer; it cannot fail."""
    low, high, tick = axis.lower, axis.upper, axis.tick
    stored = axis.argument.facts.stored
    whole = "integer" if max(abs(low), abs(high)) < _SMALL else "bigint"
    if stored.is_integer and tick == 1:
        return f"CAST(LEAST(GREATEST({name}, {integer(low)}), {integer(high)}) AS {whole})"
    lower, upper = _number(low * tick), _number(high * tick)
    if stored is Type.FLOAT8 and tick.numerator == 1:
        # A factor of at least one cannot underflow, and the clamp before it rules out overflow.
        floor, ceiling = (f"CAST('{x}' AS double precision)" for x in (lower, upper))
        kept = f"LEAST(GREATEST({name}, {floor}), {ceiling})"
        scaled = f"{kept} * CAST('{tick.denominator}' AS double precision)"
        if whole == "integer":
            # The cast rounds. Bound, factor and product are each off by a 2^-53rd at most: of
            # less than 2^30 far less than a half, so nothing is rounded past a bound.
            return f"CAST({scaled} AS integer)"
        steps = f"CAST(round({scaled}) AS bigint)"
        return f"CAST(LEAST(GREATEST({steps}, {integer(low)}), {integer(high)}) AS {whole})"
    value = as_type(name, axis.argument, Type.NUMERIC)
    kept = f"LEAST(GREATEST({value}, CAST('{lower}' AS numeric)), CAST('{upper}' AS numeric))"
    return f"CAST(round({kept} / CAST('{_number(tick)}' AS numeric)) AS {whole})"


def integer(value: int) -> str:
    """An integer of our own as SQL text."""
    if abs(value) >= 2**31:
        return f"CAST({value} AS bigint)"
    return str(value) if value >= 0 else f"({value})"


def _number(value: Fraction) -> str:
    return format(decimal(value), "f")
