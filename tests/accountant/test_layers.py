"""Layers: groups, units and windows are debited with the rest; replays and top-ups pay what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import psycopg
import pytest

from accountant.accounts import window_number
from accountant.errors import (
    AccountClosed,
    AccountShut,
    BudgetExceeded,
    NoAccount,
    RequestIdConflict,
    WrongState,
    WrongWay,
)
from accountant.events import GaussianEvent
from accountant.journal_files import audit
from accountant.ledger import Cells, Earlier, EffectiveNoise, Ledger, Replay, Request, Reservation
from accountant.losses import ZERO, Loss
from tests.accountant.conftest import DATASET, EPSILON, question

TENTH = EPSILON // 10
CELLS = Cells('[{"c0": 1}]', (EffectiveNoise("discrete_gaussian", Fraction(7, 3)),))


@pytest.fixture
async def bob(ledger: Ledger, alice: UUID) -> UUID:
    bob = (await ledger.add_analyst("bob")).id
    await ledger.open_account(bob, DATASET, EPSILON, 10**12)
    return bob


async def spent(ledger: Ledger) -> dict[str, int]:
    """Epsilon by holder and unit, as far as there is any."""
    names = {str(analyst.id): analyst.name for analyst in await ledger.list_analysts()}
    return {
        f"{names.get(key.holder, key.holder or 'all')}/{key.unit}": account.spent.epsilon
        for account in await ledger.accounts()
        for key in [account.key]
        if account.spent.epsilon
    }


async def answer(ledger: Ledger, request: Request, cells: Cells | None = CELLS) -> Reservation:
    held = await held_of(ledger, request)
    await ledger.dispatch(held.id)
    await ledger.settle(held.id, {"rows": []}, cells)
    return held


async def held_of(ledger: Ledger, request: Request) -> Reservation:
    held = await ledger.reserve(request)
    assert isinstance(held, Reservation)
    return held


async def earlier(ledger: Ledger, analyst: UUID) -> list[Earlier]:
    found, _ = await ledger.earlier(analyst, DATASET, "d")
    return found


# --- groups, units, states -----------------------------------------------------------------------


async def test_a_group_is_debited_with_its_members_and_stops_them(
    ledger: Ledger, alice: UUID, bob: UUID, books: Callable[[], None]
):
    await ledger.open_account("team", DATASET, 3 * TENTH, 0)
    await ledger.join_group("team", "alice")
    await ledger.join_group("team", "bob")
    await ledger.join_group("others", "bob")  # a group without an account stops nobody
    await ledger.reserve(question(alice, 2 * TENTH))
    with pytest.raises(BudgetExceeded) as refusal:
        await ledger.reserve(question(bob, 2 * TENTH))
    assert (refusal.value.scope, refusal.value.remaining.epsilon) == ("group", TENTH)
    await ledger.leave_group("team", "bob")
    await ledger.reserve(question(bob, 2 * TENTH))
    assert await spent(ledger) == {
        "all/patients": 4 * TENTH,
        "team/patients": 2 * TENTH,
        "alice/patients": 2 * TENTH,
        "bob/patients": 2 * TENTH,
    }
    scopes = [a.key.scope for a in (await ledger.balances(alice, DATASET)).accounts]
    assert scopes == ["analyst", "group", "everyone"]
    assert await ledger.groups() == {"others": ["bob"], "team": ["alice"]}
    books()


async def test_every_unit_is_debited_or_none(
    ledger: Ledger, alice: UUID, books: Callable[[], None]
):
    await ledger.open_dataset(DATASET, ["households", "patients"], EPSILON, 0)
    both = ("households", "patients")
    with pytest.raises(NoAccount) as refusal:
        await ledger.reserve(question(alice, TENTH, units=both))
    assert refusal.value.unit == "households"
    await ledger.open_account(alice, DATASET, EPSILON // 2, 0)
    await ledger.reserve(question(alice, TENTH, units=both))
    await ledger.reserve(question(alice, TENTH))
    await ledger.set_cap(alice, DATASET, epsilon_cap=TENTH, unit="households")
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(question(alice, TENTH, units=both))
    await ledger.reserve(question(alice, TENTH))
    balances = await ledger.balances(alice, DATASET)
    assert balances.analyst.key.unit == "households", "the one with the least left"
    assert await spent(ledger) == {
        "all/households": TENTH,
        "all/patients": 3 * TENTH,
        "alice/households": TENTH,
        "alice/patients": 3 * TENTH,
    }
    books()


async def test_a_void_gives_back_to_every_layer(
    ledger: Ledger, alice: UUID, books: Callable[[], None]
):
    await ledger.open_account("team", DATASET, EPSILON, 0)
    await ledger.join_group("team", "alice")
    held = await ledger.reserve(question(alice, TENTH))
    await ledger.leave_group("team", "alice")
    await ledger.void(held.id)
    assert await spent(ledger) == {}
    books()


async def test_frozen_and_closed_accounts_are_not_charged(ledger: Ledger, alice: UUID):
    await ledger.set_state(None, DATASET, "frozen")
    with pytest.raises(AccountShut) as refusal:
        await ledger.reserve(question(alice, TENTH))
    assert (refusal.value.scope, refusal.value.state) == ("everyone", "frozen")
    await ledger.set_state(None, DATASET, "open")
    await ledger.reserve(question(alice, TENTH))
    await ledger.set_state(alice, DATASET, "closed")
    with pytest.raises(AccountShut):
        await ledger.reserve(question(alice, TENTH))
    for change in (
        ledger.set_state(alice, DATASET, "open"),
        ledger.set_cap(alice, DATASET, epsilon_cap=EPSILON),
        ledger.set_window(alice, DATASET, "day", 1, 1),
    ):
        with pytest.raises(AccountClosed):
            await change
    with pytest.raises(NoAccount):
        await ledger.set_state("team", DATASET, "frozen")


async def test_each_verb_goes_its_way(ledger: Ledger, alice: UUID):
    (granted,) = await ledger.set_cap(alice, DATASET, epsilon_cap=TENTH, verb="grant")
    assert (granted.cap.epsilon, granted.cap.delta) == (EPSILON + TENTH, 10**12)
    (raised,) = await ledger.set_cap(alice, DATASET, epsilon_cap=2 * EPSILON, verb="raise")
    assert raised.cap.epsilon == 2 * EPSILON
    for verb, cap in (("raise", EPSILON), ("lower", 3 * EPSILON)):
        with pytest.raises(WrongWay):
            await ledger.set_cap(alice, DATASET, epsilon_cap=cap, verb=verb)  # type: ignore[arg-type]
    (lowered,) = await ledger.set_cap(alice, DATASET, epsilon_cap=TENTH, verb="lower")
    assert lowered.cap.epsilon == TENTH


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, before, after",
    [
        ("day", "2026-03-01T23:59:59.999999", "2026-03-02T00:00:00"),
        ("week", "2026-03-01T23:59:59", "2026-03-02T00:00:00"),  # a Sunday and a Monday
        ("month", "2026-01-31T23:59:59", "2026-02-01T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
    ],
)
def test_a_window_ends_at_midnight_in_utc(kind: Any, before: str, after: str):
    first, second = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (before, after))
    assert window_number(kind, second) == window_number(kind, first) + 1
    assert window_number(kind, first - timedelta(hours=1)) == window_number(kind, first)


def wait(uri: str, days: int) -> None:
    """Puts the ledger's clock on: it is not behind the time of the head."""
    with psycopg.connect(uri) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE head SET at = greatest(at, now()) + make_interval(days => %s)", [days]
        )


