"""Work that goes on as long as somebody waits for it, at either door."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from server.errors import Cancelled

T = TypeVar("T")


async def while_wanted(
    task: asyncio.Task[T], gone: Coroutine[Any, Any, object], seconds: float | None = None
) -> T:
    """The result of a task, which is cancelled when its asker is gone, and then seen to its end.

    Args:
        task: the work.
        gone: returns when nobody waits any more.
        seconds: after how many nobody waits any more either.

    Raises:
        Cancelled: nobody waited any more, or somebody else cancelled the task.
    """
    leaving = asyncio.create_task(gone)
    try:
        await asyncio.wait({task, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        while not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        raise Cancelled
    return task.result()
