"""One connection's bytes, in and out, with back-pressure both ways.

A protocol of our own and not asyncio's streams, because two things must be known exactly: whether
bytes came before they were asked for, and when the other side is gone.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from server.wire.messages import Message, ProtocolViolation

_ENOUGH = 256 * 1024
"""Bytes that are held unread before the other side is made to wait."""
_LINGER = 10.0
"""Seconds that the other side has to take what it was sent, once we have closed."""


class Gone(Exception):
    """The other side closed the connection."""


class Stream(asyncio.Protocol):
    """Bytes of one connection; read by one task, written by any."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._paused = False
        self._abort: asyncio.TimerHandle | None = None
        self._more: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.gone = asyncio.Event()
        """Set once nothing more will come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _ENOUGH and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended()

    def connection_lost(self, _: Exception | None) -> None:
        if self._abort is not None:
            self._abort.cancel()
        self._ended()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @property
    def unread(self) -> int:
        """How many bytes came that nobody has read."""
        return len(self._buffer)

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS session, if there is one."""
        return cast("ssl.SSLObject | None", self.transport.get_extra_info("ssl_object"))

    def has_message(self) -> bool:
        """Whether a whole message can be read without waiting."""
        return len(self._buffer) > 4 and len(self._buffer) > int.from_bytes(self._buffer[1:5])

    async def read(self, size: int) -> bytes:
        """Exactly that many bytes.

        Raises:
            Gone: the connection ended before.
        """
        while len(self._buffer) < size:
            await self._wait()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def message(self, most: int) -> Message:
        """The next message.

        Args:
            most: the longest body, in bytes.

        Raises:
            ProtocolViolation: it is longer, or its length makes no sense.
            Gone: the connection ended before.
        """
        while len(self._buffer) < 5:
            await self._wait()
        size = int.from_bytes(self._buffer[1:5]) - 4
        if not 0 <= size <= most:
            raise ProtocolViolation("invalid message length")
        data = await self.read(5 + size)
        return Message(data[:1], data[5:])

    def write(self, data: bytes | bytearray) -> None:
        """Sends soon. What is sent to somebody who is gone is dropped."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Waits until the other side has taken most of what was sent."""
        await self._writable.wait()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Goes on encrypted, as the server's side. Nothing may be unread.

        Raises:
            OSError, Gone: the handshake failed.
        """
        loop = asyncio.get_running_loop()
        new = await loop.start_tls(self.transport, self, context, server_side=True)
        if new is None:
            raise Gone
        self._transport = new

    def close(self) -> None:
        """Sends what is left, and closes. Who does not take it in time does not get it."""
        if self._transport is not None and self._abort is None:
            self._transport.close()
            self._abort = asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)

    def _ended(self) -> None:
        self.gone.set()
        self._writable.set()
        self._wake()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def _wait(self) -> None:
        if self.gone.is_set():
            raise Gone
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        self._more = asyncio.get_running_loop().create_future()
        try:
            await self._more
        finally:
            self._more = None
