"""Work that stops when the one who asked for it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from server.wanted import while_wanted

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, which is cancelled when the connection closes before it is there.

    The body of the request must have been read. Returns or raises only when the work has ended, so
    that nothing goes on behind a closed connection.

    Raises:
        Cancelled: the connection closed, or somebody else cancelled the work.
    """
    return await while_wanted(asyncio.create_task(work), _closed(request))


async def _closed(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
