"""/v1/admin: verbs on accounts, groups and epochs, for an administrator's token only.

What these do is in the ledger's journal: who, what, when and why.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from accountant.accounts import Account, AccountState, WindowKind
from accountant.administration import Holder
from accountant.errors import NoAccount
from accountant.losses import floor_delta, floor_epsilon
from server.errors import NotFound, RequestRefused
from server.replies import account_json
from server.web.admin import AnalystName, Reason
from server.web.authentication import Admin, security
from server.web.bodies import Body, Delta, Epsilon, Text, read
from server.web.budgets import ACCOUNT
from server.web.reference import accepts, answers
from server.web.services import Services, Services_

router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[security])

Verb = Literal["set", "grant", "raise", "lower", "freeze", "thaw", "close", "window"]

_STATES: dict[str, AccountState] = {"freeze": "frozen", "thaw": "open", "close": "closed"}


class Decision(Body):
    """What is decided about an account, or about the same holder's accounts of each unit."""

    verb: Verb
    analyst: AnalystName | None = None
    group: Annotated[Text | None, Field(description="Without both: the account over all.")] = None
    unit: Annotated[Text | None, Field(description="One privacy unit; else each of them.")] = None
    epsilon: Epsilon | None = None
    delta: Delta | None = None
    window: Annotated[
        Literal["day", "week", "month", "none"] | None, Field(description="With verb `window`.")
    ] = None
    reason: Reason = ""


class Why(Body):
    """Why it is done."""

    reason: Reason = ""


@router.post(
    "/budgets/{dataset}",
    summary="Decide about an account",
    openapi_extra=accepts(
        Decision, {"verb": "grant", "analyst": "ada", "epsilon": "1", "reason": "second wave"}
    ),
    responses=answers(
        {"accounts": [{"holder": "ada", "scope": "analyst", **ACCOUNT}]},
        "The accounts, as they are now.",
    ),
)
async def decide(request: Request, services: Services_, admin: Admin, dataset: str) -> JSONResponse:
    """`grant` adds to a cap; `raise`, `lower` and `set` say what it will be; `freeze`, `thaw` and
    `close` say whether anything is charged; `window` paces."""
    body = await read(request, Decision)
    name = services.gateway.dataset(dataset).catalog.dataset
    holder = await _holder(services, body)
    try:
        changed = await _carry_out(services, body, name, holder, admin.name)
    except NoAccount:
        raise NotFound("There is no such account on this data set.") from None
    except ValueError as error:
        raise RequestRefused(f"It cannot be done: {error}.") from None
    analyst = {} if body.analyst is None else {str(holder): body.analyst}
    return JSONResponse({"accounts": [_account(account, analyst) for account in changed]})


async def _holder(services: Services, body: Decision) -> Holder:
    if body.analyst is not None and body.group is not None:
        raise RequestRefused("Name an analyst or a group, not both.")
    if body.analyst is None:
        return body.group
    return (await services.ledger.find_analyst(body.analyst)).id


async def _carry_out(
    services: Services, body: Decision, dataset: str, holder: Holder, by: str
) -> list[Account]:
    ledger = services.ledger
    where: dict[str, Any] = {"unit": body.unit, "by": by, "reason": body.reason}
    epsilon = None if body.epsilon is None else floor_epsilon(body.epsilon)
    delta = None if body.delta is None else floor_delta(body.delta)
    match body.verb:
        case "freeze" | "thaw" | "close":
            return await ledger.set_state(holder, dataset, _STATES[body.verb], **where)
        case "window":
            if body.window is None or (epsilon is None) != (body.window == "none"):
                raise RequestRefused(
                    "Say which window, and how much of epsilon it has.",
                    hint='{"verb": "window", "window": "day", "epsilon": "0.5"}, or "none".',
                )
            kind: WindowKind | None = None if body.window == "none" else body.window
            caps = (epsilon or 0, delta or 0)
            return await ledger.set_window(holder, dataset, kind, *caps, **where)
        case _:
            if epsilon is None and delta is None:
                raise RequestRefused("Say epsilon, delta or both.")
            if body.verb == "set" and holder is not None:  # What is there is left as it is.
                opening = (epsilon or 0, delta or 0)
                await ledger.open_account(holder, dataset, *opening, by=by, reason=body.reason)
            return await ledger.set_cap(
                holder, dataset, epsilon_cap=epsilon, delta_cap=delta, verb=body.verb, **where
            )


@router.get(
    "/groups",
    summary="Groups and their members",
    responses=answers({"groups": {"cohort": ["ada", "bob"]}}, "Names of analysts by group."),
)
async def groups(services: Services_, _: Admin) -> JSONResponse:
    """A group's account, where it has one, is charged for its members."""
    return JSONResponse({"groups": await services.ledger.groups()})


@router.put(
    "/groups/{group}/{analyst}",
    summary="Make an analyst a member",
    openapi_extra=accepts(Why, {"reason": "joins the cohort study"}),
    responses=answers({"groups": {"cohort": ["ada"]}}, "All groups, as they are now."),
)
async def join(
    request: Request, services: Services_, admin: Admin, group: str, analyst: str
) -> JSONResponse:
    """From now on the group's accounts are charged as well."""
    body = await read(request, Why)
    try:
        await services.ledger.join_group(group, analyst, by=admin.name, reason=body.reason)
    except ValueError:
        raise RequestRefused("The group's name is wrong: a to z, then a-z 0-9 _ . -") from None
    return await groups(services, admin)


@router.delete(
    "/groups/{group}/{analyst}",
    summary="End a membership",
    responses=answers({"groups": {}}, "All groups, as they are now."),
)
async def leave(services: Services_, admin: Admin, group: str, analyst: str) -> JSONResponse:
    """What the group spent stays spent."""
    await services.ledger.leave_group(group, analyst, by=admin.name)
    return await groups(services, admin)


@router.post(
    "/datasets/{dataset}/epoch",
    summary="Say that the data is new",
    openapi_extra=accepts(Why, {"reason": "the cohort of 2026"}),
    responses=answers({"dataset": "clinic", "epoch": 2}, "The new epoch."),
)
async def epoch(request: Request, services: Services_, admin: Admin, dataset: str) -> JSONResponse:
    """Stored answers of the epoch before are not given again."""
    body = await read(request, Why)
    name = services.gateway.dataset(dataset).catalog.dataset
    number = await services.ledger.advance_epoch(name, by=admin.name, reason=body.reason)
    return JSONResponse({"dataset": name, "epoch": number})


def _account(account: Account, names: dict[str, str]) -> dict[str, Any]:
    holder = account.key.holder
    return {
        "holder": names.get(holder, holder) or None,
        "scope": account.key.scope,
        **account_json(account),
    }
