"""Rows of exact statements, read and published as tests need them: all at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from analyzer.plan import Block, PrivatePlan, Statement
from server.engines import Engine
from server.noisy_cells import finish_input
from server.releases import Publisher

Rows = Sequence[Sequence[Any]]
Groups = list[tuple[tuple[Any, ...], list[int]]]
"""The groups of a block: their keys as JSON has them, and all their exact cells."""


def publish(plan: PrivatePlan, *exact: Rows) -> str:
    """What ``plan.finish`` reads, of the exact rows of each block."""
    publisher = Publisher(plan)
    for number, rows in enumerate(exact):
        publisher.take(number, rows)
    return finish_input(plan, publisher.release())


def noisy_groups(plan: PrivatePlan, rows: Rows) -> list[dict[str, Any]]:
    """The noisy groups of a plan of one block."""
    groups, _ = json.loads(publish(plan, rows))
    found: list[dict[str, Any]] = groups
    return found


async def fetched(engine: Engine, *statements: Statement) -> list[Rows]:
    """All rows of each statement, as an engine gives them."""
    found: list[Rows] = [[] for _ in statements]
    async with aclosing(engine.fetch(statements)) as chunks:
        async for number, rows in chunks:
            found[number] = [*found[number], *rows]
    return found


async def exact_rows(engine: Engine, plan: PrivatePlan) -> list[Rows]:
    """The exact rows of each block of a plan."""
    return await fetched(engine, *(block.exact for block in plan.blocks))


def assembled(block: Block, exact: Rows) -> Groups:
    """Every group of a block, read by the test's own eyes.

    The first part of the statement has every group; the others fill in cells, and where they have
    groups that the first has not (whose keys are not shown), nothing.
    """
    keys, start = len(block.key_types), 2 if len(block.parts) > 1 else 0
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in exact:
        part = block.parts[row[0] if start else 0]
        key = tuple(map(_key, row[start : start + keys]))
        if part is block.parts[0]:
            groups[key] = [0] * block.cells
        values = row[start + keys :]
        if key not in groups:
            continue
        if part.buckets:
            groups[key][part.cells[row[1]]] = int(values[0])
        else:
            for cell, value in zip(part.cells, values, strict=False):
                groups[key][cell] = int(value)
    return list(groups.items())


def _key(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def changed(plan: PrivatePlan, **fields: Any) -> PrivatePlan:
    """The plan with its one block changed."""
    (block,) = plan.blocks
    return replace(plan, blocks=(replace(block, **fields),))
