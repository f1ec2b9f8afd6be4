"""What is asked of the ledger about one release, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from uuid import UUID

from accountant.accounts import Balances
from accountant.events import Event
from accountant.losses import Loss
from accountant.records import Receipt

REQUEST_ID = re.compile(r"[!-~]{1,200}")
"""What a request id looks like: visible ASCII without spaces."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Request:
    """A release that somebody asks for.

    Raises:
        ValueError: the request id or the SQL cannot be stored, or no unit is named.
    """

    analyst_id: UUID
    dataset: str
    units: tuple[str, ...]
    """The privacy units that it is charged to, each with the whole loss."""
    request_id: str | None
    """The analyst's own name of the request, unique for the analyst; None if it has none."""
    request_digest: str
    """Of all that was asked under the request id."""
    plan_digest: str
    """Of what is released: statement, parameters, noise, thresholds, policy version."""
    question_digest: str
    """The same without noise and thresholds."""
    sql: str
    """What the analyst wrote."""
    events: Sequence[Event]
    """The mechanisms that will touch the data."""
    loss: Loss
    replayable: bool
    """Whether a stored release of the same plan may be the answer."""
    builds_on: UUID | None = None
    """An earlier release of the same analyst and question, whose cells go into the new ones."""

    def __post_init__(self) -> None:
        if self.request_id is not None and not REQUEST_ID.fullmatch(self.request_id):
            raise ValueError("a request id is 1 to 200 visible ASCII characters")
        if _UNSTORABLE.search(self.sql):
            raise ValueError("the SQL is not text that Postgres can store")
        if not self.units:
            raise ValueError("a release is charged to one privacy unit at least")


@dataclass(frozen=True, slots=True)
class EffectiveNoise:
    """The law of the noise that the cells of one draw hold, after all draws that went into them."""

    kind: str
    """``discrete_laplace`` or ``discrete_gaussian``."""
    scale: Fraction
    """The Laplace scale, or sigma; in grid steps."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The noisy cells of a release, from which it can be finished again. Never exact."""

    rows: str
    """JSON text, as ``server.releases.publish`` made it."""
    noises: tuple[EffectiveNoise, ...]
    """One for each draw of the plan."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The charge is debited; data may be touched after :meth:`Ledger.dispatch`.

    With ``cells`` no data is touched: they are finished, and the reply is settled, or the charge is
    voided if that fails. When not even that is recorded, there is nothing to settle.
    """

    id: UUID
    balances: Balances
    """After the debit."""
    cells: Cells | None
    """Those of a release of the same plan, which may be given again."""
    recorded: bool
    """Whether there is an entry of this request; if not, ``id`` is that of the first release."""
    charge: Loss
    """What the analyst's own account was charged now."""
    receipt: Receipt
    """The entry that reserved the release."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The same request was answered before; this is that answer, free of charge."""

    id: UUID
    answer: Any
    charge: Loss
    """What the answer was charged when it was released."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A release of a question that a better answer can build on."""

    id: UUID
    plan_digest: str
    cells: Cells
    loss: Loss
    """Of all draws that went into the cells."""


def noises_json(noises: Sequence[EffectiveNoise]) -> list[dict[str, str]]:
    """Noises as they stand in records."""
    return [{"kind": noise.kind, "scale": str(noise.scale)} for noise in noises]


def cells_of(rows: str, noises: Sequence[Mapping[str, str]]) -> Cells:
    """The inverse, with the text that lies beside the record."""
    return Cells(rows, tuple(EffectiveNoise(n["kind"], Fraction(n["scale"])) for n in noises))
