"""A small clinic on a live PostgreSQL, and answers about it with noise of a fixed amount."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from analyzer.analyze import analyze
from analyzer.plan import QueryOptions
from mechanisms.calibration import Noise
from server import releases
from server.releases import Answer
from tests.analyzer.noiseless import Asker
from tests.fixture import ALICE, catalog, clinic, load
from tests.guarantee.replay import Replay
from tests.postgres import Postgres
from tests.released import publish


@pytest.fixture(scope="module")
def place(postgres: Postgres) -> Iterator[Replay]:
    uri, data = postgres.fresh(), clinic(patients=300, visits=0)
    alice = data.patients[ALICE - 1]
    another = (301, "Bob", *alice[2:9], not alice[9], alice[10])  # every group has somebody
    load(uri, replace(data, patients=(*data.patients, another)))
    with Replay(uri, planned_once=False) as replay:
        yield replay


@pytest.fixture
def ask(place: Replay, monkeypatch: pytest.MonkeyPatch) -> Asker:
    """Answers a text with noise of a fixed amount for every cell; none by default."""

    def asked(sql: str, *, noise: int = 0, options: QueryOptions | None = None) -> Answer:
        plan = analyze(sql, catalog(), options=options)

        def add_noise(values: Sequence[int], _: Noise) -> list[int]:
            return [value + noise for value in values]

        monkeypatch.setattr(releases, "add_noise", add_noise)
        noisy = publish(plan, *place.exact(plan))
        return releases.answer(plan, place.run(plan.finish, noisy))

    return asked
