"""Many at once: what is left is granted once, a request id is one entry, a move has one winner."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

import accountant.scribe
from accountant.errors import (
    AccountShut,
    BudgetExceeded,
    LedgerUnavailable,
    NoAccount,
    RequestIdConflict,
    RequestInProgress,
    WrongState,
)
from accountant.journal_files import audit
from accountant.ledger import Ledger, Reservation
from accountant.scribe import Scribe
from tests.accountant.conftest import DATASET, EPSILON, UNITS, question

ROOT = Path(__file__).parents[2]


async def outcomes(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """What each call came to, run all at once: its value or its error."""
    return list(await asyncio.gather(*calls, return_exceptions=True))


def kinds(results: list[Any]) -> Counter[type]:
    return Counter(type(result) for result in results)


async def test_the_last_of_an_analysts_budget_is_granted_exactly_once(ledger, alice, books):
    calls = [ledger.reserve(question(alice, EPSILON // 10)) for _ in range(64)]
    assert kinds(await outcomes(calls)) == {Reservation: 10, BudgetExceeded: 54}
    assert (await ledger.balances(alice, DATASET)).analyst.spent.epsilon == EPSILON
    books()


async def test_the_last_of_a_dataset_is_granted_exactly_once_over_analysts_and_processes(
    open_ledger: Callable[[], Ledger], alice: UUID, books: Callable[[], None]
):
    ledgers = [open_ledger(), open_ledger()]
    asking = [alice]
    for name in ["bob", "carol", "dave"]:
        asking.append((await ledgers[0].add_analyst(name)).id)
        await ledgers[0].open_account(asking[-1], DATASET, EPSILON, 0)
    calls = [ledgers[i % 2].reserve(question(asking[i // 2 % 4], EPSILON // 4)) for i in range(32)]
    results = await outcomes(calls)
    assert kinds(results) == {Reservation: 8, BudgetExceeded: 24}
    assert (await ledgers[0].balances(alice, DATASET)).dataset.spent.epsilon == 2 * EPSILON
    books()


async def test_one_request_id_at_the_same_time_is_one_entry(
    open_ledger: Callable[[], Ledger], alice: UUID, books: Callable[[], None]
):
    ledgers = [open_ledger(), open_ledger()]
    same = question(alice, EPSILON // 20, request_id="r")
    results = await outcomes([ledgers[i % 2].reserve(same) for i in range(16)])
    assert kinds(results) == {Reservation: 1, RequestInProgress: 15}
    books()


async def test_one_request_id_on_two_datasets_is_decided_by_the_unique_index(
    ledger: Ledger, alice: UUID, books: Callable[[], None]
):
    """Different data sets lock different rows, so nothing but the index stands between the two."""
    datasets = [f"clinic{i}" for i in range(8)]
    for dataset in datasets:
        await ledger.open_dataset(dataset, UNITS, EPSILON, 0)
        await ledger.open_account(alice, dataset, EPSILON, 0)
    calls = [
        ledger.reserve(question(alice, EPSILON, request_id="r", dataset=dataset))
        for dataset in datasets
    ]
    assert kinds(await outcomes(calls)) == {Reservation: 1, RequestIdConflict: 7}
    spent = [account.spent.epsilon for account in await ledger.accounts()]
    assert Counter(spent) == {0: len(spent) - 2, EPSILON: 2}
    books()


@pytest.mark.parametrize("moves", [("void", "dispatch"), ("dispatch", "void"), ("void", "void")])
async def test_of_two_moves_exactly_one_wins(
    moves: tuple[str, str],
    open_ledger: Callable[[], Ledger],
    alice: UUID,
    books: Callable[[], None],
):
    here, there = open_ledger(), open_ledger()
    voided = 0
    for _ in range(8):
        entry = await here.reserve(question(alice, EPSILON // 8))
        calls = [getattr(here, moves[0])(entry.id), getattr(there, moves[1])(entry.id)]
        results = await outcomes(calls)
        assert kinds(results) == {type(None): 1, WrongState: 1}
        voided += moves[results.index(None)] == "void"
    spent = (await here.balances(alice, DATASET)).analyst.spent.epsilon
    assert spent == (8 - voided) * (EPSILON // 8)
    books()


async def test_reserves_and_voids_together_do_not_lock_each_other_out(
    ledger: Ledger, alice: UUID, books: Callable[[], None]
):
    async def there_and_back() -> None:
        for _ in range(4):
            entry = await ledger.reserve(question(alice, EPSILON // 16))
            await ledger.void(entry.id)

    assert kinds(await outcomes([there_and_back() for _ in range(16)])) == {type(None): 16}
    assert (await ledger.balances(alice, DATASET)).dataset.spent.epsilon == 0
    books()


async def test_opening_and_adding_at_once_happens_once(
    ledger: Ledger, alice: UUID, ledger_uri: str
):
    results = await outcomes([ledger.open_dataset("new", UNITS, EPSILON, 0) for _ in range(8)])
    results += await outcomes([ledger.open_account(alice, "new", EPSILON, 0) for _ in range(8)])
    assert kinds(results) == {type(None): 16}
    assert len(await ledger.accounts("new")) == 2
    with psycopg.connect(ledger_uri) as connection:
        count = connection.execute(
            'SELECT count(*) FROM entries WHERE doc @> \'{"kind": "open account", "dataset": "new"}\''
        ).fetchone()
    assert count == (2,)


async def test_a_cap_is_not_lowered_under_a_reserve(ledger, alice, books):
    calls: list[Awaitable[Any]] = [
        ledger.reserve(question(alice, EPSILON // 10)) for _ in range(16)
    ]
    calls += [ledger.set_cap(alice, DATASET, epsilon_cap=EPSILON // 2) for _ in range(4)]
    await outcomes(calls)
    own = (await ledger.balances(alice, DATASET)).analyst
    assert own.spent.epsilon == min(own.cap.epsilon // (EPSILON // 10), 16) * (EPSILON // 10)
    books()


async def test_two_hundred_clients_of_two_processes_spend_the_cap_and_not_one_unit_more(
    ledger: Ledger, alice: UUID, ledger_uri: str, books: Callable[[], None]
):
    """A seventh of a hundredth of the cap each: 700 fit, and a hundred times eight try."""
    await ledger.set_cap(alice, DATASET, delta_cap=0)
    each = EPSILON // 700
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.accountant.crowd",
            ledger_uri,
            str(alice),
            "100",
            str(each),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    counts = [int((await process.communicate())[0]) for process in processes]
    assert sum(counts) == 700
    own = (await ledger.balances(alice, DATASET)).analyst
    assert own.spent.epsilon == 700 * each
    assert EPSILON - own.spent.epsilon < each
    assert (await audit(ledger._engine)).states == {"reserved": 700}
    books()


async def test_what_is_refused_in_a_batch_does_not_disturb_its_neighbours(
    ledger: Ledger, alice: UUID, books: Callable[[], None]
):
    """All of these wait for the same commit; each comes to what it would come to alone."""
    held = await ledger.reserve(question(alice, EPSILON // 10))
    calls = [
        ledger.reserve(question(alice, 2 * EPSILON)),
        ledger.dispatch(held.id),
        ledger.void(held.id),
        ledger.reserve(question(alice, EPSILON // 10, request_id="r")),
        ledger.reserve(question(alice, EPSILON // 10, request_id="r")),
        ledger.reserve(question(UUID(int=7), EPSILON // 10)),
        ledger.reserve(question(alice, EPSILON // 10)),
    ]
    assert [type(result) for result in await outcomes(calls)] == [
        BudgetExceeded,
        type(None),
        WrongState,
        Reservation,
        RequestInProgress,
        NoAccount,
        Reservation,
    ]
    books()


async def test_long_answers_do_not_meet_in_one_statement(
    ledger: Ledger, alice: UUID, monkeypatch: pytest.MonkeyPatch, books: Callable[[], None]
):
    """Each is stored whole, in a batch of its own where two would be too much."""
    monkeypatch.setattr(accountant.scribe, "_MOST_TEXT", 1000)
    sizes = []
    transact = Scribe._transact

    async def counted(scribe: Scribe, worker: int, commands: list[Any]) -> Any:
        sizes.append(sum(len(command.answer) for command in commands))
        return await transact(scribe, worker, commands)

    held = [await ledger.reserve(question(alice, 1)) for _ in range(6)]
    for one in held:
        await ledger.dispatch(one.id)
    answers = [{"rows": ["x" * length]} for length in (10, 600, 600, 3000, 10, 10)]
    monkeypatch.setattr(Scribe, "_transact", counted)
    calls = [ledger.settle(one.id, answer) for one, answer in zip(held, answers, strict=True)]
    assert kinds(await outcomes(calls)) == {type(None): 6}
    assert len(sizes) == 4
    assert all(size <= 1000 for size in sizes if size < 3000)
    stored = [release.answer for release in await ledger.releases(alice)]
    assert stored == answers[::-1]
    books()


async def test_what_is_remembered_is_believed_only_while_nobody_else_writes(
    open_ledger: Callable[[], Ledger], alice: UUID, books: Callable[[], None]
):
    """Two servers take turns, and an operator's word counts at once on the server that knew better."""
    here, there = open_ledger(), open_ledger()
    tenth = question(alice, EPSILON // 10)

    async def refused(ledger: Ledger, kind: type[Exception]) -> None:
        with pytest.raises(kind):
            await ledger.reserve(tenth)

    for _ in range(2):
        await here.reserve(tenth)
        await there.reserve(tenth)
    assert (await here.balances(alice, DATASET)).analyst.spent.epsilon == 4 * (EPSILON // 10)

    await there.set_state(alice, DATASET, "frozen")
    await refused(here, AccountShut)
    await there.set_state(alice, DATASET, "open")
    await there.disable_analyst("alice")
    await refused(here, NoAccount)
    await there.enable_analyst("alice")
    await there.open_account("team", DATASET, EPSILON // 20, 0)
    await here.reserve(tenth)
    await there.join_group("team", "alice")
    await refused(here, BudgetExceeded)
    await there.leave_group("team", "alice")
    await there.set_cap(alice, DATASET, epsilon_cap=EPSILON // 2, delta_cap=0)
    await refused(here, BudgetExceeded)
    await there.set_cap(alice, DATASET, epsilon_cap=EPSILON)
    held = await here.reserve(tenth)
    assert isinstance(held, Reservation)
    await there.void(held.id)
    with pytest.raises(WrongState):
        await here.dispatch(held.id)
    books()


async def test_after_a_failure_nothing_is_remembered(
    ledger: Ledger, alice: UUID, ledger_uri: str, books: Callable[[], None]
):
    """Debits of a transaction that was rolled back are not taken for debits."""
    await ledger.reserve(question(alice, EPSILON // 10))
    with psycopg.connect(ledger_uri) as connection:
        connection.execute("""
            CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$;
            CREATE TRIGGER break_it BEFORE INSERT ON entries FOR EACH ROW
            EXECUTE FUNCTION break_it();
        """)
    calls = [ledger.reserve(question(alice, EPSILON // 10)) for _ in range(9)]
    assert kinds(await outcomes(calls)) == {LedgerUnavailable: 9}
    with psycopg.connect(ledger_uri) as connection:
        connection.execute("DROP TRIGGER break_it ON entries")
    calls = [ledger.reserve(question(alice, EPSILON // 10)) for _ in range(10)]
    assert kinds(await outcomes(calls)) == {Reservation: 9, BudgetExceeded: 1}
    books()
