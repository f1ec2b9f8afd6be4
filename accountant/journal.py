"""The only way to write: one transaction at a time, over all processes, that ends in entries.

A writing transaction begins by locking the one row of ``head``. So writers are serial, whatever
they touch, no other order of locks matters, and what was read stays true until the commit.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.errors import LedgerBehind, LedgerUnavailable
from accountant.headfile import HeadFile
from accountant.outages import ledger_outage
from accountant.records import GENESIS, Chain, Entry
from accountant.transactions import transaction

_log = logging.getLogger(__name__)

# Greatest: the clock of the ledger does not go back where that of its host does.
_LOCK = text(
    "SELECT number, hash, greatest(at, clock_timestamp()) AS at FROM head FOR NO KEY UPDATE"
)
_ENTRY = text("SELECT hash FROM entries WHERE number = :number")
# One text for all records, and so on: an array would be escaped element by element. No JSON holds
# the character between them.
_BETWEEN = "\x1e"
_APPEND = text("""
    WITH appended AS (
        INSERT INTO entries (number, record, hash, answer, cells)
        SELECT :before + n.place, n.record, decode(n.hash, 'hex'), n.answer, n.cells
        FROM unnest(
            string_to_array(:records, :between), string_to_array(:hashes, :between),
            string_to_array(:answers, :between, ''), string_to_array(:cells, :between, '')
        ) WITH ORDINALITY AS n (record, hash, answer, cells, place)
    )
    UPDATE head SET number = :number, hash = :hash, at = :at
""").bindparams(between=_BETWEEN)


@dataclass(frozen=True, slots=True)
class Writing:
    """A transaction that holds the head."""

    connection: AsyncConnection
    chain: Chain

    @property
    def at(self) -> datetime:
        """The time of every entry of this transaction."""
        return self.chain.at

    def note(self, kind: str, *, by: str, reason: str, **facts: Any) -> Entry:
        """Appends what somebody decided: who, what and why."""
        return self.chain.append(kind, {**facts, "actor": by, "reason": reason})


class Journal:
    """Appends to the journal, and tells the head file, if there is one."""

    def __init__(self, engine: AsyncEngine, head_file: HeadFile | None = None) -> None:
        self.engine = engine
        self._head_file = head_file
        self._seen = (0, GENESIS)

    @asynccontextmanager
    async def writing(self, *, acknowledged: bool = False) -> AsyncIterator[Writing]:
        """One transaction; what was appended to its chain is committed, durably, with the rest.

        ``acknowledged`` marks the line of the head file: lines before it do not count any more.

        Raises:
            LedgerUnavailable: the database or the head file failed. When it is the commit or the
                head file, whether it took place is not known.
            Duplicate: a unique constraint refused a row.
        """
        if self._head_file is not None:
            self._head_file.catch_up()
        async with transaction(self.engine) as connection:
            row = (await connection.execute(_LOCK)).one_or_none()
            if row is None:
                raise LedgerUnavailable
            chain = Chain(row.number, row.hash, row.at)
            await self._require_seen(connection, chain)
            yield Writing(connection, chain)
            if chain.entries:
                await connection.execute(_APPEND, _columns(chain))
        self._seen = max(self._seen, (chain.number, chain.hash))
        if self._head_file is not None and chain.entries:
            self._head_file.append(chain.number, chain.hash, chain.at, acknowledged=acknowledged)

    async def _require_seen(self, connection: AsyncConnection, chain: Chain) -> None:
        """Looks whether the ledger still has the last entry that this journal saw at its end.

        Raises:
            LedgerUnavailable: it has not, so it was restored meanwhile, and what was spent since
                then is not in it. Nothing more is written until somebody starts the server anew.
        """
        number, hash_ = self._seen
        if number == 0 or (number, hash_) == (chain.number, chain.hash):
            return
        row = (await connection.execute(_ENTRY, {"number": number})).one_or_none()
        if row is None or row.hash != hash_:
            reason = f"entry {number}, which was there, is gone: it was restored"
            raise ledger_outage(_log, reason, LedgerBehind())

    async def require_newest(self) -> None:
        """Looks whether the ledger is the one that the head file saw last, or a later state of it.

        Raises:
            LedgerBehind: it is not, or the file cannot be read.
            LedgerUnavailable: the database failed.
        """
        last = None if self._head_file is None else self._head_file.last()
        if last is None:
            return
        async with transaction(self.engine) as connection:
            row = (await connection.execute(_ENTRY, {"number": last.number})).one_or_none()
        if row is None or row.hash.hex() != last.hash:
            lacks = "lacks" if row is None else "has another"
            raise LedgerBehind(
                f"the ledger {lacks} entry {last.number}, which the head file saw: it was restored,"
                " and what was spent since is not in it; lower the caps by as much, then run"
                " `epsql ledger acknowledge --reason ...`"
            )

    async def acknowledge(self, *, by: str, reason: str) -> Entry:
        """Takes the ledger as it is, whatever the head file saw. The entry says what it saw."""
        saw: dict[str, Any] = {}
        if self._head_file is not None:
            try:
                last = self._head_file.last()
            except LedgerBehind:
                last = None
            saw = {} if last is None else {"saw": {"number": last.number, "hash": last.hash}}
        async with self.writing(acknowledged=True) as writing:
            return writing.note("acknowledge", by=by, reason=reason, **saw)


def _columns(chain: Chain) -> Mapping[str, Any]:
    entries = chain.entries
    return {
        "before": chain.number - len(entries),
        "records": _BETWEEN.join(entry.record for entry in entries),
        "hashes": _BETWEEN.join(entry.hash.hex() for entry in entries),
        "answers": _BETWEEN.join(entry.answer or "" for entry in entries),
        "cells": _BETWEEN.join(entry.cells or "" for entry in entries),
        "number": chain.number,
        "hash": chain.hash,
        "at": chain.at,
    }
