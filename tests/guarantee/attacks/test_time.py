"""T4: what an analyst with a clock sees, which is the tick at which a reply leaves.

No test here measures a time. The ticks are hours long, and nobody waits for them: what is looked at
is which one a reply would leave at, and what has been done by then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from server.ticks import Tick
from tests.guarantee.attacks.corpus import every_text
from tests.guarantee.attacks.world import World

HOUR = Tick(3600.0)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was so when an answer was ready to leave."""

    due: float
    calls: tuple[str, ...]
    state: str
    under_way: int


class Watched:
    """In place of the gateway's tick: looks around, and waits for nothing."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.moments: list[Moment] = []

    async def wait(self, began: float, *, given_up: bool = False) -> None:
        assert not given_up
        ada = await self.world.ledger.find_analyst("ada")
        (newest,) = await self.world.ledger.releases(ada.id, limit=1)
        self.moments.append(
            Moment(
                HOUR.due(time.monotonic() - began),
                tuple(self.world.spy.calls),
                newest.state,
                self.world.gateway._under_way[ada.id],
            )
        )


@pytest.fixture
def watched(world: World) -> Iterator[Watched]:
    before, watching = world.gateway._tick, Watched(world)
    world.gateway._tick = cast("Tick", watching)
    world.spy.calls.clear()
    yield watching
    world.gateway._tick = before


@pytest.mark.parametrize("case", ["TIM-05", "TIM-06"])
def test_an_answer_leaves_at_the_same_tick_with_alice_and_without(
    world: World, watched: Watched, case: str
) -> None:
    texts = [text for text in every_text() if text.case == case]
    clinics = ("D", "without", "W", "P", "empty")
    for text in texts:
        for clinic in clinics:
            assert world.put(text, clinic).status_code == 200
    assert [moment.due for moment in watched.moments] == [HOUR.seconds] * len(clinics) * len(texts)


def test_the_tick_is_waited_for_when_all_is_done_that_could_take_its_time(
    world: World, watched: Watched
) -> None:
    """The data has answered, the noise is drawn, the rest is computed: none of it comes after."""
    assert world.ask("SELECT sex, count(*) FROM patients GROUP BY sex").status_code == 200
    (moment,) = watched.moments
    assert moment.calls == ("ready", "fetch", "finish")
    assert world.spy.calls == list(moment.calls)


def test_a_place_is_free_at_the_tick_and_not_when_the_data_has_answered(
    world: World, watched: Watched
) -> None:
    """Who may ask how many at once could otherwise watch when a place becomes free; and the state
    of a release is in the ledger for its analyst to read."""
    assert world.ask("SELECT count(*) FROM patients").status_code == 200
    (moment,) = watched.moments
    assert (moment.state, moment.under_way) == ("dispatched", 1)
