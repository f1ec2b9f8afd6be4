"""Credentials to analyst: tokens, shown once, stored as digests beside the analysts.

A token is ``epsql_<key id>_<secret>``. The key id finds the row; only the sha256 of the secret is
stored. A slow password hash is for secrets that people choose: ours has 256 bits from the system's
random source, which no digest speed makes guessable, and a slow one would be paid on every request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accountant.errors import LedgerError
from accountant.headfile import HeadFile
from accountant.journal import Journal
from accountant.looks import Looks
from accountant.people import find
from accountant.tables import analysts, tokens
from accountant.tables import secrets as kept_secrets
from accountant.transactions import WRITABLE, look, transaction
from server.scram import Verifier, salt_of, verifier

_SECRET_BYTES = 32
TOKEN = re.compile(r"epsql_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
"""What a token looks like: its key id, and its secret."""
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_CANDIDATES = 64
"""Live tokens of one analyst that a login is held against; the newest."""
# What an unknown key id is compared with: no secret has this digest, as far as anybody knows.
_NOBODY = secrets.token_bytes(32)
# Neither revoked nor expired, and its analyst not disabled.
_VALID = """tokens.revoked_at IS NULL AND analysts.disabled_at IS NULL
    AND (tokens.expires_at IS NULL OR now() < tokens.expires_at)"""
_HOLDERS = text(f"""
    SELECT tokens.key_id, tokens.kind, tokens.analyst_id, tokens.label, tokens.secret_sha256,
           {_VALID} AS valid, {WRITABLE}
    FROM unnest(CAST(:key_ids AS text[])) AS asked (key_id)
    LEFT JOIN tokens USING (key_id)
    LEFT JOIN analysts ON analysts.id = tokens.analyst_id
""")


class NotAuthenticated(Exception):
    """The credential is not good. The words are the same whatever is wrong with it."""

    def __init__(self) -> None:
        super().__init__("the credential is missing or not valid")


class UnknownToken(LedgerError):
    """No token has this key id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no token with the key id {key_id!r}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, proven."""

    analyst_id: UUID | None
    """None for an admin, who operates but does not ask."""
    name: str
    """The analyst's name, or the label of the admin token."""
    is_admin: bool
    key_id: str
    """The public half of the token that proved it, for logs."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A credential that a login by SCRAM may prove to hold."""

    verifier: Verifier
    principal: Principal


