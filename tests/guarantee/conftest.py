"""Databases of the guarantee tests: built once a session, replayed on all their neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.guarantee import data
from tests.guarantee.replay import Replay
from tests.postgres import Postgres

Place = tuple[Replay, list[int]]
"""A database, and the people whose rows it has."""


@pytest.fixture(scope="session")
def wild_places(postgres: Postgres) -> Iterator[list[Place]]:
    """Small databases with heavy tails and every bad value, each from another seed."""
    with ExitStack() as stack:
        places = []
        for seed in range(1, 5):
            small, uri = data.wild(seed, people=4 + 2 * seed), postgres.fresh()
            data.build(uri, small)
            places.append((stack.enter_context(Replay(uri)), small.people))
        yield places