async def test_a_window_paces_and_lifts_nothing(ledger: Ledger, alice: UUID, ledger_uri: str):
    await ledger.set_cap(alice, DATASET, delta_cap=0)
    await ledger.set_window(alice, DATASET, "day", 4 * TENTH, 0)
    for _ in range(2):
        for _ in range(2):
            await ledger.reserve(question(alice, 2 * TENTH))
        with pytest.raises(BudgetExceeded) as refusal:
            await ledger.reserve(question(alice, TENTH))
        assert (refusal.value.scope, refusal.value.paced) == ("analyst", True)
        assert (await ledger.balances(alice, DATASET)).analyst.remaining.epsilon == 0
        wait(ledger_uri, 1)
    assert (await ledger.balances(alice, DATASET)).analyst.remaining.epsilon == 2 * TENTH
    await ledger.reserve(question(alice, 2 * TENTH))
    with pytest.raises(BudgetExceeded) as refusal:
        await ledger.reserve(question(alice, TENTH))
    assert not refusal.value.paced, "the lifetime's cap, which no window lifts"


async def test_the_ledgers_clock_does_not_go_back(ledger: Ledger, alice: UUID, ledger_uri: str):
    await ledger.set_window(alice, DATASET, "day", 2 * TENTH, 0)
    wait(ledger_uri, 40)  # so from now on the host's clock is behind
    await ledger.reserve(question(alice, 2 * TENTH))
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(question(alice, TENTH))
    release = (await ledger.releases(alice))[0]
    assert release.reserved_at > datetime.now(UTC) + timedelta(days=39)


