"""The road: debit before data, no answer before it is stored, and the ledger is always told.

Every station is broken and cancelled in turn. What must hold is read off two lists: the steps that
were taken, in order, and the state in which the ledger was left.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast
from uuid import UUID

import pytest

from accountant.errors import BudgetExceeded, LedgerUnavailable
from accountant.filters import Budget
from accountant.ledger import Ledger, Replay
from accountant.losses import Loss
from analyzer.asks import EpsilonAsk, ErrorBar
from analyzer.refusals import RowsRefused
from server import finishes, plans
from server import gateway as module
from server.engines import EngineFailed
from server.gateway import Gateway
from server.observations import (
    Answered,
    CancelledAfterDebit,
    LedgerNotTold,
    Observation,
    Replayed,
    Station,
    Voided,
)
from server.observations import FailedAfterDebit as FailureSeen
from server.questions import (
    Dataset,
    DataUnavailable,
    FailedAfterDebit,
    Question,
    ServerBusy,
    TooManyQueries,
    UnknownDataset,
)
from server.releases import TooManyPublicRows
from server.ticks import Tick
from tests.server.fakes import (
    ANALYST,
    CANARY,
    FakeAnswer,
    FakeEngine,
    FakeLedger,
    FakePublisher,
    Road,
    catalog,
    plan,
)

QUESTION = Question("SELECT count(*) FROM patients")


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        self.road = Road()
        self.ledger = FakeLedger(self.road)
        self.engine = FakeEngine(self.road)
        self.seen: list[Observation] = []
        self.asks: list[Any] = []
        self.gateway = Gateway(
            {"clinic": Dataset(catalog(), self.engine)},
            cast("Ledger", self.ledger),
            self.seen.append,
            **limits,
        )
        monkeypatch.setattr(plans, "analyze", self._analyze)
        monkeypatch.setattr(module, "Publisher", self._publisher)
        monkeypatch.setattr(finishes, "answer", self._answer)

    def _run(self, name: str) -> None:
        self.road.steps.append(name)
        if name in self.road.at:
            self.road.at[name]()

    def _analyze(self, sql: str, catalog: Any, *, ask: Any, **_: Any) -> Any:
        self._run("analyze")
        self.asks.append(ask)
        return plan(ask)

    def _publisher(self, _: Any) -> FakePublisher:
        return FakePublisher(plan(), lambda: self._run("publish"))

    def _answer(self, _: Any, __: Any) -> FakeAnswer:
        self._run("answer")
        return FakeAnswer()

    @property
    def state(self) -> str:
        (state,) = self.ledger.states.values()
        return state

    def started(self) -> list[str]:
        return [step for step in self.road.steps if not step.endswith(" done")]


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def broken(error: BaseException):
    def raise_it() -> None:
        raise error

    return raise_it


async def test_the_debit_is_durable_before_the_first_private_read(world):
    reply = await world.gateway.query(ANALYST, QUESTION)
    steps = world.road.steps
    assert steps.index("reserve done") < steps.index("dispatch")
    assert steps.index("dispatch done") < steps.index("fetch")
    assert steps[-1] == "settle done"
    assert world.started() == [
        "analyze", "reserve", "ready", "dispatch", "fetch", "publish", "finish", "answer", "settle",
    ]  # fmt: skip
    assert world.ledger.answers == {reply.release: reply.body}
    assert isinstance(world.seen[-1], Answered)


async def test_a_refusal_touches_nothing(world):
    world.road.at["analyze"] = broken(RowsRefused("no rows"))
    with pytest.raises(RowsRefused):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.road.steps == ["analyze"]


async def test_a_refusal_of_the_ledger_touches_no_data(world):
    refusal = BudgetExceeded("analyst", Budget(0, 0), Loss(1, 0, 0, 0))
    world.road.at["reserve"] = broken(refusal)
    with pytest.raises(BudgetExceeded):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.started() == ["analyze", "reserve"]


@pytest.mark.parametrize("station", ["fetch", "publish", "finish", "answer", "settle"])
async def test_a_failure_after_the_debit_stays_charged_and_says_nothing(world, station):
    world.road.at[station] = broken(ValueError(CANARY))
    with pytest.raises(FailedAfterDebit) as caught:
        await world.gateway.query(ANALYST, QUESTION)
    assert world.state == "failed"
    assert CANARY not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert [type(seen) for seen in world.seen] == [FailureSeen]
    assert world.seen[0].station is Station("finish" if station == "answer" else station)
    assert CANARY not in repr(world.seen)


async def test_a_refusal_over_public_rows_is_told_though_it_comes_late(world):
    world.road.at["publish"] = broken(TooManyPublicRows(7))
    with pytest.raises(TooManyPublicRows, match="more than 7 rows"):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.state == "failed"


async def test_a_failure_of_the_database_is_named_to_the_operator_by_its_sqlstate(world):
    world.road.at["fetch"] = broken(EngineFailed("57014"))
    with pytest.raises(FailedAfterDebit):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.seen[0].error == "EngineFailed.57014"


async def test_a_database_that_is_away_costs_nothing(world):
    world.engine.is_ready = False
    with pytest.raises(DataUnavailable):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.state == "voided"
    assert "fetch" not in world.started()
    assert [type(seen) for seen in world.seen] == [Voided]


async def test_a_dispatch_that_fails_is_voided(world):
    world.road.at["dispatch"] = broken(LedgerUnavailable())
    with pytest.raises(LedgerUnavailable):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.state == "voided"
    assert "fetch" not in world.started()


async def test_a_dispatch_that_took_place_but_was_not_heard_of_stays_charged(world):
    async def commit_then_lose_the_connection() -> None:
        (entry,) = world.ledger.states
        world.ledger.states[entry] = "dispatched"
        raise LedgerUnavailable

    world.road.at["dispatch"] = commit_then_lose_the_connection
    with pytest.raises(LedgerUnavailable):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.state == "failed"
    assert "fetch" not in world.started()


async def test_a_ledger_that_cannot_be_told_of_a_failure_keeps_the_charge(world):
    world.road.at["fetch"] = broken(EngineFailed())
    world.road.at["fail"] = broken(LedgerUnavailable())
    with pytest.raises(FailedAfterDebit):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.state == "dispatched"
    assert isinstance(world.seen[-1], LedgerNotTold)


async def test_an_answer_that_was_not_stored_does_not_leave(world):
    world.road.at["settle"] = broken(LedgerUnavailable())
    with pytest.raises(FailedAfterDebit):
        await world.gateway.query(ANALYST, QUESTION)
    assert world.ledger.answers == {}
    assert world.state == "failed"


@pytest.mark.parametrize(
    "station,left,asked_data",
    [
        ("reserve", "voided", False),
        ("ready", "voided", False),
        ("dispatch", "failed", False),
        ("fetch", "failed", True),
        ("finish", "failed", True),
        ("settle", "answered", True),
    ],
)
@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_at(world, station, left, asked_data, times):
    """A step that is under way in the ledger is seen through; then the ledger is told."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await go_on.wait()

    world.road.at[station] = wait
    task = asyncio.create_task(world.gateway.query(ANALYST, QUESTION))
    await reached.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.state == left
    assert ("fetch" in world.started()) == asked_data
    kind = Voided if left == "voided" else CancelledAfterDebit
    if station != "settle":
        assert [type(seen) for seen in world.seen] == [kind]


