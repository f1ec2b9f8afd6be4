"""What the web front is given, and how its handlers get at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from accountant.ledger import Ledger
from server.gateway import Gateway
from server.identity import Identity
from server.observations import Observer


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the handlers need. ``server.app`` builds it; tests build their own.

    Attributes:
        checks: for ``/readyz``: the name of each part, and what raises when it is not reachable.
        body_bytes: the largest request body.
    """

    gateway: Gateway
    ledger: Ledger
    identity: Identity
    observe: Observer
    checks: dict[str, Callable[[], Awaitable[None]]]
    body_bytes: int = 256 * 1024


def services_of(request: Request) -> Services:
    """The services of the application that serves the request."""
    services: Services = request.app.state.services
    return services


Services_ = Annotated[Services, Depends(services_of)]
