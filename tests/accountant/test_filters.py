"""The filter alone: what fits under a ceiling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accountant.filters import MOST, Budget, fits, remaining
from accountant.losses import Loss

CAP = Budget(epsilon=10, delta=5)
amounts = st.integers(0, 20)
losses = st.builds(Loss, amounts, amounts, amounts, amounts)


def test_exactly_the_ceiling_fits_and_one_step_more_does_not():
    assert fits(Loss(7, 3, 0, 0), CAP, Loss(3, 2, 0, 0))
    assert not fits(Loss(7, 3, 0, 0), CAP, Loss(4, 2, 0, 0))
    assert not fits(Loss(7, 3, 0, 0), CAP, Loss(3, 3, 0, 0))


def test_rho_that_cannot_be_recorded_does_not_fit():
    assert fits(Loss(0, 0, MOST - 1, 0), CAP, Loss(1, 1, 1, 0))
    assert not fits(Loss(0, 0, MOST, 0), CAP, Loss(1, 1, 1, 0))


@given(st.lists(losses, max_size=12))
def test_what_was_let_through_never_sums_to_more_than_the_ceiling(charges):
    spent = Loss(0, 0, 0, 0)
    for charge in charges:
        left = remaining(spent, CAP)
        if fits(spent, CAP, charge):
            spent += charge
        else:
            assert charge.epsilon > left.epsilon or charge.delta > left.delta
    assert spent.epsilon <= CAP.epsilon
    assert spent.delta <= CAP.delta