async def test_a_second_cancellation_does_not_keep_the_ledger_from_being_told(world):
    failing, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        failing.set()
        await go_on.wait()

    async def for_ever() -> None:
        await asyncio.Event().wait()

    world.road.at |= {"fetch": for_ever, "fail": slow}
    task = asyncio.create_task(world.gateway.query(ANALYST, QUESTION))
    while "fetch" not in world.road.steps:  # noqa: ASYNC110 - the road is a list
        await asyncio.sleep(0)
    task.cancel()
    await failing.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.state == "failed"


async def test_a_cancelled_reserve_that_was_refused_leaves_nothing_to_void(world):
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def refuse() -> None:
        reached.set()
        await go_on.wait()
        raise LedgerUnavailable

    world.road.at["reserve"] = refuse
    task = asyncio.create_task(world.gateway.query(ANALYST, QUESTION))
    await reached.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.started() == ["analyze", "reserve"]


async def test_a_replay_asks_no_data(world):
    stored = {"release_id": "x", "rows": [[41]]}
    world.ledger.replay = Replay(UUID(int=7), stored, Loss(1, 0, 0, 0))
    reply = await world.gateway.query(ANALYST, QUESTION)
    assert reply.replayed
    assert reply.body == stored
    assert world.started() == ["analyze", "reserve"]
    assert isinstance(world.seen[-1], Replayed)


