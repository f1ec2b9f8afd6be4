"""The statement that runs on protected data, printed from the plan and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from analyzer.canonical_joins import owner_in
from analyzer.emit_bounds import (
    contributions,
    distinct_values,
    grid_point,
    integer,
)
from analyzer.emit_keys import canonical, choices, fits, held, is_long
from analyzer.emit_listed import listed_rows
from analyzer.emit_members import counted_members
from analyzer.emit_rows import Rows, select
from analyzer.emit_sets import each_set, in_sets
from analyzer.expressions import Expr
from analyzer.functions.comparison import in_order
from analyzer.keys import Keys
from analyzer.measures import Bounds, Count, Distinct, Histogram, Measure
from analyzer.plan import Part, Statement
from analyzer.printing import Printer
from analyzer.relation import Aggregation, Scan, visible_scans

_FEW_GROUPS = 16
"""So many totals of each unit take less time than rows that are kept to be read twice."""


def exact_statement(
    printer: Printer,
    aggregation: Aggregation,
    keys: Keys,
    bounds: Bounds,
    measures: Sequence[Measure],
) -> tuple[Statement, tuple[Part, ...]]:
    """The SQL that runs on protected data, and what its parts hold.

    The rows that count have an owner, the keys and the arguments. Contributions are what each unit
    adds to each of its groups, bounded. Sums over units, together with a zero for every public key,
    make the first part; each histogram and each count of distinct values makes one more. A
    statement of one part gives keys and cells. One of several gives the part's number, a bucket (of
    a histogram) and then keys and cells, the cells filled up with zeros.
    """
    if aggregation.unit is None:
        return listed_rows(printer, aggregation)
    first = _first_cells(measures)
    regular = [m for m in measures if not isinstance(m, Histogram | Distinct)]
    others = [(i, m) for i, m in enumerate(measures) if isinstance(m, Histogram | Distinct)]
    names = tuple(f"k{i}" for i in range(len(keys.expressions) + (len(keys.sets) > 1)))
    texts = [_regular_part(printer, aggregation, keys, bounds, regular)]
    own = [
        c
        for i, m in enumerate(measures)
        if m in regular
        for c in range(first[i], first[i] + m.cells)
    ]
    parts = [Part(tuple(own), buckets=False)]
    for index, measure in others:
        if isinstance(measure, Histogram):
            texts.append(_histogram_part(printer, aggregation, keys, bounds, measure))
            cells = range(first[index], first[index] + measure.cells)
        else:
            texts.append(_distinct_part(printer, aggregation, keys, bounds, measure))
            cells = range(first[index], first[index] + 1)
        parts.append(Part(tuple(cells), buckets=isinstance(measure, Histogram)))
    text = texts[0] if len(texts) == 1 else _joined(texts, parts, names)
    order = [*(["part", "bucket"] if len(texts) > 1 else []), *names]
    if order:
        text += f"\nORDER BY {', '.join(order)}"
    return printer.statement(text), tuple(parts)


def _first_cells(measures: Sequence[Measure]) -> list[int]:
    first, found = 0, []
    for measure in measures:
        found.append(first)
        first += measure.cells
    return found


def _joined(texts: Sequence[str], parts: Sequence[Part], names: Sequence[str]) -> str:
    """The parts under one another, in columns of one shape."""
    widths = [1 if part.buckets else len(part.cells) for part in parts]
    arms = []
    for number, (text, part, width) in enumerate(zip(texts, parts, widths, strict=True)):
        cells = [f"CAST(a.c{i} AS numeric) AS c{i}" for i in range(width)]
        cells += [f"CAST(0 AS numeric) AS c{i}" for i in range(width, max(widths))]
        bucket = "a.bucket" if part.buckets else "CAST(NULL AS integer) AS bucket"
        columns = [f"{number} AS part", bucket, *(f"a.{name}" for name in names), *cells]
        arms.append(f"{select(columns)} FROM (\n{text}\n) AS a")
    return "\nUNION ALL\n".join(arms)


def _summed(contributed: str, names: Sequence[str], cells: int, *, zeros: str | None) -> str:
    """Contributions added up over units, for each of what the names group by."""
    cell_names = [f"c{i}" for i in range(cells)]
    source = contributed if zeros is None else f"{contributed}\nUNION ALL\n{zeros}"
    listed = ", ".join([*names, *cell_names]) or "nothing"
    columns = [*names, *(f"sum(u.{c}) AS {c}" for c in cell_names)] or ["1 AS nothing"]
    text = f"SELECT {', '.join(columns)}\nFROM (\n{source}\n) AS u ({listed})"
    return f"{text}\nGROUP BY {', '.join(names)}" if names else text


def _regular_part(
    printer: Printer,
    aggregation: Aggregation,
    keys: Keys,
    bounds: Bounds,
    measures: Sequence[Measure],
) -> str:
    cells = sum(m.cells for m in measures)
    if not measures and keys.public:
        declared = _zeros(printer, keys, 0)
        names = [f"k{i}" for i in range(len(keys.expressions) + (len(keys.sets) > 1))]
        return f"SELECT * FROM (\n{declared}\n) AS u ({', '.join(names) or 'nothing'})"
    rows = _rows(printer, aggregation, keys, [a for m in measures for a in m.arguments])
    contributed = contributions(printer, rows, measures, bounds, public=keys.public)  # type: ignore[arg-type]
    zeros = _zeros(printer, keys, cells) if keys.public else None
    return _summed(contributed, rows.names, cells, zeros=zeros)


def _histogram_part(
    printer: Printer, aggregation: Aggregation, keys: Keys, bounds: Bounds, measure: Histogram
) -> str:
    """Rows counted by key and bucket: a count over one more key, whose values are known."""
    axis = measure.axis
    rows = _rows(printer, aggregation, keys, [axis.argument])
    name = rows.of(axis.argument)
    steps = f"({grid_point(axis, name)} - {integer(axis.lower)}) / {integer(measure.step)}"
    columns = ["r.owner", f"CAST({steps} AS integer) AS bucket", *(f"r.{k}" for k in rows.keys)]
    text = f"{select(columns)} FROM (\n{rows.text}\n) AS r WHERE ({name} IS NOT NULL)"
    again = _again(aggregation, None, by_owner=rows.by_owner)
    by_bucket = replace(rows, text=text, arguments={}, bucket=("bucket",), again=again)
    counted = Count(None, measure.cap, measure.tick, measure.sets)
    contributed = contributions(
        printer, by_bucket, [counted], bounds.many_groups(), public=keys.public
    )
    return _summed(contributed, by_bucket.names, 1, zeros=None)


def _distinct_part(
    printer: Printer, aggregation: Aggregation, keys: Keys, bounds: Bounds, measure: Distinct
) -> str:
    rows = _rows(printer, aggregation, keys, [measure.argument])
    (value,) = in_order([rows.of(measure.argument)], [measure.argument])
    value = canonical(value, measure.argument)
    cap = None if bounds.one_row else measure.cap
    pairs = distinct_values(printer, rows, value, cap)
    columns = [*(f"d.{name}" for name in rows.names), "count(DISTINCT d.v) AS c0"]
    text = f"{select(columns)} FROM (\n{pairs}\n) AS d"
    group = ", ".join(f"d.{name}" for name in rows.names)
    return f"{text} GROUP BY {group}" if group else text


def _rows(printer: Printer, aggregation: Aggregation, keys: Keys, wanted: Sequence[Expr]) -> Rows:
    """The rows that count: they have an owner, and public keys where keys are public."""
    assert aggregation.owned.owner is not None
    arguments = list(dict.fromkeys(wanted))
    printer.over(aggregation.source)
    owner = printer.expression(owner_in(aggregation.source, aggregation.owned.owner))
    columns = [f"{owner} AS owner"]
    columns += [f"{key_text(printer, key)} AS k{i}" for i, key in enumerate(keys.expressions)]
    columns += [f"{printer.expression(a)} AS v{i}" for i, a in enumerate(arguments)]
    source = printer.source(aggregation.source, aggregation.where, f"({owner} IS NOT NULL)")
    text = f"SELECT {', '.join(columns)} FROM {source}"
    if keys.public and keys.expressions:
        public = [held(printer, key, f"h.k{i}") for i, key in enumerate(keys.expressions)]
        text = f"SELECT * FROM ({text}) AS h WHERE {' AND '.join(public)}"
    elif any(map(is_long, keys.expressions)):
        short = [fits(f"h.k{i}") for i, key in enumerate(keys.expressions) if is_long(key)]
        text = f"SELECT * FROM ({text}) AS h WHERE {' AND '.join(short)}"
    names = [f"k{i}" for i in range(len(keys.expressions))]
    if aggregation.unit is not None and aggregation.around is not None:
        columns = ["owner", *names, *(f"v{i}" for i in range(len(arguments)))]
        text = counted_members(printer, text, columns, aggregation.unit, aggregation.around)
    by_owner = any(scan.table.unit_index for scan in visible_scans(aggregation.source))
    values = {argument: f"v{i}" for i, argument in enumerate(arguments)}
    again = _again(aggregation, keys.possible, by_owner=by_owner)
    return Rows(text, tuple(names), values, by_owner, keys.sets, again=again)


def _again(
    aggregation: Aggregation, groups: int | None, *, by_owner: bool
) -> Literal["no", "read", "kept"]:
    """How the rows can be looked at twice, see docs/decisions/0024-few-rows-need-no-bound.md.

    What is joined or computed in subqueries would be much to compute again, or to keep. A condition
    may choose few rows, or take long, so it is asked once; keeping rows is worth it only where a
    unit has many totals otherwise, and not beside an index whose order can be used.
    """
    source = aggregation.source
    if not isinstance(source, Scan) or len(source.table.path) > 1:
        return "no"
    if aggregation.where is None and aggregation.around is None:
        return "read"
    many = groups is None or groups > _FEW_GROUPS
    return "kept" if many and not by_owner else "no"


def key_text(printer: Printer, key: Expr) -> str:
    """A group key in a canonical form: equal values look equal, whichever row shows them."""
    return canonical(printer.expression(key), key)


def _zeros(printer: Printer, keys: Keys, cells: int) -> str:
    """One row of zeros for every combination of public keys; one row without keys."""
    sources = [f"({choices(printer, key)}) AS z{i} (k)" for i, key in enumerate(keys.expressions)]
    keys_text = [f"z{i}.k" for i in range(len(sources))]
    if len(keys.sets) > 1:
        columns = [*in_sets(keys_text), *(["0"] * cells)]
        crossed = " CROSS JOIN ".join([*sources, each_set(keys.sets)])
        return f"SELECT DISTINCT {', '.join(columns)} FROM {crossed}"
    columns = [*keys_text, *(["0"] * cells)]
    text = f"SELECT {', '.join(columns) or '1'}"
    return f"{text} FROM {' CROSS JOIN '.join(sources)}" if sources else text
