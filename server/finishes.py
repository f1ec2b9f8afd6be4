"""Answers from noisy cells. Those from stored ones are kept for a while: equal plans and cells have
equal answers."""

from __future__ import annotations

from collections import OrderedDict

from accountant.ledger import Cells
from analyzer.plan import PrivatePlan
from server.engines import Engine
from server.noisy_cells import finish_input
from server.releases import Answer, answer
from server.reuse import noises_of, with_noises

_MOST_ROWS = 1000
"""How many rows an answer may have that is kept."""


async def finished(engine: Engine, shown: PrivatePlan, cells: Cells) -> Answer:
    """What is shown for noisy cells, by a plan with the noise that is in them.

    Raises:
        EngineFailed: the database that computes it failed.
    """
    return answer(shown, await engine.finish(shown.finish, finish_input(shown, cells.rows)))


class Finishes:
    """The answers that were made last.

    A plan is known by what it is and not by what it says, so each analyst has entries of their own,
    as long as their plans are remembered: see :class:`server.plans.Plans`.
    """

    def __init__(self, *, size: int = 512) -> None:
        self._size = size
        self._known: OrderedDict[int, tuple[PrivatePlan, Cells, Answer]] = OrderedDict()

    async def answer(self, engine: Engine, plan: PrivatePlan, cells: Cells) -> Answer:
        """What is shown for the noisy cells of a release.

        Raises:
            EngineFailed: the database that computes it failed.
        """
        known = self._known.get(id(plan))
        if known is not None and known[0] is plan and known[1] == cells:
            self._known.move_to_end(id(plan))
            return known[2]
        made = await finished(engine, with_noises(plan, noises_of(cells)), cells)
        if len(made.rows) <= _MOST_ROWS:
            self._known[id(plan)] = (plan, cells, made)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return made
