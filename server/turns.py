"""One at a time of the questions that are the same: the later ones wait, and find the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Who is answering what. For one process: two processes may both draw, and both are charged."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def turn(self, what: str) -> AsyncIterator[bool]:
        """Waits until nobody else is at ``what``. However the one before ended, the next goes on.

        Gives whether it had to wait.

        Args:
            what: the digest of a release.
        """
        waited = False
        while (other := self._under_way.get(what)) is not None:
            waited = True
            await other.wait()
        mine = self._under_way[what] = asyncio.Event()
        try:
            yield waited
        finally:
            del self._under_way[what]
            mine.set()
