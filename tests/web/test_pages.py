"""Everything that is only read: budget, releases, data sets, health, reference."""

from __future__ import annotations

import re
from uuid import uuid4

from server.observations import Replied
from tests.server.fakes import CANARY


async def test_the_budget_is_the_ledgers(front):
    await front.query()
    reply = await front.client.get("/v1/budget", headers=front.headers())
    assert reply.json() == {
        "dataset": "clinic",
        "analyst": {
            "cap": {"epsilon": "1", "delta": "0"},
            "spent": {"epsilon": "0.1", "delta": "0", "rho": "0.005"},
            "remaining": {"epsilon": "0.9", "delta": "0"},
        },
        "shared": {
            "cap": {"epsilon": "5", "delta": "0"},
            "spent": {"epsilon": "0.1", "delta": "0", "rho": "0.005"},
            "remaining": {"epsilon": "4.9", "delta": "0"},
        },
    }


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
