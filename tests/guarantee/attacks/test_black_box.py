"""The black box of ``test_audit`` once more, from end to end: SQL, HTTP, ledger, Postgres, noise.

Alice is in one database and not in the other; all that is looked at are the replies. At some
milliseconds for each there are few of them: enough to see half of the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest

from mechanisms.calibration import Noise
from mechanisms.noise import add_noise
from server import releases
from tests.guarantee.attacks.world import World
from tests.guarantee.test_audit import epsilon_at_least

_TIMES = 1_000


def answers(world: World, clinic: str) -> list[int]:
    """What the same question gets, each time drawn and paid for anew."""
    with world.on(clinic):
        replies = [
            world.ask("SELECT count(*) FROM patients", epsilon="1", delta="0").json()
            for _ in range(_TIMES)
        ]
    assert {reply["loss"]["epsilon"] for reply in replies} == {"1"}
    return [reply["rows"][0][0] for reply in replies]


def epsilon_found(world: World) -> float:
    """A lower bound of epsilon, from the replies over a clinic and over the same without Alice."""
    here, without = answers(world, "D"), answers(world, "without")
    return max(epsilon_at_least(here, without, 0.0), epsilon_at_least(without, here, 0.0))


@pytest.mark.slow
def test_replies_betray_no_more_than_is_charged(world: World) -> None:
    assert epsilon_found(world) <= 1.0


@pytest.mark.slow
def test_half_of_the_noise_is_found_in_replies(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(values: Sequence[int], noise: Noise) -> list[int]:
        return add_noise(values, Noise(noise.kind, noise.scale * Fraction(1, 2)))

    monkeypatch.setattr(releases, "add_noise", planted)
    assert epsilon_found(world) > 1.0
