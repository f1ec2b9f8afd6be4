"""A raw connection: log in, send bytes, and read until a mark comes back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tests.clients.fuzz import messages
from tests.clients.fuzz.messages import SYNC, Received, query
from tests.clients.place import Place

PATIENCE = 20.0
"""Seconds after which a server that says nothing hangs. Far more than anything here takes."""

_ENCRYPTED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# It is encrypted; who it is, is not what is tested here. Made once: that takes longer than a login.
_ENCRYPTED.check_hostname, _ENCRYPTED.verify_mode = False, ssl.CERT_NONE


class Hangs(AssertionError):
    """The server owes an answer and sends none."""


class Connection:
    """A session on a place, after login."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._socket = _connected(place)
        self._buffer = b""
        self.key: tuple[int, bytes] = (0, b"")
        self._log_in()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """All of it, however long it takes."""
        self._socket.sendall(data)

    def cancel(self) -> None:
        """Asks, over a second connection, that what runs here ends."""
        with _connected(self._place) as other:
            other.sendall(messages.cancel(*self.key))
            other.recv(1)  # the server closes when it is done

    def next(self) -> Received:
        """The next message.

        Raises:
            Hangs: none comes.
            EOFError: the server has closed.
        """
        while not (found := next(messages.received(self._buffer), None)):
            try:
                piece = self._socket.recv(65536)
            except TimeoutError:
                raise Hangs("nothing more comes") from None
            if not piece:
                raise EOFError
            self._buffer += piece
        self._buffer = self._buffer[len(found.payload) + 5 :]
        return found

    def until_mark(self, mark: str) -> Iterator[Received]:
        """Everything up to the answer to two last queries, ``ROLLBACK`` and the mark's own.

        Whatever state the session is in, these two are answered.

        Raises:
            Hangs, EOFError: what came before it is handed out all the same.
        """
        last = [query("ROLLBACK"), query(f"SELECT '{mark}'")]
        self.send(SYNC.data + b"".join(message.data for message in last))
        row = Received("D", struct.pack("!hi", 1, len(mark)) + mark.encode())
        marked = False
        while True:
            message = self.next()
            yield message
            marked = marked or message == row
            if marked and message.kind == "Z":
                return

    def until(self, kind: str, times: int = 1) -> Iterator[Received]:
        """Everything up to so many messages of a kind.

        Raises:
            Hangs, EOFError: as for :meth:`until_mark`.
        """
        while times:
            message = self.next()
            yield message
            times -= message.kind == kind

    def _log_in(self) -> None:
        self.send(messages.startup(self._place.user, self._place.database))
        scram = _Scram(self._place.password)
        while (message := self.next()).kind != "Z":
            if message.kind == "E":
                raise AssertionError(messages.fields(message.payload))
            if message.kind == "K":
                (process,) = struct.unpack_from("!i", message.payload)
                self.key = process, message.payload[4:]
            if message.kind == "R":
                (kind,) = struct.unpack_from("!i", message.payload)
                if kind == 10:
                    first = scram.first()
                    sized = struct.pack("!i", len(first)) + first
                    self.send(messages.framed(b"p", b"SCRAM-SHA-256\0" + sized))
                elif kind == 11:
                    self.send(messages.framed(b"p", scram.final(message.payload[4:])))


class _Scram:
    """The client's side of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677)."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._bare = f"n=,r={secrets.token_urlsafe(18)}"

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        words = dict(part.split("=", 1) for part in challenge.decode().split(","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", self._password, base64.b64decode(words["s"]), int(words["i"])
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={words['r']}"
        signed = f"{self._bare},{challenge.decode()},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()


def _connected(place: Place) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", place.port), timeout=PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if place.sslmode == "disable":
        return plain
    plain.sendall(struct.pack("!ii", 8, messages.SSL_CODE))
    assert plain.recv(1) == b"S"
    return _ENCRYPTED.wrap_socket(plain)
