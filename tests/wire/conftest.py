"""The whole Postgres front on 127.0.0.1: a real shadow, ledger and clinic, in a thread of its own.

Clients in the tests are real ones, and block; so the server has a loop of its own to run in.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import psycopg
import pytest

from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from analyzer.catalog import Catalog, Table
from migrations import migrate
from server.admission import admit_analyst, open_datasets
from server.app import listen
from server.engines.postgres import Bounds, PostgresEngine
from server.gateway import Gateway
from server.identity import Identity
from server.observations import Observation
from server.policy import parse_policy
from server.questions import Dataset
from server.shadow.shadow import Shadow
from server.wire.server import Limits, Parts, WireServer
from server.wire.tls import Tls, tls
from tests.fixture import CITIES, clinic, load, policy
from tests.postgres import Postgres

T = TypeVar("T")

CATALOG = parse_policy(policy(1_000, 900_000))

PATIENCE = 20

SHARED = "superset"
"""The login of a tool that many people share."""


@dataclass
class Door:
    """A running front and what a test needs to look behind it."""

    loop: asyncio.AbstractEventLoop
    port: int
    gateway: Gateway
    ledger: Ledger
    identity: Identity
    server: WireServer
    shadow: Shadow
    tls: Tls
    seen: list[Observation]
    tokens: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def analyst(self, name: str = "") -> str:
        """The name of somebody new, who has a token."""
        name = name or f"ada{next(self.numbers)}"
        self.run(admit_analyst(self.ledger, [CATALOG], name, by="test"))
        self.tokens[name] = self.run(self.identity.new_token(name))
        return name

    def spent(self, name: str) -> int:
        """Epsilon, in 1e-12."""

        async def ask() -> int:
            analyst = await self.ledger.find_analyst(name)
            return (await self.ledger.balances(analyst.id, "clinic")).analyst.spent.epsilon

        return self.run(ask())

    def where(self, name: str, **more: Any) -> dict[str, Any]:
        """Parameters of libpq for a login."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "dbname": "clinic",
            "user": name,
            "password": self.tokens.get(name, "none"),
            **more,
        }

    def connect(self, name: str, **more: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(**self.where(name, autocommit=True, **more))


_others = count(1000)


def new_question() -> str:
    """One that nobody has asked: an answer that is known would be given again, for nothing."""
    return f"SELECT count(*) FROM patients WHERE age <> {next(_others)}"


def until(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


async def public_rows(table: Table) -> bytes | None:
    return "".join(f"{name}\t{region}\n" for name, region in CITIES).encode()


def _clinic(url: str) -> str:
    return load(url, clinic(patients=200, visits=800))


@pytest.fixture(scope="session")
def door(postgres: Postgres) -> Iterator[Door]:
    with running_door(postgres) as door:
        yield door


@contextmanager
def running_door(
    postgres: Postgres, catalog: Catalog = CATALOG, load_data: Callable[[str], str] = _clinic
) -> Iterator[Door]:
    """A front before a data set of the clinic's name, whose tables ``load_data`` makes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = AsyncExitStack()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    try:
        data = load_data(postgres.fresh())
        yield run(_open(stack, postgres.fresh(postgres.template("ledger", migrate)), data, catalog))
    finally:
        run(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _open(stack: AsyncExitStack, ledger_uri: str, data: str, catalog: Catalog) -> Door:
    database = ledger_engine(ledger_uri)
    stack.push_async_callback(database.dispose)
    ledger = Ledger(database)
    stack.push_async_callback(ledger.close)
    await open_datasets(ledger, [catalog], by="test")
    engine = await PostgresEngine(data, Bounds(connections=4)).open()
    stack.push_async_callback(engine.close)
    shadow = await Shadow([catalog], public_rows).open()
    stack.push_async_callback(shadow.close)
    seen: list[Observation] = []
    gateway = Gateway({"clinic": Dataset(catalog, engine)}, ledger, seen.append)
    identity, encryption = Identity(database), tls(None, None)
    server = WireServer(
        Parts(gateway, ledger, identity, shadow, encryption, seen.append),
        Limits(login_seconds=5, per_analyst=5, shared_logins=frozenset({SHARED})),
    )
    socket = stack.enter_context(listen("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(socket))

    async def stop() -> None:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    stack.push_async_callback(stop)
    port = socket.getsockname()[1]
    loop = asyncio.get_running_loop()
    return Door(loop, port, gateway, ledger, identity, server, shadow, encryption, seen)


@pytest.fixture
def name(door: Door) -> str:
    return door.analyst()


@pytest.fixture
def ada(door: Door, name: str) -> Iterator[psycopg.Connection[Any]]:
    with door.connect(name) as connection:
        yield connection
