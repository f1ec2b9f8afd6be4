"""A relay: to the embedded Postgres, which has no port, and to epsql for a psql without TLS.

It understands nothing of what it passes on, unless a test gives it a ``spoil`` to plant a fault.
"""

from __future__ import annotations

import asyncio
import queue
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from tests.clients.place import Place

Spoil = Callable[[bytes], bytes]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PLUS, _PLAIN = (
    struct.pack("!cii", b"R", len(words) + 8, 10) + words
    for words in (b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", b"SCRAM-SHA-256\0\0")
)


def to_socket(path: str) -> Callable[[], Awaitable[Streams]]:
    """Connects to a Unix socket."""
    return lambda: asyncio.open_unix_connection(path)


def encrypting(place: Place) -> Callable[[], Awaitable[Streams]]:
    """Connects to a place with TLS, for a client that knows none."""

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(_SSL_REQUEST)
        assert await reader.readexactly(1) == b"S"
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await writer.start_tls(context)
        return reader, writer

    return connect


def without_channel_binding(piece: bytes) -> bytes:
    """A spoil: takes out the offer that a client without TLS takes for a fraud."""
    return piece.replace(_PLUS, _PLAIN)


@contextmanager
def relay(connect: Callable[[], Awaitable[Streams]], spoil: Spoil | None = None) -> Iterator[int]:
    """The port of a relay in a thread of its own. ``spoil`` changes what clients get."""
    started: queue.Queue[tuple[int, Callable[[], object]]] = queue.Queue()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await connect()
            await asyncio.gather(_pass_on(reader, back, None), _pass_on(there, writer, spoil))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        started.put((port, lambda: loop.call_soon_threadsafe(stop.set)))
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    port, stop = started.get(timeout=10)
    try:
        yield port
    finally:
        stop()
        thread.join(10)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spoil: Spoil | None
) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(spoil(piece) if spoil else piece)
            await writer.drain()
    except OSError:
        pass  # one side is gone: the other one will see it
    finally:
        writer.close()
