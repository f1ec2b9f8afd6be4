"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), the server's side.

The password is a token of 256 random bits, so the iterations protect nothing: they are the number
that every client accepts. One analyst has one salt and may have several live tokens; a proof is
held against the verifier of each, always all of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

ITERATIONS = 4096
_SALT_BYTES = 16
_NONCE_BYTES = 18
_FIRST = re.compile(rb"(n|y|p=([^,]+)),(?:a=([^,]*))?,((?:n=([^,]*)),r=([!-+\--~]+)(?:,[^\0]*)?)")
_FINAL = re.compile(rb"((?:c=([A-Za-z0-9+/=]+)),r=([!-+\--~]+)(?:,[^\0]*)?),p=([A-Za-z0-9+/=]+)")


class ScramFailed(Exception):
    """The exchange is malformed, or proves nothing."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What is stored of a password: it checks a proof, and cannot make one."""

    stored_key: bytes
    server_key: bytes


def verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> Verifier:
    """The verifier of a password of printable ASCII, for which SASLprep changes nothing."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = _hmac(salted, b"Client Key")
    return Verifier(hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key"))


def salt_of(secret: bytes, name: str) -> bytes:
    """The salt of a name, whether or not anybody has it: nobody can tell without the secret."""
    return _hmac(secret, b"salt " + name.encode())[:_SALT_BYTES]


class Exchange:
    """One login.

    Args:
        salt: of the name that wants in.
        verifiers: of every credential that would do; none for a name that nobody has.
        binding: the hash of the server's certificate for ``tls-server-end-point``, if encrypted.
        nonce: the server's half, for tests.
    """

    def __init__(
        self,
        salt: bytes,
        verifiers: Sequence[Verifier],
        binding: bytes | None,
        nonce: bytes | None = None,
    ) -> None:
        self._salt = salt
        # One that nothing fits, so that a name without credentials takes the same road.
        self._verifiers = [*verifiers, Verifier(secrets.token_bytes(32), secrets.token_bytes(32))]
        self._binding = binding
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(_NONCE_BYTES))
        self._expected_binding = b""
        self._first = b""

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What is offered, the best first."""
        plus = () if self._binding is None else ("SCRAM-SHA-256-PLUS",)
        return (*plus, "SCRAM-SHA-256")

    def first(self, mechanism: str, client_first: bytes) -> bytes:
        """The answer to the client's first message. The user name in it is ignored, as Postgres
        does: libpq leaves it empty.

        Raises:
            ScramFailed: it is malformed, or its channel binding is not what was offered.
        """
        if mechanism not in self.mechanisms:
            raise ScramFailed("the mechanism was not offered")
        found = _FIRST.fullmatch(client_first)
        if found is None or found[3]:  # to act for somebody else is not possible
            raise ScramFailed("malformed client-first-message")
        flag, kind = found[1], found[2]
        plus = mechanism.endswith("-PLUS")
        if plus != (kind == b"tls-server-end-point") or (kind is not None and not plus):
            raise ScramFailed("the channel binding is not the mechanism's")
        if flag == b"y" and self._binding is not None:
            # The client could, and was told that we cannot: somebody is in between.
            raise ScramFailed("the offer of channel binding was taken out")
        header = client_first[: len(client_first) - len(found[4])]
        self._expected_binding = header + (self._binding or b"" if plus else b"")
        self._nonce = found[6] + self._nonce
        salt = base64.b64encode(self._salt)
        server_first = b"r=%b,s=%b,i=%d" % (self._nonce, salt, ITERATIONS)
        self._first = found[4] + b"," + server_first
        return server_first

    def last(self, client_final: bytes) -> tuple[int, bytes]:
        """Which verifier the client's proof fits, and the server's own proof.

        Raises:
            ScramFailed: it fits none, or the message is malformed.
        """
        found = _FINAL.fullmatch(client_final)
        if found is None:
            raise ScramFailed("malformed client-final-message")
        bare, binding, nonce, proof = found[1], _decode(found[2]), found[3], _decode(found[4])
        bound = hmac.compare_digest(binding, self._expected_binding)
        fresh = hmac.compare_digest(nonce, self._nonce)
        if len(proof) != hashlib.sha256().digest_size or not bound or not fresh:
            raise ScramFailed("the message belongs to another exchange")
        said = self._first + b"," + bare
        fitting = [index for index, one in enumerate(self._verifiers) if _proves(proof, one, said)]
        if not fitting:
            raise ScramFailed("the proof fits no credential")
        server_key = self._verifiers[fitting[0]].server_key
        return fitting[0], b"v=" + base64.b64encode(_hmac(server_key, said))


def _proves(proof: bytes, one: Verifier, said: bytes) -> bool:
    signature = _hmac(one.stored_key, said)
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), one.stored_key)


def _decode(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ScramFailed("malformed base64") from None


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
