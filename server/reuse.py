"""What an analyst's own earlier releases are worth for a question: all of it, or a part.

Everything here follows from the plan and from what the analyst was told before. Where keys are not
public, which of them were shown depended on the noise, so there only the same release is given
again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice

from accountant.ledger import Cells, Earlier, EffectiveNoise
from accountant.losses import DELTA_STEPS, ZERO, loss_of_events
from analyzer.digests import release_digest
from analyzer.plan import Draw, PrivatePlan
from mechanisms.calibration import Noise, NoiseKind, error_bar, event_of
from mechanisms.topups import as_good, combined, missing, together
from server.noisy_cells import cells_json, read_cells

_KEYS_CHANGED = (
    "The groups are not those of your earlier answer, so nothing could be put together: these are"
    " the new numbers alone, with wider error bars. None is kept; ask with fresh for the whole."
)


class _KeysChanged(Exception):
    """The groups are not those of the earlier release: a public table lists other keys now."""


@dataclass(frozen=True, slots=True)
class Offer:
    """How a question will be answered, and what the analyst is charged for it."""

    plan: PrivatePlan
    """With the noise that is drawn, its events, and its charge."""
    shown: PrivatePlan
    """With the noise that the answer will have, and what the analyst pays for it."""
    base: Earlier | None = None
    """The earlier release whose cells go into the answer."""
    stored: bool = False
    """Whether they are the answer as they are: then nothing is drawn, and nothing charged."""


@dataclass(frozen=True, slots=True)
class Released:
    """What the answer of a release is made from."""

    shown: PrivatePlan
    """With the noise that the cells have."""
    cells: Cells
    kept: bool
    """Whether they are those that were reserved, so that they can be given again."""


def with_noises(plan: PrivatePlan, noises: Sequence[Noise]) -> PrivatePlan:
    """The plan with other noise in its draws, as its answer is shown."""
    left = iter(noises)
    blocks = tuple(
        replace(
            block,
            draws=tuple(
                replace(draw, noise=noise, error_bar=error_bar(noise))
                for draw, noise in zip(block.draws, islice(left, len(block.draws)), strict=True)
            ),
        )
        for block in plan.blocks
    )
    return replace(plan, blocks=blocks)


def offer_of(plan: PrivatePlan, earlier: Sequence[Earlier]) -> Offer:
    """The cheapest way to answer a plan, by the asker's own releases of the same question."""
    for one in earlier:
        if one.plan_digest == plan.digest:
            return _as_stored(plan, one)
    if not all(block.public_keys for block in plan.blocks):
        return Offer(plan, plan)
    for one in earlier:
        stored = noises_of(one.cells)
        if all(as_good(old, draw.noise) for old, draw in zip(stored, plan.draws, strict=True)):
            return _as_stored(plan, one)
    offers = [found for one in earlier if (found := _top_up(plan, one)) is not None]
    return min(offers, key=lambda found: found.plan.loss.rho, default=Offer(plan, plan))


def _as_stored(plan: PrivatePlan, one: Earlier) -> Offer:
    """The plan keeps its charge: should the release be gone by then, it is a new one like any."""
    shown = replace(with_noises(plan, noises_of(one.cells)), loss=ZERO)
    return Offer(replace(plan, digest=one.plan_digest), shown, one, stored=True)


def _top_up(plan: PrivatePlan, base: Earlier) -> Offer | None:
    """The draws that are missing, each with its event; None where one of them cannot be made."""
    stored, new = noises_of(base.cells), []
    for old, draw in zip(stored, plan.draws, strict=True):
        noise = missing(old, draw.noise)
        if noise is None:
            return None
        new.append(noise)
    events = tuple(
        event_of(draw.sensitivity, noise) for draw, noise in zip(plan.draws, new, strict=True)
    )
    # Where no keys are selected, all of the plan's delta is the conversion's.
    loss = loss_of_events(events, Fraction(plan.loss.delta, DELTA_STEPS))
    effective = [together(old, noise) for old, noise in zip(stored, new, strict=True)]
    digest = release_digest(plan.question, effective, [None for _ in plan.blocks])
    drawn = replace(with_noises(plan, new), events=events, loss=loss, digest=digest)
    return Offer(drawn, replace(with_noises(plan, effective), loss=loss), base)


def noises_of(cells: Cells) -> list[Noise]:
    """What noise stored cells have, draw by draw."""
    return [Noise(NoiseKind(noise.kind), noise.scale) for noise in cells.noises]


def put_together(offer: Offer, drawn: str) -> Released:
    """The cells that were drawn, put together with those of the base where there is one.

    Where a public table lists other keys by now, they cannot be; then those that were drawn are the
    answer: they were paid for, and tell what their own error bars say.
    """
    try:
        cells = _cells_of(offer, drawn)
    except _KeysChanged:
        plan = replace(offer.plan, notices=(*offer.plan.notices, _KEYS_CHANGED))
        return Released(plan, _cells(drawn, [draw.noise for draw in plan.draws]), kept=False)
    return Released(with_noises(offer.plan, noises_of(cells)), cells, kept=True)


def _cells_of(offer: Offer, drawn: str) -> Cells:
    """The cells of a release: those that were drawn, put together with those of its base.

    Args:
        offer: what was drawn, and what it builds on.
        drawn: the new cells, as they are stored.

    Raises:
        _KeysChanged: the new ones are of other groups than those of the base.
    """
    new = [draw.noise for draw in offer.plan.draws]
    if offer.base is None:
        return _cells(drawn, new)
    base = offer.base.cells
    stored, found, first = noises_of(base), [], 0
    for block, earlier, groups in zip(
        offer.plan.blocks, read_cells(base.rows), read_cells(drawn), strict=True
    ):
        own = slice(first, first + len(block.draws))
        pairs = list(zip(block.draws, stored[own], new[own], strict=True))
        first = own.stop
        known = {_key(keys): cells for keys, cells in earlier}
        if [_key(keys) for keys, _ in groups] != list(known):
            raise _KeysChanged
        found.append([(keys, _mixed(pairs, known[_key(keys)], cells)) for keys, cells in groups])
    return _cells(
        cells_json(found), [together(old, noise) for old, noise in zip(stored, new, strict=True)]
    )


def _cells(rows: str, noises: Sequence[Noise]) -> Cells:
    return Cells(rows, tuple(EffectiveNoise(n.kind.value, n.scale) for n in noises))


def _key(keys: Sequence[object]) -> str:
    return json.dumps(keys)


def _mixed(
    pairs: Sequence[tuple[Draw, Noise, Noise]], old: Sequence[Decimal], new: Sequence[Decimal]
) -> list[Decimal]:
    """The cells of one group: of each draw those that are stored with those that are new."""
    cells = list(new)
    for draw, before, after in pairs:
        mixed = combined(
            [old[c] for c in draw.cells], [int(new[c]) for c in draw.cells], (before, after)
        )
        for cell, value in zip(draw.cells, mixed, strict=True):
            cells[cell] = value
    return cells
