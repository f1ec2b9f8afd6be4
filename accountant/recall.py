"""What was read of the ledger, remembered for as long as its journal does not grow.

For answers that cost nothing: whether they still do is one look at the head, and no lock.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.errors import LedgerUnavailable
from accountant.records import GENESIS, Chain
from accountant.transactions import reading, transaction

T = TypeVar("T")

_END = text("SELECT number, hash, greatest(at, clock_timestamp()) AS at FROM head")
_MOST = 512
_MOST_TEXT = 1 << 24
"""Of how many things, and of how many characters in all: what was read last stays."""


class Recall:
    """Reads, and remembers what was read. All of it has to follow from the journal's entries."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._end = (0, GENESIS)
        self._found: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._text = 0
        self._looks: asyncio.Task[Chain] | None = None
        self._next: asyncio.Task[Chain] | None = None

    async def of(
        self,
        key: Hashable,
        find: Callable[[AsyncConnection, Chain], Awaitable[tuple[T, int]]],
    ) -> tuple[T, Chain]:
        """What ``find`` finds, with the end of the journal, and the ledger's time, that it is of.

        Args:
            key: of what is to be found.
            find: reads it, in one transaction, at an end of the journal or after; and says how many
                characters it has.

        Raises:
            LedgerUnavailable: the database failed.
        """
        if key in self._found:
            end = await self._now()
            if (end.number, end.hash) == self._end and key in self._found:
                self._found.move_to_end(key)
                return cast("T", self._found[key][0]), end
        async with transaction(self._engine) as connection:
            end = await _end(connection)
            value, size = await find(connection, end)
        self._remember(end, key, value, size)
        return value, end

    async def _now(self) -> Chain:
        """The end of the journal at some moment after the call; who calls meanwhile shares it."""
        if self._next is None:
            self._next = asyncio.create_task(self._look(self._looks))
        return await asyncio.shield(self._next)

    async def _look(self, before: asyncio.Task[Chain] | None) -> Chain:
        if before is not None:
            await asyncio.wait({before})
        self._looks, self._next = self._next, None  # who comes from now on needs a later one
        async with reading(self._engine) as connection:
            return await _end(connection)

    def _remember(self, end: Chain, key: Hashable, value: object, size: int) -> None:
        if (end.number, end.hash) != self._end:
            self._end, self._text = (end.number, end.hash), 0
            self._found.clear()
        self._text += size - self._found.pop(key, (None, 0))[1]
        self._found[key] = (value, size)
        while len(self._found) > _MOST or self._text > _MOST_TEXT:
            self._text -= self._found.popitem(last=False)[1][1]


async def _end(connection: AsyncConnection) -> Chain:
    row = (await connection.execute(_END)).one_or_none()
    if row is None:
        raise LedgerUnavailable
    return Chain(row.number, row.hash, row.at)
