"""GET /healthz and /readyz: for whoever keeps the server running. No token, no secrets."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from server.errors import NotReady
from server.observations import Broke, Name
from server.web.reference import answers
from server.web.services import Services, Services_

router = APIRouter(tags=["health"])

_PATIENCE = 5.0
"""Seconds that a part has to say that it is there."""


@router.get(
    "/healthz",
    summary="Whether the process runs",
    responses=answers({"status": "ok"}, "It does."),
)
async def healthz() -> JSONResponse:
    """Touches no database."""
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    summary="Whether queries can be answered",
    responses=answers({"status": "ready"}, "The ledger and the data are reachable."),
)
async def readyz(services: Services_) -> JSONResponse:
    """503, naming the parts, when the ledger or the data cannot be reached or is not current."""
    names = list(services.checks)
    fine = await asyncio.gather(*(_is_fine(services, name) for name in names))
    missing = [name for name, good in zip(names, fine, strict=True) if not good]
    if missing:
        raise NotReady(f"Not ready: {', '.join(missing)}.")
    return JSONResponse({"status": "ready"})


async def _is_fine(services: Services, name: str) -> bool:
    try:
        await asyncio.wait_for(services.checks[name](), _PATIENCE)
    except Exception as error:  # noqa: BLE001 - whatever it was, it is not ready
        services.observe(Broke(Name("readyz"), Name.of(error)))
        return False
    return True
