"""A relay from a TCP port to a Unix socket: how clients reach a Postgres that has no port.

It understands nothing of what it passes on, unless a test gives it a ``spoil`` to plant a fault.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Spoil = Callable[[bytes], bytes]


@contextmanager
def relay(path: str, spoil: Spoil | None = None) -> Iterator[int]:
    """The port of a relay in a thread of its own. ``spoil`` changes what clients get."""
    started: queue.Queue[tuple[int, Callable[[], object]]] = queue.Queue()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_unix_connection(path)
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
