"""Random sequences of messages: epsql sends what a plain Postgres with the same rows sends.

A failure prints its seed and the shortest sequence that still differs; ``compare(seed, ...)`` plays
it again.
"""

from __future__ import annotations

import pytest

from tests.clients.conftest import socket_of
from tests.clients.data import DATABASE
from tests.clients.fuzz.differences import compare
from tests.clients.place import Place
from tests.clients.relay import relay

QUICK, SLOW = 60, 1_500


@pytest.mark.parametrize("seed", range(QUICK))
def test_sequences(seed, direct, front):
    difference = compare(seed, direct, front)
    assert difference is None, str(difference)


@pytest.mark.slow
def test_many_sequences(direct, unencrypted):
    for seed in range(QUICK, QUICK + SLOW):
        difference = compare(seed, direct, unencrypted)
        assert difference is None, str(difference)


FAULTS = {
    "a failed transaction looks open": (b"Z\0\0\0\5E", b"Z\0\0\0\5T"),
    "an open transaction looks done": (b"Z\0\0\0\5T", b"Z\0\0\0\5I"),
    "a portal that waits looks read": (b"s\0\0\0\4", b"I\0\0\0\4"),
    "no data looks like an empty query": (b"n\0\0\0\4", b"I\0\0\0\4"),
    "another SQLSTATE": (b"C34000", b"C26000"),
    "one row less is counted": (b"SELECT 3\0", b"SELECT 2\0"),
    "another answer": (b"\0\0\0\00261", b"\0\0\0\00262"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, plain, direct):
    """A relay that changes one thing, before the same Postgres."""
    old, new = FAULTS[fault]
    path = socket_of(plain.url(DATABASE))
    with relay(path, lambda piece: piece.replace(old, new)) as port:
        spoiled = Place(port, direct.database, direct.user, direct.password, direct.sslmode)
        differences = (compare(seed, direct, spoiled) for seed in range(QUICK))
        found = next((one for one in differences if one is not None), None)
    assert found is not None
    assert f"seed {found.seed}" in str(found)
    assert len(found.sent) <= 6, str(found)
