"""The head file: a ledger that was restored from an older state is not taken for the present one."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from accountant.errors import LedgerBehind, LedgerUnavailable
from accountant.headfile import Head, HeadFile
from accountant.ledger import Ledger
from accountant.records import time_of
from accountant.transactions import ledger_engine
from tests.accountant.conftest import EPSILON, question
from tests.postgres import Postgres, database_of

AT = time_of("2026-01-05T09:00:00.000000+00:00")
ONE, TWO = bytes(31) + b"\x01", bytes(31) + b"\x02"


@pytest.fixture
def file(tmp_path: Path) -> HeadFile:
    return HeadFile(tmp_path / "head")


def test_the_greatest_number_counts_whoever_wrote_last(file: HeadFile):
    assert file.last() is None
    file.append(2, TWO, AT)
    file.append(1, ONE, AT)
    assert file.last() == Head(2, TWO.hex())
    assert file.path.read_text().startswith(f"2 {TWO.hex()} 2026-01-05T09:00:00.000000+00:00\n")
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_after_an_acknowledgement_only_what_follows_counts(file: HeadFile):
    file.append(9, TWO, AT)
    file.append(3, ONE, AT, acknowledged=True)
    assert file.last() == Head(3, ONE.hex())
    file.append(4, TWO, AT)
    assert file.last() == Head(4, TWO.hex())


def test_only_the_end_is_read(file: HeadFile):
    for number in range(1, 2000):
        file.append(number, ONE, AT)
    assert file.last() == Head(1999, ONE.hex())


@pytest.mark.parametrize("rubbish", [b"12 half a li", b"\xff\n", b"1 2 3\n"])
def test_rubbish_is_not_taken_for_a_head(file: HeadFile, rubbish: bytes):
    file.append(5, ONE, AT)
    with file.path.open("ab") as raw:
        raw.write(rubbish)
    with pytest.raises(LedgerBehind):
        file.last()
    if b"\xff" not in rubbish:
        file.append(6, TWO, AT, acknowledged=True)
        assert file.last() == Head(6, TWO.hex())


async def test_a_restored_backup_is_refused_until_somebody_answers_for_it(
    postgres: Postgres, ledger: Ledger, alice: UUID, ledger_uri: str, file: HeadFile
):
    await ledger.close()
    await ledger._engine.dispose()
    backup = postgres.fresh(ledger_uri)
    engine = ledger_engine(ledger_uri)
    here = Ledger(engine, file)
    await here.require_newest()
    await here.reserve(question(alice, EPSILON // 10))
    await here.require_newest()
    await here.close()
    await engine.dispose()

    engine = ledger_engine(backup)
    restored = Ledger(engine, file)
    with pytest.raises(LedgerBehind, match="lacks entry"):
        await restored.require_newest()
    await restored.reserve(question(alice, EPSILON // 20))  # it grows past the number, not the hash
    with pytest.raises(LedgerBehind, match="has another entry"):
        await restored.require_newest()
    receipt = await restored.acknowledge(by="root", reason="the disk died")
    await restored.require_newest()
    await restored.reserve(question(alice, EPSILON // 20))
    await restored.require_newest()
    with psycopg.connect(backup) as connection:
        row = connection.execute(
            "SELECT doc ->> 'reason', doc -> 'saw' ->> 'number' FROM entries WHERE number = %s",
            [receipt.number],
        ).fetchone()
    assert row == ("the disk died", str(receipt.number - 1))
    await restored.close()
    await engine.dispose()


async def test_a_file_that_cannot_be_written_stops_the_ledger_until_it_can(
    ledger_uri: str, ledger: Ledger, alice: UUID, tmp_path: Path
):
    engine = ledger_engine(ledger_uri)
    place = tmp_path / "disk"
    here = Ledger(engine, HeadFile(place / "head"))
    with pytest.raises(LedgerUnavailable):
        await here.reserve(question(alice, EPSILON // 10))
    with pytest.raises(LedgerUnavailable):
        await here.reserve(question(alice, EPSILON // 10))
    spent = (await ledger.balances(alice, "clinic")).analyst.spent.epsilon
    assert spent == EPSILON // 10, "what was committed stays; nothing more is committed"
    place.mkdir()
    await here.reserve(question(alice, EPSILON // 10))
    numbers = [int(line.split()[0]) for line in (place / "head").read_text().splitlines()]
    assert len(numbers) == 2
    await here.require_newest()
    await here.close()
    await engine.dispose()


async def test_a_server_notices_that_its_ledger_was_restored_under_it(
    postgres: Postgres,
    ledger: Ledger,
    alice: UUID,
    ledger_uri: str,
    caplog: pytest.LogCaptureFixture,
):
    """It has no head file; what it saw itself is enough."""
    await ledger.close()
    await ledger._engine.dispose()
    backup = postgres.fresh(ledger_uri)
    engine, other = ledger_engine(ledger_uri), ledger_engine(ledger_uri)
    running, new = Ledger(engine), Ledger(other)
    for _ in range(3):
        await running.reserve(question(alice, EPSILON // 10))
    postgres.take_down(ledger_uri)
    here, there = (psycopg.sql.Identifier(database_of(uri)) for uri in (ledger_uri, backup))
    rename = psycopg.sql.SQL("ALTER DATABASE {} RENAME TO {}")
    postgres.execute(rename.format(here, psycopg.sql.Identifier(f"{database_of(backup)}_lost")))
    postgres.execute(rename.format(there, here))

    with pytest.raises(LedgerUnavailable):
        await running.reserve(question(alice, EPSILON // 10))
    for _ in range(4):  # it grows past the entry that was seen
        await new.reserve(question(alice, EPSILON // 10))
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            await running.reserve(question(alice, EPSILON // 10))
    spent = (await new.balances(alice, "clinic")).analyst.spent.epsilon
    assert spent == 4 * (EPSILON // 10)
    assert isinstance(caplog.records[-1].__dict__["failure"], LedgerBehind), "the operator hears it"
    for one in (running, new):
        await one.close()
        await one._engine.dispose()
