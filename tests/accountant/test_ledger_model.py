"""Any order of calls leaves the ledger where a model of a few lines is, and passes the audit.

Hypothesis chooses the calls, over two processes' ledgers on one real database, and shrinks what goes
wrong to a short story.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from accountant.errors import (
    AccountShut,
    BudgetExceeded,
    CapBelowSpent,
    LedgerError,
    RequestFailed,
    RequestIdConflict,
    RequestInProgress,
    WrongState,
)
from accountant.events import LaplaceEvent
from accountant.filters import Budget, rho_cap
from accountant.journal_files import audit
from accountant.ledger import Cells, EffectiveNoise, Ledger, Replay, Request, Reservation
from accountant.losses import loss_of_events
from accountant.transactions import ledger_engine
from migrations import migrate
from tests.accountant.conftest import DATASET, EPSILON, UNITS, question
from tests.postgres import Postgres

T = TypeVar("T")

NAMES = ("alice", "bob")
DELTA = 10**12
TWENTIETH = EPSILON // 20
CELLS = Cells("[]", (EffectiveNoise("discrete_laplace", Fraction(20)),))

names = st.sampled_from(NAMES)
holders = st.sampled_from((*NAMES, "team", "everyone"))
sizes = st.integers(1, 8)


@dataclass(eq=False)
class Modelled:
    """A release of the model: who asked for how many twentieths, and what became of it."""

    who: str
    size: int
    plan: str
    digest: str
    request_id: str | None
    payers: list[str]
    source: UUID | None = None
    state: str = "reserved"
    epoch: int = 1
    answered: int = 0
    """Which answer it was, counted over all."""


@dataclass
class Model:
    """What the ledger must do, in memory and one call at a time. Sizes are twentieths."""

    caps: dict[str, int] = field(
        default_factory=lambda: {"alice": 20, "bob": 30, "team": 25, "everyone": 40}
    )
    frozen: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    releases: dict[UUID, Modelled] = field(default_factory=dict)
    epoch: int = 1

    def spent(self, holder: str) -> list[int]:
        return [
            r.size for r in self.releases.values() if holder in r.payers and r.state != "voided"
        ]

    def holds(self, holder: str, sizes: list[int], cap: int | None = None) -> bool:
        """Basic or zCDP, said once more: twentieths add up, or their squares do."""
        limit = self.caps[holder] if cap is None else cap
        rho = sum(-(-((size * TWENTIETH) ** 2) // (2 * EPSILON)) for size in sizes)
        return sum(sizes) <= limit or rho <= rho_cap(Budget(limit * TWENTIETH, DELTA))

    def layers(self, who: str) -> list[str]:
        return [who, *(["team"] if who in self.members else []), "everyone"]

    def stored(self, who: str, plan: str) -> tuple[UUID | None, list[str]]:
        """The stored release that who owes least for, the oldest of them, and who owes."""
        best: tuple[UUID | None, list[str]] = (None, self.layers(who))
        answers = sorted(
            (r.answered, id_, r)
            for id_, r in self.releases.items()
            if r.plan == plan
            and r.state == "answered"
            and r.source is None
            and r.epoch == self.epoch
        )
        own = [answer for answer in answers if answer[2].who == who]
        for _, id_, _ in dict.fromkeys(answers[:1] + own[-1:]):
            ways = [r for i, r in self.releases.items() if id_ in {i, r.source}]
            paid = {p for r in ways if r.state in {"answered", "failed"} for p in r.payers}
            owing = [p for p in self.layers(who) if p != "everyone" and p not in paid]
            if len(owing) < len(best[1]):
                best = (id_, owing)
        return best


class LedgerMachine(RuleBasedStateMachine):
    """The rules; each does the same to the ledger and to the model."""

    postgres: ClassVar[Postgres]
    releases = Bundle("releases")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        uri = self.postgres.fresh(self.postgres.template("ledger", migrate))
        self.engines = [ledger_engine(uri, pool_size=3) for _ in range(2)]
        self.ledgers = [Ledger(engine) for engine in self.engines]
        self.model = Model()
        self.turn = 0
        self.answers = 0

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    @property
    def ledger(self) -> Ledger:
        """The two take turns."""
        self.turn += 1
        return self.ledgers[self.turn % 2]

    @initialize()
    def open(self) -> None:
        ledger, caps = self.ledgers[0], self.model.caps
        self.run(ledger.open_dataset(DATASET, UNITS, caps["everyone"] * TWENTIETH, DELTA))
        self.holders: dict[str, Any] = {"team": "team", "everyone": None}
        for name in NAMES:
            self.holders[name] = self.run(ledger.add_analyst(name)).id
        for name in (*NAMES, "team"):
            cap = caps[name] * TWENTIETH
            self.run(ledger.open_account(self.holders[name], DATASET, cap, DELTA))

    @rule(
        target=releases,
        who=names,
        size=sizes,
        plan=st.sampled_from("pq"),
        replayable=st.booleans(),
        request_id=st.sampled_from([None, None, "r", "s"]),
    )
    def reserve(
        self, who: str, size: int, plan: str, replayable: bool, request_id: str | None
    ) -> Any:
        return self._asked(who, size, plan, replayable, request_id)

    @rule(target=releases, id_=releases, who=names)
    def reserve_alike(self, id_: UUID, who: str) -> Any:
        """The plan of a release that is there, twice: the first replay has paid for nothing yet."""
        release = self.model.releases[id_]
        plan = release.plan[-1]
        twice = [self._asked(who, release.size, plan, True, None) for _ in range(2)]
        return multiple(*(asked for asked in twice if isinstance(asked, UUID)))

    @rule(target=releases, who=names, size=sizes, plan=st.sampled_from("pq"))
    def answer(self, who: str, size: int, plan: str) -> Any:
        """All of the road at once, so that stored answers are there soon."""
        id_ = self._asked(who, size, plan, False, None)
        if isinstance(id_, UUID):
            self.move(id_, "dispatch")
            self.move(id_, "settle")
        return id_

    def _asked(
        self, who: str, size: int, plan: str, replayable: bool, request_id: str | None
    ) -> Any:
        events = [LaplaceEvent(Fraction(20, size), 1)]
        digest = f"{size} {plan}"
        asked = question(
            self.holders[who],
            0,
            events=events,
            loss=loss_of_events(events, Fraction(0)),
            plan_digest=digest,
            request_digest=digest,
            replayable=replayable,
            request_id=request_id,
        )
        wanted, release = self._expected(who, size, digest, replayable, request_id)
        self._look(asked, wanted)
        try:
            held = self.run(self.ledger.reserve(asked))
        except LedgerError as refusal:
            came_to: type[LedgerError] | None = type(refusal)
            held = None
        else:
            came_to = None
        if held is None:
            assert came_to is wanted
            return multiple()
        if isinstance(held, Replay):
            assert wanted is Replay
            assert held.answer == {"of": digest}
            return multiple()
        assert wanted is (None if held.recorded else "free")
        assert (held.cells is None) == (release.source is None)
        if not held.recorded:
            assert held.id == release.source
            return multiple()
        self.model.releases[held.id] = release
        return held.id

    def _look(self, asked: Request, wanted: Any) -> None:
        """Each process knows by a look alone what is to be had for nothing, and nothing else."""
        for ledger in self.ledgers:
            try:
                told = self.run(ledger.look(asked))
            except RequestIdConflict:
                assert wanted is RequestIdConflict
            else:
                assert (type(told) if told is not None else None) is {
                    "free": Reservation,
                    Replay: Replay,
                }.get(wanted)

    def _expected(
        self, who: str, size: int, digest: str, replayable: bool, request_id: str | None
    ) -> tuple[Any, Modelled]:
        """What a reserve comes to: an error, a replay, nothing to record, or None for an entry."""
        model = self.model
        source, owing = model.stored(who, digest) if replayable else (None, model.layers(who))
        release = Modelled(who, size, digest, digest, request_id, owing, source, epoch=model.epoch)
        same = [
            r
            for r in model.releases.values()
            if request_id and (r.who, r.request_id) == (who, request_id) and r.state != "voided"
        ]
        if same and same[0].digest != digest:
            return RequestIdConflict, release
        if same and same[0].state == "answered":
            return Replay, release
        if same:
            return RequestFailed if same[0].state == "failed" else RequestInProgress, release
        for holder in owing:
            if holder in model.frozen:
                return AccountShut, release
            if not model.holds(holder, [*model.spent(holder), size]):
                return BudgetExceeded, release
        if source is not None and not owing and request_id is None:
            return "free", release
        return None, release

    @rule(id_=releases, verb=st.sampled_from(["dispatch", "settle", "fail", "void"]))
    def move(self, id_: UUID, verb: str) -> None:
        release = self.model.releases[id_]
        replay = release.source is not None
        source, target = {
            "dispatch": ("nowhere" if replay else "reserved", "dispatched"),
            "settle": ("reserved" if replay else "dispatched", "answered"),
            "fail": ("reserved" if replay else "dispatched", "failed"),
            "void": ("reserved", "voided"),
        }[verb]
        arguments: tuple[Any, ...] = ({"of": release.digest}, CELLS) if verb == "settle" else ()
        call = getattr(self.ledger, verb)(id_, *arguments)
        if release.state == source:
            self.run(call)
            release.state = target
            if verb == "settle":
                self.answers += 1
                release.answered = self.answers
        else:
            with pytest.raises(WrongState):
                self.run(call)

    @rule(holder=holders, cap=st.integers(0, 60))
    def cap(self, holder: str, cap: int) -> None:
        model = self.model
        change = self.ledger.set_cap(self.holders[holder], DATASET, epsilon_cap=cap * TWENTIETH)
        if cap < model.caps[holder] and not model.holds(holder, model.spent(holder), cap):
            with pytest.raises(CapBelowSpent):
                self.run(change)
        else:
            self.run(change)
            model.caps[holder] = cap

    @rule(holder=holders, frozen=st.booleans())
    def freeze(self, holder: str, frozen: bool) -> None:
        state: Any = "frozen" if frozen else "open"
        self.run(self.ledger.set_state(self.holders[holder], DATASET, state))
        (self.model.frozen.add if frozen else self.model.frozen.discard)(holder)

    @rule(who=names, inside=st.booleans())
    def group(self, who: str, inside: bool) -> None:
        ledger = self.ledger
        self.run((ledger.join_group if inside else ledger.leave_group)("team", who))
        (self.model.members.add if inside else self.model.members.discard)(who)

    @rule()
    def advance(self) -> None:
        self.model.epoch += 1
        assert self.run(self.ledger.advance_epoch(DATASET)) == self.model.epoch

    def teardown(self) -> None:
        try:
            found = self.run(audit(self.engines[0]))
            assert found.findings == []
            for account in self.run(self.ledgers[0].accounts()):
                held = account.key.holder
                name = next(n for n, h in self.holders.items() if str(h or "") == held)
                assert account.spent.epsilon == sum(self.model.spent(name)) * TWENTIETH
            states = sorted(release.state for release in self.model.releases.values())
            assert sorted(found.states.elements()) == states
        finally:
            for ledger, engine in zip(self.ledgers, self.engines, strict=True):
                self.run(ledger.close())
                self.run(engine.dispose())
            self.loop.close()


def test_the_ledger_does_what_the_model_does(postgres: Postgres):
    _run(postgres, examples=12)


@pytest.mark.slow
def test_the_ledger_does_what_the_model_does_at_length(postgres: Postgres):
    _run(postgres, examples=150)


def _run(postgres: Postgres, *, examples: int) -> None:
    LedgerMachine.postgres = postgres
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
