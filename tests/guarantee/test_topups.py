"""A release and what is built on it, seen together, betray no more than both were charged.

The combined number of a top-up is a sufficient statistic of both draws: whoever has both numbers
knows no more than whoever has their mean weighted by the inverse variances. So its law is what is
held against the sum of the charges, by a black box as in ``test_audit`` and by its variance.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from uuid import UUID

import pytest

from accountant.ledger import Earlier
from accountant.losses import EPSILON_STEPS, Loss
from analyzer.analyze import analyze
from analyzer.asks import RhoAsk
from analyzer.plan import PrivatePlan
from mechanisms import topups
from mechanisms.calibration import Noise
from server import reuse
from server.noisy_cells import read_cells
from server.releases import Publisher
from server.reuse import Offer, noises_of, offer_of, put_together
from tests.guarantee import data
from tests.guarantee.test_audit import epsilon_at_least
from tests.guarantee.test_charges import charge_violations

SQL = "SELECT count(*) FROM patients"
DELTA = Fraction(1, 10**6)
FIRST, WANTED = Fraction(1, 500), Fraction(1, 100)


def plan(rho: Fraction, sql: str = SQL) -> PrivatePlan:
    return analyze(sql, data.catalog(), ask=RhoAsk(rho, DELTA))


def released(offer: Offer, count: int) -> Earlier:
    """What the ledger keeps of a release whose one cell is exactly ``count``."""
    publisher = Publisher(offer.plan)
    publisher.take(0, [(count,)])
    cells = put_together(offer, publisher.release()).cells
    before = offer.base.loss if offer.base else Loss(0, 0, 0, 0)
    return Earlier(UUID(int=1), offer.plan.digest, cells, before + offer.plan.loss)


def chain(count: int, *rhos: Fraction) -> Earlier:
    """A release for each rho, each building on the one before."""
    found: list[Earlier] = []
    for rho in rhos:
        offer = offer_of(plan(rho), found)
        assert not offer.stored
        found = [released(offer, count), *found]
    return found[0]


def number(one: Earlier) -> float:
    ((((_, (cell,)),),)) = read_cells(one.cells.rows)
    return float(cell)


def test_each_step_charges_what_it_draws_and_all_of_them_what_one_draw_would() -> None:
    whole = plan(WANTED)
    first = chain(100, FIRST)
    offer = offer_of(whole, [first])
    assert not charge_violations(offer.plan)
    last = released(offer, 100)
    assert whole.loss.rho <= last.loss.rho <= whole.loss.rho + 2
    assert noises_of(last.cells)[0].scale <= whole.draws[0].noise.scale * (1 + Fraction(1, 2**50))
    longer = chain(100, *(WANTED / 2**i for i in reversed(range(8))))
    assert whole.loss.rho <= longer.loss.rho <= whole.loss.rho + 8


def test_what_was_put_together_has_the_digest_of_the_noise_that_it_has() -> None:
    whole = plan(WANTED)
    last = chain(100, FIRST, WANTED)
    same = noises_of(last.cells)[0] == whole.draws[0].noise
    assert (last.plan_digest == whole.digest) is same
    # Whether or not a rounding makes it another one, the asker finds it, and pays nothing.
    again = offer_of(whole, [last])
    assert again.stored
    assert again.shown.loss.rho == 0
    # Should it be gone by then, the charge is the whole one.
    assert again.plan.loss == whole.loss


def test_what_is_stored_counts_where_keys_are_public_and_noise_is_gaussian() -> None:
    private = "SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis"
    for sql in (private, SQL):
        for rho, other in ((FIRST, WANTED), (WANTED, FIRST)):
            one, two = plan(rho, sql), plan(other, sql)
            noises = [draw.noise for draw in one.draws]
            stored = Earlier(UUID(int=1), one.digest, reuse._cells("[[]]", noises), one.loss)
            offer = offer_of(two, [stored])
            assert (offer.base is not None) is (sql == SQL)
            assert offer_of(one, [stored]).stored


def spread(times: int) -> float:
    """The variance of a topped-up number, over what its error bar says."""
    sigma = float(plan(WANTED).draws[0].noise.scale)
    numbers = [number(chain(1_000, FIRST, WANTED)) for _ in range(times)]
    assert abs(statistics.fmean(numbers) - 1_000) < 5 * sigma / math.sqrt(times)
    return statistics.pvariance(numbers, 1_000) / sigma**2


def test_it_has_the_variance_that_it_says() -> None:
    # Discrete noise and rounding move the ratio by less than a hundredth at this sigma.
    assert abs(spread(2_000) - 1) < 5 * math.sqrt(2 / 2_000) + 0.01


def audit(times: int) -> float:
    more, fewer = (
        [round(number(chain(count, FIRST, WANTED))) for _ in range(times)] for count in (101, 100)
    )
    delta = float(DELTA)
    return max(epsilon_at_least(more, fewer, delta), epsilon_at_least(fewer, more, delta))


@pytest.mark.slow
def test_both_together_betray_no_more_than_was_charged() -> None:
    assert audit(10_000) <= chain(100, FIRST, WANTED).loss.epsilon / EPSILON_STEPS


Bug = Callable[[Noise, Noise], Noise | None]


def _too_little(stored: Noise, wanted: Noise) -> Noise | None:
    found = topups.missing(stored, wanted)
    return found and Noise(found.kind, found.scale / 2)


def test_planted_bugs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A charge of the wanted noise for a draw of the missing one; and half of the missing noise."""
    whole, first = plan(WANTED), chain(100, FIRST)
    good = offer_of(whole, [first]).plan
    cheap = analyze(SQL, data.catalog(), ask=RhoAsk(FIRST, DELTA))
    planted = replace(good, loss=cheap.loss)
    assert any("cost more than the charge" in text for text in charge_violations(planted))
    monkeypatch.setattr(reuse, "missing", _too_little)
    assert released(offer_of(whole, [first]), 100).loss.rho > whole.loss.rho + 2


def test_a_stale_weight_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of both, as if they were equally exact: more noise than the error bar says."""
    monkeypatch.setattr(
        reuse,
        "combined",
        lambda old, new, _: [(o + n) / 2 for o, n in zip(old, new, strict=True)],
    )
    assert spread(2_000) > 1.3
