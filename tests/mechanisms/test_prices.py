"""The price of a release is one over how many of its like an account admits."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.filters import Budget, fits, more_like
from accountant.losses import (
    ZERO,
    Loss,
    ceil_epsilon,
    floor_delta,
    floor_epsilon,
    loss_of_events,
)
from mechanisms.calibration import (
    CannotCalibrate,
    Cap,
    KeySelection,
    NoiseKind,
    Sensitivity,
    Terms,
    WithinBars,
    WithinEpsilon,
    WithinRho,
    calibrate,
    error_bar,
)
from mechanisms.prices import price

ONE = Sensitivity(1, 1)
CAP = Cap(Fraction(3), Fraction(1, 10**6))
DELTA = Fraction(1, 10**9)


@pytest.mark.parametrize(
    "loss, cap, expected",
    [
        (Loss(3 * 10**11, 0, 10**12, 0), CAP, 0.1),
        # By the table of the design: at 5e-7 an epsilon of 3 is a rho of 0.17575.
        (Loss(10**13, 0, 17_575_000_000, 0), CAP, 0.1),
        # Delta counts against a quarter of the cap's, slack as well.
        (Loss(1, 25 * 10**9, 10**12, 0), CAP, 0.1),
        (Loss(10**13, 0, 1, 25 * 10**9), CAP, 0.1),
        (Loss(0, 0, 0, 0), CAP, 0.0),
    ],
)
def test_a_price_is_the_smaller_of_two_shares(loss: Loss, cap: Cap, expected: float) -> None:
    assert price(loss, cap) == pytest.approx(expected, rel=1e-4)


def test_an_account_without_delta_has_room_for_pure_losses_only() -> None:
    pure = Cap(Fraction(1), Fraction(0))
    assert price(Loss(10**11, 0, 1, 0), pure) == pytest.approx(0.1)
    assert price(Loss(10**11, 1, 1, 0), pure) == float("inf")


sizes = st.integers(1, 50).map(lambda n: Sensitivity(n, n * n))
caps = st.builds(
    Cap,
    st.sampled_from([Fraction(n) for n in ("0.5", "1", "3", "10")]),
    st.sampled_from([Fraction(1, 10**n) for n in (5, 6, 8)]),
)
goals = st.one_of(
    st.integers(2, 300).map(lambda n: WithinEpsilon(Fraction(1, n))),
    st.integers(50, 10**5).map(lambda n: WithinRho(Fraction(1, n))),
    st.integers(200, 10**4).map(lambda n: WithinBars((n,))),
)


@given(sizes, caps, goals, st.booleans())
def test_the_filter_admits_as_many_as_the_price_says(one, cap, goal, keyed) -> None:
    """And one more does not fit: what is quoted of an account is what the ledger takes of it."""
    keys = [KeySelection(0, 1)] if keyed else []
    loss = calibrate([one], goal, delta=DELTA, terms=Terms(cap), keys=keys).loss
    budget = Budget(floor_epsilon(cap.epsilon), floor_delta(cap.delta))
    share = price(loss, cap)
    count = more_like(loss, ZERO, budget)
    assert count * share <= 1 + 1e-9
    assert (count + 1) * share >= 1 - 1e-9
    last = Loss(*(part * count for part in (loss.epsilon, loss.delta, loss.rho, loss.slack)))
    assert count == 0 or fits(ZERO, budget, last)
    assert not fits(last, budget, loss)


def test_a_small_error_is_cheaper_with_gaussian_noise_and_a_large_budget() -> None:
    """Under the sum of rho many small answers cost less than under the sum of epsilon."""
    found = calibrate([ONE], WithinBars((60,)), delta=DELTA, terms=Terms(CAP))
    assert found.noises[0].kind is NoiseKind.GAUSSIAN
    pure = calibrate([ONE], WithinBars((60,)), delta=Fraction(0), terms=Terms(CAP))
    assert price(found.loss, CAP) < price(pure.loss, CAP) / 2


def test_an_account_of_few_large_answers_takes_laplace() -> None:
    cap = Cap(Fraction(1), Fraction(1, 10**6))
    found = calibrate([ONE], WithinBars((8,)), delta=DELTA, terms=Terms(cap))
    assert found.noises[0].kind is NoiseKind.LAPLACE
    assert error_bar(found.noises[0]) <= 8


def test_where_no_delta_may_be_spent_noise_is_laplace_in_every_way_of_asking() -> None:
    for goal in (WithinEpsilon(Fraction(1)), WithinRho(Fraction(1, 50)), WithinBars((60,))):
        found = calibrate([Sensitivity(90, 90)], goal, delta=Fraction(0), terms=Terms(CAP))
        assert found.noises[0].kind is NoiseKind.LAPLACE
        assert found.loss.delta == found.loss.slack == 0


def test_an_account_that_has_no_delta_takes_no_gaussian_noise_though_the_ask_has() -> None:
    pure = Terms(Cap(Fraction(1), Fraction(0)))
    found = calibrate([Sensitivity(90, 90)], WithinEpsilon(Fraction(1)), delta=DELTA, terms=pure)
    assert found.noises[0].kind is NoiseKind.LAPLACE


def test_an_ask_in_rho_is_charged_whole_in_rho_and_by_the_events_in_epsilon() -> None:
    goal = WithinRho(Fraction(1, 1000))
    found = calibrate([ONE, ONE], goal, delta=DELTA, terms=Terms(CAP))
    spent = loss_of_events(found.events, DELTA)
    assert found.noises[0].kind is NoiseKind.GAUSSIAN
    assert found.loss.rho == ceil_epsilon(goal.rho)
    assert (found.loss.epsilon, found.loss.delta) == (spent.epsilon, 10**9)
    assert found.loss.slack == 0


def test_keys_cost_slack_beside_rho() -> None:
    found = calibrate(
        [ONE],
        WithinRho(Fraction(1, 1000)),
        delta=DELTA,
        terms=Terms(CAP),
        keys=[KeySelection(0, 1)],
    )
    assert found.noises[0].kind is NoiseKind.GAUSSIAN
    assert 0 < found.loss.slack <= 10**9 // 2
    assert found.loss.delta == found.loss.slack + 10**9 // 2


@pytest.mark.parametrize(
    "terms",
    [
        Terms(CAP, most_epsilon=Fraction(1, 100)),
        Terms(CAP, most_rho=Fraction(1, 10**6)),
    ],
    ids=["epsilon", "rho"],
)
def test_more_than_one_answer_may_cost_is_said_in_words(terms: Terms) -> None:
    with pytest.raises(CannotCalibrate, match=r"That costs epsilon 0\.\d+, .*rho 0\.\d+: more"):
        calibrate([ONE], WithinBars((10,)), delta=DELTA, terms=terms)


def test_what_the_maximum_does_not_allow_is_not_chosen() -> None:
    """Laplace of epsilon 1 has the smaller error, and a rho of one half."""
    goal, free = WithinEpsilon(Fraction(1)), Terms(CAP)
    assert calibrate([ONE], goal, delta=DELTA, terms=free).noises[0].kind is NoiseKind.LAPLACE
    held = Terms(CAP, most_rho=Fraction(1, 10))
    found = calibrate([ONE], goal, delta=DELTA, terms=held)
    assert found.noises[0].kind is NoiseKind.GAUSSIAN
    assert found.loss.rho <= 10**11
