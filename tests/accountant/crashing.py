"""A server process that dies with an entry dispatched: run by test_ledger_crashes, then killed.

Arguments: the ledger's URI, the analyst's id, and the state to stop in. Prints the entry's id.
"""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

from accountant.ledger import Ledger, Reservation
from accountant.transactions import ledger_engine
from tests.accountant.conftest import EPSILON, question


async def main(uri: str, analyst: str, stop_in: str) -> None:
    ledger = Ledger(ledger_engine(uri))
    entry = await ledger.reserve(question(UUID(analyst), EPSILON // 2, request_id="r"))
    assert isinstance(entry, Reservation)
    if stop_in == "dispatched":
        await ledger.dispatch(entry.id)
    print(entry.id, flush=True)
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
