"""Who gets in, over what, with which settings; and what a connection may say before."""

from __future__ import annotations

import asyncio
import struct
from datetime import timedelta

import asyncpg
import psycopg
import pytest

from server.wire import messages
from server.wire.messages import Message
from tests.wire.raw import SSL_REQUEST, Raw, kinds, said, startup


def test_a_token_is_the_password(door, name):
    with door.connect(name) as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == (
            name,
            "clinic",
        )
        assert connection.pgconn.ssl_in_use


@pytest.mark.parametrize(
    "more",
    [
        {"channel_binding": "require"},
        {"sslmode": "require", "sslnegotiation": "direct"},
        {"sslmode": "disable"},
        {"require_auth": "scram-sha-256"},
        {"min_protocol_version": "3.2", "max_protocol_version": "latest"},
        {"gssencmode": "prefer"},
    ],
    ids=str,
)
def test_the_ways_in(door, name, more):
    with door.connect(name, **more) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_every_live_token_of_an_analyst_works(door, name):
    another = door.run(door.identity.new_token(name))
    for token in (another, door.tokens[name]):
        with door.connect(name, password=token) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_who_does_not_get_in_hears_one_and_the_same(door, name):
    gone, brief, disabled = door.analyst(), door.analyst(), door.analyst()
    door.run(door.identity.revoke(door.tokens[gone].split("_")[1]))
    door.tokens[brief] = door.run(
        door.identity.new_token(brief, lifetime=timedelta(microseconds=1))
    )
    door.run(door.ledger.disable_analyst(disabled, by="test"))
    admin = door.run(door.identity.new_token(None))
    cases = [
        (name, "wrong"),
        (name, door.tokens[name] + "x"),
        (name, door.tokens[name].split("_", 2)[2]),
        (name, admin),
        ("admin", admin),
        ("nobody", door.tokens[name]),
        (gone, door.tokens[gone]),
        (brief, door.tokens[brief]),
        (disabled, door.tokens[disabled]),
        (name, door.tokens[gone]),
    ]
    heard = set()
    for user, password in cases:
        with pytest.raises(psycopg.OperationalError) as refused:
            door.connect(user, password=password)
        heard.add(str(refused.value).replace(user, "USER").partition("FATAL:")[2])
    assert len(heard) == 1
    assert 'password authentication failed for user "USER"' in heard.pop()


def test_an_empty_password_is_no_way_in(door, name):
    async def login(user: str) -> None:
        await asyncpg.connect(
            host="127.0.0.1", port=door.port, user=user, password="", database="clinic"
        )

    for user in (name, "nobody", ""):
        with pytest.raises(
            (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)
        ):
            asyncio.run(login(user))


def test_a_token_from_before_there_was_a_port_does_not_work(door, name, postgres):
    """It has no verifier; a new one of the same analyst does."""

    async def forget() -> None:
        async with door.identity._engine.begin() as connection:
            await connection.exec_driver_sql(
                "UPDATE tokens SET scram_stored_key = NULL, scram_server_key = NULL"
                f" WHERE label = '{name}'"
            )

    door.run(forget())
    with pytest.raises(psycopg.OperationalError, match="make a new one"):
        door.connect(name)
    with door.connect(name, password=door.run(door.identity.new_token(name))) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_database_is_a_data_set(door, name):
    with pytest.raises(psycopg.OperationalError) as refused:
        door.connect(name, dbname="postgres")
    assert 'database "postgres" does not exist' in str(refused.value)
    assert "Served here: clinic." in str(refused.value)
    with pytest.raises(psycopg.OperationalError) as refused:
        door.connect("nobody", dbname="postgres")
    assert "clinic" not in str(refused.value)  # nobody learns what is served


def test_who_only_waits_keeps_nobody_out(door, name):
    """Connections that do not log in take no place of those that do."""
    waiting = [Raw.dial(door.port) for _ in range(130)]
    with door.connect(name) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert len(door.server._greeted) <= 100  # the oldest had to go
        assert [message.kind for message in waiting[0].rest()] in ([], [b"E"])
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for raw in waiting:
        raw.socket.close()


def test_one_analyst_has_so_many_connections(door, name):
    other = door.analyst()
    open_ = [door.connect(name) for _ in range(5)]
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        door.connect(name)
    door.connect(other).close()
    open_.pop().close()
    for _ in range(100):  # the server hears of it a moment later
        try:
            open_.append(door.connect(name))
            break
        except psycopg.OperationalError:
            continue
    assert len(open_) == 5
    for connection in open_:
        connection.close()