@dataclass(frozen=True, slots=True)
class Login:
    """What a login under a name is checked against. A name that nobody has looks the same, but for
    there being no candidates."""

    salt: bytes
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """All that is known of a token once it was shown."""

    key_id: str
    kind: Literal["analyst", "admin"]
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class Identity:
    """Gives, checks and revokes tokens, in the ledger's database.

    Every method raises ``accountant.errors.LedgerUnavailable`` when the database fails.
    """

    def __init__(self, engine: AsyncEngine, head_file: HeadFile | None = None) -> None:
        self._engine = engine
        self._journal = Journal(engine, head_file)
        self._holders = Looks(self._look)

    async def new_token(
        self,
        analyst: str | None,
        *,
        label: str = "admin",
        lifetime: timedelta | None = None,
        by: str = "operator",
        reason: str = "",
    ) -> str:
        """Makes a token; it cannot be shown again.

        Args:
            analyst: the analyst's name, or None for an admin token.
            label: the name an admin token goes by; not used for an analyst's.
            lifetime: until it expires; None for never.
            by: who makes it, for the journal.
            reason: why, for the journal.

        Raises:
            UnknownAnalyst: nobody has the name.
            ValueError: the lifetime is not positive.
        """
        if lifetime is not None and lifetime <= timedelta(0):
            raise ValueError("a token's lifetime is longer than nothing")
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(_SECRET_BYTES)
        token = f"epsql_{key_id}_{secret}"
        async with self._journal.writing() as writing:
            connection = writing.connection
            analyst_id = None if analyst is None else (await find(connection, analyst)).id
            row = {
                "key_id": key_id,
                "kind": "admin" if analyst is None else "analyst",
                "analyst_id": analyst_id,
                "label": label if analyst is None else analyst,
                "secret_sha256": _digest(secret),
                "created_at": writing.at,
                "expires_at": None if lifetime is None else writing.at + lifetime,
            }
            if analyst is not None:
                proof = verifier(token, await _salt(connection, analyst))
                row["scram_stored_key"] = proof.stored_key
                row["scram_server_key"] = proof.server_key
            await connection.execute(insert(tokens).values(row))
            facts = {"key_id": key_id, "token_kind": row["kind"], "name": row["label"]}
            writing.note("new token", by=by, reason=reason, **facts)
        return token

    async def authenticate(self, header_value: str | None) -> Principal:
        """Who sent an HTTP ``Authorization`` header.

        Raises:
            NotAuthenticated: there is none, or its token does not hold.
        """
        bearer = _BEARER.fullmatch(header_value or "")
        return await self.verify(bearer[1] if bearer else "")

    async def verify(self, token: str) -> Principal:
        """Who holds a token.

        Raises:
            NotAuthenticated: it is malformed, unknown, wrong, revoked or expired, or its analyst is
                disabled.
        """
        parts = TOKEN.fullmatch(token)
        if parts is None:
            raise NotAuthenticated
        row = await self._holders.at(parts[1])
        # The same comparison for a key id that nobody has: time does not tell which ones exist.
        right = hmac.compare_digest(
            _NOBODY if row is None else row.secret_sha256, _digest(parts[2])
        )
        if row is None or not right or not row.valid:
            raise NotAuthenticated
        return Principal(row.analyst_id, row.label, row.kind == "admin", row.key_id)

    async def login(self, name: str) -> Login:
        """What a login by SCRAM under a name is checked against: the analyst's live tokens."""
        query = (
            select(tokens)
            .join(analysts, analysts.c.id == tokens.c.analyst_id)
            .where(analysts.c.name == name, tokens.c.scram_stored_key.is_not(None), text(_VALID))
            .order_by(tokens.c.created_at.desc())
            .limit(_CANDIDATES)
        )
        async with transaction(self._engine) as connection:
            salt = await _salt(connection, name)
            rows = (await connection.execute(query)).all()
        return Login(salt, tuple(_candidate(row) for row in rows))

    async def holds(self, key_id: str) -> bool:
        """Whether the token of a key id is good at some moment after the call."""
        row = await self._holders.at(key_id)
        return row is not None and bool(row.valid)

    async def revoke(self, key_id: str, *, by: str = "operator", reason: str = "") -> None:
        """Ends a token for good.

        Raises:
            UnknownToken: no token has the key id.
        """
        change = (
            update(tokens)
            .where(tokens.c.key_id == key_id)
            .values(revoked_at=func.coalesce(tokens.c.revoked_at, func.now()))
        )
        async with self._journal.writing() as writing:
            if not (await writing.connection.execute(change)).rowcount:
                raise UnknownToken(key_id)
            writing.note("revoke token", by=by, reason=reason, key_id=key_id)

    async def list_tokens(self, analyst: str | None = None) -> list[Token]:
        """The tokens of one analyst, or all there ever were, oldest first.

        Raises:
            UnknownAnalyst: nobody has the name.
        """
        query = select(tokens).order_by(tokens.c.created_at, tokens.c.key_id)
        async with transaction(self._engine) as connection:
            if analyst is not None:
                query = query.where(tokens.c.analyst_id == (await find(connection, analyst)).id)
            return [_token(row) for row in await connection.execute(query)]

    async def _look(self, key_ids: Iterable[str]) -> dict[str, Row[Any]]:
        """The tokens of these key ids, and whether each is ``valid``."""
        rows = await look(self._engine, _HOLDERS, {"key_ids": list(key_ids)})
        return {row.key_id: row for row in rows}  # None is where there is no token


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(row: Row[Any]) -> Token:
    return Token(
        key_id=row.key_id,
        kind=row.kind,
        name=row.label,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


async def _salt(connection: AsyncConnection, name: str) -> bytes:
    query = select(kept_secrets.c.value).where(kept_secrets.c.name == "scram salts")
    return salt_of((await connection.execute(query)).scalar_one(), name)


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(
        Verifier(row.scram_stored_key, row.scram_server_key),
        Principal(row.analyst_id, row.label, is_admin=False, key_id=row.key_id),
    )
