"""``kill -9`` of a server between every two steps of the road: what the next one finds."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from accountant.errors import RequestFailed
from accountant.journal_files import audit
from accountant.ledger import Ledger, Replay, Request, Reservation
from accountant.transactions import ledger_engine
from server.questions import Question
from server.replies import request_digest
from tests.server.fakes import plan
from tests.server.killed import PLACES

ROOT = Path(__file__).parents[2]
TENTH = 10**11


@pytest.mark.parametrize("place", PLACES)
async def test_a_killed_server_stays_charged_and_draws_nothing_twice(place: str, ledger_uri: str):
    engine = ledger_engine(ledger_uri)
    ledger = Ledger(engine)
    try:
        await ledger.open_dataset("clinic", ["patients"], 10**12, 0)
        ada = await ledger.add_analyst("ada")
        await ledger.open_account(ada.id, "clinic", 10**12, 0)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.server.killed",
            ledger_uri,
            str(ada.id),
            place,
            cwd=ROOT,
        )
        assert await process.wait() == -signal.SIGKILL

        for _ in range(500):  # until Postgres has noticed that its client is gone
            if await ledger.burn_orphans() or place in {"before reserve", "after settle"}:
                break
            await asyncio.sleep(0.02)
        asked = plan()
        request = Request(
            analyst_id=ada.id,
            dataset="clinic",
            units=asked.units,
            request_id="r",
            request_digest=request_digest(Question("SELECT 1", request_id="r"), "clinic"),
            plan_digest=asked.digest,
            question_digest=asked.digest,
            sql="SELECT 1",
            events=asked.events,
            loss=asked.loss,
            replayable=False,
        )
        if place == "before reserve":
            assert isinstance(await ledger.reserve(request), Reservation)
        elif place == "after settle":
            replay = await ledger.reserve(request)
            assert isinstance(replay, Replay)
            assert replay.answer["rows"] == [[41]]
        else:
            with pytest.raises(RequestFailed):
                await ledger.reserve(request)
        spent = [account.spent.epsilon for account in await ledger.accounts("clinic")]
        assert spent == [TENTH, TENTH]
        found = await audit(engine)
        assert found.findings == []
        assert found.states.total() == 1
    finally:
        await ledger.close()
        await engine.dispose()
