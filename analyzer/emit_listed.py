"""Rows of public tables as they are, numbered, for queries that read no others."""

from __future__ import annotations

from analyzer.emit_keys import canonical
from analyzer.plan import Part, Statement
from analyzer.printing import Printer
from analyzer.relation import Aggregation

MAX_LISTED = 10_000
"""The most rows of public tables that one part of a query may read."""


def listed_rows(printer: Printer, listed: Aggregation) -> tuple[Statement, tuple[Part, ...]]:
    """The columns as keys, and a number that makes each row a group of its own.

    One row more than there may be is read, so that too many are noticed.
    """
    printer.over(listed.source)
    columns = [f"{canonical(printer.expression(e), e)} AS k{i}" for i, e in enumerate(listed.keys)]
    text = f"SELECT {', '.join(columns)} FROM {printer.source(listed.source, listed.where)}"
    most = MAX_LISTED + 1 if listed.limit is None else min(listed.limit, MAX_LISTED + 1)
    names = [f"k{i}" for i in range(len(columns))]
    order = ", ".join(f"q.{name}" for name in names)
    number = f"row_number() OVER (ORDER BY {order}) AS k{len(names)}"
    text = f"SELECT q.*, {number} FROM (\n{text} LIMIT {most}\n) AS q\nORDER BY k{len(names)}"
    return printer.statement(text), (Part((), buckets=False),)
