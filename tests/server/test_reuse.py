"""What is made of a draw and an earlier release: one answer, or the draw alone where groups changed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from uuid import UUID

from accountant.ledger import Cells, Earlier, EffectiveNoise
from accountant.losses import ZERO
from mechanisms.calibration import Noise, NoiseKind
from server.reuse import Offer, noises_of, put_together, with_noises
from tests.server.fakes import plan

SIGMA = Fraction(20)


def offer() -> Offer:
    drawn = with_noises(plan(), [Noise(NoiseKind.GAUSSIAN, SIGMA)])
    cells = Cells('[[[["f"],[400]],[["m"],[300]]]]', (EffectiveNoise("discrete_gaussian", SIGMA),))
    return Offer(drawn, drawn, Earlier(UUID(int=9), "d0", cells, ZERO))


def test_two_draws_of_the_same_groups_are_one_answer():
    made = put_together(offer(), '[[[["f"],[410]],[["m"],[310]]]]')
    assert made.kept
    assert made.cells.rows == '[[[["f"],[405]],[["m"],[305]]]]'
    (noise,) = noises_of(made.cells)
    assert noise.scale < SIGMA
    assert [draw.noise for draw in made.shown.draws] == [noise]


def test_where_a_public_table_lists_other_groups_the_new_draw_is_the_answer():
    drawn = '[[[["f"],[410]],[["x"],[310]]]]'
    made = put_together(offer(), drawn)
    assert not made.kept, "else it would be filed under noise that it does not have"
    assert made.cells.rows == drawn
    assert [draw.noise.scale for draw in made.shown.draws] == [SIGMA]
    assert made.shown.notices[-1].startswith("The groups are not those")


def test_without_a_base_it_is_what_was_drawn():
    made = put_together(replace(offer(), base=None), '[[[["x"],[1]]]]')
    assert (made.kept, made.cells.rows, made.shown.notices) == (True, '[[[["x"],[1]]]]', ())
