"""Postgres' messages, version 3: what is needed of them, and nothing of what they mean.

Names and values stay bytes, as the client sent them: only texts that are read are decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.errors import ErrorBody


class ProtocolViolation(Exception):
    """A message is not one of the protocol, or is not where it may be. Ends the session."""


class Message(NamedTuple):
    """One message: its type byte, and what follows its length."""

    kind: bytes
    body: bytes = b""

    @property
    def frame(self) -> bytes:
        """As it travels."""
        return self.kind + struct.pack("!I", len(self.body) + 4) + self.body


@dataclass(frozen=True, slots=True)
class Parse:
    """``types`` are type OIDs of the first parameters; 0 leaves one to the server."""

    name: bytes
    sql: bytes
    types: tuple[int, ...] = ()

    @property
    def message(self) -> Message:
        types = struct.pack(f"!H{len(self.types)}I", len(self.types), *self.types)
        return Message(b"P", self.name + b"\0" + self.sql + b"\0" + types)


@dataclass(frozen=True, slots=True)
class Bind:
    """Formats are 0 for text and 1 for binary: none, one for all, or one for each."""

    portal: bytes
    statement: bytes
    formats: tuple[int, ...] = ()
    values: tuple[bytes | None, ...] = ()
    result_formats: tuple[int, ...] = ()

    @property
    def message(self) -> Message:
        parts = [self.portal, b"\0", self.statement, b"\0", _shorts(self.formats)]
        parts.append(struct.pack("!H", len(self.values)))
        parts += [_value(value) for value in self.values]
        parts.append(_shorts(self.result_formats))
        return Message(b"B", b"".join(parts))


@dataclass(frozen=True, slots=True)
class Execute:
    """``rows`` is the most rows to send; 0 for all."""

    portal: bytes
    rows: int = 0

    @property
    def message(self) -> Message:
        return Message(b"E", self.portal + b"\0" + struct.pack("!I", self.rows))


@dataclass(frozen=True, slots=True)
class Named:
    """A Describe (``D``) or a Close (``C``) of a statement (``S``) or a portal (``P``)."""

    kind: bytes
    what: bytes
    name: bytes

    @property
    def message(self) -> Message:
        return Message(self.kind, self.what + self.name + b"\0")


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a RowDescription; all that is behind its name stays as it came."""

    name: bytes
    rest: bytes

    @property
    def type(self) -> int:
        """The type's OID."""
        return int(struct.unpack_from("!I", self.rest, 6)[0])

    @property
    def modifier(self) -> int:
        return int(struct.unpack_from("!i", self.rest, 12)[0])

    def in_format(self, code: int) -> Field:
        return Field(self.name, self.rest[:16] + struct.pack("!H", code))


SYNC = Message(b"S")
FLUSH = Message(b"H")
TERMINATE = Message(b"X")
NO_DATA = Message(b"n")
BIND_COMPLETE = Message(b"2")
EMPTY_QUERY = Message(b"I")


def query(sql: bytes) -> Message:
    return Message(b"Q", sql + b"\0")


def startup(settings: Mapping[str, str]) -> bytes:
    """A StartupMessage of protocol 3.0, as it travels."""
    body = struct.pack("!I", 3 << 16)
    for name, value in settings.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    return struct.pack("!I", len(body) + 5) + body + b"\0"


def cancel_request(pid: int, secret: bytes) -> bytes:
    """A CancelRequest, as it travels."""
    return struct.pack("!III", 12 + len(secret), 80877102, pid) + secret


def backend_key(pid: int, secret: bytes) -> Message:
    return Message(b"K", struct.pack("!I", pid) + secret)


def setting(name: str, value: str) -> Message:
    """A ParameterStatus."""
    return Message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


def authentication(code: int, rest: bytes = b"") -> Message:
    return Message(b"R", struct.pack("!I", code) + rest)


def negotiate(version: int, unknown: Sequence[str]) -> Message:
    """NegotiateProtocolVersion: the newest version that is spoken, and options that are not."""
    names = b"".join(name.encode() + b"\0" for name in unknown)
    return Message(b"v", struct.pack("!II", version, len(unknown)) + names)


def row_description(fields: Iterable[Field]) -> Message:
    columns = [field.name + b"\0" + field.rest for field in fields]
    return Message(b"T", struct.pack("!H", len(columns)) + b"".join(columns))