async def test_what_is_voided_is_given_back_to_its_own_window(
    ledger: Ledger, alice: UUID, ledger_uri: str
):
    await ledger.set_window(alice, DATASET, "day", 2 * TENTH, 0)
    today = await ledger.reserve(question(alice, TENTH))
    yesterday = await ledger.reserve(question(alice, TENTH))
    await ledger.void(today.id)
    window = (await ledger.balances(alice, DATASET)).analyst.window
    assert window is not None
    assert window.spent.epsilon == TENTH
    wait(ledger_uri, 1)
    await ledger.reserve(question(alice, TENTH))
    await ledger.void(yesterday.id)
    own = (await ledger.balances(alice, DATASET)).analyst
    assert own.window is not None
    assert (own.window.spent.epsilon, own.spent.epsilon) == (TENTH, TENTH)


# --- stored answers ------------------------------------------------------------------------------


async def test_a_stored_answer_is_free_for_who_paid_and_for_everyone(
    ledger: Ledger, alice: UUID, bob: UUID, books: Callable[[], None]
):
    asked = question(alice, TENTH, replayable=True)
    first = await answer(ledger, asked)
    again = await ledger.reserve(asked)
    assert isinstance(again, Reservation)
    assert (again.id, again.cells, again.recorded, again.charge) == (first.id, CELLS, False, ZERO)
    assert again.receipt == first.receipt
    assert len(await ledger.releases(alice)) == 1

    theirs = await held_of(ledger, question(bob, TENTH, replayable=True))
    assert (theirs.cells, theirs.recorded, theirs.charge) == (CELLS, True, asked.loss)
    assert theirs.id != first.id
    with pytest.raises(WrongState):
        await ledger.dispatch(theirs.id)
    await ledger.settle(theirs.id, {"rows": []})
    assert await spent(ledger) == {f"{who}/patients": TENTH for who in ("all", "alice", "bob")}
    assert not (await held_of(ledger, question(bob, TENTH, replayable=True))).recorded
    books()


async def test_a_replay_that_is_given_up_was_no_payment(
    ledger: Ledger, alice: UUID, bob: UUID, books: Callable[[], None]
):
    """Else somebody asks twice at once, takes one answer, and lets the other be given back."""
    await answer(ledger, question(alice, TENTH, replayable=True))
    asked = question(bob, TENTH, replayable=True)
    one, two = await held_of(ledger, asked), await held_of(ledger, asked)
    assert [one.charge, two.charge] == [asked.loss] * 2
    await ledger.void(one.id)
    await ledger.settle(two.id, {"rows": []})
    assert (await spent(ledger))["bob/patients"] == TENTH
    books()


