"""The Postgres behind Postgres clients: how fast it starts, and how much memory it takes."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from analyzer.catalog import Catalog, Table
from analyzer.classify import classify
from server.shadow.shadow import Shadow

_SESSIONS = 40
_CATALOG = """
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), d.description
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2, a.attnum
"""
_ROUNDS = 200


def run(catalog: Catalog) -> list[tuple[str, ...]]:
    """Rows of a table: what was measured, and how much it was."""
    return asyncio.run(_run(catalog))


async def _no_rows(_: Table) -> bytes | None:
    return b""


async def _run(catalog: Catalog) -> list[tuple[str, ...]]:
    began = time.perf_counter()
    shadow = await Shadow([catalog], _no_rows).open()
    started = time.perf_counter() - began
    try:
        for name in ("alice", "bob"):
            await shadow.admit(name)
        home = shadow.socket.parent
        empty = _memory(home)
        began = time.perf_counter()
        sessions = [_login(shadow, catalog, ("alice", "bob")[i % 2]) for i in range(_SESSIONS)]
        login = (time.perf_counter() - began) / _SESSIONS
        idle = _memory(home)
        for session in sessions:
            session.execute(_CATALOG).fetchall()
            session.execute("SELECT * FROM information_schema.columns").fetchall()
        used = _memory(home)
        names = shadow.names(catalog.dataset)
        placed = _median_of(lambda: classify(_CATALOG, names, ("public",)))
        disk = sum(f.stat().st_blocks for f in home.rglob("*")) / 2048
        asked = _median_of(lambda: sessions[0].execute(_CATALOG).fetchall())
        for session in sessions:
            session.close()
    finally:
        await shadow.close()
    return [
        ("what", "measured"),
        ("start", f"{started:.2f} s"),
        ("login on the socket", f"{1000 * login:.1f} ms"),
        ("memory (PSS) without sessions", f"{empty:.0f} MB"),
        ("more for each idle session", f"{(idle - empty) / _SESSIONS:.2f} MB"),
        ("more for each that read the catalog", f"{(used - empty) / _SESSIONS:.2f} MB"),
        ("disk", f"{disk:.0f} MB"),
        ("a catalog query there", f"{1000 * asked:.2f} ms"),
        ("saying where it goes", f"{1000 * placed:.2f} ms"),
    ]


def _login(shadow: Shadow, catalog: Catalog, name: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(shadow.socket.parent), user=name, dbname=catalog.dataset, autocommit=True
    )


def _median_of(work: Callable[[], object]) -> float:
    """Seconds."""
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _memory(home: Path) -> float:
    """Megabytes of the cluster's processes; what they share is counted once."""
    postmaster = (home / "data" / "postmaster.pid").read_text().split("\n", 1)[0]
    kilobytes = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        parent = stat.read_text().rsplit(")", 1)[1].split()[1]
        if postmaster in {parent, stat.parent.name}:
            sizes = (stat.parent / "smaps_rollup").read_text()
            found = re.search(r"^Pss:\s+(\d+)", sizes, re.MULTILINE)
            kilobytes += int(found[1]) if found else 0
    return kilobytes / 1024
