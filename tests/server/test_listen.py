"""The listening socket."""

from __future__ import annotations

import socket

import pytest

from server.app import CannotStart, listen


def test_what_is_written_to_a_connection_is_sent_at_once() -> None:
    """Without it the body of a reply waits for the client's delayed acknowledgement of its head."""
    with (
        listen("127.0.0.1", 0) as door,
        socket.create_connection(door.getsockname()),
        door.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_address_that_is_taken_is_said() -> None:
    with listen("127.0.0.1", 0) as door, pytest.raises(CannotStart) as told:
        listen("127.0.0.1", port := door.getsockname()[1])
    assert str(told.value) == f"cannot listen on 127.0.0.1, port {port}: Address already in use"
