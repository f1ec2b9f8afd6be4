"""Record and replay: the exact statement of a plan on a database and on each of its neighbours.

The guarantee rests on one claim: taking one person out changes the exact cells by no more than the
declared sensitivity, and changes nothing else. :func:`violations` compares two recordings and says
in words what breaks it (after Cebere et al. 2026, who call the method Re:cord-play).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self

import psycopg
from psycopg import RawCursor
from psycopg.types.string import TextLoader

from analyzer.plan import Block, Draw, PrivatePlan, SelectionKey, Statement
from tests.released import assembled

Row = tuple[Any, ...]
Groups = dict[Row, list[int]]
"""All exact cells of each group, by its keys."""

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
        return self.execute(statement.sql, [*first, *map(as_text, statement.parameters)])

    def exact(self, plan: PrivatePlan) -> list[list[Row]]:
        """The exact rows of each block of a plan."""
        return [self.run(block.exact) for block in plan.blocks]

    def execute(self, text: str, parameters: Sequence[str | None] = ()) -> list[Row]:
        rows = self.connection.execute(text.encode(), parameters).fetchall()
        return [tuple(map(_comparable, row)) for row in rows]

    @contextmanager
    def having(self, name: str, value: str = "on") -> Iterator[None]:
        """Inside, a setting of the views is another: ``without`` a person by number; ``ghosts``,
        thousands of rows that have no owner; ``owned``, no such row; ``nobody``, no row at all."""
        set_it = "SELECT set_config('test.' || $1, $2, false)"
        self.connection.execute(set_it, [name, value])
        try:
            yield
        finally:
            self.connection.execute(set_it, [name, ""])

    def without(self, person: int) -> AbstractContextManager[None]:
        """Inside, all rows of one person are gone."""
        return self.having("without", str(person))


def _comparable(value: Any) -> Any:
    """Python's NaN is unequal to itself, while in Postgres it is one key like any other."""
    return "NaN" if isinstance(value, Decimal) and value.is_nan() else value


def as_text(value: Any) -> str | None:
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


def violations(
    plan: PrivatePlan, more: Sequence[Sequence[Row]], fewer: Sequence[Sequence[Row]]
) -> list[str]:
    """What breaks the guarantee between the exact rows of two neighbours, in words; none if none.

    Args:
        plan: what was declared.
        more: rows of each block with the person.
        fewer: rows of each block without.
    """
    each = zip(plan.blocks, more, fewer, strict=True)
    return [text for block, a, b in each for text in _block_violations(block, a, b)]


def _block_violations(block: Block, more: Sequence[Row], fewer: Sequence[Row]) -> list[str]:
    found = [*_malformed(block, more), *_malformed(block, fewer)]
    if found:
        return found
    a, b = (dict(assembled(block, rows)) for rows in (more, fewer))
    if block.public_keys and list(a) != list(b):
        found.append(f"public keys differ: {set(a) ^ set(b)} or their order")
    if [key for key in a if key in b] != [key for key in b if key in a]:
        found.append("the order of the groups differs")
    for draw in block.draws:
        moved = _moved(block, draw, a, b)
        l1, l2_squared = sum(map(abs, moved)), sum(m * m for m in moved)
        if l1 > draw.sensitivity.l1:
            found.append(f"{draw.label}: L1 distance {l1} > {draw.sensitivity.l1}")
        if l2_squared > draw.sensitivity.l2_squared:
            found.append(f"{draw.label}: L2^2 {l2_squared} > {draw.sensitivity.l2_squared}")
    return found + _key_violations(block, a, b)


def _moved(block: Block, draw: Draw, a: Groups, b: Groups) -> list[int]:
    """The changes of a draw's cells.

    Cells beside the first part of a statement have a group only where the first part has it. A
    group that only one side has is shown on neither side but for the delta of the threshold, which
    the test of its count of people covers; so there such cells are left out.
    """
    first_part = set(draw.cells) <= set(block.parts[0].cells)
    zeros = [0] * block.cells
    keys = {*a, *b} if first_part or block.public_keys else {*a} & {*b}
    return [a.get(key, zeros)[c] - b.get(key, zeros)[c] for key in keys for c in draw.cells]


def _malformed(block: Block, rows: Sequence[Row]) -> list[str]:
    several = len(block.parts) > 1
    named = len(block.key_types) + (2 if several else 0)
    found = []
    if len({row[:named] for row in rows}) != len(rows):
        found.append("one key has several rows")
    if any(not _is_integer(cell) for row in rows for cell in row[named:]):
        found.append("a cell is not an integer")
    if not block.key_types and len([row for row in rows if not several or row[0] == 0]) != 1:
        found.append(f"a total has {len(rows)} rows")
    return found


def _is_integer(cell: Any) -> bool:
    return type(cell) is int or (
        isinstance(cell, Decimal) and cell.is_finite() and cell == cell.to_integral_value()
    )


def _key_violations(block: Block, a: Groups, b: Groups) -> list[str]:
    """What thresholding takes for granted: a person adds at most 1 to the count of people in a
    group, and is alone in at most ``max_groups`` groups."""
    if block.selection is None:
        return []
    found = []
    draw = block.draws[block.selection]
    (people,) = draw.cells
    most = draw.sensitivity.l1
    alone = [key for key in {*a, *b} if key not in a or key not in b]
    if len(alone) > most:
        found.append(f"{len(alone)} groups are one person's, more than {most}")
    if any(abs({**a, **b}[key][people]) > block.members for key in alone):
        found.append(f"a group of one person counts more than {block.members}")
    if any(abs(a[key][people] - b[key][people]) > block.members for key in a if key in b):
        found.append(f"one person adds more than {block.members} to a count of people")
    return found


def replay(plan: PrivatePlan, source: Replay, people: Sequence[int]) -> list[str]:
    """Runs a plan on a database and on all its neighbours; everything that breaks the guarantee."""
    whole = source.exact(plan)
    found = []
    for setting in ("ghosts", "owned"):
        with source.having(setting):
            if source.exact(plan) != whole:
                found.append("rows without an owner matter")
    with source.having("nobody"):
        nothing = source.exact(plan)
    for block, rows, none in zip(plan.blocks, whole, nothing, strict=True):
        declared, shown = ([key for key, _ in assembled(block, r)] for r in (none, rows))
        if block.public_keys and declared != shown:
            found.append("public keys depend on the data")
    for person in people:
        with source.without(person):
            fewer = source.exact(plan)
        found += [f"without {person}: {text}" for text in violations(plan, whole, fewer)]
    return found
