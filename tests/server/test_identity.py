"""Tokens: who holds one is who they are, and every other credential is told the same."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from accountant.errors import LedgerUnavailable, UnknownAnalyst
from accountant.people import Analyst, People
from accountant.transactions import ledger_engine
from server.identity import Identity, NotAuthenticated, Principal, UnknownToken
from tests.postgres import Postgres


@pytest.fixture
async def identity(ledger_uri: str) -> AsyncIterator[Identity]:
    engine = ledger_engine(ledger_uri, pool_size=2)
    yield Identity(engine)
    await engine.dispose()


@pytest.fixture
async def accounts(identity: Identity) -> People:
    return People(identity._engine)


@pytest.fixture
async def alice(accounts: People) -> Analyst:
    return await accounts.add_analyst("alice")


def key_of(token: str) -> str:
    return token.split("_")[1]


async def test_a_token_proves_its_analyst(identity: Identity, alice: Analyst):
    token = await identity.new_token("alice")
    proven = Principal(alice.id, "alice", is_admin=False, key_id=key_of(token))
    assert await identity.authenticate(f"Bearer {token}") == proven
    assert await identity.authenticate(f"bearer  {token}") == proven
    assert await identity.verify(token) == proven


async def test_an_admin_token_is_no_analyst(identity: Identity, alice: Analyst):
    token = await identity.new_token(None, label="ops")
    proven = await identity.verify(token)
    assert proven == Principal(None, "ops", is_admin=True, key_id=key_of(token))


async def test_every_bad_credential_gets_the_same_words(identity: Identity, alice: Analyst):
    good, other = [await identity.new_token("alice") for _ in range(2)]
    secret = good.split("_", 2)[2]
    swapped = good.replace(secret, other.split("_", 2)[2])
    headers = [
        None,
        "",
        good,
        f"Basic {good}",
        "Bearer ",
        f"Bearer {good} ",
        f"Bearer {good} {good}",
        f"Bearer {good}x",
        f"Bearer {good[:-1]}",
        f"Bearer {good[:-1]}{'A' if good[-1] != 'A' else 'B'}",
        f"Bearer {swapped}",
        f"Bearer epsql_{'0' * 16}_{secret}",
        f"Bearer epsql_{key_of(good).upper()}_{secret}" + "\x00",
        f"Bearer {good.replace('epsql', 'EPSQL')}",
        "Bearer épsql_ü_\udcff",
    ]
    words = set()
    for header in headers:
        with pytest.raises(NotAuthenticated) as refusal:
            await identity.authenticate(header)
        words.add(str(refusal.value))
    assert words == {"the credential is missing or not valid"}
    await identity.verify(good)


async def test_revoked_expired_and_disabled_tokens_do_not_hold(
    identity: Identity, accounts: People, alice: Analyst, ledger_uri: str
):
    revoked = await identity.new_token("alice")
    expired = await identity.new_token("alice", lifetime=timedelta(hours=1))
    other = await identity.new_token("alice")
    admin = await identity.new_token(None)
    for token in (revoked, expired, other, admin):
        await identity.verify(token)

    await identity.revoke(key_of(revoked), by="root", reason="lost")
    with psycopg.connect(ledger_uri) as connection:
        connection.execute(
            "UPDATE tokens SET expires_at = expires_at - interval '1 hour' WHERE key_id = %s",
            [key_of(expired)],
        )
    for token in (revoked, expired):
        with pytest.raises(NotAuthenticated):
            await identity.verify(token)
    await identity.verify(other)

    await accounts.disable_analyst("alice")
    with pytest.raises(NotAuthenticated):
        await identity.verify(other)
    await identity.verify(admin)
    await accounts.enable_analyst("alice")
    await identity.verify(other)


async def test_only_a_digest_is_stored(identity: Identity, alice: Analyst, ledger_uri: str):
    token = await identity.new_token("alice")
    secret = token.split("_", 2)[2]
    assert len(secret) == 43
    with psycopg.connect(ledger_uri) as connection:
        stored = connection.execute("SELECT secret_sha256 FROM tokens").fetchone()
        everything = connection.execute(
            "SELECT (SELECT json_agg(t)::text FROM tokens t)"
            " || (SELECT json_agg(l)::text FROM entries l)"
        ).fetchone()
    assert stored == (hashlib.sha256(secret.encode()).digest(),)
    assert everything is not None
    assert secret not in everything[0]
    assert key_of(token) in everything[0]


async def test_an_unknown_key_costs_the_same_comparison(
    identity: Identity, alice: Analyst, monkeypatch: pytest.MonkeyPatch
):
    token = await identity.new_token("alice")
    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr("server.identity.hmac.compare_digest", spy)
    await identity.verify(token)
    with pytest.raises(NotAuthenticated):
        await identity.verify(token.replace(key_of(token), "0" * 16))
    known, unknown = compared
    assert known[1] == unknown[1]
    assert known[0] != unknown[0]
    assert len(known[0]) == len(unknown[0]) == 32


async def test_tokens_are_listed_without_their_secrets(
    identity: Identity, accounts: People, alice: Analyst
):
    await accounts.add_analyst("bob")
    first = await identity.new_token("alice", lifetime=timedelta(days=1))
    await identity.new_token("bob")
    admin = await identity.new_token(None, label="ops")
    await identity.revoke(key_of(first))
    [token] = await identity.list_tokens("alice")
    assert (token.key_id, token.kind, token.name) == (key_of(first), "analyst", "alice")
    assert token.expires_at == token.created_at + timedelta(days=1)
    assert token.revoked_at is not None
    every = await identity.list_tokens()
    assert [entry.name for entry in every] == ["alice", "bob", "ops"]
    assert every[2].key_id == key_of(admin)


async def test_making_and_revoking_is_logged(identity: Identity, alice: Analyst, ledger_uri: str):
    key = key_of(await identity.new_token("alice", by="root", reason="first day"))
    await identity.revoke(key, by="root", reason="last day")
    with psycopg.connect(ledger_uri) as connection:
        lines = connection.execute(
            "SELECT doc ->> 'actor', doc ->> 'kind', doc ->> 'key_id', doc ->> 'reason'"
            " FROM entries WHERE doc ? 'key_id' ORDER BY number"
        ).fetchall()
    assert lines == [
        ("root", "new token", key, "first day"),
        ("root", "revoke token", key, "last day"),
    ]


async def test_mistakes_of_the_operator(identity: Identity):
    with pytest.raises(UnknownAnalyst):
        await identity.new_token("nobody")
    with pytest.raises(UnknownAnalyst):
        await identity.list_tokens("nobody")
    with pytest.raises(UnknownToken):
        await identity.revoke("0" * 16)
    with pytest.raises(ValueError, match="lifetime"):
        await identity.new_token(None, lifetime=timedelta(0))
    assert await identity.list_tokens() == []


async def test_without_a_database_nobody_gets_in(
    identity: Identity, alice: Analyst, postgres: Postgres, ledger_uri: str
):
    token = await identity.new_token("alice")
    postgres.take_down(ledger_uri)
    with pytest.raises(LedgerUnavailable):
        await identity.verify(token)


async def test_all_who_ask_at_once_hear_of_their_own_token(identity: Identity, alice: Analyst):
    """They share a look at the ledger, and nothing else."""
    good, ended, admin = [await identity.new_token(name) for name in ("alice", "alice", None)]
    await identity.revoke(key_of(ended))
    nobodys = good.replace(key_of(good), "0" * 16)
    swapped = good.replace(key_of(good), key_of(admin))
    asked = (good, ended, admin, nobodys, swapped) * 3
    told = await asyncio.gather(*map(identity.verify, asked), return_exceptions=True)
    assert [isinstance(one, Principal) and one.name for one in told] == [
        "alice", False, "admin", False, False,
    ] * 3  # fmt: skip
    held = await asyncio.gather(*(identity.holds(key_of(token)) for token in asked))
    assert held == [True, False, True, False, True] * 3


async def test_a_token_does_not_hold_any_more_once_revoke_returns(
    identity: Identity, alice: Analyst
):
    """However many looks are under way: whoever asks from then on hears of it."""
    for _ in range(5):
        token = await identity.new_token("alice")
        asking = [asyncio.create_task(identity.holds(key_of(token))) for _ in range(4)]
        await identity.revoke(key_of(token))
        more = [asyncio.create_task(identity.holds(key_of(token))) for _ in range(4)]
        assert await asyncio.gather(*more) == [False] * 4
        await asyncio.gather(*asking)


async def test_a_read_only_database_is_no_ledger(
    identity: Identity, alice: Analyst, ledger_uri: str
):
    """It may be a standby that has not heard yet that a token was revoked."""
    token = await identity.new_token("alice")
    with psycopg.connect(ledger_uri, autocommit=True) as connection:
        name = psycopg.sql.Identifier(connection.info.dbname)
        change = psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on")
        connection.execute(change.format(name))
    standby = ledger_engine(ledger_uri, pool_size=2)
    for ask in (Identity(standby).verify(token), Identity(standby).holds("0" * 16)):
        with pytest.raises(LedgerUnavailable):
            await ask
    await standby.dispose()
