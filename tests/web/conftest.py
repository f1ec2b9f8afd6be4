"""A real server on 127.0.0.1, a real ledger; the analyzer and the data are stand-ins.

What the stand-ins answer does not matter here: these are tests of the front.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from analyzer.refusals import RowsRefused
from migrations import migrate
from server import finishes, plans
from server import gateway as gateway_module
from server.admission import admit_analyst, open_datasets
from server.app import Server, listen
from server.gateway import Gateway
from server.identity import Identity
from server.observations import Observation
from server.questions import Dataset
from server.web.services import Services
from tests.server.fakes import FakeAnswer, FakeEngine, FakePublisher, Road, catalog, plan


@dataclass
class Front:
    """A running server and what a test needs to look behind it."""

    client: httpx.AsyncClient
    port: int
    server: Server
    services: Services
    ledger: Ledger
    road: Road
    engine: FakeEngine
    tokens: dict[str, str]
    seen: list[Observation]
    serving: asyncio.Task[None]
    asked: list[dict[str, Any]] = field(default_factory=list)

    def headers(self, name: str = "ada") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}"}

    async def query(self, sql: str = "SELECT 1", name: str = "ada", **body: Any) -> httpx.Response:
        """Asks; the same text is another question each time, as far as nothing else is said."""
        return await self.client.post(
            "/v1/query", json={"sql": sql, "fresh": True, **body}, headers=self.headers(name)
        )

    async def spent(self, name: str = "ada") -> int:
        analyst = await self.ledger.find_analyst(name)
        return (await self.ledger.balances(analyst.id, "clinic")).analyst.spent.epsilon

    async def states(self, name: str = "ada") -> list[str]:
        analyst = await self.ledger.find_analyst(name)
        return [release.state for release in await self.ledger.releases(analyst.id)]


@pytest.fixture
def ledger_url(postgres):
    return postgres.fresh(postgres.template("web-ledger", migrate))


@pytest_asyncio.fixture
async def front(ledger_url, monkeypatch):
    async with running_front(ledger_url, monkeypatch) as front:
        yield front


@asynccontextmanager
async def running_front(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, **limits: Any
) -> AsyncIterator[Front]:
    road = Road()
    asked: list[dict[str, Any]] = []

    def analyze(sql: str, _: Any, *, ask: Any, parameters: Any, **__: Any) -> Any:
        asked.append({"sql": sql, "ask": ask, "parameters": parameters})
        if "name" in sql:
            raise RowsRefused("It would return rows.", detail="d", hint="Count them.", position=8)
        return plan(ask)

    monkeypatch.setattr(plans, "analyze", analyze)
    monkeypatch.setattr(gateway_module, "Publisher", FakePublisher)
    monkeypatch.setattr(finishes, "answer", lambda *_: FakeAnswer())
    seen: list[Observation] = []
    database = ledger_engine(ledger_url)
    ledger, identity, engine = Ledger(database), Identity(database), FakeEngine(road)
    limits = {"plans_kept": 0, **limits}
    gateway = Gateway({"clinic": Dataset(catalog(), engine)}, ledger, seen.append, **limits)
    tokens = await admit(ledger, identity)
    services = Services(
        gateway, ledger, identity, seen.append, {"data": _is_ready(engine)}, body_bytes=10_000
    )
    server = Server(services, grace=0.2)
    with listen("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        serving = asyncio.create_task(server.serve([door]))
        await server.listening.wait()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield Front(
                client, port, server, services, ledger, road, engine, tokens, seen, serving, asked
            )
        server.should_exit = True
        await serving
    await ledger.close()
    await database.dispose()


async def admit(ledger: Ledger, identity: Identity) -> dict[str, str]:
    await open_datasets(ledger, [catalog()], by="test")
    tokens = {"admin": await identity.new_token(None)}
    for name in ("ada", "bob"):
        await admit_analyst(ledger, [catalog()], name, by="test")
        tokens[name] = await identity.new_token(name)
    return tokens


def _is_ready(engine: FakeEngine):
    async def check() -> None:
        if not engine.is_ready:
            raise ConnectionError("host=secret")

    return check
