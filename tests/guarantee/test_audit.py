"""A black box: answers on two neighbours, drawn thousands of times, betray no more than is charged.

The exact vectors of the two databases are fixed, so only noise is drawn, through
``server.releases.publish``. One event is chosen on half of the answers; on the other half its two
probabilities are bounded by Clopper and Pearson, each at one in a million; the logarithm of their
ratio bounds epsilon from below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest

from analyzer.analyze import analyze
from analyzer.asks import EpsilonAsk
from analyzer.plan import PrivatePlan
from mechanisms.calibration import Noise
from mechanisms.noise import add_noise
from server import releases
from server.noisy_cells import read_cells
from server.releases import Publisher
from tests.guarantee import data
from tests.guarantee.replay import Row
from tests.released import noisy_groups

_ALARM = 1e-6
SQL = "SELECT count(*) FROM patients"
BY_CITY = "SELECT city, count(*) FROM patients GROUP BY city"
"""Each group has a draw of its own, and a person changes one of them."""


def _binomial_tail(n: int, k: int, p: float) -> float:
    """P(X >= k) of n trials of probability p, summed."""
    if k <= 0:
        return 1.0
    base = math.lgamma(n + 1)
    log_p, log_q = math.log(p), math.log1p(-p)

    def mass(i: int) -> float:
        return math.exp(
            base - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q
        )

    total = 0.0
    for i in range(k, n + 1):
        term = mass(i)
        total += term
        if i > n * p and term < 1e-18:
            break
    return min(1.0, total)


def lower(n: int, k: int) -> float:
    """Clopper and Pearson's lower bound of a probability that k of n trials met."""
    if k == 0:
        return 0.0
    low, high = 0.0, k / n
    for _ in range(40):
        middle = (low + high) / 2
        if middle == 0 or _binomial_tail(n, k, middle) < _ALARM:
            low = middle
        else:
            high = middle
    return low


def upper(n: int, k: int) -> float:
    """The upper bound: one less the lower bound of the other outcome."""
    return 1.0 - lower(n, n - k)


def answers(plan: PrivatePlan, rows: Sequence[Row], times: int) -> list[int]:
    return [noisy_groups(plan, rows)[0]["c0"] for _ in range(times)]


def groups(plan: PrivatePlan, rows: Sequence[Row], times: int) -> list[int]:
    """The same as so many groups of one answer, which takes a tenth of the time."""
    publisher = Publisher(plan, most=times)
    publisher.take(0, [(str(i), *rows[0]) for i in range(times)])
    (found,) = read_cells(publisher.release())
    return [int(cell) for _, (cell,) in found]


def epsilon_at_least(a: list[int], b: list[int], delta: float) -> float:
    """A lower bound of epsilon from answers on two neighbours; wrong twice in a million times."""
    half, rest = len(a) // 2, len(a) - len(a) // 2
    events = [(sign, at) for at in {*a[:half], *b[:half]} for sign in (1, -1)]

    def hits(values: list[int], event: tuple[int, int]) -> int:
        sign, at = event
        return sum(sign * value >= sign * at for value in values)

    def promise(event: tuple[int, int]) -> float:
        p, q = (hits(values[:half], event) / half for values in (a, b))
        wide = 5 / math.sqrt(half)
        least = p - wide * math.sqrt(p * (1 - p)) - delta
        most = q + wide * math.sqrt(q * (1 - q)) + 13.8 / half
        return least / most

    chosen = max(events, key=promise)
    least = lower(rest, hits(a[half:], chosen)) - delta
    return math.log(max(least, 1e-300) / upper(rest, hits(b[half:], chosen)))


def audit(sql: str, ask: EpsilonAsk, times: int) -> float:
    """A lower bound of the epsilon of a question, from answers on two neighbours, either way."""
    plan = analyze(sql, data.catalog(), ask=ask)
    drawn = groups if plan.blocks[0].key_types else answers
    more = drawn(plan, [(100 + plan.draws[0].sensitivity.l1,)], times)
    fewer = drawn(plan, [(100,)], times)
    delta = float(ask.delta)
    return max(epsilon_at_least(more, fewer, delta), epsilon_at_least(fewer, more, delta))


_LAPLACE = EpsilonAsk(Fraction(1), Fraction(0))
_GAUSSIAN = EpsilonAsk(Fraction(1, 2), Fraction(1, 10**6))
_MANY = 60_000
"""Enough to find three quarters of the noise; the bound is then some 0.1 below epsilon."""


@pytest.mark.parametrize(
    "ask", [_LAPLACE, pytest.param(_GAUSSIAN, marks=pytest.mark.slow)], ids=["laplace", "gaussian"]
)
def test_answers_betray_no_more_than_is_charged(ask: EpsilonAsk) -> None:
    assert audit(SQL, ask, 20_000) <= float(ask.epsilon)


def test_half_of_the_noise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(values: Sequence[int], noise: Noise) -> list[int]:
        return add_noise(values, Noise(noise.kind, noise.scale / 2))

    monkeypatch.setattr(releases, "add_noise", planted)
    assert audit(SQL, _LAPLACE, 5_000) > 1.3


def test_noise_that_repeats_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = add_noise(
        [0], Noise(analyze(SQL, data.catalog(), ask=_LAPLACE).draws[0].noise.kind, Fraction(1))
    )

    def planted(values: Sequence[int], _: Noise) -> list[int]:
        return [value + fixed[0] for value in values]

    monkeypatch.setattr(releases, "add_noise", planted)
    assert audit(SQL, _LAPLACE, 2_000) > 1.2


@pytest.mark.slow
@pytest.mark.parametrize("ask", [_LAPLACE, _GAUSSIAN], ids=["laplace", "gaussian"])
def test_many_answers_betray_no_more_than_is_charged(ask: EpsilonAsk) -> None:
    assert audit(BY_CITY, ask, _MANY) <= float(ask.epsilon)


@pytest.mark.slow
def test_three_quarters_of_the_noise_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(values: Sequence[int], noise: Noise) -> list[int]:
        return add_noise(values, Noise(noise.kind, noise.scale * Fraction(3, 4)))

    monkeypatch.setattr(releases, "add_noise", planted)
    assert audit(BY_CITY, _LAPLACE, _MANY) > 1.0


def test_the_bounds_of_clopper_and_pearson() -> None:
    """Where no trial met, or all did, the bound has a closed form."""
    assert lower(100, 100) == pytest.approx(_ALARM ** (1 / 100), rel=1e-6)
    assert upper(100, 0) == pytest.approx(1 - _ALARM ** (1 / 100), rel=1e-6)
    assert lower(100, 0) == 0
    assert lower(1_000, 500) < 0.5 < upper(1_000, 500)
