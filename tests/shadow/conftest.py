"""A running shadow of the clinic, on each Postgres that is here."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analyzer.catalog import Table
from server.policy import parse_policy
from server.programs import embedded_programs
from server.shadow.shadow import Shadow, ShadowLimits
from tests.fixture import CITIES, POLICY

VIEWS = """
[views.yearly]
sql = "SELECT patient_id, count(*) AS n FROM visits GROUP BY patient_id"
description = "Visits of a patient."
"""
CATALOG = parse_policy(POLICY + VIEWS)
NEWEST = embedded_programs()
SIXTEEN = NEWEST.parents[1] / "pginstall" / "bin"
"""The wheel carries an older one as well."""
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


async def public_rows(table: Table) -> bytes | None:
    """What the data database would give; the tests of ``public_rows`` ask a real one."""
    assert table.name == "cities"
    return "".join(f"{name}\t{region}\n" for name, region in CITIES).encode()


@dataclass
class Room:
    """The shadow and a loop for its coroutines. Analysts log in as the wire front would."""

    shadow: Shadow
    runner: asyncio.Runner
    connections: list[psycopg.Connection[Any]] = field(default_factory=list)

    def login(self, analyst: str = "ada", database: str = "clinic", **more: Any) -> Any:
        if analyst != "_epsql":
            self.runner.run(self.shadow.admit(analyst))
        connection = psycopg.connect(
            host=str(self.shadow.socket.parent),
            user=analyst,
            dbname=database,
            autocommit=True,
            **more,
        )
        self.connections.append(connection)
        return connection

    def hang_up(self) -> None:
        for connection in self.connections:
            connection.close()
        self.connections.clear()


def _version(programs: Path) -> str:
    return subprocess.check_output([programs / "postgres", "--version"], text=True).split()[2]


@pytest.fixture(scope="session", params=[NEWEST, SIXTEEN, *DEBIAN], ids=_version)
def running(request) -> Iterator[Room]:
    with asyncio.Runner() as runner:
        limits = ShadowLimits(sessions=30, sessions_per_analyst=10)
        shadow = Shadow([CATALOG], public_rows, binaries=request.param, limits=limits)
        runner.run(shadow.open())
        yield Room(shadow, runner)
        runner.run(shadow.close())


@pytest.fixture
def room(running: Room) -> Iterator[Room]:
    yield running
    running.hang_up()
