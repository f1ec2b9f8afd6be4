"""A real server over several clinics, with a spy between it and Postgres.

The server is the one of ``epsql serve``: gateway, ledger, engine, noise, HTTP. Which clinic its
engine reads is switched behind its back, so that one analyst, with one account, can ask the same
question of a clinic, of its neighbour, and of an empty one.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import httpx
import psycopg

from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from analyzer.catalog import Catalog
from analyzer.plan import Statement
from server.admission import open_datasets
from server.app import Server, listen
from server.engines import Engine, ExactRows, Row
from server.engines.postgres import Bounds, PostgresEngine
from server.gateway import Gateway
from server.identity import Identity
from server.observations import Observation
from server.policy import parse_policy
from server.policy_grants import grants_sql
from server.questions import Dataset
from server.web.services import Services
from tests import fixture
from tests.guarantee import data
from tests.guarantee.attacks.corpus import Text
from tests.postgres import Postgres, database_of

T = TypeVar("T")

READER = "attacks_reader"
ROOMY = 10**18
"""A cap that no test reaches, in ledger steps."""
SHARED = "shared"
"""A second data set, over the same tables, whose own account is small."""
POLICY = fixture.policy(9_000, 90_000)


class Spy:
    """An engine that passes everything on to the clinic in use, and counts."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.engines = dict(engines)
        self.here = "D"
        self.calls: list[str] = []

    @property
    def _engine(self) -> Engine:
        return self.engines[self.here]

    def fetch(self, statements: Sequence[Statement]) -> AsyncGenerator[tuple[int, ExactRows]]:
        self.calls.append("fetch")
        return self._engine.fetch(statements)

    async def finish(self, statement: Statement, noisy_rows: str) -> list[Row]:
        self.calls.append("finish")
        return await self._engine.finish(statement, noisy_rows)

    async def ready(self) -> bool:
        self.calls.append("ready")
        return await self._engine.ready()

    async def close(self) -> None:
        for engine in self.engines.values():
            await engine.close()


@dataclass(frozen=True, slots=True)
class Books:
    """Everything in the ledger that an analyst's question could move."""

    entries: tuple[Any, ...]
    accounts: tuple[Any, ...]


