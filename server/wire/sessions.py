"""The open sessions: how many of whom, and how one is cancelled or ended from outside."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from server.wire.startup import LoginRefused


@dataclass(frozen=True, slots=True)
class Entry:
    """One open session.

    Attributes:
        pid: of its shadow, which is what ``pg_backend_pid()`` says.
        secret: of our own making: whoever knows it may cancel.
        cancel: stops what runs in it now.
        task: in which it runs; cancelled, it ends.
    """

    analyst: UUID
    pid: int
    secret: bytes
    cancel: Callable[[], Coroutine[Any, Any, None]]
    task: asyncio.Task[Any]


class Sessions:
    """All open sessions of one server.

    Args:
        per_analyst: how many one analyst may have.
    """

    def __init__(self, per_analyst: int) -> None:
        self._per_analyst = per_analyst
        self._open: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def entered(self, entry: Entry) -> Iterator[None]:
        """The session is open inside of the block.

        Raises:
            LoginRefused: its analyst has as many as one may have.
        """
        theirs = sum(other.analyst == entry.analyst for other in self._open.values())
        if theirs >= self._per_analyst:
            raise LoginRefused(
                "53300",
                "You have too many connections.",
                detail=f"One analyst may have {self._per_analyst} at once.",
                hint="Close one of them.",
            )
        self._open[entry.pid] = entry
        try:
            yield
        finally:
            del self._open[entry.pid]

    async def cancel(self, pid: int, secret: bytes) -> None:
        """What a CancelRequest asks for. Nobody is told whether there was anything to cancel."""
        entry = self._open.get(pid)
        if hmac.compare_digest(b"" if entry is None else entry.secret, secret) and entry:
            await entry.cancel()

    async def signal(self, analyst: UUID, pid: int, *, ends: bool) -> bool:
        """Cancels what runs in another session of the same analyst, or ends it; whether there is
        such a session."""
        entry = self._open.get(pid)
        if entry is None or entry.analyst != analyst:
            return False
        if ends:
            entry.task.cancel()
        else:
            await entry.cancel()
        return True
