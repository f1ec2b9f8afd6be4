"""A server process with many clients at once: run by test_ledger_races.

Arguments: the ledger's URI, the analyst's id, how many clients, and the epsilon of each request in
1e-12. Each client asks until it is refused. Prints how many reservations there were.
"""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

from accountant.errors import BudgetExceeded
from accountant.ledger import Ledger
from accountant.transactions import ledger_engine
from tests.accountant.conftest import question


async def main(uri: str, analyst: str, clients: str, epsilon: str) -> None:
    engine = ledger_engine(uri, pool_size=2)
    ledger = Ledger(engine)

    async def client() -> int:
        count = 0
        try:
            while True:
                await ledger.reserve(question(UUID(analyst), int(epsilon)))
                count += 1
        except BudgetExceeded:
            return count

    print(sum(await asyncio.gather(*(client() for _ in range(int(clients))))))
    await ledger.close()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
