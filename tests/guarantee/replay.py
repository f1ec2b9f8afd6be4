"""Record and replay: the exact statement of a plan on a database and on each of its neighbours.

The guarantee rests on one claim: taking one person out changes the exact cells by no more than the
declared sensitivity, and changes nothing else. :func:`violations` compares two recordings and says
in words what breaks it (after Cebere et al. 2026, who call the method Re:cord-play).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self

import psycopg
from psycopg import RawCursor
from psycopg.types.string import TextLoader

from analyzer.plan import PrivatePlan, SelectionKey, Statement

Row = tuple[Any, ...]

_SELECTION_KEY = 4_611_686_018_427_387_903
_SETTINGS = {
    "search_path": "pg_catalog",
    "TimeZone": "UTC",
    "DateStyle": "ISO,YMD",
    "extra_float_digits": "1",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}


class Replay:
    """A connection that runs statements as the engine does, on any neighbour of a database.

    Statements are prepared and planned once, which is most of the time of a small one.
    """

    def __init__(self, uri: str, *, planned_once: bool = True) -> None:
        settings = dict(_SETTINGS)
        if planned_once:
            settings["plan_cache_mode"] = "force_generic_plan"
        self.connection = psycopg.connect(
            uri,
            autocommit=True,
            cursor_factory=RawCursor,
            prepare_threshold=0 if planned_once else None,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )
        for name in ("date", "timestamp", "timestamptz", "uuid"):
            self.connection.adapters.register_loader(name, TextLoader)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def run(self, statement: Statement, *first: str) -> list[Row]:
        """The rows of a statement; ``first`` are parameters before its own."""
        return self.execute(statement.sql, [*first, *map(_as_text, statement.parameters)])

    def execute(self, text: str, parameters: Sequence[str | None] = ()) -> list[Row]:
        rows = self.connection.execute(text.encode(), parameters).fetchall()
        return [tuple(map(_comparable, row)) for row in rows]

    @contextmanager
    def without(self, person: int) -> Iterator[None]:
        """Inside, all rows of one person are gone."""
        self._set("test.without", str(person))
        try:
            yield
        finally:
            self._set("test.without", "")

    @contextmanager
    def ghosts(self) -> Iterator[None]:
        """Inside, thousands of rows without an owner are there as well."""
        self._set("test.ghosts", "on")
        try:
            yield
        finally:
            self._set("test.ghosts", "off")

    @contextmanager
    def nobody(self) -> Iterator[None]:
        """Inside, the protected tables are empty."""
        self._set("test.nobody", "on")
        try:
            yield
        finally:
            self._set("test.nobody", "off")

    def _set(self, name: str, value: str) -> None:
        self.connection.execute("SELECT set_config($1, $2, false)", [name, value])


def _comparable(value: Any) -> Any:
    """Python's NaN is unequal to itself, while in Postgres it is one key like any other."""
    return "NaN" if isinstance(value, Decimal) and value.is_nan() else value


def _as_text(value: Any) -> str | None:
    """As ``server.engines.postgres`` spells parameters."""
    if isinstance(value, SelectionKey):
        return str(_SELECTION_KEY)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def violations(plan: PrivatePlan, more: Sequence[Row], fewer: Sequence[Row]) -> list[str]:
    """What breaks the guarantee between the exact rows of two neighbours, in words; none if none.

    Args:
        plan: what was declared.
        more: rows with the person.
        fewer: rows without.
    """
    found = [*_malformed(plan, more), *_malformed(plan, fewer)]
    if found:
        return found
    keys = len(plan.key_types)
    a, b = ({row[:keys]: row[keys:] for row in rows} for rows in (more, fewer))
    if plan.public_keys and list(a) != list(b):
        found.append(f"public keys differ: {set(a) ^ set(b)} or their order")
    common = [key for key in a if key in b]
    if common != [key for key in b if key in a]:
        found.append("the order of the groups differs")
    zeros = (0,) * sum(len(draw.cells) for draw in plan.draws)
    changes = [
        tuple(int(x) - int(y) for x, y in zip(a.get(key, zeros), b.get(key, zeros), strict=True))
        for key in {*a, *b}
    ]
    for draw in plan.draws:
        moved = [change[cell] for change in changes for cell in draw.cells]
        l1, l2_squared = sum(map(abs, moved)), sum(m * m for m in moved)
        if l1 > draw.sensitivity.l1:
            found.append(f"{draw.label}: L1 distance {l1} > {draw.sensitivity.l1}")
        if l2_squared > draw.sensitivity.l2_squared:
            found.append(f"{draw.label}: L2^2 {l2_squared} > {draw.sensitivity.l2_squared}")
    return found + _key_violations(plan, a, b)


def _malformed(plan: PrivatePlan, rows: Sequence[Row]) -> list[str]:
    keys = len(plan.key_types)
    found = []
    if len({row[:keys] for row in rows}) != len(rows):
        found.append("one key has several rows")
    if any(not _is_integer(cell) for row in rows for cell in row[keys:]):
        found.append("a cell is not an integer")
    if not keys and len(rows) != 1:
        found.append(f"a total has {len(rows)} rows")
    return found


def _is_integer(cell: Any) -> bool:
    return type(cell) is int or (
        isinstance(cell, Decimal) and cell.is_finite() and cell == cell.to_integral_value()
    )


def _key_violations(plan: PrivatePlan, a: dict[Row, Row], b: dict[Row, Row]) -> list[str]:
    """What thresholding takes for granted: a person adds at most 1 to the count of people in a
    group, and is alone in at most ``max_groups`` groups."""
    if plan.selection is None:
        return []
    found = []
    draw = plan.draws[plan.selection]
    (people,) = draw.cells
    most = draw.sensitivity.l1
    alone = [key for key in {*a, *b} if key not in a or key not in b]
    if len(alone) > most:
        found.append(f"{len(alone)} groups are one person's, more than {most}")
    if any(abs(int({**a, **b}[key][people])) > 1 for key in alone):
        found.append("a group of one person counts more than one")
    if any(abs(int(a[key][people]) - int(b[key][people])) > 1 for key in a if key in b):
        found.append("one person adds more than 1 to a count of people")
    return found


def replay(plan: PrivatePlan, source: Replay, people: Sequence[int]) -> list[str]:
    """Runs a plan on a database and on all its neighbours; everything that breaks the guarantee."""
    whole = source.run(plan.exact)
    found = []
    with source.ghosts():
        if source.run(plan.exact) != whole:
            found.append("rows without an owner matter")
    if plan.public_keys:
        keys = len(plan.key_types)
        with source.nobody():
            declared = [row[:keys] for row in source.run(plan.exact)]
        if declared != [row[:keys] for row in whole]:
            found.append("public keys depend on the data")
    for person in people:
        with source.without(person):
            fewer = source.run(plan.exact)
        found += [f"without {person}: {text}" for text in violations(plan, whole, fewer)]
    return found


def tampered(plan: PrivatePlan, old: str, new: str) -> PrivatePlan:
    """The plan with a part of its exact statement changed: a planted bug.

    Raises:
        AssertionError: the part is not there, so nothing would be planted.
    """
    assert old in plan.exact.sql, f"{old!r} is not in\n{plan.exact.sql}"
    return replace(plan, exact=replace(plan.exact, sql=plan.exact.sql.replace(old, new)))
