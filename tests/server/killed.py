"""A server process that kills itself in the middle of a question: run by test_kill.

Arguments: the ledger's URI, the analyst's id, and the place. Data and noise are stand-ins; the
gateway and the ledger are the real ones.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from server import finishes, gateway, plans
from server.gateway import Gateway
from server.questions import Dataset, Question
from tests.server.fakes import FakeAnswer, FakeEngine, FakePublisher, Road, catalog, plan

PLACES = (
    "before reserve",
    "after reserve",
    "in ready",
    "before dispatch",
    "after dispatch",
    "in fetch",
    "in publish",
    "in finish",
    "in answer",
    "before settle",
    "after settle",
)


def die(*_: object) -> None:
    """As ``kill -9`` from outside: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(work: Callable[..., Awaitable[Any]], when: str) -> Callable[..., Awaitable[Any]]:
    """The same, with the end of the process before or after it."""

    async def killing(*arguments: Any) -> Any:
        if when == "before":
            die()
        await work(*arguments)
        die()

    return killing


async def main(uri: str, analyst: str, place: str) -> None:
    when, station = place.split()
    ledger, road = Ledger(ledger_engine(uri)), Road()
    setattr(plans, "analyze", lambda *_, **__: plan())  # noqa: B010 - mypy knows its real type
    setattr(finishes, "answer", lambda *_: FakeAnswer())  # noqa: B010
    publish = die if station == "publish" else lambda: None
    setattr(gateway, "Publisher", lambda _: FakePublisher(plan(), publish))  # noqa: B010
    if station == "answer":
        setattr(finishes, "answer", die)  # noqa: B010
    elif when == "in":
        road.at[station] = die
    else:
        setattr(ledger, station, deadly(getattr(ledger, station), when))
    engine = FakeEngine(road)
    await Gateway({"clinic": Dataset(catalog(), engine)}, ledger, lambda _: None).query(
        UUID(analyst), Question("SELECT 1", request_id="r")
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