@pytest.mark.parametrize(
    "setting",
    [
        "work_mem=1GB",
        "log_statement=all",
        "session_preload_libraries=x",
        "client_encoding=SJIS",
        "standard_conforming_strings=off",
        "epsql.epsilon=much",
        "epsql.nonsense=1",
        "no_such_setting=1",
    ],
)
def test_settings_that_a_connection_cannot_have(door, name, setting):
    with pytest.raises(psycopg.OperationalError, match="FATAL"):
        door.connect(name, options=f"-c {setting}")


def test_settings_that_a_connection_can_have(door, name):
    options = r"-c epsql.epsilon=0.5 --extra-float-digits=2 -c search_path=epsql,\ public"
    with door.connect(name, options=options, application_name="tool") as connection:
        for setting, value in (
            ("epsql.epsilon", "0.5"),
            ("extra_float_digits", "2"),
            ("search_path", "epsql, public"),
            ("application_name", "tool"),
        ):
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)
        connection.execute("RESET epsql.epsilon")
        assert connection.execute("SHOW epsql.epsilon").fetchone() == ("0.5",)


@pytest.mark.parametrize(
    "words", [{"replication": "database"}, {"replication": "true"}, {"options": "-c nonsense"}]
)
def test_what_a_connection_cannot_be(door, name, words):
    with pytest.raises(psycopg.OperationalError, match="FATAL"):
        door.connect(name, **words)


def test_a_role_of_the_shadow_is_not_to_be_had(door, name):
    for role in ("_epsql", door.analyst()):
        with pytest.raises(psycopg.OperationalError):
            door.connect(name, options=f"-c role={role}")


# -- before the login, byte by byte ---------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        struct.pack("!II", 7, 196608),
        struct.pack("!II", 2**31 - 1, 196608),
        struct.pack("!II", 10_001, 196608),
        SSL_REQUEST * 2,
        struct.pack("!II", 8, 80877104) * 2,
        struct.pack("!III", 12, 80877102, 1),
        b"\x16\x03\x01\x00\x05hello",
        startup(user="ada")[:-1] + b"x",
    ],
    ids=["http", "short", "huge", "too long", "ssl twice", "gss twice", "cancel", "tls", "open"],
)
def test_what_no_client_says_is_cut_off(door, sent):
    raw = Raw.dial(door.port)
    raw.send(sent)
    found = b""
    while more := raw.socket.recv(100):
        found += more
    assert b"clinic" not in found
    assert not found.startswith(b"R")


def test_plaintext_behind_the_wish_to_encrypt_ends_it(door):
    """Whoever sits between could put it there, and it would look as if it had been encrypted."""
    raw = Raw.dial(door.port)
    raw.send(SSL_REQUEST + startup(user="ada", database="clinic"))
    assert b"S" not in raw.socket.recv(10)[:1]


def test_a_query_before_the_login_is_not_heard(door, name):
    raw = Raw.dial(door.port)
    raw.encrypt()
    raw.send(startup(user=name, database="clinic"), messages.query(b"SELECT 1"))
    found = raw.rest()
    assert kinds(found) == b"RE"
    assert said(found)[b"C"] == b"08P01"


def test_a_message_before_the_login_is_short(door, name):
    raw = Raw.dial(door.port)
    raw.encrypt()
    raw.send(startup(user=name, database="clinic"), b"p" + struct.pack("!I", 2**20))
    assert kinds(raw.rest()) == b"RE"


def test_who_never_logs_in_is_cut_off_in_time(door, name):
    """The limit of the tests is 5 seconds; the socket's own is 20."""
    silent, half = Raw.dial(door.port), Raw.dial(door.port)
    half.send(startup(user=name, database="clinic"))
    assert kinds(half.rest()) == b"R"
    assert silent.rest() == []


def test_protocols_that_are_too_new_are_talked_down(door, name):
    raw = Raw.dial(door.port)
    body = b"user\0" + name.encode() + b"\0_pq_.magic\0on\0\0"
    raw.send(struct.pack("!II", len(body) + 8, 196608 + 9) + body)
    first = raw.message()
    assert first == Message(b"v", struct.pack("!II", 196610, 1) + b"_pq_.magic\0")
    assert kinds(raw.until(b"R")) == b"R"


def test_protocols_that_are_too_old(door):
    raw = Raw.dial(door.port)
    raw.send(struct.pack("!II", 8, 2 << 16))
    assert said(raw.rest())[b"C"] == b"0A000"
