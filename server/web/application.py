"""The ASGI application: routes, the one error shape, and an envelope around every exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import (
    Cancelled,
    MethodNotAllowed,
    NotFound,
    body_of,
    rule_of,
)
from server.observations import Broke, Name, Observer, Replied
from server.settings import version
from server.web import admin, budgets, datasets, health, queries, reference, stewardship
from server.web.bodies import refusal_of
from server.web.services import Services

_CODE = "epsql.code"
"""Where in the ASGI scope an error's code is left for the envelope to observe."""


def create_app(services: Services) -> FastAPI:
    """The application over some services, which somebody else starts and stops."""
    app = FastAPI(
        title="epsql",
        version=version(),
        description="SQL aggregates over personal data, answered with differentially private noise "
        "and debited to a budget.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    for room in (queries, budgets, datasets, admin, stewardship, health, reference):
        app.include_router(room.router)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_middleware(Envelope, observe=services.observe)
    return app


async def _http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own: no such path, no such method."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        refused = MethodNotAllowed("This path does not take this method.")
        return _error_response(request.scope, refused, {"Allow": _methods(request)})
    return _error_response(
        request.scope, NotFound("There is nothing at this path.", hint="See /docs.")
    )


def _methods(request: Request) -> str:
    """What the path does take, over all routes: starlette's own answer knows the first only."""
    paths = request.app.openapi()["paths"]
    here = request.scope["route"].path_format
    return ", ".join(sorted(method.upper() for method in paths.get(here, {"get": {}})))


async def _validation_error(request: Request, error: Exception) -> Response:
    """FastAPI's own: a query parameter that is not what it should be."""
    assert isinstance(error, RequestValidationError)
    return _error_response(request.scope, refusal_of(error.errors()))


def _error_response(
    scope: Scope, error: BaseException, headers: Mapping[str, str] | None = None
) -> Response:
    """The one shape, and the only place where it is made."""
    body, status = body_of(error), rule_of(error).status
    scope[_CODE] = body.code
    more = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        more["WWW-Authenticate"] = 'Bearer realm="epsql"'
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        more["Retry-After"] = "1"
    return JSONResponse(body.to_json(), status, more)


class Envelope:
    """Around every exchange: nothing is cached, nothing unexpected leaves, and it is observed.

    Plain ASGI, because a handler must still see that its connection closes.
    """

    def __init__(self, app: ASGIApp, observe: Observer) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def sealed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            _require_text(scope)
            await self._app(scope, receive, sealed)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - nothing passes unshaped
            # A cancellation comes from a server that stops without waiting any longer.
            known = Cancelled() if isinstance(error, asyncio.CancelledError) else error
            if rule_of(known).code == "internal_error":
                self._observe(Broke(_route(scope), Name.of(known)))
            if not status:
                await _error_response(scope, known)(scope, receive, sealed)
        took = round(1000 * (time.monotonic() - began))
        code = scope.get(_CODE)
        self._observe(Replied(_route(scope), status, Name(code) if code else None, took))


def _require_text(scope: Scope) -> None:
    """Postgres holds no NUL, and would fail where one is looked for.

    Raises:
        NotFound: there is one in the address.
    """
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise NotFound("Nothing here has a NUL character in its name.")


def _route(scope: Scope) -> Name:
    return Name(getattr(scope.get("route"), "name", "no_route"))
