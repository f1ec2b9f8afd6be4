"""The filters alone: what fits under a ceiling, and that no adversary gets past them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.filters import (
    MOST,
    Budget,
    delta_quarter,
    fits,
    holds,
    more_like,
    remaining,
    rho_cap,
    shares,
    spent_epsilon,
)
from accountant.losses import (
    ZERO,
    Loss,
    ceil_epsilon,
    epsilon_to_rho,
    floor_epsilon,
    rho_to_epsilon,
)

EPSILON = 10**12
MILLIONTH = 10**12
"""A delta of 1e-6."""
CAP = Budget(EPSILON, MILLIONTH)
PURE = Budget(EPSILON, 0)

amounts = st.integers(0, 20)
losses = st.builds(Loss, amounts, amounts, amounts, amounts)


def laplace(epsilon: int) -> Loss:
    """A pure release: rho is half the square of epsilon."""
    return Loss(epsilon, 0, -(-(epsilon**2) // (2 * EPSILON)), 0)


def gaussian(rho: int, delta: int = 10**9) -> Loss:
    """A Gaussian release, with its epsilon at a delta."""
    epsilon = rho_to_epsilon(Fraction(rho, EPSILON), Fraction(delta, 10**18))
    return Loss(ceil_epsilon(epsilon), delta, rho, 0)


def admitted(cap: Budget, charge: Loss) -> int:
    """How many of the same release fit, one after another."""
    spent, count = ZERO, 0
    while fits(spent, cap, charge):
        spent, count = spent + charge, count + 1
    return count


def test_exactly_the_ceiling_fits_and_one_step_more_does_not():
    spent = laplace(7 * EPSILON // 10)
    assert fits(spent, CAP, laplace(3 * EPSILON // 10))
    assert not fits(spent, CAP, laplace(3 * EPSILON // 10 + 1))
    thresholds = Loss(0, MILLIONTH // 4, 0, MILLIONTH // 4)
    assert holds(thresholds, CAP)
    assert not fits(thresholds, CAP, Loss(0, 1, 0, 1))


def test_without_delta_only_pure_sums_count():
    assert rho_cap(PURE) == 0
    assert admitted(PURE, laplace(EPSILON // 10)) == 10
    assert not fits(ZERO, PURE, gaussian(1))
    assert fits(ZERO, PURE, ZERO)


def test_what_the_ledger_cannot_store_does_not_fit():
    assert holds(Loss(0, 0, MOST, 0), CAP)
    assert not holds(Loss(0, 0, MOST + 1, 0), CAP)


@pytest.mark.parametrize(
    "each, total, basic, zcdp",
    # accounting.md, measured with dp-accounting: a cap of (e, 1e-6), here at the half of its delta.
    [("0.1", 1, 10, 4), ("0.1", 10, 100, 295), ("0.01", 1, 100, 458), ("0.5", 3, 6, 1)],
)
def test_a_portfolio_takes_the_better_of_the_two(each, total, basic, zcdp):
    charge = laplace(int(Fraction(each) * EPSILON))
    cap = Budget(total * EPSILON, MILLIONTH)
    assert rho_cap(cap) // charge.rho == zcdp
    assert admitted(cap, charge) == max(basic, zcdp)
    assert more_like(charge, ZERO, cap) == max(basic, zcdp)


def test_many_small_gaussians_go_further_than_their_epsilons():
    charge = gaussian(EPSILON // 1000)
    basic = Budget(CAP.epsilon, 0)
    assert admitted(CAP, charge) > 2 * (basic.epsilon // charge.epsilon)


@given(st.lists(losses, max_size=12))
def test_what_was_let_through_holds_under_one_filter(charges):
    cap = Budget(10, 20)
    spent = ZERO
    for charge in charges:
        if fits(spent, cap, charge):
            spent += charge
    quarter = delta_quarter(cap)
    basic = spent.epsilon <= cap.epsilon and spent.delta <= quarter
    zcdp = spent.rho <= rho_cap(cap) and spent.slack <= quarter
    assert basic or zcdp


@given(st.integers(1, 20 * EPSILON), st.integers(4, 10**17))
def test_the_ceiling_of_rho_is_worth_no_more_than_its_epsilon(epsilon, delta):
    """The three parts of delta: a quarter each for thresholds, and the rest for the conversion."""
    cap = Budget(epsilon, delta)
    conversion = Fraction(delta - 2 * delta_quarter(cap), 10**18)
    assert 2 * delta_quarter(cap) + conversion * 10**18 == delta
    rho = Fraction(rho_cap(cap), EPSILON)
    assert rho_to_epsilon(rho, conversion) <= Fraction(epsilon, EPSILON)
    assert rho_cap(cap) == floor_epsilon(epsilon_to_rho(Fraction(epsilon, EPSILON), conversion))


spendings = st.builds(
    lambda pure, rho, slack: laplace(pure) + gaussian(rho + 1) + Loss(0, slack, 0, slack),
    st.integers(0, EPSILON),
    st.integers(0, EPSILON // 100),
    st.integers(0, MILLIONTH // 3),
)


@given(spendings, st.integers(1, 2 * EPSILON))
def test_a_pure_release_fits_up_to_what_remains_and_no_further(spent, more):
    left = remaining(spent, CAP)
    if holds(spent, CAP):
        assert fits(spent, CAP, laplace(left.epsilon))
        assert fits(spent, CAP, Loss(0, left.delta, 0, left.delta))
    assert not fits(spent, CAP, laplace(left.epsilon + more))


@given(spendings, st.integers(1, EPSILON // 2))
def test_more_like_the_last_is_what_really_fits(spent, epsilon):
    charge = laplace(epsilon)
    count = more_like(charge, spent, CAP)
    for times, expected in ((count, True), (count + 1, False)):
        total = Loss(epsilon * times, 0, charge.rho * times, 0)
        assert holds(spent + total, CAP) is (expected and (times > 0 or holds(spent, CAP)))


def test_what_is_used_is_said_under_both_filters():
    used = shares(laplace(EPSILON // 2), CAP)
    assert used.basic == Fraction(1, 2)
    assert used.zcdp > 1
    assert used.least == used.basic
    assert shares(ZERO, CAP).least == 0
    assert shares(ZERO, PURE).zcdp == 1
    assert shares(ZERO, Budget(0, 0)).least == 1
    assert shares(Loss(0, 10, 0, 10), PURE).least == 1


def test_what_is_spent_is_said_in_the_better_epsilon():
    many = [gaussian(EPSILON // 1000)] * 15
    spent = sum(many, start=ZERO)
    assert spent_epsilon(spent, CAP) < EPSILON < spent.epsilon
    assert spent_epsilon(laplace(EPSILON // 2), CAP) == EPSILON // 2
    assert spent_epsilon(ZERO, PURE) == 0
