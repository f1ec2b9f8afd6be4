"""Plans are remembered by everything that makes them, and by nothing less."""

from __future__ import annotations

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
