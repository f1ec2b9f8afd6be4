"""What a connection says first: encryption, protocol, who, where, and with which settings.

Only those settings are taken from it that SQL may change as well.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from analyzer.refusals import Refusal
from analyzer.session_settings import check_setting
from server.errors import ErrorBody
from server.wire import messages
from server.wire.messages import ProtocolViolation, Reader
from server.wire.stream import Stream
from server.wire.tls import ALPN, Tls

_LONGEST = 10_000
"""Postgres' own limit on a startup packet, in bytes."""
_SSL_REQUEST = 80877103
_GSSENC_REQUEST = 80877104
_CANCEL_REQUEST = 80877102
_NEWEST_MINOR = 2
_LONGEST_CANCEL_KEY = 256


class LoginRefused(Exception):
    """The connection ends with one FATAL error."""

    def __init__(self, sqlstate: str, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.body = ErrorBody("login_refused", sqlstate, message, detail, hint)


@dataclass(frozen=True, slots=True)
class Startup:
    """Who wants in, and where. ``settings`` are those that a session may change, in lower case."""

    user: str
    database: str
    settings: Mapping[str, str] = field(default_factory=dict)
    minor: int = 0
    """Of the protocol that is spoken from here on, 3.0 or 3.2."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Somebody wants what runs in a session to stop, and says the session's secret."""

    pid: int
    secret: bytes


async def greet(stream: Stream, tls: Tls | None) -> Startup | CancelRequest:
    """The first packets of a connection, up to and with the one that says what it is for.

    Raises:
        LoginRefused: it says what cannot be had.
        ProtocolViolation: it is no Postgres client. It gets no answer.
        Gone, OSError: it went away, or could not encrypt.
    """
    if stream.tls is not None and stream.tls.selected_alpn_protocol() != ALPN:
        raise ProtocolViolation("direct TLS without ALPN")
    asked: set[int] = set()
    while True:
        code, body = await _packet(stream)
        if code in {_SSL_REQUEST, _GSSENC_REQUEST}:
            if body or code in asked or stream.tls is not None:
                raise ProtocolViolation("encryption was asked for twice")
            asked.add(code)
            await _encrypt(stream, tls if code == _SSL_REQUEST else None)
        elif code == _CANCEL_REQUEST:
            if not 4 < len(body) <= 4 + _LONGEST_CANCEL_KEY:
                raise ProtocolViolation("invalid length of cancel request")
            return CancelRequest(int.from_bytes(body[:4]), body[4:])
        else:
            return _startup(stream, code, body)


async def _packet(stream: Stream) -> tuple[int, bytes]:
    size, code = struct.unpack("!II", await stream.read(8))
    if not 8 <= size <= _LONGEST:
        raise ProtocolViolation("invalid length of startup packet")
    return code, await stream.read(size - 8)


async def _encrypt(stream: Stream, tls: Tls | None) -> None:
    if tls is None:
        stream.write(b"N")
        return
    if stream.unread:  # What came before encryption could be anybody's, and would look encrypted.
        raise ProtocolViolation("received unencrypted data after SSL request")
    stream.write(b"S")
    await stream.start_tls(tls.context)


def _startup(stream: Stream, code: int, body: bytes) -> Startup:
    major, minor = code >> 16, code & 0xFFFF
    if major != 3:
        raise LoginRefused(
            "0A000", f"unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"
        )
    given = _pairs(body)
    unknown = [name for name in given if name.startswith("_pq_.")]
    if minor > _NEWEST_MINOR or unknown:
        newest = min(minor, _NEWEST_MINOR)
        stream.write(messages.negotiate(3 << 16 | newest, unknown).frame)
    if _is_on(given.pop("replication", "off")):
        raise LoginRefused("0A000", "Replication is not supported.")
    user = given.pop("user", "")
    if not user:
        raise LoginRefused("28000", "no PostgreSQL user name specified in startup packet")
    database = given.pop("database", "") or user
    options = _options(given.pop("options", ""))
    own = {name: value for name, value in given.items() if not name.startswith("_pq_.")}
    return Startup(user, database, _allowed({**options, **own}), min(minor, _NEWEST_MINOR))


def _pairs(body: bytes) -> dict[str, str]:
    reader, given = Reader(body), {}
    try:
        while name := reader.string().decode():
            given[name] = reader.string().decode()
    except UnicodeDecodeError:
        raise ProtocolViolation("startup packet is not UTF-8") from None
    reader.end()
    return given


def _is_on(replication: str) -> bool:
    return replication.lower() not in {"off", "false", "no", "0", "of", "f", "n"}


def _options(text: str) -> dict[str, str]:
    """The settings in command line options: ``-c name=value`` and ``--name=value``."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\\\s])+", text)]
    settings, rest = {}, iter(words)
    for word in rest:
        if word == "-c":
            pair = next(rest, "")
        elif word.startswith(("-c", "--")):
            pair = word[2:]
        else:
            pair = ""
        name, equals, value = pair.partition("=")
        if not equals:
            raise LoginRefused(
                "42601",
                "The connection's options cannot be read.",
                hint="Write them as -c name=value.",
            )
        settings[name.replace("-", "_")] = value
    return settings


def _allowed(settings: Mapping[str, str]) -> dict[str, str]:
    allowed = {name.lower(): value for name, value in settings.items()}
    for name, value in allowed.items():
        try:
            check_setting(name, value)
        except Refusal as refusal:
            raise LoginRefused(refusal.code, refusal.message, hint=refusal.hint) from None
    return allowed
