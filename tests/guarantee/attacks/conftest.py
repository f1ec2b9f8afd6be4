"""One server, and the databases for replays, built once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrations import migrate
from tests import fixture
from tests.guarantee import data
from tests.guarantee.attacks.world import World, as_small, little, running
from tests.guarantee.conftest import Place
from tests.guarantee.replay import Replay
from tests.postgres import Postgres

D = fixture.clinic(patients=7, visits=60, items=40)


@pytest.fixture(scope="session")
def world(postgres: Postgres) -> Iterator[World]:
    """The server over D, D without Alice, D with a whale, D with poison, and nothing."""
    clinics = {
        "D": D,
        "without": fixture.without(D),
        "W": little(D),
        "P": fixture.with_poison(D),
        "empty": fixture.EMPTY,
    }
    ledger = postgres.fresh(postgres.template("ledger", migrate))
    with running(postgres, ledger, clinics) as started:
        yield started


@pytest.fixture(scope="session")
def clinic_place(postgres: Postgres) -> Iterator[Place]:
    """The patients of D, a whale, and a dozen whose every value is bad; each can be taken out."""
    uri, small = postgres.fresh(), as_small(fixture.with_poison(little(D)))
    data.build(uri, small)
    with Replay(uri) as source:
        yield source, small.people


@pytest.fixture(scope="session")
def large_place(postgres: Postgres) -> Iterator[Place]:
    """2,000 patients with 8,000 visits, and the whale with 10,000: only she and Alice go."""
    uri = postgres.fresh()
    clinic = fixture.clinic(patients=2_000, visits=8_000, items=2_000)
    data.build(uri, as_small(fixture.with_whale(clinic, items=2_000)))
    with Replay(uri) as source:
        yield source, [fixture.ALICE, fixture.WHALE]
