"""The audit: a ledger that was used in every way passes; whatever is tampered with is found."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from accountant.errors import BudgetExceeded
from accountant.events import Event, GaussianEvent, LaplaceEvent, ThresholdEvent
from accountant.journal_files import NotAJournal, audit, export, verify
from accountant.ledger import Cells, EffectiveNoise, Ledger, Reservation
from accountant.losses import loss_of_events
from tests.accountant.conftest import DATASET, EPSILON, UNITS, question

CELLS = Cells('[{"r": 0, "c0": 41}]', (EffectiveNoise("discrete_gaussian", Fraction(5, 2)),))
NINTH = Fraction(1, 10**9)


async def answered(
    ledger: Ledger, analyst: UUID, events: list[Event], cells: Cells | None = CELLS, **changes: Any
) -> Reservation:
    """A release from the reserve to the stored answer."""
    loss = loss_of_events(events, NINTH)
    request = question(analyst, 0, events=events, loss=loss, **changes)
    held = await ledger.reserve(request)
    assert isinstance(held, Reservation)
    if held.recorded:
        if held.cells is None:
            await ledger.dispatch(held.id)
        await ledger.settle(held.id, {"rows": [[41]]}, cells)
    return held


@pytest.fixture
async def used(ledger: Ledger, alice: UUID) -> Ledger:
    """A ledger in which everything happened once."""
    bob = (await ledger.add_analyst("bob")).id
    await ledger.open_account(bob, DATASET, EPSILON, 10**12)
    await ledger.join_group("team", "alice")
    await ledger.open_account("team", DATASET, 2 * EPSILON, 10**12)
    await ledger.set_window(alice, DATASET, "day", EPSILON // 2, 10**12)
    first = await answered(
        ledger,
        alice,
        [GaussianEvent(Fraction(100), 1), ThresholdEvent(NINTH / 10)],
        replayable=True,
    )
    again = await answered(
        ledger, alice, [GaussianEvent(Fraction(90), 1)], builds_on=first.id, plan_digest="better"
    )
    assert again.recorded
    replay = await answered(
        ledger, bob, [GaussianEvent(Fraction(90), 1)], plan_digest="better", replayable=True
    )
    assert replay.cells == CELLS
    given_up = await ledger.reserve(
        question(alice, EPSILON // 100, events=[LaplaceEvent(Fraction(100), 1)], request_id="v")
    )
    await ledger.void(given_up.id)
    failed = await ledger.reserve(
        question(alice, EPSILON // 100, events=[LaplaceEvent(Fraction(100), 1)], request_id="f")
    )
    await ledger.dispatch(failed.id)
    await ledger.fail(failed.id)
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(question(alice, EPSILON))
    await ledger.leave_group("team", "alice")
    await ledger.set_cap(None, DATASET, epsilon_cap=EPSILON, verb="grant", reason="paper")
    await ledger.set_state(bob, DATASET, "frozen")
    await ledger.set_state(bob, DATASET, "open")
    await ledger.set_state("team", DATASET, "closed")
    await ledger.set_window(alice, DATASET, None)
    await ledger.advance_epoch(DATASET, reason="new cohort")
    await ledger.disable_analyst("bob")
    await ledger.acknowledge(reason="as it is")
    return ledger


async def test_a_ledger_that_was_used_in_every_way_passes(used: Ledger):
    found = await audit(used._engine)
    assert found.findings == []
    assert found.states == {"answered": 3, "voided": 1, "failed": 1}
    held = {account.key: account for account in await used.accounts()}
    assert {key: account.spent for key, account in found.made.accounts.items()} == {
        key: account.spent for key, account in held.items()
    }


def tamper(uri: str, statement: str) -> None:
    """As a superuser with the triggers off, past everything that the database forbids."""
    with psycopg.connect(uri) as connection:
        connection.execute("SET session_replication_role = replica")
        assert connection.execute(statement.encode()).rowcount > 0


TAMPERING = {
    "a charge made smaller": (
        """UPDATE entries SET record = regexp_replace(record, '"rho":[0-9]+', '"rho":1') WHERE doc ? 'loss'""",
        "its hash is not",
    ),
    "an answer changed": (
        "UPDATE entries SET answer = '{}' WHERE answer IS NOT NULL",
        "the answer beside it are not",
    ),
    "cells changed": (
        "UPDATE entries SET cells = '[]' WHERE cells IS NOT NULL",
        "the cells beside it are not",
    ),
    "an entry taken out": ("DELETE FROM entries WHERE number = 9", "it comes after entry 8"),
    "the end cut off": (
        "DELETE FROM entries WHERE number = (SELECT max(number) FROM entries)",
        "the head is not the last entry",
    ),
    "entries in another order": (
        (
            "UPDATE entries SET number = CASE number WHEN 5 THEN -6 ELSE -5 END WHERE number IN (5, 6);"
            "UPDATE entries SET number = -number WHERE number < 0"
        ),
        "its hash is not",
    ),
    "spending given back": (
        "UPDATE accounts SET epsilon_spent = 0, delta_spent = 0, rho_spent = 0, slack_spent = 0",
        "is not what its entries say",
    ),
    "a cap raised": (
        "UPDATE accounts SET epsilon_cap = epsilon_cap + 1",
        "is not what its entries say",
    ),
    "an account opened": (
        (
            "INSERT INTO accounts (dataset, unit, scope, holder, epsilon_cap, delta_cap, rho_cap)"
            " VALUES ('clinic', 'patients', 'group', 'friends', 1, 1, 1)"
        ),
        "is not what its entries say",
    ),
    "a closed account opened": (
        "UPDATE accounts SET state = 'open' WHERE state = 'closed'",
        "is not what its entries say",
    ),
    "the epoch put back": ("UPDATE datasets SET epoch = 1", "the epochs are not"),
    "a member taken in": (
        "INSERT INTO members SELECT 'team', id FROM analysts",
        "the members of groups are not",
    ),
    "a disabled analyst let in": (
        "UPDATE analysts SET disabled_at = NULL",
        "the analysts who may ask are not",
    ),
    "the head moved": ("UPDATE head SET number = number + 1", "the head is not the last entry"),
}


@pytest.mark.parametrize("what", TAMPERING)
async def test_tampering_is_found(what: str, used: Ledger, ledger_uri: str):
    statement, finding = TAMPERING[what]
    tamper(ledger_uri, statement)
    found = await audit(used._engine)
    assert any(finding in str(one) for one in found.findings), found.findings


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "a charge below the cost": (
        {"loss": {"epsilon": 1, "delta": 0, "rho": 1, "slack": 0}},
        "less than what its mechanisms cost",
    ),
    "a layer left out": ({"charged": []}, "does not charge the accounts"),
    "another epoch": ({"epoch": 7}, "not of the present epoch"),
    "somebody unknown": ({"analyst": str(UUID(int=9))}, "its analyst is disabled or unknown"),
    "an unknown mechanism": ({"events": [{"kind": "magic"}]}, "cannot be read"),
    "a replay of nothing": ({"source": str(UUID(int=9))}, "cannot be read"),
    "a wrong step": ({"step": 1}, "not the step that it says"),
    "an unknown kind": ({"kind": "refund"}, "of a kind that epsql does not know"),
}


@pytest.mark.parametrize("what", LIES)
async def test_what_a_forger_with_the_right_hash_would_write_is_found(
    what: str, ledger: Ledger, alice: UUID
):
    """Who can append to the chain can still not charge less than what was done."""
    changes, finding = LIES[what]
    honest = {
        "release": str(UUID(int=1)), "step": 0, "analyst": str(alice), "dataset": DATASET,
        "units": list(UNITS), "request_digest": "", "plan_digest": "", "question_digest": "",
        "epoch": 1, "sql": "", "worker": 1,
        "events": [{"kind": "discrete_laplace", "scale": "10", "l1_sensitivity": 1}],
        "loss": {"epsilon": EPSILON // 10, "delta": 0, "rho": EPSILON // 200, "slack": 0},
        "charged": [["patients", "analyst", str(alice)], ["patients", "everyone", ""]],
    }  # fmt: skip
    forged = {**honest, "kind": "reserve", **changes}
    async with ledger._journal.writing() as writing:
        writing.chain.append(forged.pop("kind"), forged)
    found = await audit(ledger._engine)
    assert any(finding in str(one) for one in found.findings), found.findings


async def test_an_exported_journal_is_checked_without_a_database(used: Ledger, tmp_path: Path):
    path = tmp_path / "journal"
    count = await export(used._engine, path)
    found = verify(path)
    assert (found.findings, found.number) == ([], count)
    with pytest.raises(FileExistsError):
        await export(used._engine, path)

    lines = path.read_text().splitlines()
    cut = tmp_path / "cut"
    cut.write_text("\n".join(lines[:-1]) + "\n")
    assert [str(one) for one in verify(cut).findings] == [
        "the file does not end with the entry that it says"
    ]
    changed = tmp_path / "changed"
    changed.write_text(path.read_text().replace("paper", "paPer"))
    assert any("its hash is not" in str(one) for one in verify(changed).findings)
    for other in ("", "{}\n", '{"format": "epsql journal 1", "entries": 1, "head": ""}\n[]\n'):
        changed.write_text(other)
        with pytest.raises(NotAJournal):
            verify(changed)
