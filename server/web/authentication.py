"""Who asks: the bearer token of a request to a principal, and nothing else to anybody."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from server.errors import AdminOnly, AnalystOnly
from server.identity import NotAuthenticated, Principal
from server.web.services import services_of

_documented = HTTPBearer(auto_error=False, description="A token made by `epsql token new`.")


async def _principal(request: Request) -> Principal:
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise NotAuthenticated  # Two readers could take a different one each.
    return await services_of(request).identity.authenticate(headers[0] if headers else None)


Anybody = Annotated[Principal, Depends(_principal)]
"""Whoever has a valid token."""


async def _analyst(principal: Anybody) -> UUID:
    if principal.analyst_id is None:
        raise AnalystOnly(
            "This token belongs to no analyst, so nobody could be charged.",
            hint="Make one for an analyst: epsql token new NAME.",
        )
    return principal.analyst_id


async def _admin(principal: Anybody) -> Principal:
    if not principal.is_admin:
        raise AdminOnly("Only an administrator's token may do this.")
    return principal


AnalystId = Annotated[UUID, Depends(_analyst)]
Admin = Annotated[Principal, Depends(_admin)]
security = Depends(_documented)
"""For the OpenAPI document only: routers that need a token name it."""
