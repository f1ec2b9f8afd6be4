"""Looks at the ledger that are shared: who asks while one is under way is answered by the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Looks(Generic[K, V]):
    """One look at a time, for all who wait for it.

    Args:
        look: what there is for each of some keys; where nothing is, the key may be missing.
    """

    def __init__(self, look: Callable[[Iterable[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._look = look
        self._wanted: set[K] = set()
        self._under_way: asyncio.Task[Mapping[K, V]] | None = None
        self._next: asyncio.Task[Mapping[K, V]] | None = None

    async def at(self, key: K) -> V | None:
        """What a look that begins after the call finds.

        Raises:
            Exception: what the look raises.
        """
        self._wanted.add(key)
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._under_way))
        return (await asyncio.shield(self._next)).get(key)

    async def _after(self, before: asyncio.Task[Mapping[K, V]] | None) -> Mapping[K, V]:
        if before is not None and not before.done():
            await asyncio.wait({before})
        self._under_way, self._next = self._next, None  # who comes from now on needs a later one
        wanted, self._wanted = self._wanted, set()
        return await self._look(wanted)
