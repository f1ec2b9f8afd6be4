"""What was read of the ledger, remembered for as long as its journal does not grow.

For answers that cost nothing: whether they still do is one look at the head, and no lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from typing import Any, TypeVar, cast

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.errors import LedgerUnavailable
from accountant.looks import Looks
from accountant.records import GENESIS, Chain
from accountant.transactions import WRITABLE, look, transaction

T = TypeVar("T")

_END = text(f"SELECT number, hash, greatest(at, clock_timestamp()) AS at, {WRITABLE} FROM head")
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
        self._looks = Looks(self._look)

    async def of(
        self,
        key: Hashable,
        find: Callable[[AsyncConnection, Chain], Awaitable[tuple[T, int]]],
        seen: Chain | None = None,
    ) -> tuple[T, Chain]:
        """What ``find`` finds, with the end of the journal, and the ledger's time, that it is of.

        Args:
            key: of what is to be found.
            find: reads it, in one transaction, at an end of the journal or after; and says how many
                characters it has.
            seen: an end that is new enough; else there is a look at it.

        Raises:
            LedgerUnavailable: the database failed.
        """
        if key in self._found:
            end = seen or await self._now()
            if (end.number, end.hash) == self._end and key in self._found:
                self._found.move_to_end(key)
                return cast("T", self._found[key][0]), end
        async with transaction(self._engine) as connection:
            end = await _end(connection)
            value, size = await find(connection, end)
        self._remember(end, key, value, size)
        return value, end

    async def _now(self) -> Chain:
        """The end of the journal at some moment after the call."""
        end = await self._looks.at(None)
        assert end is not None
        return end

    async def _look(self, _: Iterable[None]) -> Mapping[None, Chain]:
        (row,) = await look(self._engine, _END)
        return {None: _chain(row)}

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
    return _chain(row)


def _chain(row: Row[Any]) -> Chain:
    return Chain(row.number, row.hash, row.at)
