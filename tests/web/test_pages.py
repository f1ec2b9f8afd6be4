"""Everything that is only read: budget, releases, data sets, health, reference."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

from server.observations import Replied
from tests.server.fakes import CANARY


async def test_the_budget_is_the_ledgers(front):
    asked = (await front.query()).json()
    reply = await front.client.get("/v1/budget", headers=front.headers())
    body = reply.json()
    common = {
        "unit": "patients",
        "state": "open",
        "spent": {"epsilon": "0.1", "delta": "0", "rho": "0.005"},
        "spent_epsilon": "0.1",
        "window": None,
    }
    (day,) = body.pop("days")
    assert body == {
        "dataset": "clinic",
        "analyst": common
        | {
            "cap": {"epsilon": "1", "delta": "0"},
            "used": {"share": "0.1", "basic": "0.1", "zcdp": "1"},
            "remaining": {"epsilon": "0.9", "delta": "0"},
        },
        "shared": common
        | {
            "cap": {"epsilon": "5", "delta": "0"},
            "used": {"share": "0.02", "basic": "0.02", "zcdp": "1"},
            "remaining": {"epsilon": "4.9", "delta": "0"},
        },
        "groups": [],
        "last": {"release_id": asked["release_id"], "loss": common["spent"]},
        "more_like_last": 9,
    }
    assert (day["releases"], day["loss"]) == (1, common["spent"])


async def test_a_budget_that_nothing_was_asked_of(front):
    body = (await front.client.get("/v1/budget", headers=front.headers())).json()
    assert (body["last"], body["more_like_last"], body["days"]) == (None, None, [])


async def test_a_window_and_a_group_are_in_the_budget(front):
    admin, path = front.headers("admin"), "/v1/admin/budgets/clinic"

    async def decide(**body: Any) -> Any:
        return await front.client.post(path, json=body, headers=admin)

    made = await front.client.put("/v1/admin/groups/team/ada", json={}, headers=admin)
    assert made.json() == {"groups": {"team": ["ada"]}}
    team = await decide(verb="set", group="team", epsilon="0.5")
    assert [a["holder"] for a in team.json()["accounts"]] == ["team"]
    paced = await decide(verb="window", analyst="ada", window="week", epsilon="0.2")
    assert paced.json()["accounts"][0]["window"]["kind"] == "week"
    await front.query()
    body = (await front.client.get("/v1/budget", headers=front.headers())).json()
    assert [(g["group"], g["remaining"]["epsilon"]) for g in body["groups"]] == [("team", "0.4")]
    assert body["analyst"]["remaining"]["epsilon"] == "0.1"
    assert body["more_like_last"] == 1
    await front.query(sql="SELECT 2")
    refused = (await front.query(sql="SELECT 3")).json()
    assert (refused["code"], "week" in refused["message"]) == ("budget_exceeded", True)
    gone = await front.client.delete("/v1/admin/groups/team/ada", headers=admin)
    assert gone.json() == {"groups": {}}


async def test_an_administrator_decides_and_hears_what_cannot_be(front):
    admin, path = front.headers("admin"), "/v1/admin/budgets/clinic"

    async def code(**body: Any) -> tuple[int, Any]:
        reply = await front.client.post(path, json=body, headers=admin)
        return (reply.status_code, reply.json().get("code"))

    assert await code(verb="freeze", reason="look into it") == (200, None)
    assert (await front.query()).json()["code"] == "account_shut"
    assert await code(verb="thaw") == (200, None)
    assert await code(verb="grant", analyst="ada", epsilon="1") == (200, None)
    assert await code(verb="lower", analyst="ada", epsilon="9") == (409, "wrong_way")
    assert await code(verb="close", analyst="bob") == (200, None)
    assert await code(verb="thaw", analyst="bob") == (409, "account_closed")
    assert await code(verb="freeze", group="none") == (404, "not_found")
    assert await code(verb="freeze", analyst="none") == (404, "unknown_analyst")
    for body in (
        {"verb": "refund"},
        {"verb": "grant"},
        {"verb": "window", "window": "day"},
        {"verb": "freeze", "analyst": "ada", "group": "team"},
        {"verb": "set", "group": "Team", "epsilon": "1"},
    ):
        assert await code(**body) == (400, "invalid_request"), body
    epoch = await front.client.post("/v1/admin/datasets/clinic/epoch", json={}, headers=admin)
    assert epoch.json() == {"dataset": "clinic", "epoch": 2}


async def test_releases_come_in_pages_newest_first(front):
    ids = [(await front.query()).json()["release_id"] for _ in range(3)]
    first = await front.client.get("/v1/releases?limit=2", headers=front.headers())
    page = first.json()
    assert [release["release_id"] for release in page["releases"]] == [ids[2], ids[1]]
    assert page["next"] == ids[1]
    second = await front.client.get(
        f"/v1/releases?limit=2&before={page['next']}", headers=front.headers()
    )
    assert [release["release_id"] for release in second.json()["releases"]] == [ids[0]]
    assert second.json()["next"] is None


async def test_anothers_release_is_like_none(front):
    mine = (await front.query()).json()["release_id"]
    theirs = await front.client.get(f"/v1/releases/{mine}", headers=front.headers("bob"))
    nobodys = await front.client.get(f"/v1/releases/{uuid4()}", headers=front.headers("bob"))
    assert theirs.status_code == 404
    assert theirs.content == nobodys.content


async def test_a_failed_release_has_no_answer(front):
    async def fail() -> None:
        raise ValueError(CANARY)

    front.road.at["fetch"] = fail
    await front.query()
    found = (await front.client.get("/v1/releases", headers=front.headers())).json()["releases"]
    one = await front.client.get(f"/v1/releases/{found[0]['release_id']}", headers=front.headers())
    assert (one.json()["state"], one.json()["answer"]) == ("failed", None)
    assert CANARY not in one.text


async def test_a_data_set_is_told_without_where_it_lives(front):
    listed = await front.client.get("/v1/datasets", headers=front.headers())
    assert [dataset["name"] for dataset in listed.json()["datasets"]] == ["clinic"]
    reply = await front.client.get("/v1/datasets/clinic", headers=front.headers("admin"))
    body = reply.json()
    assert [unit["table"] for unit in body["privacy_units"]] == ["patients"]
    assert body["default_loss"] == {"epsilon": "0.1", "delta": "0"}
    assert body["tables"][0]["name"] == "patients"
    assert "public" not in reply.text


async def test_health(front):
    assert (await front.client.get("/healthz")).json() == {"status": "ok"}
    assert (await front.client.get("/readyz")).json() == {"status": "ready"}
    front.engine.is_ready = False
    reply = await front.client.get("/readyz")
    assert reply.status_code == 503
    assert reply.json()["message"] == "Not ready: data."
    assert "secret" not in reply.text + repr(front.seen)
    assert (await front.client.get("/healthz")).status_code == 200


async def test_the_reference_needs_no_network_and_names_every_route(front):
    page = await front.client.get("/docs")
    document = (await front.client.get("/openapi.json")).json()
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"<script|https?://(?!127)|src=", page.text)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in page.text
            assert operation["summary"]
            assert "default" in operation["responses"]
    assert "budget_exceeded" in page.text


async def test_logs_hold_neither_sql_nor_rows_nor_tokens(front):
    await front.query(f"SELECT '{CANARY}'", parameters=[CANARY], request_id=CANARY)
    await front.client.get(f"/v1/releases/{CANARY}", headers=front.headers())
    text = repr(front.seen)
    assert [seen.route for seen in front.seen if isinstance(seen, Replied)] == ["query", "release"]
    assert CANARY not in text
    assert front.tokens["ada"] not in text