class World:
    """A running server, and all that a test may look at behind it."""

    def __init__(
        self,
        catalogs: Sequence[Catalog],
        clinics: Mapping[str, str],
        ledger_uri: str,
        watch: psycopg.Connection[Any],
    ) -> None:
        """
        Args:
            catalogs: the data sets that are served; all read the same tables.
            clinics: URIs of databases by name, for a role that may only read.
            ledger_uri: of the ledger's database.
            watch: a superuser's connection to the same cluster.
        """
        self.catalogs = catalogs
        self.seen: list[Observation] = []
        self.watch = watch
        self.uris = clinics
        self._ledger_uri = ledger_uri
        self._books = psycopg.connect(ledger_uri, autocommit=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.tokens: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.analyst("ada")
        self.analyst("bob")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._books.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _start(self) -> None:
        self.database = ledger_engine(self._ledger_uri)
        self.ledger = Ledger(self.database)
        self.identity = Identity(self.database)
        await open_datasets(self.ledger, self.catalogs, by="test")
        engines = {
            name: await PostgresEngine(uri, Bounds(connections=4)).open()
            for name, uri in self.uris.items()
        }
        self.spy = Spy(engines)
        self.gateway = Gateway(
            {catalog.dataset: Dataset(catalog, self.spy) for catalog in self.catalogs},
            self.ledger,
            self.seen.append,
        )
        services = Services(
            self.gateway, self.ledger, self.identity, self.seen.append, {}, body_bytes=256 * 1024
        )
        self.server = _Server(services, grace=0.2)
        door = listen("127.0.0.1", 0)
        self.port: int = door.getsockname()[1]
        self.serving = asyncio.create_task(self.server.serve([door]))
        await self.server.listening.wait()

    async def _stop(self) -> None:
        self.server.should_exit = True
        await self.serving
        await self.spy.close()
        await self.ledger.close()
        await self.database.dispose()

    def analyst(
        self, name: str, *, epsilon: int = ROOMY, delta: int = ROOMY, dataset: str = "clinic"
    ) -> str:
        """Admits an analyst, with caps in ledger steps; returns the name."""

        async def admit() -> str:
            analyst = await self.ledger.add_analyst(name)
            await self.ledger.open_account(analyst.id, dataset, epsilon, delta)
            return await self.identity.new_token(name)

        self.tokens[name] = self.run(admit())
        return name

    @contextmanager
    def on(self, clinic: str) -> Iterator[None]:
        """Inside, the server reads another clinic."""
        before, self.spy.here = self.spy.here, clinic
        try:
            yield
        finally:
            self.spy.here = before

    def ask(
        self, sql: str, *, who: str = "ada", path: str = "/v1/query", **fields: Any
    ) -> httpx.Response:
        """Sends a question, to be drawn anew unless ``fresh=False``: the server is moved from one
        clinic to another here, of which the ledger knows nothing."""
        body = {"dataset": "clinic", "sql": sql, "fresh": True, **fields}
        return self.send(json.dumps(body), who, path)

    def send(
        self,
        body: str | bytes,
        who: str = "ada",
        path: str = "/v1/query",
        client: httpx.Client | None = None,
    ) -> httpx.Response:
        """Sends bytes as the body of a question."""
        return (client or self.client).post(path, content=body, headers=self.headers(who))

    def headers(self, who: str = "ada") -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.tokens[who]}",
            "Content-Type": "application/json",
        }

    def put(self, text: Text, clinic: str = "D", path: str = "/v1/query") -> httpx.Response:
        """Sends a text of the corpus while the server reads a clinic."""
        if text.body is not None:
            body = text.body
        else:
            fields = {"dataset": "clinic", "sql": text.sql, "fresh": True, **text.ask}
            if text.parameters:
                fields["parameters"] = list(text.parameters)
            body = json.dumps(fields)
        with nullcontext() if clinic == self.spy.here else self.on(clinic):
            return self.send(body.encode(), path=path)

    def put_all(
        self, texts: Sequence[Text], clinic: str, path: str = "/v1/query"
    ) -> dict[str, httpx.Response]:
        """Sends many texts; the replies by the texts' names."""
        return {text.name: self.put(text, clinic, path) for text in texts}

    def books(self) -> Books:
        """The ledger as it is now, but for the answers."""
        entries = self._books.execute(
            "SELECT count(*) FILTER (WHERE doc ->> 'kind' = 'reserve'), max(number),"
            " count(*) FILTER (WHERE doc ->> 'kind' = 'answer'),"
            " count(*) FILTER (WHERE doc ->> 'kind' = 'fail'),"
            " coalesce(sum((doc -> 'loss' ->> 'epsilon')::bigint), 0),"
            " coalesce(sum((doc -> 'loss' ->> 'delta')::bigint), 0) FROM entries"
        ).fetchone()
        accounts = self._books.execute("SELECT a::text FROM accounts a ORDER BY id").fetchall()
        assert entries
        return Books(tuple(entries), tuple(row[0] for row in accounts))

    def spent(self, who: str | None, dataset: str = "clinic") -> tuple[int, int]:
        """Epsilon and delta of an analyst's account, or of the data set's own, in ledger steps."""
        row = self._books.execute(
            "SELECT epsilon_spent, delta_spent FROM accounts a LEFT JOIN analysts n"
            " ON n.id::text = a.holder WHERE n.name IS NOT DISTINCT FROM %s AND dataset = %s",
            [who, dataset],
        ).fetchone()
        assert row
        return (row[0], row[1])

    def statements(self) -> list[tuple[Any, ...]]:
        """When each backend of the engine was last spoken to, as Postgres itself says."""
        return self.watch.execute(
            "SELECT pid, query_start, state_change FROM pg_stat_activity"
            " WHERE application_name = 'epsql' ORDER BY pid"
        ).fetchall()


class _Server(Server):
    """Leaves signals to the test run: it is not in the main thread."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def shared_policy() -> str:
    """The same tables as a second data set, of which all analysts together may spend little."""
    return fixture.policy(10, 10).replace('dataset = "clinic"', f'dataset = "{SHARED}"')


@contextmanager
def running(
    postgres: Postgres, ledger_uri: str, clinics: Mapping[str, fixture.Clinic]
) -> Iterator[World]:
    """A server over clinics that are made for it."""
    catalogs = [parse_policy(POLICY), parse_policy(shared_policy())]
    postgres.execute(
        f"DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    uris = {}
    for name, clinic in clinics.items():
        uri = fixture.load(postgres.fresh(), clinic)
        with psycopg.connect(uri) as connection:
            connection.execute(grants_sql(catalogs[0], READER).encode())
        uris[name] = postgres.uri(database_of(uri), READER)
    with (
        psycopg.connect(postgres.uri("postgres"), autocommit=True) as watch,
        World(catalogs, uris, ledger_uri, watch) as world,
    ):
        yield world


def as_small(clinic: fixture.Clinic) -> data.Small:
    """A clinic for the replay of neighbours: every row with its owner in front.

    The ghosts of ``data.GHOSTS`` have the numbers from 9,000,000 on, so poisoned visits move.
    """

    def moved(visit: int | None) -> int | None:
        return visit + 10**6 if visit is not None and visit >= 9_000_000 else visit

    owner_of = {visit[0]: visit[1] for visit in clinic.visits}
    return data.Small(
        {
            "patients": [(row[0], *row) for row in clinic.patients],
            "visits": [(row[1], moved(row[0]), *row[1:]) for row in clinic.visits],
            "items": [(owner_of.get(i[1]), i[0], moved(i[1]), *i[2:]) for i in clinic.items],
            "profiles": [],
            "notes": [],
        }
    )


def little(clinic: fixture.Clinic) -> fixture.Clinic:
    """A whale with fewer rows: enough to pass every bound, few enough to be asked often."""
    return fixture.with_whale(clinic, visits=120, items=60)
