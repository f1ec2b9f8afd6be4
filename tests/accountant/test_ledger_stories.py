"""The ledger as tables: one line for each call, ending in what it must come to.

    reserve WHO EPSILON [id=REQUEST] [asks=QUESTION] [as=ENTRY] -> ok OWN/CAP ALL/CAP
    dispatch | settle | fail | void ENTRY                       -> ok OWN/CAP ALL/CAP

A ``reserve`` that is refused says who has how much left, or what is wrong. Whatever happens, after
every table each account has spent the sum of its entries that were not voided.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from accountant.errors import (
    BudgetExceeded,
    CapBelowSpent,
    NoAccount,
    RequestFailed,
    RequestIdConflict,
    RequestInProgress,
    WrongState,
)
from accountant.ledger import Ledger, Replay, Reservation
from accountant.losses import Loss
from tests.accountant.conftest import DATASET, EPSILON, UNITS, question

TABLES = {
    "ten times a tenth is one": """
        dataset 2                    -> ok
        analyst alice 1              -> ok
        reserve alice 0.1            -> ok 0.1/1 0.1/2
        reserve alice 0.1            -> ok 0.2/1 0.2/2
        reserve alice 0.1            -> ok 0.3/1 0.3/2
        reserve alice 0.1            -> ok 0.4/1 0.4/2
        reserve alice 0.1            -> ok 0.5/1 0.5/2
        reserve alice 0.1            -> ok 0.6/1 0.6/2
        reserve alice 0.1            -> ok 0.7/1 0.7/2
        reserve alice 0.1            -> ok 0.8/1 0.8/2
        reserve alice 0.1            -> ok 0.9/1 0.9/2
        reserve alice 0.1            -> ok 1/1 1/2
        reserve alice 0.000000000001 -> analyst has 0
    """,
    "a refusal spends nothing, and what fits still fits": """
        dataset 2         -> ok
        analyst alice 1   -> ok
        reserve alice 0.7 -> ok 0.7/1 0.7/2
        reserve alice 0.4 -> analyst has 0.3
        reserve alice 0.3 -> ok 1/1 1/2
    """,
    "colluding analysts share one ceiling": """
        dataset 1         -> ok
        analyst alice 0.8 -> ok
        analyst bob 0.8   -> ok
        reserve alice 0.6 -> ok 0.6/0.8 0.6/1
        reserve bob 0.6   -> everyone has 0.4
        reserve bob 0.4   -> ok 0.4/0.8 1/1
        reserve alice 0.1 -> everyone has 0
    """,
    "an answered entry is never undone": """
        dataset 2                -> ok
        analyst alice 1          -> ok
        reserve alice 0.5 as=one -> ok 0.5/1 0.5/2
        settle one               -> wrong state
        fail one                 -> wrong state
        dispatch one             -> ok 0.5/1 0.5/2
        dispatch one             -> wrong state
        void one                 -> wrong state
        settle one               -> ok 0.5/1 0.5/2
        settle one               -> wrong state
        fail one                 -> wrong state
        void one                 -> wrong state
    """,
    "a failure after dispatch is charged": """
        dataset 2                -> ok
        analyst alice 1          -> ok
        reserve alice 0.5 as=one -> ok 0.5/1 0.5/2
        dispatch one             -> ok 0.5/1 0.5/2
        fail one                 -> ok 0.5/1 0.5/2
        void one                 -> wrong state
        settle one               -> wrong state
    """,
    "a void gives back exactly once, in both accounts": """
        dataset 2                -> ok
        analyst alice 1          -> ok
        reserve alice 0.3        -> ok 0.3/1 0.3/2
        reserve alice 0.5 as=one -> ok 0.8/1 0.8/2
        void one                 -> ok 0.3/1 0.3/2
        void one                 -> wrong state
        dispatch one             -> wrong state
        reserve alice 0.7        -> ok 1/1 1/2
    """,
    "a request id is one question, one charge, one answer": """
        dataset 2                            -> ok
        analyst alice 1                      -> ok
        reserve alice 0.4 id=r asks=q as=one -> ok 0.4/1 0.4/2
        reserve alice 0.4 id=r asks=q        -> in progress
        dispatch one                         -> ok 0.4/1 0.4/2
        reserve alice 0.4 id=r asks=q        -> in progress
        reserve alice 0.4 id=r asks=other    -> conflict
        settle one                           -> ok 0.4/1 0.4/2
        reserve alice 0.4 id=r asks=q        -> replay of one
        reserve alice 0.4 id=r asks=other    -> conflict
        reserve alice 0.6                    -> ok 1/1 1/2
        reserve alice 0.4 id=r asks=q        -> replay of one
    """,
    "a failed request stays charged and needs a new id": """
        dataset 2                     -> ok
        analyst alice 1               -> ok
        reserve alice 0.4 id=r as=one -> ok 0.4/1 0.4/2
        dispatch one                  -> ok 0.4/1 0.4/2
        fail one                      -> ok 0.4/1 0.4/2
        reserve alice 0.4 id=r        -> failed
        reserve alice 0.4 id=s        -> ok 0.8/1 0.8/2
    """,
    "a voided request may be made again under its id": """
        dataset 2                     -> ok
        analyst alice 1               -> ok
        reserve alice 0.4 id=r as=one -> ok 0.4/1 0.4/2
        void one                      -> ok 0/1 0/2
        reserve alice 0.4 id=r as=two -> ok 0.4/1 0.4/2
        dispatch two                  -> ok 0.4/1 0.4/2
        settle two                    -> ok 0.4/1 0.4/2
        reserve alice 0.4 id=r        -> replay of two
    """,
    "a request id is the analyst's own": """
        dataset 2                     -> ok
        analyst alice 1               -> ok
        analyst bob 1                 -> ok
        reserve alice 0.4 id=r as=one -> ok 0.4/1 0.4/2
        dispatch one                  -> ok 0.4/1 0.4/2
        settle one                    -> ok 0.4/1 0.4/2
        reserve bob 0.4 id=r          -> ok 0.4/1 0.8/2
    """,
    "no account, no question": """
        analyst alice 1   -> no account
        reserve alice 0.1 -> no account
        dataset 2         -> ok
        reserve alice 0.1 -> no account
        analyst alice 1   -> ok
        reserve alice 0.1 -> ok 0.1/1 0.1/2
        disable alice     -> ok
        reserve alice 0.1 -> no account
        enable alice      -> ok
        reserve alice 0.1 -> ok 0.2/1 0.2/2
    """,
    "opening again changes nothing; a cap moves, but not below what is spent": """
        dataset 2         -> ok
        analyst alice 1   -> ok
        reserve alice 0.5 -> ok 0.5/1 0.5/2
        dataset 9         -> ok
        analyst alice 9   -> ok
        cap alice 0.4     -> spent 0.5
        cap dataset 0.4   -> spent 0.5
        cap alice 0.5     -> ok
        reserve alice 0.1 -> analyst has 0
        cap alice 3       -> ok
        reserve alice 1.5 -> ok 2/3 2/2
        cap bob 1         -> no account
    """,
}


def _steps(text: str) -> int:
    return int(Decimal(text) * EPSILON)


def _decimal(steps: int) -> str:
    return f"{(Decimal(steps) / EPSILON).normalize():f}"


class Story:
    """Plays the lines of a table against a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.analysts: dict[str, UUID] = {}
        self.entries: dict[str, tuple[UUID, UUID]] = {}

    async def play(self, line: str) -> str:
        verb, *words = line.split()
        plain = [word for word in words if "=" not in word]
        named = dict(word.split("=") for word in words if "=" in word)
        try:
            step: Callable[..., Awaitable[str]] = getattr(self, verb)
            return await step(*plain, **{f"{name}_": value for name, value in named.items()})
        except BudgetExceeded as refusal:
            return f"{refusal.scope} has {_decimal(refusal.remaining.epsilon)}"
        except CapBelowSpent as refusal:
            return f"spent {_decimal(refusal.spent.epsilon)}"
        except NoAccount:
            return "no account"
        except RequestIdConflict:
            return "conflict"
        except RequestInProgress:
            return "in progress"
        except RequestFailed:
            return "failed"
        except WrongState:
            return "wrong state"

    async def dataset(self, cap: str) -> str:
        await self.ledger.open_dataset(DATASET, UNITS, _steps(cap), 0)
        return "ok"

    async def analyst(self, name: str, cap: str) -> str:
        if name not in self.analysts:
            self.analysts[name] = (await self.ledger.add_analyst(name)).id
        await self.ledger.open_account(self.analysts[name], DATASET, _steps(cap), 0)
        return "ok"

    async def cap(self, whose: str, cap: str) -> str:
        analyst = None if whose == "dataset" else self.analysts.get(whose, UUID(int=0))
        await self.ledger.set_cap(analyst, DATASET, epsilon_cap=_steps(cap))
        return "ok"

    async def disable(self, name: str) -> str:
        await self.ledger.disable_analyst(name)
        return "ok"

    async def enable(self, name: str) -> str:
        await self.ledger.enable_analyst(name)
        return "ok"

    async def reserve(
        self, who: str, epsilon: str, id_: str | None = None, asks_: str = "q", as_: str = ""
    ) -> str:
        analyst = self.analysts[who]
        asked = question(analyst, _steps(epsilon), request_id=id_, request_digest=asks_)
        outcome = await self.ledger.reserve(asked)
        if isinstance(outcome, Replay):
            name = next(name for name, entry in self.entries.items() if entry[0] == outcome.id)
            assert outcome.answer == {"entry": name}
            assert outcome.charge == asked.loss
            return f"replay of {name}"
        self.entries[as_] = (outcome.id, analyst)
        assert outcome.balances == await self.ledger.balances(analyst, DATASET)
        return await self._standing(analyst)

    async def dispatch(self, name: str) -> str:
        return await self._move(self.ledger.dispatch, name)

    async def fail(self, name: str) -> str:
        return await self._move(self.ledger.fail, name)

    async def void(self, name: str) -> str:
        return await self._move(self.ledger.void, name)

    async def settle(self, name: str) -> str:
        return await self._move(self.ledger.settle, name, {"entry": name})

    async def _move(self, move: Callable[..., Any], name: str, *arguments: Any) -> str:
        entry, analyst = self.entries[name]
        await move(entry, *arguments)
        return await self._standing(analyst)

    async def _standing(self, analyst: UUID) -> str:
        both = await self.ledger.balances(analyst, DATASET)
        parts = [
            f"{_decimal(account.spent.epsilon)}/{_decimal(account.cap.epsilon)}"
            for account in (both.analyst, both.dataset)
        ]
        return "ok " + " ".join(parts)


