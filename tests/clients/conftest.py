"""The places that clients are tested against: a plain Postgres, and epsql before the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from migrations import migrate
from server.embedded import EmbeddedPostgres
from server.policy import parse_policy
from tests.clients.data import ANALYST, DATABASE, ROOMY_POLICY, small_clinic
from tests.clients.front import Front, running_front, without_noise
from tests.clients.place import Place
from tests.clients.relay import relay
from tests.fixture import load
from tests.postgres import Postgres

CATALOG = parse_policy(ROOMY_POLICY)


def socket_of(url: str) -> str:
    """The path of the Unix socket in a URL of the embedded Postgres."""
    (directory,) = parse_qs(urlsplit(url).query)["host"]
    return str(Path(directory) / ".s.PGSQL.5432")


@pytest.fixture(scope="package")
def plain() -> Iterator[EmbeddedPostgres]:
    """A cluster with nothing but the clinic, which the analyst may read."""
    with EmbeddedPostgres() as server:
        server.create_role(ANALYST)
        server.create_database(DATABASE)
        load(server.url(DATABASE), small_clinic())
        server.execute(
            DATABASE,
            f"DROP TABLE salaries; CREATE SCHEMA epsql; GRANT USAGE ON SCHEMA epsql TO {ANALYST};"
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {ANALYST};"
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ANALYST}",
        )
        yield server


@pytest.fixture(scope="package")
def direct(plain: EmbeddedPostgres) -> Iterator[Place]:
    """The clinic in a plain Postgres: what a client sees there is what it should see."""
    with relay(socket_of(plain.url(DATABASE))) as port:
        yield Place(port, DATABASE, ANALYST, "any", "disable")


@pytest.fixture(scope="package")
def epsql(postgres: Postgres) -> Iterator[Front]:
    """epsql before the same rows, its noise taken out."""
    ledger = postgres.fresh(postgres.template("ledger", migrate))
    data = load(postgres.fresh(), small_clinic())
    with without_noise(), running_front(CATALOG, ledger, data) as front:
        yield front


@pytest.fixture(scope="package")
def front(epsql: Front) -> Place:
    """Where the analyst connects to epsql."""
    return epsql.place(CATALOG, ANALYST)


@pytest.fixture(scope="package")
def shadow(epsql: Front, front: Place) -> Iterator[Place]:
    """The shadow behind epsql, without epsql before it: what the catalogue is held against."""
    epsql.run(epsql.shadow.admit(ANALYST))
    with relay(str(epsql.shadow.socket)) as port:
        yield Place(port, DATABASE, ANALYST, "any", "disable")


@pytest.fixture(scope="package")
def unencrypted(front: Place) -> Place:
    """The same for a client without TLS, which is let in from the machine itself."""
    return replace(front, sslmode="disable")
