"""Fixtures for every room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrations import migrate
from tests.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One embedded PostgreSQL for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def ledger_uri(postgres: Postgres) -> str:
    """A fresh, empty ledger database at the newest revision, as a libpq URI."""
    return postgres.fresh(postgres.template("ledger", migrate))
