"""A session's connection to the shadow: what is sent to it, and what it still owes.

Answers come in the order of what was asked, so one queue says for each whether it goes to the
client or is kept for ourselves. After an error the shadow skips everything up to the next Sync.
That is a place in the stream and not a time: it is followed here message by message, so that
nothing is ever awaited that will not come.
"""

from __future__ import annotations

import asyncio
import codecs
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from server.shadow import TRIPWIRE
from server.wire import messages
from server.wire.messages import FLUSH, SYNC, Message, ProtocolViolation
from server.wire.stream import Gone, Stream

_LONGEST = 2**30 - 1
"""Postgres' own limit on a message, in bytes."""
_BATCH = 64 * 1024
_FATAL = {b"FATAL", b"PANIC"}

_TRIPPED = {
    b"M": b"This reads a protected table in a way that epsql does not answer.",
    b"H": b"Send it as a statement of its own: SELECT with aggregates, and nothing around it.",
}
"""What the tripwire says to an analyst, whatever Postgres calls it."""


class ShadowRefused(Exception):
    """The shadow answered one of our own messages with an error.

    Attributes:
        fields: of its ErrorResponse, which is written for the analyst: the shadow holds no data.
    """

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        super().__init__("the shadow refused")
        self.fields = dict(fields)

    def moved(self, characters: int) -> dict[bytes, bytes]:
        """The fields, their position counted from so many characters earlier."""
        if b"P" not in self.fields:
            return self.fields
        return self.fields | {b"P": str(int(self.fields[b"P"]) + characters).encode()}


@dataclass(slots=True)
class Owed:
    """An answer that the shadow owes.

    Attributes:
        ends: the kinds of message that end it, besides an error.
        show: the kinds that go to the client, besides errors; None for all.
        keep: where its messages go in place of the client.
        done: called with its last message when it ends well.
        is_sync: whether it is what ends the skipping after an error.
        offset: where the text begins in the client's, in characters: errors count from there.
    """

    ends: bytes
    show: bytes | None = None
    keep: list[Message] | None = None
    done: Callable[[Message], None] | None = None
    is_sync: bool = False
    offset: int = 0


EXTENDED = {b"P": b"1", b"B": b"2", b"D": b"Tn", b"E": b"CIs", b"C": b"3"}
"""Which messages end the answer to one of the extended protocol."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a CancelRequest to the shadow needs."""

    pid: int
    secret: bytes


