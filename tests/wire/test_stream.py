"""The bytes of one connection, where its other side does not do what it should."""

from __future__ import annotations

import asyncio
import socket

import pytest

from server.wire.stream import Stream


@pytest.mark.parametrize("says_goodbye", [False, True])
async def test_who_never_reads_does_not_keep_its_descriptor(monkeypatch, says_goodbye):
    """What waits for it is dropped after a while, and so is the connection."""
    monkeypatch.setattr("server.wire.stream._LINGER", 0.05)
    lost = asyncio.Event()

    class Watched(Stream):
        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            lost.set()

    ours, theirs = socket.socketpair()
    with theirs:
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(Watched, sock=ours)
        stream.write(bytes(10_000_000))
        if says_goodbye:
            theirs.shutdown(socket.SHUT_WR)
            await stream.gone.wait()
        stream.close()
        async with asyncio.timeout(20):
            await lost.wait()
        assert ours.fileno() == -1


async def test_what_was_sent_before_the_end_arrives():
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(Stream, sock=ours)
        stream.write(bytes(1_000_000))
        stream.close()
        got = 0
        while some := await loop.sock_recv(theirs, 65_536):
            got += len(some)
        assert got == 1_000_000
