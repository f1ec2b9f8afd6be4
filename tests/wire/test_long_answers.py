"""Answers as long as they get: what is charged is delivered, or it is said how to get it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import psycopg
import pytest

from server.policy import parse_policy
from server.web.application import create_app
from server.web.services import Services
from tests.fixture import budgets
from tests.wire.conftest import Door, running_door

FIRST, SECOND = 400, 500
"""Values of two columns: as many groups as an answer may have."""


def _values(count: int, width: int) -> list[str]:
    return [f"{i:04d}".ljust(width, "x") for i in range(count)]


def _policy(width: int) -> str:
    return f"""
dataset = "clinic"
max_keys = 1000000
[privacy_unit]
table = "people"
key = "id"
[contribution]
max_rows_contributed = 1
max_groups_contributed = 1
{budgets(1_000, 10_000)}
[tables.people.columns]
id = {{ type = "integer", nullable = false }}
a = {{ type = "text", nullable = false, values = {json.dumps(_values(FIRST, width))} }}
b = {{ type = "text", nullable = false, values = {json.dumps(_values(SECOND, width))} }}
"""


def _people(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE people (id integer PRIMARY KEY, a text, b text)")
        connection.execute("INSERT INTO people SELECT i, 'x', 'x' FROM generate_series(1, 9) i")
    return url


ALL = "SELECT a, b, count(*) AS n FROM people GROUP BY a, b"


def _over_http(door: Door, name: str, sql: str) -> dict[str, Any]:
    """The answer over the other door."""
    services = Services(door.gateway, door.ledger, door.identity, door.seen.append, {})

    async def ask() -> httpx.Response:
        over = httpx.ASGITransport(app=create_app(services))
        async with httpx.AsyncClient(transport=over, base_url="http://epsql") as client:
            headers = {"Authorization": f"Bearer {door.tokens[name]}"}
            return await client.post("/v1/query", json={"sql": sql}, headers=headers, timeout=300)

    reply = asyncio.run_coroutine_threadsafe(ask(), door.loop).result(300)
    assert reply.status_code == 200, reply.text[:500]
    body: dict[str, Any] = reply.json()
    return body


@pytest.mark.slow
def test_the_most_groups_come_through_both_doors(postgres):
    with running_door(postgres, parse_policy(_policy(20)), _people) as door:
        name = door.analyst()
        with door.connect(name, options="-c statement_timeout=10min") as ada:
            rows = ada.execute(ALL).fetchall()
            assert len(rows) == FIRST * SECOND
            assert [(a, b) for a, b, _ in rows] == sorted((a, b) for a, b, _ in rows)
            with ada.cursor().copy(f"COPY ({ALL}) TO STDOUT") as copy:
                assert sum(bytes(piece).count(b"\n") for piece in copy) == len(rows)
            paid = door.spent(name)
        body = _over_http(door, name, ALL)
        assert [tuple(row) for row in body["rows"]] == rows
        assert door.spent(name) == paid


@pytest.mark.slow
def test_an_answer_that_is_too_long_is_had_in_parts(postgres):
    with running_door(postgres, parse_policy(_policy(100)), _people) as door:
        name = door.analyst()
        with door.connect(name, options="-c statement_timeout=10min") as ada:
            with pytest.raises(psycopg.errors.ProgramLimitExceeded) as error:
                ada.execute(ALL)
            assert "LIMIT" in (error.value.diag.message_hint or "")
            paid = door.spent(name)
            assert paid > 0
            some = ada.execute(ALL + " ORDER BY b DESC, a LIMIT 10 OFFSET 400").fetchall()
            assert [b[:4] for _, b, _ in some] == ["0498"] * 10
            assert door.spent(name) == paid
