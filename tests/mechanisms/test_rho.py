"""Rho of both laws, by Rényi divergences added up from their weights to sixty digits.

Zero-concentrated means: of neighbours' laws P and Q the divergence of order alpha, either way, is
at most ``rho alpha``, for every alpha above one (Bun and Steinke 2016, Definition 1.1).
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest

from accountant.events import GaussianEvent, LaplaceEvent
from accountant.losses import EPSILON_STEPS, loss_of_events
from mechanisms.calibration import Noise, NoiseKind
from tests.mechanisms.exact import ExactLaw, exact_law, gaussian, label, laplace

ORDERS = [Decimal(n) / 10 for n in (11, 20, 300)]


def divergence(law: ExactLaw, shift: int, order: Decimal) -> Decimal:
    """``ln(sum P^alpha Q^(1 - alpha)) / (alpha - 1)`` of a law and the same moved by some steps.

    Weights below 1e-150 count as zero; where only Q has one, the term is left out.
    """
    with localcontext() as context:
        context.prec = 25
        reach = len(law.weights) - 1 - shift
        terms = (
            law.pmf(z).ln() * order + law.pmf(z - shift).ln() * (1 - order)
            for z in range(-reach, reach + 1)
        )
        return sum((term.exp() for term in terms), Decimal(0)).ln() / (order - 1)


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize(
    "noise", [laplace(1), laplace(2.5), gaussian(0.75), gaussian(3)], ids=label
)
def test_divergences_stay_below_rho_times_their_order(noise: Noise, shift: int) -> None:
    event = (
        LaplaceEvent(noise.scale, shift)
        if noise.kind is NoiseKind.LAPLACE
        else GaussianEvent(noise.scale, shift**2)
    )
    rho = Decimal(loss_of_events([event], Fraction(1, 10**6)).rho) / EPSILON_STEPS
    found = [divergence(exact_law(noise), shift, order) / order for order in ORDERS]
    assert max(found) <= rho
    # Nor is it much less: half of rho would not do for Gaussian noise, nor for little of Laplace's.
    least = Decimal("0.9") if isinstance(event, GaussianEvent) else Decimal("0.2")
    assert max(found) > rho * least
