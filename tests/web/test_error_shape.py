"""Every route, every way to get it wrong: one shape, and nothing besides."""

from __future__ import annotations

import re

import pytest

from server import gateway as gateway_module
from server import plans
from server.errors import TABLE
from tests.server.fakes import CANARY

FIELDS = ["code", "sqlstate", "message", "detail", "hint", "position"]
CODES = {rule.code: rule for rule in TABLE.values()}


def check(reply, *codes: str) -> None:
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    body = reply.json()
    assert list(body) == FIELDS
    assert body["code"] in codes
    rule = CODES[body["code"]]
    assert (reply.status_code, body["sqlstate"]) == (rule.status, rule.sqlstate)
    assert body["message"]
    for word in ("Traceback", "File ", "psycopg", "sqlalchemy", CANARY):
        assert word not in reply.text


def routes(front) -> list[tuple[str, str]]:
    document = front.server.config.app.openapi()
    found = [
        (method.upper(), re.sub(r"\{\w+\}", "none", path))
        for path, methods in document["paths"].items()
        for method in methods
    ]
    assert len(found) > 10
    return found


async def test_without_a_good_token(front):
    bad = [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer x")],
        [("Authorization", f"Basic {front.tokens['ada']}")],
        [("Authorization", f"Bearer {front.tokens['ada'][:-1]}")],
        [("Authorization", f"Bearer {front.tokens['ada']}")] * 2,
        [("Authorization", b"Bearer \xff")],
    ]
    for method, path in routes(front):
        if path in {"/healthz", "/readyz"}:
            continue
        for headers in bad if path == "/v1/query" else bad[:1]:
            reply = await front.client.request(method, path, headers=headers)
            check(reply, "not_authenticated")
            assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_with_a_token_that_is_not_enough(front):
    for method, path in routes(front):
        admin = path.startswith("/v1/admin")
        if admin:
            reply = await front.client.request(method, path, headers=front.headers("ada"))
            check(reply, "admin_only")
        elif path in {"/v1/query", "/v1/quote", "/v1/budget", "/v1/releases"}:
            reply = await front.client.request(method, path, headers=front.headers("admin"))
            check(reply, "analyst_only")


async def test_nothing_at_a_path_and_no_such_method(front):
    for path in ("/", "/v1", "/v1/", "/v1/query/", "/v2/query", "/v1/releases/", "/%00", "/..%2f"):
        check(await front.client.get(path, headers=front.headers()), "not_found")
    for method, path in routes(front):
        reply = await front.client.request("PATCH", path, headers=front.headers("admin"))
        check(reply, "method_not_allowed")
        assert method in reply.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/releases?limit=0",
        "/v1/releases?limit=x",
        "/v1/releases?before=x",
        "/v1/releases?limit=201",
    ],
)
async def test_a_wrong_query_parameter(front, path):
    check(await front.client.get(path, headers=front.headers()), "invalid_request")


async def test_what_is_not_there(front):
    headers, admin = front.headers(), front.headers("admin")
    get, put = front.client.get, front.client.put
    check(await get("/v1/releases/none", headers=headers), "not_found")
    check(await get("/v1/datasets/none", headers=headers), "unknown_dataset")
    check(await get("/v1/budget?dataset=none", headers=headers), "unknown_dataset")
    check(await front.query(dataset="none"), "unknown_dataset")
    check(await get("/v1/admin/budgets/none", headers=admin), "unknown_dataset")
    check(await get("/v1/admin/budgets/clinic/none", headers=admin), "unknown_analyst")
    reply = await put("/v1/admin/budgets/clinic/none", json={"epsilon": "1"}, headers=admin)
    check(reply, "unknown_analyst")
    reply = await front.client.post("/v1/admin/tokens", json={"analyst": "none"}, headers=admin)
    check(reply, "unknown_analyst")


@pytest.mark.parametrize("name", ["%00", "a%00b"])
async def test_a_name_with_a_nul_is_not_found(front, name):
    """Postgres would refuse it as text, which once looked like a ledger that is down."""
    admin = front.headers("admin")
    for method, path in (
        ("GET", f"/v1/releases?dataset={name}"),
        ("GET", f"/v1/admin/budgets/clinic/{name}"),
        ("PUT", f"/v1/admin/groups/cohort/{name}"),
        ("DELETE", f"/v1/admin/groups/{name}/ada"),
    ):
        headers = admin if "admin" in path else front.headers()
        check(await front.client.request(method, path, headers=headers), "not_found")


@pytest.mark.parametrize("room, where", [(plans, "analyze"), (gateway_module, "Publisher")])
async def test_a_bug_says_nothing(front, monkeypatch, room, where):
    def bug(*_: object, **__: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(room, where, bug)
    check(await front.query(), "internal_error", "failed_after_debit")
    assert CANARY not in repr(front.seen)


async def test_a_ledger_that_is_down(front, postgres, ledger_url):
    postgres.take_down(ledger_url)
    try:
        check(await front.query(), "ledger_unavailable")
        check(await front.client.get("/v1/budget", headers=front.headers()), "ledger_unavailable")
    finally:
        postgres.bring_up(ledger_url)
    assert (await front.query()).status_code == 200


async def test_data_that_is_away_costs_nothing(front):
    front.engine.is_ready = False
    check(await front.query(), "data_unavailable")
    assert await front.states() == ["voided"]
    assert await front.spent() == 0
    front.engine.is_ready = True
    assert (await front.query()).status_code == 200
