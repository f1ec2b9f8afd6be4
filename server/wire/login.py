"""The login: SCRAM with the token that HTTP takes as well, under the analyst's name."""

from __future__ import annotations

from server.identity import Identity, Principal
from server.scram import Exchange, ScramFailed
from server.wire import messages
from server.wire.messages import ProtocolViolation, Reader
from server.wire.startup import LoginRefused
from server.wire.stream import Stream
from server.wire.tls import Tls

_LONGEST = 4096
"""Bytes of a message before the login: a SCRAM message has some hundred."""
_SASL, _SASL_CONTINUE, _SASL_FINAL = 10, 11, 12


async def authenticate(stream: Stream, user: str, identity: Identity, tls: Tls | None) -> Principal:
    """Who it is that knows a token of this user's.

    Raises:
        LoginRefused: nobody, or nobody of this name; the two look the same.
        ProtocolViolation, Gone: it did not keep to the protocol.
        LedgerUnavailable: nobody can be let in.
    """
    login = await identity.login(user)
    verifiers = [candidate.verifier for candidate in login.candidates]
    binding = tls.binding if tls is not None and stream.tls is not None else None
    exchange = Exchange(login.salt, verifiers, binding)
    offered = b"".join(name.encode() + b"\0" for name in exchange.mechanisms) + b"\0"
    stream.write(messages.authentication(_SASL, offered).frame)
    try:
        reader = Reader(await _response(stream))
        mechanism, first = reader.string().decode("ascii", "replace"), reader.value() or b""
        reader.end()
        said = exchange.first(mechanism, first)
        stream.write(messages.authentication(_SASL_CONTINUE, said).frame)
        index, said = exchange.last(await _response(stream))
    except ScramFailed:
        raise LoginRefused(
            "28P01",
            f'password authentication failed for user "{user[:63]}"',
            hint="The user is an analyst's name, the password a token of that analyst. Tokens made"
            " before there was a Postgres port only work over HTTP: make a new one.",
        ) from None
    stream.write(messages.authentication(_SASL_FINAL, said).frame)
    return login.candidates[index].principal


async def _response(stream: Stream) -> bytes:
    kind, body = await stream.message(_LONGEST)
    if kind != b"p":
        raise ProtocolViolation("expected a SASL response")
    return body
