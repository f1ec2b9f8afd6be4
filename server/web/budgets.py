"""GET /v1/budget, /v1/releases and /v1/releases/{id}: what an analyst has spent, and on what."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from accountant.history import Release
from accountant.losses import ZERO
from server.errors import NotFound
from server.replies import account_json, loss_json, more_like, receipt_json
from server.web.authentication import AnalystId, security
from server.web.reference import answers
from server.web.services import Services_

router = APIRouter(prefix="/v1", tags=["budgets"], dependencies=[security])

DatasetName = Annotated[
    str | None, Query(description="May be left out where there is only one.", max_length=200)
]

ACCOUNT = {
    "unit": "patients",
    "state": "open",
    "cap": {"epsilon": "10", "delta": "1e-6"},
    "spent": {"epsilon": "0.5", "delta": "0", "rho": "0.125"},
    "spent_epsilon": "0.5",
    "used": {"share": "0.05", "basic": "0.05", "zcdp": "0.0845"},
    "remaining": {"epsilon": "9.5", "delta": "2.5e-7"},
    "window": None,
}
"""An example."""
_RELEASE = {
    "release_id": "7c0f3a52-6e0a-4a8e-9a43-0e2f1d6c9b11",
    "dataset": "clinic",
    "request_id": "monday-report-1",
    "sql": "SELECT count(*) FROM patients",
    "loss": {"epsilon": "0.5", "delta": "0", "rho": "0.125"},
    "state": "answered",
    "reserved_at": "2026-01-05T09:00:00+00:00",
    "finished_at": "2026-01-05T09:00:01+00:00",
    "receipt": {"entry": 14, "hash": "5f0c7d3a..."},
}
_RECENT = 50
"""Among how many releases the last one that was charged is looked for."""


@router.get(
    "/budget",
    summary="What is left",
    responses=answers(
        {
            "dataset": "clinic",
            "analyst": ACCOUNT,
            "shared": ACCOUNT,
            "groups": [],
            "last": {"release_id": _RELEASE["release_id"], "loss": _RELEASE["loss"]},
            "more_like_last": 19,
            "days": [{"day": "2026-01-05", "releases": 1, "loss": _RELEASE["loss"]}],
        },
        "Your own account, the one that all analysts of the data set share, and those of your"
        " groups. A query must fit under all of them. Of several privacy units it is the one with"
        " the least left.",
    ),
)
async def budget(
    services: Services_, analyst: AnalystId, dataset: DatasetName = None
) -> JSONResponse:
    """Balances are known without the data, so looking is free."""
    name = services.gateway.dataset(dataset).catalog.dataset
    balances = await services.ledger.balances(analyst, name)
    recent = await services.ledger.releases(analyst, name, _RECENT)
    last = next((release for release in recent if release.charge != ZERO), None)
    days = await services.ledger.days(analyst, name, balances.analyst.key.unit)
    return JSONResponse(
        {
            "dataset": name,
            "analyst": account_json(balances.analyst),
            "shared": account_json(balances.dataset),
            "groups": [
                {"group": account.key.holder, **account_json(account)}
                for account in balances.accounts
                if account.key.scope == "group"
            ],
            "last": last and {"release_id": str(last.id), "loss": loss_json(last.charge)},
            "more_like_last": last and more_like(last.charge, balances),
            "days": [
                {
                    "day": day.day.isoformat(),
                    "releases": day.releases,
                    "loss": loss_json(day.loss),
                }
                for day in days
            ],
        }
    )


@router.get(
    "/releases",
    summary="Your releases, newest first",
    responses=answers(
        {"releases": [_RELEASE], "next": None},
        "One page. `next` is the value of `before` for the following page, or null.",
    ),
)
async def releases(
    services: Services_,
    analyst: AnalystId,
    dataset: DatasetName = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    before: Annotated[UUID | None, Query(description="Only older ones than this release.")] = None,
) -> JSONResponse:
    """Every question of yours that was debited, also those that failed."""
    found = await services.ledger.releases(analyst, dataset, limit + 1, before)
    shown = found[:limit]
    return JSONResponse(
        {
            "releases": [_release(release) for release in shown],
            "next": str(shown[-1].id) if len(found) > limit else None,
        }
    )


@router.get(
    "/releases/{release_id}",
    summary="One of your releases, with its answer",
    responses=answers({**_RELEASE, "answer": {"...": "as it was given"}}, "The stored answer too."),
)
async def release(services: Services_, analyst: AnalystId, release_id: str) -> JSONResponse:
    """Reading an answer again is free. Another analyst's release is not found, like one that does
    not exist."""
    try:
        found = await services.ledger.release(analyst, UUID(release_id))
    except ValueError:
        found = None
    if found is None:
        raise NotFound("You have no release of this id.")
    return JSONResponse({**_release(found), "answer": found.answer})


def _release(release: Release) -> dict[str, Any]:
    return {
        "release_id": str(release.id),
        "dataset": release.dataset,
        "request_id": release.request_id,
        "sql": release.sql,
        "loss": loss_json(release.charge),
        "state": release.state,
        "reserved_at": release.reserved_at.isoformat(),
        "finished_at": release.finished_at and release.finished_at.isoformat(),
        "receipt": receipt_json(release.receipt),
    }
