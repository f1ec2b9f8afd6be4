"""The messages of Postgres' protocol 3 as the fuzzer writes and reads them.

Written from the protocol's description, and knowing nothing of the server's own codec: what both
sides misread in the same way would not be found.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CANCEL_CODE = 80877102
PROTOCOL = 196608
SSL_CODE = 80877103


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the server: its bytes, and how a failure's report shows it."""

    data: bytes
    shown: str

    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True, slots=True)
class Cancel:
    """A CancelRequest for a session whose state is known: nothing is under way when it begins.

    Attributes:
        before: sent first, each answered by one ReadyForQuery.
        running: what is cancelled, once it has begun to answer, and would not end by itself; None
            where nothing runs, and nothing may happen.
    """

    before: tuple[Message, ...]
    running: Message | None

    def __str__(self) -> str:
        shown = ", ".join(str(message) for message in self.before)
        return f"Cancel of {self.running or 'nothing'} after [{shown}]"


@dataclass(frozen=True, slots=True)
class Received:
    """One message from the server."""

    kind: str
    payload: bytes


def startup(user: str, database: str) -> bytes:
    words = f"user\0{user}\0database\0{database}\0application_name\0fuzz\0\0".encode()
    return struct.pack("!ii", len(words) + 8, PROTOCOL) + words


def cancel(process: int, secret: bytes) -> bytes:
    return struct.pack("!iii", 12 + len(secret), CANCEL_CODE, process) + secret


def framed(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("!i", len(payload) + 4) + payload


def query(text: str) -> Message:
    return Message(framed(b"Q", text.encode() + b"\0"), f"Query {text!r}")


def parse(name: str, text: str, types: Sequence[int] = ()) -> Message:
    payload = name.encode() + b"\0" + text.encode() + b"\0"
    payload += struct.pack(f"!h{len(types)}I", len(types), *types)
    return Message(framed(b"P", payload), f"Parse {name!r} {text!r} {list(types)}")


def bind(
    portal: str,
    statement: str,
    formats: Sequence[int] = (),
    values: Sequence[bytes | None] = (),
    results: Sequence[int] = (),
) -> Message:
    payload = portal.encode() + b"\0" + statement.encode() + b"\0"
    payload += struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    payload += struct.pack("!h", len(values))
    for value in values:
        payload += struct.pack("!i", -1) if value is None else _sized(value)
    payload += struct.pack(f"!h{len(results)}h", len(results), *results)
    shown = f"Bind {portal!r} to {statement!r} {list(formats)} {list(values)} -> {list(results)}"
    return Message(framed(b"B", payload), shown)


def describe(kind: str, name: str) -> Message:
    return Message(framed(b"D", kind.encode() + name.encode() + b"\0"), f"Describe {kind} {name!r}")


def execute(portal: str, rows: int = 0) -> Message:
    payload = portal.encode() + b"\0" + struct.pack("!i", rows)
    return Message(framed(b"E", payload), f"Execute {portal!r} {rows}")


def close(kind: str, name: str) -> Message:
    return Message(framed(b"C", kind.encode() + name.encode() + b"\0"), f"Close {kind} {name!r}")


def together(*of: Message) -> Message:
    """Several messages as one."""
    return Message(b"".join(one.data for one in of), " + ".join(one.shown for one in of))


FLUSH = Message(framed(b"H", b""), "Flush")
SYNC = Message(framed(b"S", b""), "Sync")
TERMINATE = framed(b"X", b"")


def received(stream: bytes) -> Iterator[Received]:
    """The whole messages at the start of a stream."""
    at = 0
    while at + 5 <= len(stream):
        (length,) = struct.unpack_from("!i", stream, at + 1)
        assert 4 <= length < 2**27, f"a length of {length}"
        if at + 1 + length > len(stream):
            return
        yield Received(chr(stream[at]), stream[at + 5 : at + 1 + length])
        at += 1 + length


def fields(payload: bytes) -> dict[str, str]:
    """The fields of an error or a notice."""
    return {
        chr(part[0]): part[1:].decode(errors="replace") for part in payload.split(b"\0") if part
    }


def described(payload: bytes) -> list[tuple[str, int, int, int, int, int, int]]:
    """The columns of a row description: name, table, attribute, type, size, modifier, format."""
    (count,) = struct.unpack_from("!h", payload)
    at, found = 2, []
    for _ in range(count):
        end = payload.index(b"\0", at)
        found.append((payload[at:end].decode(), *struct.unpack_from("!IhIhih", payload, end + 1)))
        at = end + 19
    return found


def _sized(value: bytes) -> bytes:
    return struct.pack("!i", len(value)) + value
