"""/v1/admin: analysts, tokens and caps, for an administrator's token only.

What these do is in the ledger's journal: who, what, when and why.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from accountant.accounts import Account
from accountant.errors import NoAccount
from accountant.losses import floor_delta, floor_epsilon
from accountant.people import Analyst
from server.admission import admit_analyst
from server.errors import NotFound, RequestRefused
from server.replies import account_json
from server.web.authentication import Admin, security
from server.web.bodies import Body, Delta, Epsilon, Text, read
from server.web.budgets import ACCOUNT
from server.web.reference import accepts, answers
from server.web.services import Services, Services_

router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[security])

Reason = Annotated[Text, Field(max_length=500, description="Kept in the journal.")]
AnalystName = Annotated[Text, Field(description="a to z, then up to 62 of a-z 0-9 _ . -")]

_ANALYST = {"name": "ada", "created_at": "2026-01-05T09:00:00+00:00", "disabled_at": None}
_ACCOUNT = {"analyst": "ada", "group": None, **ACCOUNT}


class NewAnalyst(Body):
    """Somebody who may ask, with the accounts that the policies grant."""

    name: AnalystName
    reason: Reason = ""


class NewToken(Body):
    """A token for an analyst. The secret is shown once."""

    analyst: AnalystName
    reason: Reason = ""


class NewCap(Body):
    """A ceiling; what is not given stays."""

    epsilon: Epsilon | None = None
    delta: Delta | None = None
    reason: Reason = ""


@router.get(
    "/analysts",
    summary="Every analyst there ever was",
    responses=answers({"analysts": [_ANALYST]}, "By name."),
)
async def list_analysts(services: Services_, _: Admin) -> JSONResponse:
    """Analysts are never deleted, only disabled: what they spent stays spent."""
    found = await services.ledger.list_analysts()
    return JSONResponse({"analysts": [_analyst(analyst) for analyst in found]})


@router.post(
    "/analysts",
    summary="Add an analyst",
    openapi_extra=accepts(NewAnalyst, {"name": "ada", "reason": "joins the cohort study"}),
    responses=answers(_ANALYST, "Added, with an account on every data set as its policy grants."),
)
async def add_analyst(request: Request, services: Services_, admin: Admin) -> JSONResponse:
    """The name is kept for ever: nobody else can have it later."""
    body = await read(request, NewAnalyst)
    catalogs = [dataset.catalog for dataset in services.gateway.datasets.values()]
    try:
        analyst = await admit_analyst(
            services.ledger, catalogs, body.name, by=admin.name, reason=body.reason
        )
    except ValueError:
        raise RequestRefused("name is wrong: a to z, then up to 62 of a-z 0-9 _ . -") from None
    return JSONResponse(_analyst(analyst))


@router.post(
    "/tokens",
    summary="Make a token for an analyst",
    openapi_extra=accepts(NewToken, {"analyst": "ada", "reason": "new laptop"}),
    responses=answers(
        {"analyst": "ada", "token": "epsql_..."}, "The token; it is not shown again."
    ),
)
async def new_token(request: Request, services: Services_, admin: Admin) -> JSONResponse:
    """Only a digest of it is stored."""
    body = await read(request, NewToken)
    token = await services.identity.new_token(body.analyst, by=admin.name, reason=body.reason)
    return JSONResponse({"analyst": body.analyst, "token": token})


@router.get(
    "/budgets/{dataset}",
    summary="Every account of a data set",
    responses=answers(
        {"dataset": "clinic", "accounts": [{**_ACCOUNT, "analyst": None}, _ACCOUNT]},
        "The shared account first, with neither analyst nor group.",
    ),
)
async def budgets(services: Services_, _: Admin, dataset: str) -> JSONResponse:
    """Caps, spent and remaining."""
    name = services.gateway.dataset(dataset).catalog.dataset
    analysts = await services.ledger.list_analysts()
    names = {str(analyst.id): analyst.name for analyst in analysts}
    return JSONResponse(
        {
            "dataset": name,
            "accounts": [
                _account(account, names.get(account.key.holder))
                for account in await services.ledger.accounts(name)
            ],
        }
    )


@router.get(
    "/budgets/{dataset}/{analyst}",
    summary="One analyst's account",
    responses=answers(_ACCOUNT, "Cap, spent and remaining."),
)
async def budget(services: Services_, _: Admin, dataset: str, analyst: str) -> JSONResponse:
    """404 if the analyst has no account on the data set."""
    name = services.gateway.dataset(dataset).catalog.dataset
    found = await services.ledger.find_analyst(analyst)
    try:
        balances = await services.ledger.balances(found.id, name)
    except NoAccount:
        raise NotFound("The analyst has no account on this data set.") from None
    return JSONResponse(_account(balances.analyst, found.name))


_CAP = accepts(NewCap, {"epsilon": "20", "delta": "1e-6", "reason": "approved by the board"})


@router.put(
    "/budgets/{dataset}",
    summary="Move the cap over all analysts",
    openapi_extra=_CAP,
    responses=answers({**_ACCOUNT, "analyst": None}, "The account with its new cap."),
)
async def set_shared_cap(
    request: Request, services: Services_, admin: Admin, dataset: str
) -> JSONResponse:
    """Never below what is spent."""
    return await _set_cap(request, services, admin, dataset, None)


@router.put(
    "/budgets/{dataset}/{analyst}",
    summary="Move an analyst's cap, or open the account",
    openapi_extra=_CAP,
    responses=answers(_ACCOUNT, "The account with its new cap."),
)
async def set_cap(
    request: Request, services: Services_, admin: Admin, dataset: str, analyst: str
) -> JSONResponse:
    """Never below what is spent. A missing account is opened with the policy's cap first."""
    found = await services.ledger.find_analyst(analyst)
    return await _set_cap(request, services, admin, dataset, found)


async def _set_cap(
    request: Request, services: Services, admin: Admin, dataset: str, analyst: Analyst | None
) -> JSONResponse:
    body = await read(request, NewCap)
    catalog = services.gateway.dataset(dataset).catalog
    who: dict[str, Any] = {"by": admin.name, "reason": body.reason}
    if analyst is not None:
        limits = catalog.analyst_limits
        await services.ledger.open_account(
            analyst.id,
            catalog.dataset,
            floor_epsilon(limits.epsilon),
            floor_delta(limits.delta),
            **who,
        )
    try:
        account, *_ = await services.ledger.set_cap(
            None if analyst is None else analyst.id,
            catalog.dataset,
            epsilon_cap=None if body.epsilon is None else floor_epsilon(body.epsilon),
            delta_cap=None if body.delta is None else floor_delta(body.delta),
            **who,
        )
    except ValueError:
        raise RequestRefused("The cap is larger than the ledger can count.") from None
    return JSONResponse(_account(account, None if analyst is None else analyst.name))


def _analyst(analyst: Analyst) -> dict[str, Any]:
    return {
        "name": analyst.name,
        "created_at": analyst.created_at.isoformat(),
        "disabled_at": analyst.disabled_at and analyst.disabled_at.isoformat(),
    }


def _account(account: Account, analyst: str | None) -> dict[str, Any]:
    group = account.key.holder if account.key.scope == "group" else None
    return {"analyst": analyst, "group": group, **account_json(account)}
