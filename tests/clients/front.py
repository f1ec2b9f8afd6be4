"""epsql itself, as ``epsql serve`` starts it, in a thread of its own, with its noise taken out.

A question about people is analyzed, reserved, fetched and bound into the shadow as ever; only the
draws are zero. So every client can be held against a plain Postgres with the same rows.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

import pytest

from accountant.ledger import Ledger
from analyzer.catalog import Catalog
from mechanisms import noise
from server.admission import admit_analyst
from server.app import Running, listen, running, serving_wire
from server.identity import Identity
from server.observations import Observation
from server.settings import Settings
from tests.clients.place import Place

T = TypeVar("T")


class Front:
    """A running epsql and what a test needs to look behind it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, behind: Running, port: int) -> None:
        self._loop = loop
        self._services = behind.services
        assert behind.wire is not None
        self.shadow = behind.wire._parts.shadow
        self.port = port

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def place(self, catalog: Catalog, analyst: str) -> Place:
        """Where an analyst connects, who is new and has a token."""
        ledger: Ledger = self._services.ledger
        identity: Identity = self._services.identity
        self.run(admit_analyst(ledger, [catalog], analyst, by="test"))
        token = self.run(identity.new_token(analyst))
        return Place(self.port, catalog.dataset, analyst, token, "require")

    def spent(self, place: Place) -> int:
        """Epsilon of an analyst, in 1e-12."""

        async def ask() -> int:
            analyst = await self._services.ledger.find_analyst(place.user)
            balances = await self._services.ledger.balances(analyst.id, place.database)
            return balances.analyst.spent.epsilon

        return self.run(ask())


@contextmanager
def without_noise() -> Iterator[None]:
    """Every draw is zero. For comparing with a plain Postgres, and for nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise, "_invoke", lambda _, values: list(values))
        yield


@contextmanager
def running_front(catalog: Catalog, ledger_url: str, data_url: str) -> Iterator[Front]:
    """The server, its ledger already migrated; stopped at the end."""
    settings = Settings.model_validate(
        {
            "ledger_url": ledger_url,
            "data_url": data_url,
            "policy": "not read",
            "release_tick_ms": 0,
            "wire_connections_per_analyst": 50,
        }
    )
    seen: list[Observation] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = AsyncExitStack()

    async def start() -> Front:
        door = stack.enter_context(listen("127.0.0.1", 0))
        behind = await stack.enter_async_context(running(settings, [catalog], seen.append))
        await stack.enter_async_context(serving_wire(behind.wire, door))
        return Front(loop, behind, door.getsockname()[1])

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    try:
        yield run(start())
    finally:
        run(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