@pytest.mark.parametrize("title", TABLES)
async def test_story(title: str, ledger: Ledger, books: Callable[[], None]):
    story = Story(ledger)
    expected, happened = [], []
    for line in TABLES[title].strip().splitlines():
        call, _, status = re.split(r"\s+(->)\s+", line.strip())
        expected.append(f"{call} -> {status}")
        happened.append(f"{call} -> {await story.play(call)}")
    assert happened == expected
    books()


async def test_delta_has_a_ceiling_of_its_own(ledger: Ledger, alice: UUID):
    half = Loss(1, 125 * 10**9, 0, 125 * 10**9)  # of the quarter of the cap that thresholds have
    for _ in range(2):
        assert isinstance(await ledger.reserve(question(alice, 1, loss=half)), Reservation)
    with pytest.raises(BudgetExceeded) as refusal:
        await ledger.reserve(question(alice, 1, loss=Loss(1, 1, 0, 1)))
    assert (refusal.value.scope, refusal.value.remaining.delta) == ("analyst", 0)
    assert (await ledger.balances(alice, DATASET)).analyst.spent.delta == 25 * 10**10


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": ""},
        {"request_id": "a b"},
        {"request_id": "x" * 201},
        {"request_id": "nul\x00"},
        {"request_id": "\u0435"},
        {"sql": "select '\x00'"},
        {"sql": "select '\ud800'"},
    ],
    ids=repr,
)
async def test_what_cannot_be_stored_is_an_error_before_any_debit(ledger, alice, changes):
    with pytest.raises(ValueError):
        await ledger.reserve(question(alice, 1, **changes))
    assert (await ledger.balances(alice, DATASET)).analyst.spent.epsilon == 0
    assert await ledger.releases(alice) == []


async def test_a_replay_is_the_answer_to_the_letter(ledger, alice):
    answer = {"rows": [[1e16, -0.0, 0.1, 1, "\u0000é", None]], "b": 1, "aa": [1.0]}
    entry = await ledger.reserve(question(alice, 1, request_id="r"))
    await ledger.dispatch(entry.id)
    await ledger.settle(entry.id, answer)
    replay = await ledger.reserve(question(alice, 1, request_id="r"))
    assert repr(replay.answer) == repr(answer)
