"""Looks: who asks meanwhile shares the next one, and nobody is told what was seen before they asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from accountant.errors import LedgerUnavailable
from accountant.looks import Looks


class World:
    """What is looked at, and each look at it: what it was for, and when it may end."""

    def __init__(self) -> None:
        self.now = {"a": 0, "b": 0}
        self.looks: list[set[str]] = []
        self.may_end = asyncio.Event()
        self.fails = False

    async def look(self, keys: Iterable[str]) -> dict[str, int]:
        self.looks.append(set(keys))
        seen = {key: self.now[key] for key in keys if key in self.now}
        await self.may_end.wait()
        if self.fails:
            raise LedgerUnavailable
        return seen


async def until_idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_asks_while_one_looks_shares_the_next_look_which_sees_what_is_there_by_then():
    world = World()
    looks = Looks(world.look)
    first = asyncio.create_task(looks.at("a"))
    await until_idle()
    world.now["a"] = 1
    later = [asyncio.create_task(looks.at(key)) for key in ("a", "b", "a", "nothing")]
    await until_idle()
    assert world.looks == [{"a"}], "one at a time"
    world.may_end.set()
    assert await first == 0
    assert await asyncio.gather(*later) == [1, 0, 1, None]
    assert world.looks == [{"a"}, {"a", "b", "nothing"}]
    assert await looks.at("b") == 0
    assert world.looks[2:] == [{"b"}], "nothing is remembered"


async def test_who_goes_away_takes_nothing_from_the_others():
    world = World()
    looks = Looks(world.look)
    gone, stays = (asyncio.create_task(looks.at("a")) for _ in range(2))
    await until_idle()
    gone.cancel()
    await until_idle()
    world.may_end.set()
    assert await stays == 0
    assert gone.cancelled()


async def test_a_look_that_fails_fails_for_all_who_wait_for_it_and_for_nobody_after():
    world = World()
    looks = Looks(world.look)
    world.fails = True
    asked = [asyncio.create_task(looks.at(key)) for key in ("a", "b")]
    world.may_end.set()
    for task in asked:
        with pytest.raises(LedgerUnavailable):
            await task
    world.fails = False
    assert await looks.at("a") == 0