async def test_a_quote_stops_after_the_first_station(world):
    quoted = await world.gateway.quote(ANALYST, QUESTION)
    assert quoted == plan()
    assert world.road.steps == ["analyze"]


@pytest.mark.parametrize(
    "epsilon,delta,ask",
    [
        (None, None, (Fraction(1, 10), Fraction(0))),
        (Fraction(1, 2), None, (Fraction(1, 2), Fraction(0))),
        (None, Fraction(1, 10**9), (Fraction(1, 10), Fraction(1, 10**9))),
    ],
)
async def test_what_is_not_asked_is_the_policys_default(world, epsilon, delta, ask):
    await world.gateway.quote(ANALYST, Question("SELECT 1", epsilon=epsilon, delta=delta))
    (given,) = world.asks
    assert given == EpsilonAsk(*ask)


async def test_the_digest_of_a_request_tells_all_that_was_asked_apart(world):
    questions = [
        Question("SELECT 1"),
        Question("SELECT 2"),
        Question("SELECT 1", parameters=(1,)),
        Question("SELECT 1", parameters=("1",)),
        Question("SELECT 1", parameters=(True,)),
        Question("SELECT 1", parameters=(None,)),
        Question("SELECT 1", parameters=("None",)),
        Question("SELECT 1", epsilon=Fraction(1, 2)),
        Question("SELECT 1", delta=Fraction(1, 2)),
        Question("SELECT 1", rho=Fraction(1, 2)),
        Question("SELECT 1", fresh=True),
        Question("SELECT 1", error=ErrorBar(Fraction(500))),
        Question("SELECT 1", error=ErrorBar(Fraction(500), Fraction(2000))),
    ]
    digests = set()
    for question in questions:
        await world.gateway.query(ANALYST, question)
        digests.add(world.ledger.reserved[-1].request_digest)
    assert len(digests) == len(questions)


async def test_analysis_does_not_hold_up_the_loop(world):
    here = threading.get_ident()
    threads: dict[str, int] = {}
    for station in ("analyze", "publish"):
        world.road.at[station] = lambda name=station: threads.update({name: threading.get_ident()})
    await world.gateway.query(ANALYST, QUESTION)
    assert here not in threads.values()
    assert set(threads) == {"analyze", "publish"}


async def hold(world, count: int, analyst: UUID):
    """Starts queries that wait in the engine until the returned event is set."""
    go_on = asyncio.Event()
    world.road.at["fetch"] = go_on.wait
    fresh = replace(QUESTION, fresh=True)  # those that are the same would wait for one another
    tasks = [asyncio.create_task(world.gateway.query(analyst, fresh)) for _ in range(count)]
    while world.road.steps.count("fetch") < count:  # noqa: ASYNC110 - the road is a list
        await asyncio.sleep(0.001)
    return go_on, tasks


async def test_an_analyst_has_only_so_many_at_once_and_others_are_not_held_up(monkeypatch):
    world = World(monkeypatch, per_analyst=2)
    go_on, tasks = await hold(world, 2, ANALYST)
    with pytest.raises(TooManyQueries):
        await world.gateway.query(ANALYST, QUESTION)
    with pytest.raises(TooManyQueries):
        await world.gateway.quote(ANALYST, QUESTION)
    assert len(world.ledger.states) == 2
    del world.road.at["fetch"]
    await world.gateway.query(UUID(int=2), QUESTION)
    go_on.set()
    await asyncio.gather(*tasks)
    await world.gateway.query(ANALYST, QUESTION)


async def test_all_have_only_so_many_at_once(monkeypatch):
    world = World(monkeypatch, at_once=2)
    go_on, tasks = await hold(world, 2, ANALYST)
    with pytest.raises(ServerBusy):
        await world.gateway.query(UUID(int=2), QUESTION)
    go_on.set()
    await asyncio.gather(*tasks)
    await world.gateway.query(UUID(int=2), QUESTION)


