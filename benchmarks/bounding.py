"""What bounding costs in PostgreSQL: the emitted SQL beside the analyst's own text."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from analyzer.analyze import analyze
from analyzer.catalog import Catalog
from analyzer.plan import SelectionKey
from benchmarks.questions import QUESTIONS

_ROUNDS = 7
_KEY = 1


def run(
    catalog: Catalog, dsn: str, questions: Mapping[str, str] = QUESTIONS
) -> list[tuple[str, ...]]:
    """Rows of a table: the question, both times, and the ratio of their medians."""
    rows = [("form", "raw ms", "epsql ms", "ratio")]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET search_path = public")
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.execute("SET jit = off")
        cursor = psycopg.RawCursor(connection)
        clock = _Clock(connection.info.backend_pid)
        for name, sql in questions.items():
            plan = analyze(sql, catalog)
            parameters = [_text(p) for p in plan.blocks[0].exact.parameters]
            raw, ours = [], []
            for _ in range(_ROUNDS):
                raw.append(_once(cursor, clock, sql, []))
                ours.append(_once(cursor, clock, plan.blocks[0].exact.sql, parameters))
            a, b = statistics.median(raw), statistics.median(ours)
            rows.append((name, f"{a:.1f}", f"{b:.1f}", f"{b / a:.2f}x"))
    return rows


class _Clock:
    """Processor time of a backend where the system tells it, else the wall's."""

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/schedstat")
        try:
            self._path.read_text()
        except OSError:
            self._path = Path()

    def milliseconds(self) -> float:
        if self._path == Path():
            return time.perf_counter() * 1e3
        return int(self._path.read_text().split()[0]) / 1e6


def _once(cursor: Any, clock: _Clock, sql: str, parameters: list[str | None]) -> float:
    began = clock.milliseconds()
    cursor.execute(sql, parameters)
    cursor.fetchall()
    return clock.milliseconds() - began


def _text(value: object) -> str | None:
    if isinstance(value, SelectionKey):
        return str(_KEY)
    return None if value is None else str(value)
