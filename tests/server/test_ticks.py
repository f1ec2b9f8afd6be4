"""The grid of times at which answers leave."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ticks import Tick

TICKS = st.floats(1e-3, 60)
TIMES = st.floats(0, 1e5)


@pytest.mark.parametrize(
    "elapsed,due,soon",
    [(0, 1, 1), (0.9, 1, 1), (1, 1, 1), (1.1, 2, 2), (2.5, 4, 3), (4, 4, 4), (4.01, 8, 5)],
)
def test_the_grid(elapsed: float, due: float, soon: float) -> None:
    assert (Tick(1.0).due(elapsed), Tick(1.0).soon(elapsed)) == (due, soon)


@given(TICKS, TIMES)
def test_an_answer_never_leaves_before_it_is_there_and_only_on_the_grid(
    seconds: float, elapsed: float
) -> None:
    due = Tick(seconds).due(elapsed)
    assert due >= elapsed
    assert due in {seconds * 2.0**k for k in range(60)}
    assert due == seconds or due / 2 < elapsed


@given(TICKS, TIMES, TIMES)
def test_a_later_answer_leaves_no_earlier(seconds: float, one: float, other: float) -> None:
    early, late = sorted([one, other])
    assert Tick(seconds).due(early) <= Tick(seconds).due(late)


@given(TIMES)
def test_without_a_tick_all_leaves_at_once(elapsed: float) -> None:
    assert Tick(0).due(elapsed) == Tick(0).soon(elapsed) == elapsed


async def test_waiting_ends_when_the_time_is_there() -> None:
    began = time.monotonic()
    await Tick(0.02).wait(began)
    assert time.monotonic() >= began + 0.02
    async with asyncio.timeout(30):
        await Tick(0).wait(began)
        await Tick(0.02).wait(began, given_up=True)
