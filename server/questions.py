"""What the gateway is asked, what it answers, and how it says that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from uuid import UUID

from analyzer.asks import ErrorBar
from analyzer.catalog import Catalog, Given
from analyzer.plan import QueryOptions
from analyzer.refusals import Refusal
from server.engines import Engine


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is declared of a data set, and the engine that holds it."""

    catalog: Catalog
    engine: Engine


@dataclass(frozen=True, slots=True)
class Question:
    """What an analyst asks. A loss of None is the policy's default; at most one of epsilon, rho and
    error is given."""

    sql: str
    parameters: tuple[Given, ...] = ()
    dataset: str | None = None
    epsilon: Fraction | None = None
    delta: Fraction | None = None
    rho: Fraction | None = None
    error: ErrorBar | None = None
    request_id: str | None = None
    """The analyst's own name for this question: asked again, it is answered again, for nothing."""
    options: QueryOptions = field(default_factory=QueryOptions)
    fresh: bool = False
    """Whether it is drawn and paid for anew, though the same was answered before."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was stored, and as it is sent: the same, first and every later time."""

    release: UUID
    body: Mapping[str, Any]
    replayed: bool


class FailedAfterDebit(Exception):
    """The question failed after it was paid for. Says nothing more, and never why."""


class DataUnavailable(Exception):
    """The database of the data set does not answer. Found out before anything was asked of it."""


class TooManyQueries(Exception):
    """The analyst has as many queries running as one analyst may have."""


class ServerBusy(Exception):
    """The server has as many queries running as it may have, or it is stopping."""


class UnknownDataset(Refusal):
    """No data set of this name is served, or the question names none and there are several."""

    code = "3D000"
    advice = "Name a data set that is served here."
