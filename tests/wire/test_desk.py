"""What is said beside an answer when the session's time zone could matter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from analyzer.classify import Span
from server.identity import Principal
from server.policy import parse_policy
from server.wire.asker import NO_ROWS, Answered
from server.wire.binding import Surroundings
from server.wire.desk import Desk
from server.wire.own import Act, Own
from tests.fixture import POLICY

ZONED = POLICY.replace('visited_at = { type = "timestamp"', 'visited_at = { type = "timestamptz"')


@pytest.mark.parametrize(
    "policy, zone, said",
    [
        (ZONED, "Asia/Tokyo", True),
        (ZONED, "Europe/London", True),
        (ZONED, "UTC", False),
        (ZONED, "Etc/UTC", False),
        (POLICY, "Asia/Tokyo", False),
    ],
)
async def test_the_notice_speaks_of_utc_where_it_can_matter(policy, zone, said):
    heard: list[Any] = []

    async def answer(*question: Any) -> Answered:
        heard.append(question[-1])
        return NO_ROWS

    async def holds(_: str) -> bool:
        return True

    desk = Desk(
        Principal(UUID(int=1), "ada", is_admin=False, key_id="k"),
        parse_policy(policy),
        cast("Any", SimpleNamespace(answer=answer)),
        identity=cast("Any", SimpleNamespace(holds=holds)),
        ledger=cast("Any", None),
        sessions=cast("Any", None),
        standing=cast("Any", None),
        shared=False,
        observe=lambda _: None,
    )
    around = Surroundings(asks={}, seconds=None, quiet=False, zone=zone, person="")
    await desk.answer(Own(Act.ROWS, "SELECT 1", 0, Span(0, 8)), (), around)
    assert any("UTC" in note for note in heard[0]) == said
