"""T5: what is charged, when, and to whom, through the whole server. tests/accountant goes deeper."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

import httpx
import psycopg
import pytest

from accountant.errors import AnalystExists, LedgerUnavailable
from accountant.ledger import Ledger
from analyzer.analyze import analyze
from analyzer.plan import Statement
from server.engines import EngineFailed, ExactRows, Row
from server.engines.postgres import Bounds, PostgresEngine
from tests.guarantee.attacks.test_attacks import CATALOG
from tests.guarantee.attacks.world import SHARED, Spy, World

COUNT = "SELECT count(*) FROM patients"
ONE = 10**12
"""An epsilon of one, in ledger steps."""
FAILED = {
    "code": "failed_after_debit",
    "sqlstate": "ZP000",
    "message": "The query failed after the debit.",
    "detail": "The loss was debited before the data was asked, and stays debited.",
    "hint": "The operator finds the reason in the server's log. It can be about the data.",
    "position": None,
}


class Broken:
    """An engine that answers as D does, but for one station."""

    def __init__(self, world: World, fetch: Callable[[], Any]) -> None:
        self._real, self._fetch = world.spy.engines["D"], fetch

    async def ready(self) -> bool:
        return True

    async def fetch(self, statements: Sequence[Statement]) -> AsyncGenerator[tuple[int, ExactRows]]:
        await self._fetch()
        async with aclosing(self._real.fetch(statements)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def finish(self, statement: Statement, noisy_rows: str) -> list[Row]:
        return await self._real.finish(statement, noisy_rows)

    async def close(self) -> None:
        pass


def state_of(world: World, who: str) -> list[str]:
    async def states() -> list[str]:
        analyst = await world.ledger.find_analyst(who)
        return [release.state for release in await world.ledger.releases(analyst.id)]

    return world.run(states())


def test_the_same_aggregate_twice_is_one_draw(world: World) -> None:
    """Averaging inside a statement: five hundred times the same number, for one charge."""
    who = world.analyst("averager")
    body = world.ask(f"SELECT count(*){', count(*)' * 300} FROM patients", who=who).json()
    assert len(set(body["rows"][0])) == 1
    assert len(body["mechanisms"]) == 1
    assert world.spent(who) == (ONE, 0)


def test_a_limit_of_the_database_is_one_charged_sentence(world: World) -> None:
    """Too many rows, too long, a lost connection: one fixed reply, whatever it was."""

    async def timeout() -> None:
        raise EngineFailed("57014")

    async def bug() -> None:
        raise ValueError("canary")

    narrow = PostgresEngine(world.uris["D"], Bounds(connections=1, rows=2))
    engines = {"narrow": world.run(narrow.open())}
    who, replies = world.analyst("limited"), []
    try:
        for engine in (engines["narrow"], Broken(world, timeout), Broken(world, bug)):
            world.spy.engines["limited"] = engine
            with world.on("limited"):
                sql = "SELECT kind, count(*) FROM visits GROUP BY kind"
                replies.append(world.ask(sql, who=who))
    finally:
        world.run(narrow.close())
        del world.spy.engines["limited"]
    assert [(reply.status_code, reply.json()) for reply in replies] == [(500, FAILED)] * 3
    assert world.spent(who) == (3 * ONE, 0)
    assert state_of(world, who) == ["failed"] * 3


def test_leaving_in_the_middle_gives_nothing_back(world: World) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    world.spy.engines["slow"] = Broken(world, for_ever)
    who = world.analyst("leaver")
    # Anew: what was answered before would be answered at once, without the engine.
    body = json.dumps({"dataset": "clinic", "sql": COUNT, "fresh": True})
    url = world.client.base_url
    lines = [f"{name}: {value}" for name, value in world.headers(who).items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Host: here"]
    with world.on("slow"):
        with socket.create_connection((url.host, url.port)) as line:
            line.sendall("\r\n".join(["POST /v1/query HTTP/1.1", *lines, "", body]).encode())
            while state_of(world, who) != ["dispatched"]:
                time.sleep(0.02)
        while state_of(world, who) != ["failed"]:
            time.sleep(0.02)
    del world.spy.engines["slow"]
    assert world.spent(who) == (ONE, 0)


def test_many_at_once_get_no_more_than_the_cap(world: World) -> None:
    who = world.analyst("racer", epsilon=ONE, delta=0)

    def ask(_: int) -> int:
        with httpx.Client(base_url=world.client.base_url, timeout=60) as client:
            asked = {"dataset": "clinic", "sql": COUNT, "epsilon": "0.1", "fresh": True}
            body = json.dumps(asked)
            return sum(world.send(body, who, client=client).status_code == 200 for _ in range(4))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(4))) == 10
    assert world.spent(who) == (ONE, 0)


def test_asked_again_it_is_the_same_bytes_for_nothing(world: World) -> None:
    who = world.analyst("retrier")
    first, *others = (world.ask(COUNT, who=who, request_id="r1") for _ in range(3))
    assert {reply.content for reply in others} == {first.content}
    assert world.spent(who) == (ONE, 0)
    assert world.ask(COUNT + " ", who=who, request_id="r1").status_code == 409


def test_the_debit_is_durable_before_the_data_is_asked(world: World) -> None:
    """The engine looks into the ledger by a connection of its own, as it is asked."""
    who, found = world.analyst("early"), []

    async def look() -> None:
        found.append((world.spent(who), state_of_entry(world, who)))

    world.spy.engines["looking"] = Broken(world, look)
    with world.on("looking"):
        assert world.ask(COUNT, who=who).status_code == 200
    del world.spy.engines["looking"]
    assert found == [((ONE, 0), "dispatch")]


def state_of_entry(world: World, who: str) -> str:
    row = world._books.execute(
        "SELECT l.doc ->> 'kind' FROM entries e JOIN entries l ON l.doc -> 'release' = e.doc -> 'release'"
        " JOIN analysts a ON a.id::text = e.doc ->> 'analyst' WHERE e.doc ->> 'step' = '0'"
        " AND a.name = %s ORDER BY l.number DESC LIMIT 1",
        [who],
    ).fetchone()
    assert row
    return str(row[0])


def test_ten_tenths_are_one(world: World) -> None:
    who = world.analyst("counter", epsilon=ONE, delta=0)
    replies = [world.ask(COUNT, who=who, epsilon="0.1") for _ in range(11)]
    assert [reply.status_code for reply in replies] == [200] * 10 + [403]
    assert replies[-1].json()["sqlstate"] == "ZP001"
    assert world.spent(who) == (ONE, 0)


def test_delta_is_added_up_under_a_cap_of_its_own(world: World) -> None:
    sql = "SELECT zip, count(*) FROM patients GROUP BY zip"
    each = analyze(sql, CATALOG).loss.delta
    assert 0 < each <= 10**9
    who = world.analyst("delta", delta=4 * (5 * each // 2))  # thresholds have a quarter of it
    replies = [world.ask(sql, who=who) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 403]
    assert replies[-1].json()["sqlstate"] == "ZP001"
    assert world.spent(who)[1] == 2 * each


def test_a_coalition_has_one_budget(world: World) -> None:
    """Three analysts who may spend ten each, on a data set that has ten in all."""
    names = [
        world.analyst(f"sybil{number}", epsilon=10 * ONE, dataset=SHARED) for number in range(3)
    ]
    replies = [
        world.ask("SELECT sum(age) FROM patients", who=name, dataset=SHARED, epsilon=5)
        for name in names
    ]
    assert [reply.status_code for reply in replies] == [200, 200, 403]
    body = replies[-1].json()
    assert body["sqlstate"] == "ZP001"
    assert "shared by all analysts" in body["message"]
    assert world.spent(None, SHARED)[0] == 10 * ONE
    assert world.spent(names[2], SHARED) == (0, 0)


@pytest.mark.parametrize("name", ["Twin", "twin ", " twin", "tw\u0456n", "TWIN", "twin\n", ""])
def test_no_analyst_has_a_twin(world: World, name: str) -> None:
    async def add(other: str) -> None:
        await world.ledger.add_analyst(other)

    if "twin" not in world.tokens:
        world.analyst("twin")
    with pytest.raises(ValueError, match="name"):
        world.run(add(name))
    with pytest.raises(AnalystExists):
        world.run(add("twin"))


def test_no_time_brings_anything_back(world: World) -> None:
    """What is spent has no date that could pass, and the ledger's own database lets nobody, not
    even its owner, put a date back or take an entry away."""
    who = world.analyst("patient", epsilon=ONE, delta=0)
    assert world.ask(COUNT, who=who).status_code == 200
    for change in (
        "UPDATE accounts SET created_at = created_at - interval '9 years'",
        "UPDATE entries SET record = replace(record, '202', '201')",
        "DELETE FROM entries",
    ):
        with pytest.raises(psycopg.errors.RaiseException):
            world._books.execute(change.encode())
    reply = world.ask(COUNT, who=who, epsilon="1e-12")
    assert reply.json()["sqlstate"] == "ZP001"
    assert world.spent(who) == (ONE, 0)


def test_without_a_ledger_nothing_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable

    calls = len(world.spy.calls)
    monkeypatch.setattr(Ledger, "reserve", away)
    reply = world.ask(COUNT)
    assert (reply.status_code, reply.json()["sqlstate"]) == (503, "57P03")
    assert len(world.spy.calls) == calls


@pytest.mark.parametrize("places", [("Oslo", "Bergen"), ("Oslo", "Oslo")])
def test_disjoint_conditions_are_both_charged(world: World, places: tuple[str, str]) -> None:
    before = world.spent("bob")[0]
    for place in places:
        assert world.ask(f"{COUNT} WHERE city = '{place}'", who="bob").status_code == 200
    assert world.spent("bob")[0] - before == 2 * ONE


def test_every_page_is_charged(world: World) -> None:
    before = world.spent("bob")[0]
    sql = "SELECT city, count(*) FROM patients GROUP BY city ORDER BY 1 LIMIT 2 OFFSET "
    pages = [world.ask(f"{sql}{offset}", who="bob").json() for offset in (0, 2, 4)]
    assert [row[0] for page in pages for row in page["rows"]] == [
        "Bergen",
        "Bodo",
        "Hamar",
        "Oslo",
        "Svolvaer",
        "Tromso",
    ]
    assert world.spent("bob")[0] - before == 3 * ONE


def test_every_wording_is_charged(world: World) -> None:
    before = world.spent("bob")[0]
    for where in ("age=40", "age+0=40", "age BETWEEN 40 AND 40", "40 = age", " age = 40 "):
        assert world.ask(f"{COUNT} WHERE {where}", who="bob", epsilon="0.5").status_code == 200
    assert world.spent("bob")[0] - before == 5 * ONE // 2


def test_a_stored_answer_is_its_analysts_own_and_survives_new_data(world: World) -> None:
    """The same request id in two hands is two questions; over other data it is the old answer."""
    one, other = world.analyst("keeper"), world.analyst("copycat")
    sql = "SELECT sum(age) FROM patients"
    first = world.ask(sql, who=one, request_id="same", epsilon="0.0001")
    with world.on("empty"):
        again = world.ask(sql, who=one, request_id="same", epsilon="0.0001")
    theirs = world.ask(sql, who=other, request_id="same", epsilon="0.0001")
    assert again.content == first.content
    assert theirs.status_code == 200
    assert theirs.json()["rows"] != first.json()["rows"]
    assert world.spent(one) == world.spent(other) == (ONE // 10_000, 0)


def test_the_spy_sees_an_answer(world: World) -> None:
    """What says that refusals send nothing would see it if they did."""
    statements, calls, books = world.statements(), len(world.spy.calls), world.books()
    assert world.ask(COUNT).status_code == 200
    assert world.spy.calls[calls:] == ["ready", "fetch", "finish"]
    assert world.statements() != statements
    assert world.books() != books
    assert isinstance(world.spy, Spy)
