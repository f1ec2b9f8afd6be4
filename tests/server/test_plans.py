"""Plans are remembered by everything that makes them, and by nothing less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from analyzer.asks import EpsilonAsk, RhoAsk
from analyzer.plan import QueryOptions
from analyzer.refusals import UnknownColumn
from server import plans
from server.plans import Plans
from server.policy import load_policy

ALICE, BOB = UUID(int=1), UUID(int=2)
SQL = "SELECT count(*) FROM patients WHERE age > $1"
CATALOG = load_policy(Path(__file__).parents[2] / "examples" / "nafld" / "policy.toml")
DEFAULT: dict[str, Any] = {
    "analyst": ALICE,
    "catalog": CATALOG,
    "sql": SQL,
    "parameters": (1,),
    "ask": CATALOG.default_ask,
    "options": QueryOptions(),
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were analyzed."""
    found: list[str] = []
    real = vars(plans)["analyze"]

    def counted(sql: str, *args: Any, **more: Any) -> Any:
        found.append(sql)
        return real(sql, *args, **more)

    monkeypatch.setattr(plans, "analyze", counted)
    return found


async def test_the_same_question_is_analyzed_once(calls: list[str]) -> None:
    kept = Plans(None)
    first = await kept.plan(**DEFAULT)
    assert await kept.plan(**DEFAULT) is first
    assert len(calls) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"analyst": BOB},
        {"sql": SQL + " "},
        {"parameters": (2,)},
        {"parameters": (Decimal(1),)},
        {"ask": EpsilonAsk(Fraction(1, 10), Fraction(0))},
        {"ask": RhoAsk(Fraction(1, 10), Fraction(0))},
        {"options": QueryOptions(max_rows_contributed=3)},
    ],
)
async def test_any_difference_is_another_question(calls: list[str], change: dict[str, Any]) -> None:
    kept = Plans(None)
    await kept.plan(**DEFAULT)
    await kept.plan(**(DEFAULT | change))
    assert len(calls) == 2


async def test_refusals_are_not_remembered(calls: list[str]) -> None:
    kept = Plans(None)
    for _ in range(2):
        with pytest.raises(UnknownColumn):
            await kept.plan(**(DEFAULT | {"sql": "SELECT count(nope) FROM patients"}))
    assert len(calls) == 2


async def test_the_oldest_plan_is_forgotten(calls: list[str]) -> None:
    kept = Plans(None, size=2)
    for number in (1, 2, 3, 3, 2, 1):
        await kept.plan(**(DEFAULT | {"parameters": (number,)}))
    assert len(calls) == 4


async def test_a_plan_that_reads_the_clock_holds_for_a_second(calls: list[str]) -> None:
    at = datetime(2026, 3, 31, 23, 59, 58, 500_000, tzinfo=UTC)
    times = iter(
        [at, at + timedelta(milliseconds=400), at + timedelta(seconds=1, milliseconds=600)]
    )
    kept = Plans(None, clock=lambda: next(times))
    asked = {**DEFAULT, "sql": "SELECT CURRENT_DATE, count(*) FROM patients", "parameters": ()}
    first = await kept.plan(**asked)
    assert await kept.plan(**asked) is first
    later = await kept.plan(**asked)
    assert later.now == datetime(2026, 4, 1, tzinfo=UTC)
    assert len(calls) == 2
    assert first.finish.parameters != later.finish.parameters


async def test_a_plan_that_reads_no_clock_holds(calls: list[str]) -> None:
    kept = Plans(None, clock=lambda: datetime(2026, 3, len(calls) + 1, tzinfo=UTC))
    assert await kept.plan(**DEFAULT) is await kept.plan(**DEFAULT)
    assert len(calls) == 1
