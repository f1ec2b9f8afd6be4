"""How long the analyzer takes, in processor time, beside sqlglot's own parse and generate."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import sqlglot

from analyzer.analyze import analyze
from analyzer.catalog import Catalog
from benchmarks.questions import QUESTIONS, TEN_LINES

_ROUNDS = 200


def run(catalog: Catalog) -> list[tuple[str, ...]]:
    """Rows of a table: the question, milliseconds at the median and at 99 %, and the ratio."""
    rows = [("question", "median ms", "p99 ms", "to sqlglot's parse + generate")]
    gc.collect()
    gc.freeze()  # as the server does
    for name, sql in {"ten lines with a join": TEN_LINES, **QUESTIONS}.items():
        ours, floor = _timed(lambda s=sql: analyze(s, catalog), lambda s=sql: _round_trip(s))  # type: ignore[misc]
        median = statistics.median(ours)
        p99 = statistics.quantiles(ours, n=100)[98]
        ratio = median / statistics.median(floor)
        rows.append((name, f"{median:.2f}", f"{p99:.2f}", f"{ratio:.1f}x"))
    gc.unfreeze()
    return rows


def _round_trip(sql: str) -> str:
    return sqlglot.parse_one(sql, dialect="postgres").sql("postgres")


def _timed(*functions: Callable[[], object]) -> list[list[float]]:
    """Milliseconds of processor time of each function, in rounds that take turns."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(_ROUNDS):
        for own, function in zip(times, functions, strict=True):
            began = time.process_time_ns()
            function()
            own.append((time.process_time_ns() - began) / 1e6)
    return times
