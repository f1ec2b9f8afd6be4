"""The operator's side: analysts, caps and the log of every decision; and what analysts may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from accountant.errors import AnalystExists, CapBelowSpent, NoAccount, UnknownAnalyst
from accountant.filters import MOST, Budget
from accountant.ledger import Ledger
from tests.accountant.conftest import DATASET, EPSILON, UNITS, question


@pytest.fixture
def log(ledger_uri: str) -> Callable[[], list[tuple[Any, ...]]]:
    """Reads what the journal says of decisions, oldest first: kind, signature, what is special."""

    def read() -> list[tuple[Any, ...]]:
        with psycopg.connect(ledger_uri) as connection:
            query = "SELECT doc FROM entries WHERE doc ? 'actor' ORDER BY number"
            docs = [row[0] for row in connection.execute(query)]
        return [
            (
                doc["kind"],
                (doc["actor"], doc["reason"]),
                doc.get("name") or doc.get("holder", ""),
                (doc.get("epsilon_cap"), doc.get("delta_cap")),
            )
            for doc in docs
        ]

    return read


@pytest.mark.parametrize(
    "name",
    ["", "Bob", "bob ", " bob", "bob\n", "1bob", "-bob", "Вob", "bоb", "bob\x00", "b" * 64, "b b"],
)
async def test_a_name_that_could_have_a_twin_is_refused(ledger, name):
    with pytest.raises(ValueError, match="an analyst's name"):
        await ledger.add_analyst(name)
    assert await ledger.list_analysts() == []


async def test_a_name_is_given_once_even_after_it_is_disabled(ledger: Ledger):
    bob = await ledger.add_analyst("bob")
    disabled = await ledger.disable_analyst("bob")
    assert disabled.id == bob.id
    assert disabled.disabled_at is not None
    with pytest.raises(AnalystExists):
        await ledger.add_analyst("bob")
    assert await ledger.disable_analyst("bob") == disabled, "the first time stands"
    assert await ledger.enable_analyst("bob") == bob
    assert await ledger.find_analyst("bob") == bob
    assert await ledger.list_analysts() == [bob]


@pytest.mark.parametrize("call", ["find_analyst", "disable_analyst", "enable_analyst"])
async def test_an_unknown_name(ledger, call):
    with pytest.raises(UnknownAnalyst, match="nobody"):
        await getattr(ledger, call)("nobody")


@pytest.mark.parametrize("cap", [-1, 0.5, True, MOST + 1, "1"])
async def test_a_cap_is_a_natural_number(ledger, alice, cap):
    with pytest.raises(ValueError, match="a cap is"):
        await ledger.open_dataset("new", UNITS, cap, 0)
    with pytest.raises(ValueError, match="a cap is"):
        await ledger.set_cap(alice, DATASET, delta_cap=cap)


async def test_an_account_needs_an_analyst_and_an_open_data_set(ledger: Ledger, alice: UUID):
    with pytest.raises(NoAccount):
        await ledger.open_account(uuid4(), DATASET, 1, 1)
    with pytest.raises(NoAccount):
        await ledger.open_account(alice, "elsewhere", 1, 1)
    with pytest.raises(NoAccount):
        await ledger.balances(alice, "elsewhere")


async def test_a_refused_cap_says_what_is_spent_and_changes_nothing(ledger: Ledger, alice: UUID):
    await ledger.reserve(question(alice, 7))
    before = await ledger.accounts()
    with pytest.raises(CapBelowSpent) as refusal:
        await ledger.set_cap(alice, DATASET, epsilon_cap=6)
    assert (refusal.value.scope, refusal.value.spent) == ("analyst", Budget(7, 0))
    with pytest.raises(CapBelowSpent) as refusal:
        await ledger.set_cap(None, DATASET, epsilon_cap=6, delta_cap=5)
    assert refusal.value.scope == "everyone"
    assert await ledger.accounts() == before


async def test_a_cap_that_is_not_given_stays(ledger: Ledger, alice: UUID):
    (moved,) = await ledger.set_cap(alice, DATASET, delta_cap=3)
    assert (moved.cap.epsilon, moved.cap.delta) == (EPSILON, 3)
    assert (await ledger.balances(alice, DATASET)).analyst == moved


async def test_every_decision_is_logged_and_what_did_not_happen_is_not(ledger: Ledger, log):
    signed: dict[str, Any] = {"by": "root", "reason": "because"}
    alice = await ledger.add_analyst("alice", **signed)
    for _ in range(2):
        await ledger.open_dataset("d", UNITS, 5, 6, **signed)
        await ledger.open_account(alice.id, "d", 3, 4, **signed)
    await ledger.set_cap(alice.id, "d", epsilon_cap=4, **signed)
    with pytest.raises(NoAccount):
        await ledger.set_cap(None, "elsewhere", epsilon_cap=4, **signed)
    await ledger.disable_analyst("alice", **signed)
    await ledger.enable_analyst("alice", **signed)
    with pytest.raises(AnalystExists):
        await ledger.add_analyst("alice", **signed)
    sign, own = ("root", "because"), str(alice.id)
    assert log() == [
        ("add analyst", sign, "alice", (None, None)),
        ("open account", sign, "", (5, 6)),
        ("open account", sign, own, (3, 4)),
        ("set cap", sign, own, (4, 4)),
        ("disable analyst", sign, "alice", (None, None)),
        ("enable analyst", sign, "alice", (None, None)),
    ]


async def test_accounts_come_with_the_data_sets_own_first(ledger: Ledger, alice: UUID):
    await ledger.open_dataset("attic", UNITS, 1, 1)
    every = [account.key for account in await ledger.accounts()]
    assert every == [
        ("attic", "patients", "everyone", ""),
        (DATASET, "patients", "everyone", ""),
        (DATASET, "patients", "analyst", str(alice)),
    ]
    assert [account.key.dataset for account in await ledger.accounts("attic")] == ["attic"]


async def test_an_analyst_sees_only_their_own_releases(ledger: Ledger, alice: UUID):
    bob = (await ledger.add_analyst("bob")).id
    await ledger.open_account(bob, DATASET, EPSILON, 0)
    hers = await ledger.reserve(question(alice, 1))
    his = await ledger.reserve(question(bob, 1))
    seen = await ledger.release(alice, hers.id)
    assert seen is not None
    assert (seen.id, seen.state, seen.sql) == (hers.id, "reserved", question(alice, 1).sql)
    assert await ledger.release(alice, his.id) is None
    assert await ledger.release(alice, uuid4()) is None
    assert [release.id for release in await ledger.releases(alice)] == [hers.id]
    assert await ledger.releases(alice, before=his.id) == [], "another's release is no landmark"


async def test_releases_page_from_the_newest(ledger: Ledger, alice: UUID):
    await ledger.open_dataset("attic", UNITS, EPSILON, 0)
    await ledger.open_account(alice, "attic", EPSILON, 0)
    ids = []
    for i in range(5):
        dataset = "attic" if i == 2 else DATASET
        ids.append((await ledger.reserve(question(alice, 1, dataset=dataset))).id)
    newest = ids[::-1]

    async def page(**where: Any) -> list[UUID]:
        return [release.id for release in await ledger.releases(alice, **where)]

    assert await page() == newest
    assert await page(limit=2) == newest[:2]
    assert await page(limit=2, before=newest[1]) == newest[2:4]
    assert await page(dataset="attic") == [ids[2]]
    assert await page(dataset=DATASET, before=ids[2]) == [ids[1], ids[0]]
