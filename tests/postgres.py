"""One embedded PostgreSQL for a test session, and fresh databases on it for the price of a copy.

    def test_something(postgres):                 # the fixture of tests/conftest.py
        uri = postgres.fresh()                    # an empty database, as a libpq URI
        uri = postgres.fresh(template)            # a copy of another one
        template = postgres.template("ledger", migrate)   # built once a session, by `migrate(uri)`

Nothing may be connected to a template while it is copied: build it, close it, then only copy it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import LiteralString, Self

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from server.embedded import EmbeddedPostgres

_FASTER = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""Tests kill clients, never the machine, so the disk need not be told. Commits stay synchronous."""


class Postgres:
    """A running server, reached by a Unix socket only, as its superuser."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = count(1)
        self._templates: dict[str, str] = {}
        self._admin = psycopg.connect(self.uri("postgres"), autocommit=True)
        for name, value in _FASTER.items():
            self.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            )
        self.execute("SELECT pg_reload_conf()")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admin.close()

    def execute(self, statement: LiteralString | sql.Composed) -> None:
        """Runs one statement as superuser in the maintenance database, outside a transaction."""
        self._admin.execute(statement)

    def uri(self, database: str, user: str = "postgres") -> str:
        """A libpq URI of a database; every role may connect without a password."""
        return self._server.url(database, user)

    def fresh(self, template: str | None = None) -> str:
        """Creates a database, empty or a copy of the template URI's, and returns its libpq URI."""
        name = f"t{next(self._numbers)}"
        source = database_of(template) if template else "template1"
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )
        return self.uri(name)

    def template(self, key: str, build: Callable[[str], None]) -> str:
        """The URI of a database that ``build(uri)`` fills the first time the key is asked for."""
        if key not in self._templates:
            uri = self.fresh()
            build(uri)
            self._templates[key] = uri
        return self._templates[key]

    def take_down(self, uri: str) -> None:
        """Cuts every connection to the database and lets nobody in: to its clients it is down."""
        name = database_of(uri)
        self.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name))
        )
        self.execute(
            sql.SQL(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
            ).format(sql.Literal(name))
        )

    def bring_up(self, uri: str) -> None:
        """Lets clients in again."""
        name = sql.Identifier(database_of(uri))
        self.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def database_of(uri: str) -> str:
    """The database's name in a URI."""
    name = make_url(uri).database
    assert name
    return name


def for_sqlalchemy(uri: str) -> str:
    """The same place as SQLAlchemy spells it, through psycopg 3 (sync and async engines alike)."""
    return make_url(uri).set(drivername="postgresql+psycopg").render_as_string(False)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Starts a server in a temporary directory; stops it and removes the directory at the end."""
    with EmbeddedPostgres() as embedded, Postgres(embedded) as server:
        yield server
