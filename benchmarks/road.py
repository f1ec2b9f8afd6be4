"""What a question costs over the whole road: HTTP, analysis, ledger, bounding, noise, reply."""

from __future__ import annotations

import asyncio
import statistics
import time
from fractions import Fraction

import psycopg

from accountant.ledger import Ledger
from accountant.losses import floor_delta, floor_epsilon
from accountant.transactions import ledger_engine
from analyzer.catalog import Catalog
from migrations import migrate
from server.admission import admit_analyst, open_datasets
from server.app import Server, listen, running
from server.demo_data import POLICY, DemoDatabases
from server.identity import Identity
from server.observations import Level, json_lines
from server.settings import Settings
from server.tour import Client

_ROUNDS = 30
_PLENTY = Fraction(1000)
_QUESTIONS = {
    "count of patients": "SELECT count(*) FROM patients",
    "average by test and sex, join": (
        "SELECT l.test, p.sex, avg(l.value) FROM patients p"
        " JOIN labs l ON l.patient_id = p.id GROUP BY l.test, p.sex"
    ),
}


def run(catalog: Catalog, databases: DemoDatabases, dsn: str) -> list[tuple[str, ...]]:
    """Rows of a table: the question, both medians, what the road adds, and the ratio."""
    migrate(databases.ledger_url)
    return asyncio.run(_run(catalog, databases, dsn))


async def _run(catalog: Catalog, databases: DemoDatabases, dsn: str) -> list[tuple[str, ...]]:
    with listen("127.0.0.1", 0) as door:
        settings = Settings.model_validate(
            {
                "ledger_url": databases.ledger_url,
                "data_url": databases.data_url,
                "policy": str(POLICY),
                "port": door.getsockname()[1],
                "wire": False,
            }
        )
        observe = json_lines(lowest=Level.ERROR)
        token = await _analyst(databases.ledger_url, catalog, "bench")
        async with running(settings, [catalog], observe) as behind:
            server = Server(behind.services, grace=1)
            serving = asyncio.create_task(server.serve([door]))
            await server.listening.wait()
            client = Client(f"http://127.0.0.1:{settings.port}", token)
            try:
                return await asyncio.to_thread(_measured, client, dsn)
            finally:
                server.should_exit = True
                await serving


def roomy_analyst(url: str, catalog: Catalog, name: str) -> str:
    """The token of a new analyst with a budget that no benchmark reaches."""
    return asyncio.run(_analyst(url, catalog, name))


async def _analyst(url: str, catalog: Catalog, name: str) -> str:
    database = ledger_engine(url)
    try:
        ledger = Ledger(database)
        await open_datasets(ledger, [catalog], by="benchmark")
        analyst = await admit_analyst(ledger, [catalog], name, by="benchmark")
        for one in (None, analyst.id):
            await ledger.set_cap(
                one,
                catalog.dataset,
                epsilon_cap=floor_epsilon(_PLENTY),
                delta_cap=floor_delta(Fraction(1, 2)),
                by="benchmark",
            )
        return await Identity(database).new_token(name, label="benchmark")
    finally:
        await database.dispose()


def _measured(client: Client, dsn: str) -> list[tuple[str, ...]]:
    rows = [("question", "raw ms", "epsql ms", "added ms", "ratio")]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET search_path = public")
        for name, sql in _QUESTIONS.items():
            raw, ours = [], []
            for _ in range(_ROUNDS):
                began = time.perf_counter()
                connection.execute(sql.encode()).fetchall()
                raw.append(time.perf_counter() - began)
                began = time.perf_counter()
                reply = client.ask(sql, epsilon="0.1")
                ours.append(time.perf_counter() - began)
                if "rows" not in reply:
                    raise SystemExit(f"{reply['code']}: {reply['message']}")
            a, b = (1e3 * statistics.median(times) for times in (raw, ours))
            rows.append((name, f"{a:.1f}", f"{b:.1f}", f"{b - a:.1f}", f"{b / a:.2f}x"))
    return rows