async def test_stopping_cancels_what_is_late_and_waits_until_the_ledger_knows(world):
    _, tasks = await hold(world, 2, ANALYST)
    await world.gateway.stop(grace=0.01)
    assert set(world.ledger.states.values()) == {"failed"}
    assert all(task.cancelled() for task in tasks)
    with pytest.raises(ServerBusy):
        await world.gateway.query(ANALYST, QUESTION)


async def test_stopping_lets_what_is_quick_finish(world):
    go_on, tasks = await hold(world, 1, ANALYST)
    asyncio.get_running_loop().call_soon(go_on.set)
    await world.gateway.stop(grace=30)
    assert not (await tasks[0]).replayed
    assert world.state == "answered"


class Steps:
    """In place of a tick: writes down that it was waited for, and waits as long as a test says."""

    def __init__(self, road: Road) -> None:
        self.road = road

    async def wait(self, _began: float, *, given_up: bool = False) -> None:
        await self.road.step("soon" if given_up else "tick")


@pytest.fixture
def ticking(monkeypatch):
    world = World(monkeypatch)
    world.gateway._tick = cast("Tick", Steps(world.road))
    return world


async def test_an_answer_waits_for_the_tick_before_anybody_can_see_it(ticking):
    await ticking.gateway.query(ANALYST, QUESTION)
    assert ticking.started()[-3:] == ["answer", "tick", "settle"]


@pytest.mark.parametrize("station", ["dispatch", "ready", "reserve", "analyze"])
async def test_what_goes_wrong_before_the_data_is_asked_waits_for_nothing(ticking, station):
    ticking.road.at[station] = broken(RuntimeError())
    with pytest.raises(RuntimeError):
        await ticking.gateway.query(ANALYST, QUESTION)
    assert "tick" not in ticking.road.steps


@pytest.mark.parametrize("station", ["fetch", "publish", "finish", "answer"])
async def test_a_failure_leaves_at_a_tick_as_an_answer_does(ticking, station):
    ticking.road.at[station] = broken(RuntimeError())
    with pytest.raises(FailedAfterDebit):
        await ticking.gateway.query(ANALYST, QUESTION)
    assert ticking.started()[-2:] == ["tick", "fail"]


async def test_a_replay_waits_for_nothing(ticking):
    ticking.ledger.replay = Replay(UUID(int=7), {}, Loss(1, 0, 0, 0))
    await ticking.gateway.query(ANALYST, QUESTION)
    assert ticking.started() == ["analyze", "reserve"]


@pytest.mark.parametrize("station", ["fetch", "tick"])
async def test_who_gives_up_hears_of_it_at_a_tick_whether_the_data_had_answered_or_not(
    ticking, station
):
    reached = asyncio.Event()

    async def for_ever() -> None:
        reached.set()
        await asyncio.Event().wait()

    ticking.road.at[station] = for_ever
    task = asyncio.create_task(ticking.gateway.query(ANALYST, QUESTION))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ticking.started()[-2:] == ["soon", "fail"]
    assert ticking.state == "failed"


async def test_stopping_does_not_wait_for_ticks(ticking):
    reached = asyncio.Event()

    async def for_ever() -> None:
        reached.set()
        await asyncio.Event().wait()

    ticking.road.at |= {"tick": for_ever, "soon": for_ever}
    task = asyncio.create_task(ticking.gateway.query(ANALYST, QUESTION))
    await reached.wait()
    await ticking.gateway.stop()
    assert task.cancelled()
    assert ticking.state == "failed"


async def test_a_data_set_must_be_served(monkeypatch, world):
    with pytest.raises(UnknownDataset):
        await world.gateway.query(ANALYST, Question("SELECT 1", dataset="nosuch"))
    both = {name: Dataset(catalog(name), world.engine) for name in ("a", "b")}
    with pytest.raises(UnknownDataset, match="Say which"):
        Gateway(both, cast("Ledger", world.ledger), world.seen.append).dataset(None)
    assert world.road.steps == []
