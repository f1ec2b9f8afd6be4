"""Postgres clients: statements a second beside a direct connection, and memory for each session.

pgbench asks both, eight connections at once, without encryption: epsql over a TCP port of this
machine, the plain Postgres over a Unix socket, which is its quickest. epsql is a process
of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from analyzer.catalog import Catalog
from benchmarks.road import roomy_analyst
from migrations import migrate
from server.demo_data import POLICY, DemoDatabases
from server.shadow.cluster import found_programs

_SECONDS = 4
_CONNECTIONS = 8
_SESSIONS = 40
_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relname = 'patients' AND a.attnum > 0 ORDER BY a.attnum
"""
_STATEMENTS = {
    "SELECT 1": "SELECT 1",
    "columns of a table, from the catalog": " ".join(_COLUMNS.split()),
    "count of patients, answered before": "SELECT count(*) AS n FROM patients",
}
_ANSWERED = "-c epsql.request_id=bench -c epsql.epsilon=0.1 -c client_min_messages=warning"
"""A stored answer, as often as it is asked for: what the front takes, and not the data."""


@dataclass(frozen=True, slots=True)
class _Served:
    """A running epsql: where it is, and which process."""

    where: dict[str, str]
    pid: int


def run(
    catalog: Catalog, databases: DemoDatabases, dsn: str
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Rows of two tables: statements a second, and memory."""
    migrate(databases.ledger_url)
    token = roomy_analyst(databases.ledger_url, catalog, "wire")
    with _serving(databases, token) as served:
        with psycopg.connect(_conninfo(served), options=_ANSWERED) as first:
            first.execute("SELECT count(*) AS n FROM patients")
        return _rates(served, dsn), _memory(served)


@contextmanager
def _serving(databases: DemoDatabases, token: str) -> Iterator[_Served]:
    settings = {
        "EPSQL_LEDGER_URL": databases.ledger_url,
        "EPSQL_DATA_URL": databases.data_url,
        "EPSQL_POLICY": str(POLICY),
        "EPSQL_PORT": "0",
        "EPSQL_WIRE_PORT": "0",
        "EPSQL_WIRE_CONNECTIONS_PER_ANALYST": str(2 * _SESSIONS),
        "EPSQL_QUERIES_PER_ANALYST": str(2 * _CONNECTIONS),
        "EPSQL_RELEASE_TICK_MS": "0",
        "EPSQL_SHUTDOWN_SECONDS": "0.2",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "serve"],
        env=os.environ | settings,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        started = json.loads(process.stderr.readline())
        where = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(started["wire_port"]),
            "PGDATABASE": "nafld",
            "PGUSER": "wire",
            "PGPASSWORD": token,
        }
        yield _Served(where, process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _conninfo(served: _Served) -> str:
    words = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER"}
    found = " ".join(f"{word}={served.where['PG' + name]}" for word, name in words.items())
    return f"{found} password={served.where['PGPASSWORD']} sslmode=disable"


def _rates(served: _Served, dsn: str) -> list[tuple[str, ...]]:
    rows = [("statement", "protocol", "direct a second", "epsql a second", "ratio")]
    for name, sql in _STATEMENTS.items():
        for mode in ("simple", "prepared"):
            options = {"PGOPTIONS": _ANSWERED} if "answered" in name else {}
            direct = _tps(sql, mode, {}, [dsn])
            ours = _tps(sql, mode, served.where | options, [])
            rows.append((name, mode, f"{direct:.0f}", f"{ours:.0f}", f"{direct / ours:.1f}x"))
    return rows


def _tps(sql: str, mode: str, environment: dict[str, str], place: list[str]) -> float:
    """Statements a second, as pgbench counts them."""
    with TemporaryDirectory() as directory:
        script = Path(directory) / "script.sql"
        script.write_text(sql + ";\n")
        done = subprocess.run(
            [
                found_programs() / "pgbench", "--no-vacuum", f"--protocol={mode}",
                f"--client={_CONNECTIONS}", "--jobs=2", f"--time={_SECONDS}",
                f"--file={script}", *place,
            ],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"pgbench: {done.stderr}")
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    return float(found[1])


def _memory(served: _Served) -> list[tuple[str, ...]]:
    """Of epsql's own process and of the shadow's, before and with idle sessions."""
    before = _kilobytes(served.pid, "VmRSS"), _backends()
    held = [psycopg.connect(_conninfo(served), autocommit=True) for _ in range(_SESSIONS)]
    rows = [("sessions", "epsql kB", "of it each", "their backends in the shadow kB", "of it each")]
    rows.append(("0", str(before[0]), "", str(before[1]), ""))
    for what, sql in (("idle", "SELECT 1"), ("after a look at the catalog", _COLUMNS)):
        for connection in held:
            connection.execute(sql.encode()).fetchall()
        after = _kilobytes(served.pid, "VmRSS"), _backends()
        each = [str(round((a - b) / _SESSIONS)) for a, b in zip(after, before, strict=True)]
        rows.append((f"{_SESSIONS}, {what}", str(after[0]), each[0], str(after[1]), each[1]))
    for connection in held:
        connection.close()
    return rows


def _kilobytes(pid: int, name: str) -> int:
    found = re.search(
        rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    assert found is not None
    return int(found[1])


def _backends() -> int:
    """What the analyst's processes in the shadow take, shared memory divided by who shares it."""
    whole = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"postgres: wire nafld"):
                rollup = (process / "smaps_rollup").read_text()
                whole += int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[0])
        except OSError:
            continue  # gone meanwhile
    return whole