class Backend:
    """The shadow's side of one session.

    Args:
        stream: to the shadow.
        client: where what the shadow says is relayed to.
    """

    def __init__(self, stream: Stream, client: Stream) -> None:
        self._stream = stream
        self._client = client
        self.on_setting: Callable[[str], None] = lambda _: None
        """Told the name of every setting that the shadow reports."""
        self.on_tag: Callable[[bytes], None] = lambda _: None
        """Told the tag of every command that the shadow completes."""
        self.on_trip: Callable[[], None] = lambda: None
        """Told that a statement has reached a protected table of the shadow."""
        self._pending: deque[Owed] = deque()
        self._settled = asyncio.Event()
        self._settled.set()
        self._in, self._out = bytearray(), bytearray()
        self.codec = "utf-8"
        """Python's name of the client's encoding: all text of this session is in it."""
        self.begun = False
        """Whether messages of the extended protocol were sent after the last Sync."""
        self.skipping = False
        """Whether what is sent next is skipped by the shadow; certain once settled."""
        self.executed = False
        """Whether the client executed something since the last Sync."""
        self.sent = 0
        """How many messages were sent: as long as it stays, nothing has changed there."""
        self.status = b"I"
        """Of the transaction, as the last ReadyForQuery had it: I, T or E."""

    @property
    def busy(self) -> bool:
        """Whether the shadow still owes something."""
        return bool(self._pending)

    def send(self, message: Message, owed: Owed) -> None:
        """Sends what is answered by ``owed``; what the shadow would skip is not sent."""
        if self.skipping and not owed.is_sync:
            return
        if owed.is_sync:
            self.skipping = False
        self.begun = b"Z" not in owed.ends
        if not self.begun:
            self.executed = False
        elif message.kind == b"E" and owed.keep is None:
            self.executed = True
        self.sent += 1
        self._pending.append(owed)
        self._settled.clear()
        self._in += message.frame
        if len(self._in) > _BATCH:
            self.pass_on()

    def relay(self, message: Message, done: Callable[[Message], None] | None = None) -> None:
        """Sends a message of the extended protocol for the client."""
        self.send(message, Owed(EXTENDED[message.kind], done=done))

    def sync(self, *, show: bytes | None = None) -> None:
        self.send(SYNC, Owed(b"Z", show=show, is_sync=True))

    def flush(self) -> None:
        if not self.skipping:
            self._in += FLUSH.frame

    def pass_on(self) -> None:
        """What was sent until now goes on its way at once: each write would wake the shadow."""
        if self._in:
            self._stream.write(self._in)
            self._in = bytearray()

    async def drain(self) -> None:
        await self._stream.drain()

    async def settle(self) -> None:
        """Waits until the shadow owes nothing."""
        if self._pending:
            self.flush()
            self.pass_on()
            await self._settled.wait()

    async def ask(self, *sent: Message) -> list[list[Message]]:
        """Sends messages of our own when nothing is owed; the answer to each, without the client.

        Raises:
            ShadowRefused: one was answered with an error. The shadow skips from there on.
        """
        answers: list[list[Message]] = [[] for _ in sent]
        for message, keep in zip(sent, answers, strict=True):
            self.send(message, Owed(EXTENDED[message.kind], keep=keep))
        await self.settle()
        for answer in answers:
            if answer and answer[-1].kind == b"E":
                raise ShadowRefused(messages.read_report(answer[-1].body))
        return answers

    async def fail(self) -> None:
        """Makes the shadow fail the step that the client is at, as our own error has to.

        So the transaction is in the state that the client believes, and all is skipped up to Sync.
        """
        nowhere = b"epsql nothing of this name"
        with suppress(ShadowRefused):
            await self.ask(messages.Bind(nowhere, nowhere).message)

    async def pump(self) -> None:
        """Takes what the shadow says until the connection ends.

        Raises:
            Gone: it has ended.
        """
        while True:
            self._take(await self._stream.message(_LONGEST))
            if len(self._out) > _BATCH or not self._stream.has_message():
                self._deliver()
                await self._client.drain()

    def close(self) -> None:
        self._stream.write(messages.TERMINATE.frame)
        self._stream.close()

    def _take(self, message: Message) -> None:
        kind, head = message.kind, self._pending[0] if self._pending else None
        if kind == b"S":
            self._reported(*messages.read_setting(message.body))
        if kind in {b"S", b"A"} or (kind == b"N" and (head is None or head.keep is None)):
            self._out += message.frame
        elif kind == b"E":
            self._failed(message, head)
        elif kind != b"N":
            if head is None:
                raise ProtocolViolation("the shadow said what nobody asked for")
            self._answered(message, head)

    def _reported(self, name: str, value: str) -> None:
        if name == "client_encoding":
            self.codec = codec_of(value)
        self.on_setting(name)

    def _answered(self, message: Message, head: Owed) -> None:
        if head.keep is not None:
            head.keep.append(message)
        elif head.show is None or message.kind in head.show:
            self._out += message.frame
        if message.kind == b"C":
            self.on_tag(message.body)
        if message.kind == b"Z":
            self.status = message.body
        if message.kind in head.ends:
            self._pending.popleft()
            if head.done is not None:
                head.done(message)
            self._look()

    def _failed(self, message: Message, head: Owed | None) -> None:
        fields = messages.read_report(message.body)
        if TRIPWIRE.encode() in fields.get(b"M", b""):
            self.on_trip()
            fields |= _TRIPPED
        if head is not None and head.keep is not None and fields.get(b"V") not in _FATAL:
            head.keep.append(message)
        else:
            offset = 0 if head is None else head.offset
            self._out += messages.report(b"E", ShadowRefused(fields).moved(offset)).frame
        if head is None or b"Z" in head.ends:
            return  # Its ReadyForQuery still comes.
        while self._pending and not self._pending[0].is_sync:
            self._pending.popleft()
        self.skipping = not self._pending
        self._look()

    def _look(self) -> None:
        if not self._pending:
            # What is relayed goes out before we say anything of our own.
            self._deliver()
            self._settled.set()

    def _deliver(self) -> None:
        self._client.write(self._out)
        self._out = bytearray()


def codec_of(encoding: str) -> str:
    """Python's name of an encoding as Postgres reports it, of those that a session may set."""
    if encoding in {"UTF8", "SQL_ASCII"}:
        return "utf-8"
    return codecs.lookup(encoding.lower().replace("win", "cp")).name


@dataclass(slots=True)
class Opened:
    """A new connection to the shadow: what it reported while it started."""

    stream: Stream
    key: Key
    settings: dict[str, str] = field(default_factory=dict)


async def connect(socket: Path, settings: Mapping[str, str]) -> Opened:
    """Logs in to the shadow.

    Raises:
        ShadowRefused: it does not let the analyst in, or does not take a setting.
        Gone, OSError: it cannot be reached.
    """
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_unix_connection(Stream, str(socket))
    try:
        stream.write(messages.startup(settings))
        return await _started(stream)
    except BaseException:
        stream.close()
        raise


async def _started(stream: Stream) -> Opened:
    opened = Opened(stream, Key(0, b""))
    while True:
        kind, body = await stream.message(_LONGEST)
        if kind == b"E":
            raise ShadowRefused(messages.read_report(body))
        if kind == b"R" and body != bytes(4):
            raise ProtocolViolation("the shadow asks for a password")
        if kind == b"S":
            name, value = messages.read_setting(body)
            opened.settings[name] = value
        elif kind == b"K":
            opened.key = Key(int.from_bytes(body[:4]), body[4:])
        elif kind == b"Z":
            return opened


async def cancel(socket: Path, key: Key) -> None:
    """Asks the shadow to stop what runs in a session; it does not say whether anything did."""
    with suppress(OSError, Gone):
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_unix_connection(Stream, str(socket))
        stream.write(messages.cancel_request(key.pid, key.secret))
        await stream.gone.wait()
        stream.close()


def values(answer: Sequence[Message]) -> list[tuple[bytes | None, ...]]:
    """The rows in an answer to an Execute."""
    return [messages.read_row(message.body) for message in answer if message.kind == b"D"]
