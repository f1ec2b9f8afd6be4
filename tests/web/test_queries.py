"""POST /v1/query over a real connection, with a real ledger."""

from __future__ import annotations

import asyncio
import json

import pytest

from server.observations import CancelledAfterDebit
from tests.server.fakes import CANARY
from tests.web.conftest import running_front


async def test_the_reply_is_what_was_stored_and_what_is_replayed(front):
    first = await front.query(request_id="r1")
    assert first.status_code == 200
    body = first.json()
    assert body["rows"] == [[41]]
    assert body["loss"] == {"epsilon": "0.1", "delta": "0", "rho": "0.005"}
    assert body["remaining"]["analyst"] == {"epsilon": "0.9", "delta": "0"}
    stored = await front.client.get(f"/v1/releases/{body['release_id']}", headers=front.headers())
    assert stored.json()["answer"] == body
    second = await front.query(request_id="r1")
    assert second.content == first.content
    assert "epsql-replayed" not in first.headers
    assert second.headers["epsql-replayed"] == "true"
    assert front.road.steps.count("fetch") == 1
    assert await front.spent() == 10**11


async def test_a_request_id_names_one_question(front):
    await front.query(request_id="r1")
    for other in ({"sql": "SELECT 2"}, {"epsilon": "0.2"}, {"parameters": [1]}):
        reply = await front.query(request_id="r1", **other)
        assert (reply.status_code, reply.json()["code"]) == (409, "request_id_conflict")
    assert (await front.query(request_id="r1", name="bob")).status_code == 200
    assert await front.spent() == 10**11


async def test_a_request_id_in_progress_and_one_that_failed(front):
    go_on = asyncio.Event()

    async def fail_when_told() -> None:
        await go_on.wait()
        raise ValueError(CANARY)

    front.road.at["fetch"] = fail_when_told
    first = asyncio.create_task(front.query(request_id="r1"))
    while "fetch" not in front.road.steps:  # noqa: ASYNC110 - the road is a list
        await asyncio.sleep(0.001)
    second = await front.query(request_id="r1")
    assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
    go_on.set()
    failed = await first
    assert (failed.status_code, failed.json()["sqlstate"]) == (500, "ZP000")
    assert CANARY not in failed.text
    third = await front.query(request_id="r1")
    assert (third.status_code, third.json()["code"]) == (409, "request_failed")
    assert await front.spent() == 10**11


async def test_a_refusal_has_its_position_and_costs_nothing(front):
    reply = await front.query("SELECT name FROM patients")
    assert reply.status_code == 403
    assert reply.json() == {
        "code": "rows_refused",
        "sqlstate": "42501",
        "message": "It would return rows.",
        "detail": "d",
        "hint": "Count them.",
        "position": 8,
    }
    assert await front.states() == []
    assert front.road.steps == []


@pytest.mark.parametrize("scope,epsilon", [("own", "0.95"), ("shared", "0.95")])
async def test_a_budget_that_does_not_cover_says_whose_and_what_is_left(front, scope, epsilon):
    if scope == "shared":
        await front.ledger.set_cap(None, "clinic", epsilon_cap=5 * 10**11)
    else:
        assert (await front.query()).status_code == 200
    reply = await front.query(epsilon=epsilon)
    body = reply.json()
    assert (reply.status_code, body["sqlstate"], body["code"]) == (403, "ZP001", "budget_exceeded")
    assert ("shared by all" in body["message"]) == (scope == "shared")
    assert f"left are epsilon {'0.5' if scope == 'shared' else '0.9'}," in body["detail"]
    assert "smaller epsilon" in body["hint"]


async def test_racing_for_the_last_of_the_budget(front):
    await front.ledger.set_cap(None, "clinic", epsilon_cap=3 * 10**11)
    replies = await asyncio.gather(*(front.query(name=("ada", "bob")[i % 2]) for i in range(8)))
    codes = sorted(reply.status_code for reply in replies)
    assert codes == [200] * 3 + [403] * 5
    assert front.road.steps.count("fetch") == 3
    assert await front.spent("ada") + await front.spent("bob") == 3 * 10**11