async def test_a_replay_must_fit_the_asker_but_not_everyone(ledger: Ledger, alice: UUID, bob: UUID):
    await answer(ledger, question(alice, TENTH, replayable=True))
    await ledger.set_state(None, DATASET, "frozen")
    await ledger.set_cap(bob, DATASET, epsilon_cap=TENTH // 2, delta_cap=0)
    with pytest.raises(BudgetExceeded) as refusal:
        await ledger.reserve(question(bob, TENTH, replayable=True))
    assert refusal.value.scope == "analyst"
    await ledger.set_cap(bob, DATASET, epsilon_cap=TENTH)
    assert (await held_of(ledger, question(bob, TENTH, replayable=True))).cells == CELLS


async def test_a_named_replay_is_an_entry_of_its_own(ledger: Ledger, alice: UUID):
    first = await answer(ledger, question(alice, TENTH, replayable=True))
    named = await held_of(ledger, question(alice, TENTH, replayable=True, request_id="n"))
    assert (named.recorded, named.charge, named.id != first.id) == (True, ZERO, True)
    await ledger.settle(named.id, {"rows": [[2]]})
    repeated = await ledger.reserve(question(alice, TENTH, replayable=True, request_id="n"))
    assert isinstance(repeated, Replay)
    assert repeated.answer == {"rows": [[2]]}


@pytest.mark.parametrize(
    "changes",
    [{"plan_digest": "other"}, {"replayable": False}],
    ids=repr,
)
async def test_another_plan_is_drawn_anew(ledger: Ledger, alice: UUID, changes: dict[str, Any]):
    await answer(ledger, question(alice, TENTH, replayable=True))
    values = {"replayable": True} | changes
    assert (await held_of(ledger, question(alice, TENTH, **values))).cells is None


async def test_a_new_epoch_and_another_data_set_have_no_stored_answers(ledger: Ledger, alice: UUID):
    await answer(ledger, question(alice, TENTH, replayable=True))
    await ledger.open_dataset("attic", ["patients"], EPSILON, 0)
    await ledger.open_account(alice, "attic", EPSILON, 0)
    elsewhere = question(alice, TENTH, replayable=True, dataset="attic")
    assert (await held_of(ledger, elsewhere)).cells is None
    assert await ledger.advance_epoch(DATASET) == 2
    assert (await held_of(ledger, question(alice, TENTH, replayable=True))).cells is None
    assert await earlier(ledger, alice) == []
    with pytest.raises(NoAccount):
        await ledger.advance_epoch("nowhere")


async def test_who_sees_better_cells_first_pays_for_all_that_is_in_them(
    ledger: Ledger, alice: UUID, bob: UUID, books: Callable[[], None]
):
    """A top-up costs its asker the difference; another asker has seen none of it."""
    coarse = await answer(ledger, question(alice, TENTH, replayable=True))
    (known,) = await earlier(ledger, alice)
    assert (known.id, known.plan_digest, known.cells) == (coarse.id, "p", CELLS)
    top_up = question(
        alice,
        0,
        plan_digest="fine",
        builds_on=coarse.id,
        events=[GaussianEvent(Fraction(9), 1)],
        loss=Loss(2 * TENTH, 0, 7, 0),
    )
    await answer(ledger, top_up)
    newest, _ = await earlier(ledger, alice)
    whole = question(alice, TENTH).loss + top_up.loss
    assert newest.loss == whole
    assert await earlier(ledger, bob) == []
    theirs = await held_of(ledger, question(bob, 0, plan_digest="fine", replayable=True))
    assert (theirs.charge, theirs.cells) == (whole, CELLS)
    assert await spent(ledger) == {f"{who}/patients": 3 * TENTH for who in ("all", "alice", "bob")}
    books()


async def test_a_top_up_needs_a_base_of_ones_own_and_of_today(
    ledger: Ledger, alice: UUID, bob: UUID
):
    base = await answer(ledger, question(alice, TENTH))
    unanswered = await ledger.reserve(question(alice, TENTH))
    for wrong in (
        question(bob, TENTH, builds_on=base.id),
        question(alice, TENTH, builds_on=base.id, question_digest="other"),
        question(alice, TENTH, builds_on=unanswered.id),
        question(alice, TENTH, builds_on=UUID(int=5)),
    ):
        with pytest.raises(WrongState):
            await ledger.reserve(wrong)
    await ledger.advance_epoch(DATASET)
    with pytest.raises(WrongState):
        await ledger.reserve(question(alice, TENTH, builds_on=base.id))


async def test_what_is_told_again_for_nothing_waits_for_no_writer(
    ledger: Ledger, alice: UUID, bob: UUID, ledger_uri: str
):
    """Somebody holds the head, as a commit that waits for the disk does."""
    asked = question(alice, TENTH, replayable=True)
    named = question(alice, TENTH, request_id="r")
    theirs = question(bob, TENTH, replayable=True)
    assert [await ledger.look(one) for one in (asked, named, theirs)] == [None] * 3
    first = await answer(ledger, asked)
    await answer(ledger, named, cells=None)
    with psycopg.connect(ledger_uri) as connection:
        connection.execute("SELECT FROM head FOR UPDATE")
        for _ in range(2):
            told = await asyncio.wait_for(ledger.look(asked), 5)
            assert isinstance(told, Reservation)
            assert (told.id, told.cells, told.recorded) == (first.id, CELLS, False)
            replay = await asyncio.wait_for(ledger.look(named), 5)
            assert isinstance(replay, Replay)
            assert await ledger.look(theirs) is None, "bob has paid for nothing"
    with pytest.raises(RequestIdConflict):
        await ledger.look(question(alice, TENTH, request_id="r", request_digest="other"))
    assert told == await ledger.reserve(asked)


async def test_what_was_free_is_not_once_somebody_says_so(
    open_ledger: Callable[[], Ledger], alice: UUID
):
    """A look is remembered only until the journal grows, whoever writes."""
    here, there = open_ledger(), open_ledger()
    asked = question(alice, TENTH, replayable=True)
    await answer(here, asked)
    await there.open_account("team", DATASET, EPSILON, 0)
    for change, back in (
        (there.disable_analyst("alice"), there.enable_analyst("alice")),
        (there.join_group("team", "alice"), there.leave_group("team", "alice")),
        (there.advance_epoch(DATASET), None),
    ):
        assert await here.look(asked) is not None
        assert len(await earlier(here, alice)) == 1
        await change
        assert await here.look(asked) is None
        if back is not None:
            await back
    assert await earlier(here, alice) == []


async def test_a_look_shows_the_window_of_its_own_day(ledger: Ledger, alice: UUID, ledger_uri: str):
    asked = question(alice, TENTH, replayable=True)
    await answer(ledger, asked)
    await ledger.set_window(alice, DATASET, "day", TENTH, 0)
    await ledger.reserve(question(alice, TENTH))
    for left in (0, TENTH):
        told = await ledger.look(asked)
        assert isinstance(told, Reservation)
        assert told.balances.analyst.remaining.epsilon == left
        wait(ledger_uri, 1)


async def test_a_top_up_needs_a_base_that_all_of_its_accounts_paid_for(
    ledger: Ledger, alice: UUID, books: Callable[[], None]
):
    """The group would see what went into the base, and was charged for none of it."""
    base = await answer(ledger, question(alice, TENTH))
    await ledger.open_account("team", DATASET, EPSILON, 0)
    await ledger.join_group("team", "alice")
    with pytest.raises(WrongState):
        await ledger.reserve(question(alice, TENTH, builds_on=base.id))
    await ledger.leave_group("team", "alice")
    await ledger.reserve(question(alice, TENTH, builds_on=base.id))
    books()


async def test_a_charge_from_before_a_window_is_not_given_back_to_it(
    ledger: Ledger, alice: UUID, books: Callable[[], None]
):
    """It was not charged to it; given back, it would let the day have more than its cap."""
    before = await held_of(ledger, question(alice, TENTH))
    await ledger.set_window(alice, DATASET, "day", 2 * TENTH, 0)
    inside = [await held_of(ledger, question(alice, TENTH)) for _ in range(2)]
    await ledger.void(before.id)
    own = (await ledger.balances(alice, DATASET)).analyst
    assert own.window is not None
    assert (own.window.spent.epsilon, own.spent.epsilon) == (2 * TENTH, 2 * TENTH)
    await ledger.void(inside[0].id)
    own = (await ledger.balances(alice, DATASET)).analyst
    assert own.window is not None
    assert own.window.spent.epsilon == TENTH
    found = await audit(ledger._engine)
    assert not [finding for finding in found.findings if finding.entry is None]
    books()
