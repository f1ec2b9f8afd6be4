"""A ledger whose file system has no room left: run by test_ledger_crashes, in a mount of its own.

Argument: an empty directory, which becomes a small file system. Prints ``fine`` at the end.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from accountant.errors import LedgerUnavailable
from accountant.journal_files import audit
from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from migrations import migrate
from server.embedded import EmbeddedPostgres
from tests.accountant.conftest import DATASET, EPSILON, UNITS, question

_MEGABYTES = 192
_LEFT = 1 << 17
"""Bytes that are free when the reservations begin: some pages of a table."""


async def main(disk: Path) -> None:
    with EmbeddedPostgres() as postgres:
        postgres.create_database("ledger")
        migrate(postgres.url("ledger"))
        engine = ledger_engine(postgres.url("ledger"))
        ledger = Ledger(engine)
        await ledger.open_dataset(DATASET, UNITS, EPSILON, 0)
        alice = (await ledger.add_analyst("alice")).id
        await ledger.open_account(alice, DATASET, EPSILON, 0)
        asked = question(alice, 1, sql="--" + "".join(map(chr, range(33, 127))) * 60)
        await ledger.reserve(asked)

        filler = disk / "filler"
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - _LEFT)
        done = 1
        try:
            for _ in range(1000):
                await ledger.reserve(asked)
                done += 1
        except LedgerUnavailable:
            pass
        else:
            raise AssertionError("the disk is not full")
        for _ in range(3):  # it stays shut, and nothing is half written
            try:
                await ledger.reserve(asked)
            except LedgerUnavailable:
                continue
            done += 1
        filler.unlink()

        held = await ledger.reserve(asked)
        await ledger.dispatch(held.id)
        own = (await ledger.balances(alice, DATASET)).analyst
        assert own.spent.epsilon == done + 1, (own.spent.epsilon, done)
        found = await audit(engine)
        assert [finding for finding in found.findings if finding.entry is None] == []
        await ledger.close()
        await engine.dispose()
    print("fine")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    size = f"size={_MEGABYTES}m,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], check=True)
    tempfile.tempdir = str(place)
    asyncio.run(main(place))
