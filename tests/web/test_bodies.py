"""Strict JSON: what could be read in two ways, or is not exactly a loss, is refused and free."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from fractions import Fraction

from analyzer.asks import EpsilonAsk, ErrorAsk, ErrorBar, RhoAsk

EXACT = [
    ("0.1", Fraction(1, 10)),
    ('"0.1"', Fraction(1, 10)),
    ("1", Fraction(1)),
    ("1.0", Fraction(1)),
    ("1e-2", Fraction(1, 100)),
    ('"2.5E-1"', Fraction(1, 4)),
    ("0.300000000000000000000001", Fraction(300000000000000000000001, 10**24)),
    ('"1e-12"', Fraction(1, 10**12)),
]

NOT_A_LOSS = [
    "0", '"0"', "0.0", '"-0"', "-1", "-0.1", '"-0.1"', "NaN", '"NaN"', "Infinity", "-Infinity",
    '"Infinity"', '"inf"', "1e-320", '"1e-320"', "1e-13", '"1e-13"', "1e308", '"1e308"', "true",
    "false", "[0.1]", "{}", '""', '" 0.1"', '"0.1 "', '"+0.1"', '"0,1"', '".1"', '"1."', '"01"',
    '"1_0"', '"0x1"', '"1/10"', '"\\u0661"', '"0.1; x"', '"1e-7e1"', "1e999999999", "9" * 100,
    "1e99999999999999999999", "1e-99999999999999999999",
]  # fmt: skip

NOT_A_BODY = [
    b"", b"x", b"null", b"[]", b'"SELECT 1"', b"1", b"{", b'{"sql": "SELECT 1"',
    b'{"sql": "SELECT 1"} {}', b'{"sql": "SELECT 1",}', b"{'sql': 'SELECT 1'}", b'{"sql": "\xff"}',
    b'\xef\xbb\xbf{"sql": "SELECT 1"}', '{"sql": "SELECT 1"}'.encode("utf-16"),
    b'{"sql": "SELECT 1", "sql": "SELECT 2"}', b'{"sql": "SELECT 1", "epsilon": 0.1, "epsilon": 9}',
    b'{"sql": "SELECT 1", "epsilon": 0.1, "\\u0065psilon": 9}', b"[" * 5000,
    b'{"sql": "a\nb"}',
]  # fmt: skip

NOT_A_QUESTION = [
    {}, {"sql": None}, {"sql": 1}, {"sql": ["SELECT 1"]}, {"sql": "\0"}, {"sql": "\ud800"},
    {"sql": "SELECT 1", "analyst": "bob"}, {"sql": "SELECT 1", "analyst_id": 1},
    {"sql": "SELECT 1", "Epsilon": "0.1"}, {"sql": "SELECT 1", "delta": "1"},
    {"sql": "SELECT 1", "delta": "-1e-9"}, {"sql": "SELECT 1", "delta": "1e-19"},
    {"sql": "SELECT 1", "parameters": {}}, {"sql": "SELECT 1", "parameters": "1"},
    {"sql": "SELECT 1", "parameters": [[[1]]]}, {"sql": "SELECT 1", "parameters": [{}]},
    {"sql": "SELECT 1", "parameters": [["\0"]]}, {"sql": "SELECT 1", "parameters": [[{}]]},
    {"sql": "SELECT 1", "parameters": ["\0"]}, {"sql": "SELECT 1", "parameters": [None] * 1001},
    {"sql": "SELECT 1", "dataset": 1}, {"sql": "SELECT 1", "request_id": ""},
    {"sql": "SELECT 1", "request_id": "a b"}, {"sql": "SELECT 1", "request_id": "é"},
    {"sql": "SELECT 1", "request_id": "x" * 201}, {"sql": "SELECT 1", "request_id": "x\n"},
    {"sql": "SELECT 1", "request_id": 7}, {"sql": "SELECT 1", "max_rows_contributed": "5"},
    {"sql": "SELECT 1", "max_rows_contributed": True},
]  # fmt: skip


async def send(front, body: bytes, **headers: str):
    return await front.client.post(
        "/v1/query",
        content=body,
        headers=front.headers() | {"Content-Type": "application/json"} | headers,
    )


async def test_a_loss_is_taken_exactly(front):
    for written, exact in EXACT:
        await send(front, f'{{"sql": "SELECT 1", "epsilon": {written}}}'.encode())
        assert front.asked[-1]["ask"].epsilon == exact, written
    assert len(front.asked) == len(EXACT)


async def test_delta_may_be_zero(front):
    await front.query(delta=0, epsilon="0.1")
    assert front.asked[0]["ask"].delta == 0


async def test_a_question_asks_in_epsilon_in_rho_or_by_an_error(front):
    for body, ask in (
        ({"rho": "0.001"}, RhoAsk(Fraction(1, 1000), Fraction(0))),
        ({"rho": "1e-3", "delta": "1e-9"}, RhoAsk(Fraction(1, 1000), Fraction(1, 10**9))),
        ({"error": 500}, ErrorAsk(ErrorBar(Fraction(500)), Fraction(0))),
        (
            {"error": "0.5 over 2000 rows"},
            ErrorAsk(ErrorBar(Fraction(1, 2), Fraction(2000)), Fraction(0)),
        ),
        ({"error": "5% of 20000"}, ErrorAsk(ErrorBar(Fraction(1000)), Fraction(0))),
        ({}, EpsilonAsk(Fraction(1, 10), Fraction(0))),
    ):
        await front.query(**body)
        assert front.asked[-1]["ask"] == ask, body
    written = b'{"sql": "SELECT 1", "error": 0.50}'
    await send(front, written)
    assert front.asked[-1]["ask"].error == ErrorBar(Fraction(1, 2))


async def test_a_question_asks_in_one_way_only(front):
    for body in ({"epsilon": 1, "rho": 1}, {"rho": 1, "error": 5}, {"error": 5, "epsilon": 1}):
        reply = await front.query(**body)
        assert (reply.status_code, reply.json()["sqlstate"]) == (400, "22023"), body
        assert "in one way" in reply.json()["message"]
    wrong: tuple[object, ...] = (True, [], "", "0", "-5", "5%")
    for error in wrong:
        reply = await front.query(error=error)
        assert (reply.status_code, reply.json()["sqlstate"]) == (400, "22023"), error
    assert front.asked == []


async def test_what_is_not_a_loss_is_refused(front):
    for written in NOT_A_LOSS:
        reply = await send(front, f'{{"sql": "SELECT 1", "epsilon": {written}}}'.encode())
        assert (reply.status_code, reply.json()["sqlstate"]) == (400, "22023"), written
    assert front.asked == []
    assert await front.states() == []


async def test_what_is_not_one_json_object_is_refused(front):
    for body in NOT_A_BODY:
        reply = await send(front, body)
        assert reply.status_code == 400, body
        assert reply.json()["code"] in {"malformed_json", "invalid_request"}, body
    assert front.asked == []


async def test_what_is_not_a_question_is_refused(front):
    for body in NOT_A_QUESTION:
        reply = await send(front, json.dumps(body).encode())
        assert (reply.status_code, reply.json()["sqlstate"]) == (400, "22023"), body
        assert reply.json()["message"], body
    assert front.asked == []


async def test_a_refusal_names_the_place_and_not_the_value(front):
    reply = await send(front, b'{"sql": "SELECT 1", "epsilon": "canary-1", "more": "canary-2"}')
    body = reply.json()
    assert body["message"].startswith("epsilon is wrong: must be a positive decimal number")
    assert body["detail"] == "more is not a field of this request."
    assert body["hint"] == "See /docs for what this request takes."
    assert "canary" not in reply.text


async def test_parameters_keep_their_types(front):
    written = b'{"sql": "SELECT 1", "parameters": [1, 1.50, "1", true, null]}'
    assert (await send(front, written)).status_code == 200
    (asked,) = front.asked
    assert [str(value) for value in asked["parameters"]] == ["1", "1.50", "1", "True", "None"]
    assert [type(value).__name__ for value in asked["parameters"]] == [
        "int", "Decimal", "str", "bool", "NoneType",
    ]  # fmt: skip


async def test_a_list_is_an_array_of_exact_values(front):
    written = b'{"sql": "SELECT 1", "parameters": [[1, 1.50, "1", null], []]}'
    assert (await send(front, written)).status_code == 200
    (asked,) = front.asked
    assert asked["parameters"] == ((1, Decimal("1.50"), "1", None), ())


async def test_the_body_must_say_that_it_is_json(front):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        reply = await send(front, b'{"sql": "SELECT 1"}', **{"Content-Type": kind})
        assert (reply.status_code, reply.json()["code"]) == (415, "not_json")
    good = await send(
        front, b'{"sql": "SELECT 1"}', **{"Content-Type": "application/json; charset=utf-8"}
    )
    assert good.status_code == 200


async def test_a_body_that_is_too_large_is_refused_before_it_is_all_there(front):
    declared = await send(front, b" " * 10_001)
    assert (declared.status_code, declared.json()["code"]) == (413, "body_too_large")
    exchange = await chunks(front, [b" " * 6000, b" " * 6000])  # and never the end
    assert exchange.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in exchange
    assert front.asked == []


async def chunks(front, parts: list[bytes]) -> bytes:
    """The reply to a chunked body that goes on for ever after these parts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    head = (
        "POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: {front.headers()['Authorization']}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode())
    for part in parts:
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
    reply = await asyncio.wait_for(reader.readuntil(b"}"), 10)
    writer.close()
    return reply


async def test_who_leaves_in_the_middle_of_a_body_asked_nothing(front):
    _, writer = await asyncio.open_connection("127.0.0.1", front.port)
    head = (
        "POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: {front.headers()['Authorization']}\r\nContent-Length: 100\r\n\r\n{{"
    )
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    while all(getattr(seen, "code", None) != "cancelled" for seen in front.seen):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert front.asked == []