async def test_a_slow_query_does_not_hold_up_others(front):
    go_on = asyncio.Event()
    front.road.at["fetch"] = go_on.wait
    slow = asyncio.create_task(front.query())
    while "fetch" not in front.road.steps:  # noqa: ASYNC110 - the road is a list
        await asyncio.sleep(0.001)
    del front.road.at["fetch"]
    assert (await front.query(name="bob")).status_code == 200
    assert (await front.client.get("/healthz")).status_code == 200
    assert not slow.done()
    go_on.set()
    assert (await slow).status_code == 200


async def test_an_analyst_with_too_many_queries(ledger_url, monkeypatch):
    async with running_front(ledger_url, monkeypatch, per_analyst=1) as front:
        go_on = asyncio.Event()
        front.road.at["fetch"] = go_on.wait
        slow = asyncio.create_task(front.query())
        while "fetch" not in front.road.steps:  # noqa: ASYNC110 - the road is a list
            await asyncio.sleep(0.001)
        reply = await front.query()
        assert (reply.status_code, reply.json()["sqlstate"]) == (429, "53300")
        assert reply.headers["retry-after"] == "1"
        go_on.set()
        assert (await slow).status_code == 200
        assert await front.states() == ["answered"]


async def test_who_goes_away_is_cancelled_and_stays_charged(front):
    cancelled = asyncio.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    front.road.at["fetch"] = for_ever
    body = json.dumps({"sql": "SELECT 1", "fresh": True, "request_id": "r1"})
    _, writer = await asyncio.open_connection("127.0.0.1", front.port)
    head = [
        "POST /v1/query HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Authorization: {front.headers()['Authorization']}",
    ]
    writer.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())
    while "fetch" not in front.road.steps:  # noqa: ASYNC110 - the road is a list
        await asyncio.sleep(0.001)
    writer.close()
    await asyncio.wait_for(cancelled.wait(), 10)
    while "dispatched" in await front.states():  # noqa: ASYNC110 - the ledger has no event
        await asyncio.sleep(0.01)
    assert await front.states() == ["failed"]
    assert await front.spent() == 10**11
    assert any(isinstance(seen, CancelledAfterDebit) for seen in front.seen)
    assert (await front.query(request_id="r1")).json()["code"] == "request_failed"


async def test_a_server_that_stops_lets_quick_queries_finish_and_cancels_slow_ones(front):
    go_on = asyncio.Event()
    front.road.at["fetch"] = go_on.wait
    slow = asyncio.create_task(front.query())
    while "fetch" not in front.road.steps:  # noqa: ASYNC110 - the road is a list
        await asyncio.sleep(0.001)
    quick_go_on = asyncio.Event()
    front.road.at["fetch"] = quick_go_on.wait
    quick = asyncio.create_task(front.query(name="bob"))
    while front.road.steps.count("fetch") < 2:  # noqa: ASYNC110 - the road is a list
        await asyncio.sleep(0.001)
    front.server.config.timeout_graceful_shutdown = None  # uvicorn itself cancels nothing
    front.server.should_exit = True
    asyncio.get_running_loop().call_later(0.05, quick_go_on.set)
    assert (await quick).status_code == 200
    reply = await slow
    assert (reply.status_code, reply.json()["sqlstate"]) == (503, "57014")
    await front.serving
    assert await front.states("ada") == ["failed"]
    assert await front.states("bob") == ["answered"]
    assert await front.spent("ada") == 10**11


async def test_a_quote_runs_nothing_and_debits_nothing(front):
    reply = await front.client.post(
        "/v1/quote", json={"sql": "SELECT 1", "epsilon": 0.25}, headers=front.headers()
    )
    assert reply.status_code == 200
    body = reply.json()
    assert body["loss"]["epsilon"] == "0.25"
    assert body["draws"] == [
        {
            "label": "count(*)",
            "mechanism": "discrete_laplace",
            "scale": "10",
            "error_bar": "30",
            "confidence": "0.95",
        }
    ]
    (block,) = body["blocks"]
    assert block["statement"] == {"sql": "SELECT exact", "parameters": []}
    assert front.road.steps == []
    assert await front.states() == []


async def test_a_quote_is_refused_like_the_query(front):
    replies = [
        await front.client.post(path, json={"sql": "SELECT name"}, headers=front.headers())
        for path in ("/v1/query", "/v1/quote")
    ]
    assert replies[0].content == replies[1].content
