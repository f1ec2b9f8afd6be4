"""Small stand-ins for the stations, which write down in which order they were called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid4

from accountant.accounts import Account, AccountKey, Balances, Scope
from accountant.errors import WrongState
from accountant.events import LaplaceEvent
from accountant.filters import Budget
from accountant.ledger import Cells, Earlier, Replay, Request, Reservation
from accountant.losses import Loss
from accountant.records import GENESIS, Chain, Receipt
from analyzer.asks import Ask, EpsilonAsk
from analyzer.catalog import Catalog, Limits, Most, PrivacyUnit, Table
from analyzer.plan import Block, Draw, OutputColumn, Part, PrivatePlan, Statement
from analyzer.types import Type
from mechanisms.calibration import Noise, NoiseKind, Sensitivity
from server.engines import ExactRows

ANALYST = UUID(int=1)
CANARY = "canary-47110815"

_UNIT = PrivacyUnit("patients", "id")


def catalog(dataset: str = "clinic") -> Catalog:
    return Catalog(
        dataset=dataset,
        units=(_UNIT,),
        tables={"patients": Table("patients", "public", "patients", {}, protected=True)},
        max_rows_contributed=1,
        max_groups_contributed=1,
        default_ask=EpsilonAsk(Fraction(1, 10), Fraction(0)),
        most=Most(Fraction(1), Fraction(1, 10**6)),
        analyst_limits=Limits(Fraction(1), Fraction(0)),
        dataset_limits=Limits(Fraction(5), Fraction(0)),
        version="v1",
    )


def block() -> Block:
    noise = Noise(NoiseKind.LAPLACE, Fraction(10))
    return Block(
        exact=Statement("SELECT exact"),
        parts=(Part((0,), buckets=False),),
        key_types=(),
        public_keys=True,
        draws=(Draw("count(*)", (0,), Sensitivity(1, 1), noise, Fraction(1), 30),),
        selection=None,
        threshold=None,
        members=1,
        quantiles=(),
    )


def plan(ask: Ask | None = None, dataset: str = "clinic") -> PrivatePlan:
    epsilon = int((ask.epsilon if isinstance(ask, EpsilonAsk) else Fraction(1, 10)) * 10**12)
    return PrivatePlan(
        dataset=dataset,
        policy_version="v1",
        units=("patients",),
        blocks=(block(),),
        finish=Statement("SELECT finish"),
        columns=(OutputColumn("count", Type.INT8, noisy=True, draws=(0,)),),
        events=(LaplaceEvent(Fraction(10), 1),),
        loss=Loss(epsilon, 0, 5 * 10**9, 0),
        notices=(),
        question="what is measured",
        digest="d1",
    )


@dataclass
class Road:
    """What happened, in order; ``at`` may hold up or break a station."""

    steps: list[str] = field(default_factory=list)
    at: dict[str, Callable[[], Any]] = field(default_factory=dict)

    async def step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.at:
            result = self.at[name]()
            if asyncio.iscoroutine(result):
                await result
        self.steps.append(f"{name} done")


class FakePublisher:
    """Takes what it is given, and releases nothing."""

    def __init__(self, _: PrivatePlan, release: Callable[[], None] = lambda: None) -> None:
        self._release = release

    def take(self, _: int, __: Any) -> None:
        pass

    def release(self) -> str:
        self._release()
        return "[[]]"


class FakeAnswer:
    def to_json(self) -> dict[str, Any]:
        return {
            "columns": [{"name": "count", "type": "bigint"}],
            "rows": [[41]],
            "error_bars": [[30]],
            "mechanisms": [],
            "notices": [],
        }


class FakeEngine:
    def __init__(self, road: Road) -> None:
        self._road = road
        self.is_ready = True

    async def ready(self) -> bool:
        await self._road.step("ready")
        return self.is_ready

    async def fetch(self, _: Sequence[Statement]) -> AsyncGenerator[tuple[int, ExactRows]]:
        await self._road.step("fetch")
        yield 0, ExactRows([(40,)])

    async def finish(self, _: Statement, __: str) -> list[tuple[Any, ...]]:
        await self._road.step("finish")
        return [(0, 0, 41)]

    async def close(self) -> None:
        pass


class FakeLedger:
    """Knows the states and their arrows, nothing of budgets."""

    def __init__(self, road: Road) -> None:
        self._road = road
        self.states: dict[UUID, str] = {}
        self.answers: dict[UUID, Any] = {}
        self.replay: Replay | None = None
        self.reserved: list[Request] = []
        self.cells: dict[UUID, Cells | None] = {}

    async def earlier(
        self, analyst_id: UUID, dataset: str, question_digest: str
    ) -> tuple[list[Earlier], Chain]:
        return [], Chain(0, GENESIS, datetime.now(UTC))

    async def look(self, _: Request, __: Chain | None = None) -> Reservation | Replay | None:
        return self.replay

    async def reserve(self, request: Request) -> Reservation | Replay:
        await self._road.step("reserve")
        self.reserved.append(request)
        if self.replay:
            return self.replay
        entry = uuid4()
        self.states[entry] = "reserved"
        cap = Budget(10**12, 0)
        scopes: list[tuple[Scope, str]] = [("analyst", str(request.analyst_id)), ("everyone", "")]
        balances = Balances(
            tuple(Account(AccountKey("clinic", "patients", *scope), cap) for scope in scopes)
        )
        receipt = Receipt(1, "00" * 32)
        return Reservation(entry, balances, None, True, request.loss, receipt)

    async def _move(self, entry: UUID, name: str, source: str, target: str) -> None:
        await self._road.step(name)
        if self.states[entry] != source:
            raise WrongState(entry, target)
        self.states[entry] = target

    async def dispatch(self, entry: UUID) -> None:
        await self._move(entry, "dispatch", "reserved", "dispatched")

    async def settle(self, entry: UUID, answer: Any, cells: Cells | None = None) -> None:
        await self._move(entry, "settle", "dispatched", "answered")
        self.answers[entry] = answer
        self.cells[entry] = cells

    async def fail(self, entry: UUID) -> None:
        await self._move(entry, "fail", "dispatched", "failed")

    async def void(self, entry: UUID) -> None:
        await self._move(entry, "void", "reserved", "voided")
