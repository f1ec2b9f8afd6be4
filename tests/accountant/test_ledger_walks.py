"""Random walks: any order of calls leaves the ledger where a model of a few lines is."""

from __future__ import annotations

import random
from collections.abc import Callable
from uuid import UUID

import pytest

from accountant.errors import BudgetExceeded, WrongState
from accountant.ledger import Ledger
from accountant.losses import Loss
from tests.accountant.conftest import DATASET, UNITS, question

CAPS = {"alice": 60, "bob": 80, None: 100}
MOVES = {
    "dispatch": ("reserved", "dispatched"),
    "settle": ("dispatched", "answered"),
    "fail": ("dispatched", "failed"),
    "void": ("reserved", "voided"),
}


class Model:
    """What the ledger must do, in memory and one call at a time."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, UUID, int]] = []
        self.states: dict[UUID, str] = {}

    def spent(self, name: str | None) -> int:
        return sum(
            charge
            for owner, entry, charge in self.entries
            if name in {None, owner} and self.states[entry] != "voided"
        )

    def refuses(self, name: str, charge: int) -> str | None:
        for scope, account in (("analyst", name), ("everyone", None)):
            if self.spent(account) + charge > CAPS[account]:
                return scope
        return None


@pytest.mark.parametrize("seed", range(3))
async def test_a_walk_ends_where_the_model_is(
    seed: int, open_ledger: Callable[[], Ledger], books: Callable[[], None]
):
    chance, model = random.Random(seed), Model()
    ledgers = [open_ledger(), open_ledger()]
    await ledgers[0].open_dataset(DATASET, UNITS, CAPS[None], 0)
    ids = {}
    for name in ("alice", "bob"):
        ids[name] = (await ledgers[0].add_analyst(name)).id
        await ledgers[0].open_account(ids[name], DATASET, CAPS[name], 0)

    refusals = 0
    for _ in range(120):
        ledger = chance.choice(ledgers)
        if not model.entries or chance.random() < 0.4:
            name, charge = chance.choice(["alice", "bob"]), chance.randint(0, 25)
            scope = model.refuses(name, charge)
            asked = question(ids[name], charge, loss=Loss(charge, 0, charge * charge, 0))
            if scope is not None:
                with pytest.raises(BudgetExceeded) as refusal:
                    await ledger.reserve(asked)
                assert refusal.value.scope == scope
                refusals += 1
                continue
            entry = (await ledger.reserve(asked)).id
            model.entries.append((name, entry, charge))
            model.states[entry] = "reserved"
        else:
            move = chance.choice(list(MOVES))
            _, entry, _ = chance.choice(model.entries[-4:])
            source, target = MOVES[move]
            arguments: list[dict[str, object]] = [{}] if move == "settle" else []
            call = getattr(ledger, move)(entry, *arguments)
            if model.states[entry] == source:
                await call
                model.states[entry] = target
            else:
                with pytest.raises(WrongState):
                    await call

    assert refusals > 0
    assert len(set(model.states.values())) > 3, "the walk saw most states"
    for name, analyst in ids.items():
        balances = await ledgers[0].balances(analyst, DATASET)
        assert balances.analyst.spent.epsilon == model.spent(name)
        assert balances.dataset.spent.epsilon == model.spent(None)
        states = {
            release.id: release.state for release in await ledgers[0].releases(analyst, limit=200)
        }
        assert states == {e: model.states[e] for owner, e, _ in model.entries if owner == name}
    books()
