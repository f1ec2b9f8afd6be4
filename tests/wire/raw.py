"""A client of bytes: for what no library would send."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Any

import psycopg

from server.wire import messages
from server.wire.messages import Message

SSL_REQUEST = struct.pack("!II", 8, 80877103)


@dataclass
class Raw:
    """One connection, with a time limit so that a hang is a failure."""

    socket: socket.socket
    owner: Any = None
    """What would close the connection if nobody held it."""

    @classmethod
    def dial(cls, port: int) -> Raw:
        return cls(socket.create_connection(("127.0.0.1", port), timeout=20))

    def send(self, *parts: bytes | Message) -> None:
        self.socket.sendall(b"".join(p.frame if isinstance(p, Message) else p for p in parts))

    def byte(self) -> bytes:
        return self.socket.recv(1)

    def message(self) -> Message | None:
        """The next message; None at the end of the connection."""
        head = self._exactly(5)
        if head is None:
            return None
        body = self._exactly(int.from_bytes(head[1:]) - 4)
        assert body is not None
        return Message(head[:1], body)

    def until(self, kind: bytes) -> list[Message]:
        """All messages up to one of a kind, or up to the end."""
        found = []
        while (message := self.message()) is not None:
            found.append(message)
            if message.kind == kind:
                break
        return found

    def rest(self) -> list[Message]:
        return self.until(b"")

    def encrypt(self) -> None:
        self.send(SSL_REQUEST)
        assert self.byte() == b"S"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            data += more
        return data


def logged_in(where: dict[str, Any]) -> Raw:
    """A session that psycopg has opened, from then on in our hands. Not encrypted."""
    connection = psycopg.connect(**where, sslmode="disable", autocommit=True)
    own = socket.socket(fileno=os.dup(connection.fileno()))
    own.settimeout(20)
    return Raw(own, connection)


def startup(**settings: str) -> bytes:
    return messages.startup(settings)


def kinds(found: list[Message]) -> bytes:
    """The kinds of messages, as one word."""
    return b"".join(message.kind for message in found)


def said(found: list[Message]) -> dict[bytes, bytes]:
    """The fields of the one error among messages."""
    (error,) = (message for message in found if message.kind == b"E")
    return messages.read_report(error.body)
