"""/v1/admin with an administrator's token."""

from __future__ import annotations


async def test_an_analyst_is_added_gets_a_token_and_asks(front):
    admin = front.headers("admin")
    added = await front.client.post("/v1/admin/analysts", json={"name": "eve"}, headers=admin)
    assert added.json()["name"] == "eve"
    made = await front.client.post("/v1/admin/tokens", json={"analyst": "eve"}, headers=admin)
    front.tokens["eve"] = made.json()["token"]
    assert (await front.query(name="eve")).status_code == 200
    listed = await front.client.get("/v1/admin/analysts", headers=admin)
    assert [analyst["name"] for analyst in listed.json()["analysts"]] == ["ada", "bob", "eve"]
    again = await front.client.post("/v1/admin/analysts", json={"name": "eve"}, headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "analyst_exists")
    bad = await front.client.post("/v1/admin/analysts", json={"name": "Eve"}, headers=admin)
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_request")


async def test_caps_are_moved_but_not_below_what_is_spent(front):
    admin = front.headers("admin")
    await front.query()
    path = "/v1/admin/budgets/clinic/ada"
    moved = await front.client.put(path, json={"epsilon": "2", "delta": "1e-6"}, headers=admin)
    assert moved.json()["cap"] == {"epsilon": "2", "delta": "1e-6"}
    kept = await front.client.put(path, json={"epsilon": 3}, headers=admin)
    assert kept.json()["cap"] == {"epsilon": "3", "delta": "1e-6"}
    low = await front.client.put(path, json={"epsilon": "0.05"}, headers=admin)
    assert (low.status_code, low.json()["code"]) == (409, "cap_below_spent")
    shared = await front.client.put(
        "/v1/admin/budgets/clinic", json={"epsilon": "0.1", "reason": "end"}, headers=admin
    )
    assert shared.json()["analyst"] is None
    assert (await front.query()).json()["code"] == "budget_exceeded"
    found = (await front.client.get("/v1/admin/budgets/clinic", headers=admin)).json()
    assert [account["analyst"] for account in found["accounts"]] == [None, "ada", "bob"]
    one = await front.client.get(path, headers=admin)
    assert one.json() == found["accounts"][1]


async def test_a_cap_that_the_ledger_cannot_hold_is_refused(front):
    reply = await front.client.put(
        "/v1/admin/budgets/clinic",
        json={"epsilon": "99999999"},
        headers=front.headers("admin"),
    )
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")