def error(body: ErrorBody, severity: str = "ERROR", codec: str = "utf-8") -> Message:
    """An ErrorResponse; a position is counted in characters, as the client's text is."""
    told = {
        "S": severity,
        "V": severity,
        "C": body.sqlstate,
        "M": body.message,
        "D": body.detail,
        "H": body.hint,
        "P": "" if body.position is None else str(body.position),
    }
    return _report(b"E", told, codec)


def notice(message: str, detail: str = "", codec: str = "utf-8") -> Message:
    """A NoticeResponse of the severity NOTICE."""
    told = {"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": message, "D": detail}
    return _report(b"N", told, codec)


def report(kind: bytes, fields: Mapping[bytes, bytes]) -> Message:
    """An ErrorResponse (``E``) or a NoticeResponse (``N``) of some fields."""
    return Message(kind, b"".join(name + value + b"\0" for name, value in fields.items()) + b"\0")


def _report(kind: bytes, told: Mapping[str, str], codec: str) -> Message:
    fields = {name: value for name, value in told.items() if value}
    return report(kind, {n.encode(): v.encode(codec, "replace") for n, v in fields.items()})


class Reader:
    """Takes a body apart from its beginning.

    Every method raises :class:`ProtocolViolation` where the body is too short.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._body[self._at : self._at + size]
        if size < 0 or len(part) != size:
            raise ProtocolViolation("insufficient data left in message")
        self._at += size
        return part

    def int16(self) -> int:
        return int.from_bytes(self.take(2))

    def int32(self) -> int:
        return int.from_bytes(self.take(4), signed=True)

    def string(self) -> bytes:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise ProtocolViolation("invalid string in message")
        part = self._body[self._at : end]
        self._at = end + 1
        return part

    def value(self) -> bytes | None:
        size = self.int32()
        return None if size == -1 else self.take(size)

    def shorts(self) -> tuple[int, ...]:
        return tuple(self.int16() for _ in range(self.int16()))

    def rest(self) -> bytes:
        part = self._body[self._at :]
        self._at = len(self._body)
        return part

    def end(self) -> None:
        if self._at != len(self._body):
            raise ProtocolViolation("invalid message format")


def read_parse(body: bytes) -> Parse:
    reader = Reader(body)
    name, sql = reader.string(), reader.string()
    types = tuple(int.from_bytes(reader.take(4)) for _ in range(reader.int16()))
    reader.end()
    return Parse(name, sql, types)


def read_bind(body: bytes) -> Bind:
    reader = Reader(body)
    portal, statement, formats = reader.string(), reader.string(), reader.shorts()
    values = tuple(reader.value() for _ in range(reader.int16()))
    results = reader.shorts()
    reader.end()
    return Bind(portal, statement, formats, values, results)


def read_execute(body: bytes) -> Execute:
    reader = Reader(body)
    portal, rows = reader.string(), reader.int32()
    reader.end()
    return Execute(portal, max(rows, 0))


def read_named(message: Message) -> Named:
    reader = Reader(message.body)
    what, name = reader.take(1), reader.string()
    reader.end()
    if what not in {b"S", b"P"}:
        raise ProtocolViolation("invalid subtype in message")
    return Named(message.kind, what, name)


def read_query(body: bytes) -> bytes:
    reader = Reader(body)
    sql = reader.string()
    reader.end()
    return sql


def read_row_description(body: bytes) -> tuple[Field, ...]:
    reader = Reader(body)
    return tuple(Field(reader.string(), reader.take(18)) for _ in range(reader.int16()))


def read_parameter_description(body: bytes) -> tuple[int, ...]:
    reader = Reader(body)
    return tuple(int.from_bytes(reader.take(4)) for _ in range(reader.int16()))


def read_row(body: bytes) -> tuple[bytes | None, ...]:
    """The values of a DataRow."""
    reader = Reader(body)
    return tuple(reader.value() for _ in range(reader.int16()))


def read_report(body: bytes) -> dict[bytes, bytes]:
    """The fields of an ErrorResponse or a NoticeResponse."""
    reader, fields = Reader(body), {}
    while (name := reader.take(1)) != b"\0":
        fields[name] = reader.string()
    return fields


def read_setting(body: bytes) -> tuple[str, str]:
    """The name and the value of a ParameterStatus."""
    reader = Reader(body)
    return reader.string().decode(), reader.string().decode()


def _shorts(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"!H{len(numbers)}H", len(numbers), *numbers)


def _value(value: bytes | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!I", len(value)) + value
