"""T7 as far as HTTP goes: how bytes travel, and who is taken to have sent them."""

from __future__ import annotations

import json
import socket

import pytest

from tests.guarantee.attacks.world import World

COUNT = json.dumps({"dataset": "clinic", "sql": "SELECT count(*) FROM patients"})


def _talk(world: World, head: list[str], body: bytes = b"") -> bytes:
    """Sends a request as it is written here; all that comes back until the server has said all."""
    lines = [*head, f"Authorization: {world.headers()['Authorization']}", "Connection: close"]
    with socket.create_connection(("127.0.0.1", world.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def _post(length: int) -> list[str]:
    return [
        "POST /v1/query HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]


def test_an_answer_comes_whole(world: World) -> None:
    """One length, said before the first byte of the answer; no chunk, no trailer."""
    sent = _talk(world, _post(len(COUNT)), COUNT.encode())
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert b"chunked" not in head.lower()


@pytest.mark.parametrize(
    "body",
    [
        COUNT.replace("count", "coun\u00e9t").encode("latin-1"),
        COUNT.encode("utf-16"),
        COUNT.encode().replace(b"patients", b"pat\x00ients"),
        COUNT.encode().replace(b"patients", b"\x81\x5c"),
        b"\xef\xbb\xbf" + COUNT.encode(),
    ],
)
def test_bytes_that_are_no_utf8_are_no_question(world: World, body: bytes) -> None:
    calls = len(world.spy.calls)
    reply = world.send(body)
    assert (reply.status_code, reply.json()["sqlstate"]) == (400, "22032")
    assert len(world.spy.calls) == calls


def test_too_many_parameters_are_no_question(world: World) -> None:
    books = world.books()
    for number, code in ((1_001, "22023"), (65_535, "22023")):
        reply = world.ask("SELECT count(*) FROM patients WHERE age = $1", parameters=[1] * number)
        assert (reply.status_code, reply.json()["sqlstate"]) == (400, code)
    assert world.books() == books


def test_who_asks_is_what_the_token_says(world: World) -> None:
    """Names in headers, in the query string and in the user's part of the address say nothing."""
    before = world.spent("bob")
    headers = {
        **world.headers("ada"),
        "user-name": "bob",
        "X-Analyst": "bob",
        "X-Forwarded-User": "bob",
        "Forwarded": "for=bob",
        "Cookie": f"token={world.tokens['bob']}",
    }
    reply = world.client.post("/v1/query?analyst=bob", content=COUNT, headers=headers)
    assert reply.status_code == 200
    assert world.spent("bob") == before
    del headers["Authorization"]
    assert world.client.post("/v1/query", content=COUNT, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "head",
    [
        ["Transfer-Encoding: chunked"],
        ["Content-Length: 5"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding : chunked"],
    ],
)
def test_a_request_within_a_request_is_not_two(world: World, head: list[str]) -> None:
    """Two lengths, or a length and chunks: a proxy in front might see another end than we do."""
    inner = f"{chr(13)}{chr(10)}".join([*_post(len(COUNT)), "", COUNT])
    body = f"0\r\n\r\n{inner}".encode()
    books = world.books()
    sent = _talk(world, [*_post(len(body)), *head], body)
    assert sent.startswith(b"HTTP/1.1 400")
    assert sent.count(b"HTTP/1.1") == 1
    assert world.books() == books
