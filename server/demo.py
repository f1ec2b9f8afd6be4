"""``epsql demo``: a real Postgres, real data, a server, and a tour of what it is for."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from analyzer.catalog import Catalog
from migrations import migrate
from server.admission import admit_analyst, open_datasets
from server.app import CannotStart, Server, listen, require_sound, running, serving_wire
from server.demo_data import POLICY, prepare
from server.embedded import EmbeddedPostgres
from server.identity import Identity
from server.observations import Level, json_lines, silence_libraries
from server.policy import load_policy
from server.settings import Settings
from server.tour import Client, Tour

HOME = Path(".demo")
"""Everything that the demo leaves, below the directory that it is started in."""
_FIRST_PORT = 8432
_PORTS = 50
_BOBS_EPSILON = 300_000_000_000  # 0.3: one question of the tour's last stop, but not two


@dataclass(frozen=True, slots=True)
class _Doors:
    http: socket.socket
    wire: socket.socket


@dataclass(frozen=True, slots=True)
class _Tokens:
    alice: str
    bob: str
    admin: str


def main(*, once: bool) -> int:
    """Runs the demo until interrupted; with ``once``, until the tour has ended.

    Raises:
        EmbeddedFailed, PolicyError, CannotStart: it cannot be set up; the text says why.
        TourFailed: the server did not answer as the tour promises.
    """
    HOME.mkdir(mode=0o700, exist_ok=True)
    print("Starting an embedded PostgreSQL and loading the NAFLD cohort ...", flush=True)
    with EmbeddedPostgres(HOME.resolve()) as postgres:
        databases = prepare(postgres, _say)
        print("Preparing a new ledger ...", flush=True)
        postgres.drop_database("ledger")  # a new tour has a new budget
        postgres.create_database("ledger", owner="epsql_ledger")
        migrate(databases.ledger_url)
        with _free_port() as door, _free_port() as wire_door:
            settings = Settings.model_validate(
                {
                    "ledger_url": databases.ledger_url,
                    "data_url": databases.data_url,
                    "policy": str(POLICY),
                    "port": door.getsockname()[1],
                    "wire_port": wire_door.getsockname()[1],
                }
            )
            doors = _Doors(door, wire_door)
            asyncio.run(_run(settings, doors, postgres.url("nafld"), once=once))
    return 0


async def _run(settings: Settings, doors: _Doors, owner_url: str, *, once: bool) -> None:
    observe = json_lines(lowest=Level.WARNING)
    silence_libraries(observe)
    catalog = load_policy(POLICY)
    await asyncio.to_thread(require_sound, settings, [catalog])
    tokens = await _people(settings, catalog)
    url = f"http://{settings.host}:{settings.port}"
    place = f"{settings.wire_host}:{settings.wire_port}/{catalog.dataset}"
    psql_url = f"postgresql://alice@{place}?sslmode=require"
    async with (
        running(settings, [catalog], observe) as behind,
        serving_wire(behind.wire, doors.wire),
    ):
        server = Server(behind.services, grace=settings.shutdown_seconds)
        serving = asyncio.create_task(server.serve([doors.http]))
        with _environment(url, psql_url, tokens):
            try:
                await server.listening.wait()
                print(f"epsql answers at {url}", flush=True)
                alice, bob = Client(url, tokens.alice, psql_url), Client(url, tokens.bob)
                tour = Tour(alice, bob, owner_url, _say)
                await asyncio.to_thread(tour.walk)
                if not once:
                    _say(_farewell(url, psql_url, tokens))
                    await serving
            finally:
                server.should_exit = True
                await serving


async def _people(settings: Settings, catalog: Catalog) -> _Tokens:
    """Two analysts and an operator, each with a token."""
    database = ledger_engine(settings.ledger_url.get_secret_value())
    try:
        ledger, identity = Ledger(database), Identity(database)
        await open_datasets(ledger, [catalog], by="epsql demo")
        for name in ("alice", "bob"):
            await admit_analyst(ledger, [catalog], name, by="epsql demo")
        bob = await ledger.find_analyst("bob")
        await ledger.set_cap(bob.id, catalog.dataset, epsilon_cap=_BOBS_EPSILON, by="epsql demo")
        alice = await identity.new_token("alice", label="demo")
        return _Tokens(
            alice, await identity.new_token("bob", label="demo"), await identity.new_token(None)
        )
    finally:
        await database.dispose()


@contextmanager
def _free_port() -> Iterator[socket.socket]:
    """The first free port from the usual one on."""
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        try:
            door = listen("127.0.0.1", port)
        except CannotStart:
            continue
        with door:
            yield door
        return
    raise CannotStart(f"no free port from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1}")


@contextmanager
def _environment(url: str, psql_url: str, tokens: _Tokens) -> Iterator[None]:
    """``.demo/epsql.env`` for scripts, while the demo is up. Only its owner may read it."""
    path = HOME / "epsql.env"
    path.unlink(missing_ok=True)
    lines = (
        f"EPSQL_URL={url}\nEPSQL_PSQL={psql_url}\n"
        f"EPSQL_TOKEN={tokens.alice}\nEPSQL_ADMIN_TOKEN={tokens.admin}\n"
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(lines)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _farewell(url: str, psql_url: str, tokens: _Tokens) -> str:
    return f"""
The demo stays up at {url} (documentation: {url}/docs) until Ctrl-C. Paste, as alice:

  curl -s {url}/v1/query \\
    -H 'Authorization: Bearer {tokens.alice}' -H 'Content-Type: application/json' \\
    -d '{{"sql": "SELECT died, avg(bmi) AS bmi FROM patients GROUP BY died", "epsilon": "0.1"}}'

  PGPASSWORD={tokens.alice} psql "{psql_url}"

  python3 - <<'END'
import json, urllib.request
question = {{"sql": "SELECT avg(bmi) FROM patients WHERE age >= 65", "epsilon": "0.1"}}
request = urllib.request.Request("{url}/v1/query", json.dumps(question).encode(),
    {{"Authorization": "Bearer {tokens.alice}", "Content-Type": "application/json"}})
answer = json.load(urllib.request.urlopen(request))
print(answer["rows"], "±", answer["error_bars"], "left:", answer["remaining"])
END

Scripts find the address and the tokens in {HOME}/epsql.env."""


def _say(line: str) -> None:
    print(line, flush=True)
