"""The journal as a file: all its entries, in a form that is checked without a database.

Lines of JSON. The first says what it is, how many entries follow, and the hash of the last; then
one line for each entry: ``record``, ``hash`` in hexadecimal, and ``answer`` and ``cells`` if there
are some. It holds the analysts' SQL and noisy answers; exact values are in no ledger.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.audit import Auditor, Finding, Tables
from accountant.loading import account_of
from accountant.records import Entry
from accountant.tables import accounts, analysts, datasets, entries, head, members
from accountant.transactions import no_driver_errors

_FORMAT = "epsql journal 1"
_AT_ONCE = 500


class NotAJournal(Exception):
    """The file is not one that :func:`export` wrote."""


@dataclass(frozen=True, slots=True)
class _Header:
    entries: int
    head: str


async def audit(engine: AsyncEngine) -> Auditor:
    """Reads the whole journal of a ledger, and holds its tables against it.

    It sees one state of the ledger, while servers go on.

    Raises:
        LedgerUnavailable: the database failed.
    """
    auditor = Auditor()
    async with _snapshot(engine) as connection:
        async for entry in _entries(connection):
            auditor.read(entry)
        auditor.compare(await _tables(connection))
    return auditor


async def export(engine: AsyncEngine, path: Path) -> int:
    """Writes the journal to a new file; returns how many entries it has.

    Raises:
        FileExistsError: the file is there already.
        LedgerUnavailable: the database failed.
    """
    with path.open("x", encoding="ascii") as file:
        async with _snapshot(engine) as connection:
            row = (await connection.execute(select(head))).one()
            first = {"format": _FORMAT, "entries": row.number, "head": row.hash.hex()}
            file.write(json.dumps(first) + "\n")
            async for entry in _entries(connection):
                file.write(json.dumps(_line(entry)) + "\n")
    return int(row.number)


def verify(path: Path) -> Auditor:
    """Reads an exported journal and checks all that can be checked without a database.

    Raises:
        NotAJournal: the file is something else.
        OSError: it cannot be read.
    """
    auditor = Auditor()
    with path.open(encoding="ascii") as file:
        header = _header(file.readline())
        for entry in _read(file):
            auditor.read(entry)
    if (auditor.number, auditor.hash.hex()) != (header.entries, header.head):
        auditor.findings.append(Finding(None, "the file does not end with the entry that it says"))
    return auditor


def _header(line: str) -> _Header:
    try:
        first = json.loads(line)
        if first["format"] == _FORMAT:
            return _Header(first["entries"], first["head"])
    except (ValueError, KeyError, TypeError):
        pass
    raise NotAJournal(f"the file does not begin as an {_FORMAT} does")


def _read(lines: Iterator[str]) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        try:
            body = json.loads(line)
            hash_ = bytes.fromhex(body["hash"])
            yield Entry(number, body["record"], hash_, body.get("answer"), body.get("cells"))
        except (ValueError, KeyError, TypeError):
            raise NotAJournal(f"line {number + 1} of the file is not an entry") from None


def _line(entry: Entry) -> dict[str, Any]:
    line = {"record": entry.record, "hash": entry.hash.hex()}
    beside = {"answer": entry.answer, "cells": entry.cells}
    return line | {name: content for name, content in beside.items() if content is not None}


@asynccontextmanager
async def _snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with no_driver_errors():
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                await connection.execute(text("SET TRANSACTION READ ONLY"))
                yield connection


async def _entries(connection: AsyncConnection) -> AsyncIterator[Entry]:
    """All entries in order, some at a time."""
    last = 0
    query = select(
        entries.c.number, entries.c.record, entries.c.hash, entries.c.answer, entries.c.cells
    ).order_by(entries.c.number)
    while rows := (
        await connection.execute(query.where(entries.c.number > last).limit(_AT_ONCE))
    ).all():
        for row in rows:
            yield Entry(*row)
        last = rows[-1].number


async def _tables(connection: AsyncConnection) -> Tables:
    async def rows(query: Any) -> list[Any]:
        return list((await connection.execute(query)).all())

    (end,) = await rows(select(head))
    found = [account_of(row) for row in await rows(select(accounts))]
    return Tables(
        head=(end.number, end.hash),
        accounts={account.key: account for account in found},
        epochs={row.name: row.epoch for row in await rows(select(datasets))},
        members=frozenset(
            (row.group_name, str(row.analyst_id)) for row in await rows(select(members))
        ),
        analysts={str(row.id): row.disabled_at is not None for row in await rows(select(analysts))},
    )
