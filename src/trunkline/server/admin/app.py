"""FastAPI beside the data plane: the admin API and its documentation.

It is imported when it is first asked for something: the data plane must be ready within a second, and the
import of FastAPI alone takes half of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from trunkline.dialects import openai
from trunkline.errors import (
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    TOO_LARGE,
    CallerError,
    GatewayError,
)
from trunkline.pipeline.responder import error_lines
from trunkline.policy.auth import ApiKey, redact_path
from trunkline.server.admin import keys_and_teams, reports, rules, upstreams
from trunkline.server.admin.docs import add_docs
from trunkline.server.admin.validation_errors import validation_error
from trunkline.server.http.routes import RenderError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from trunkline.server.admin.access import AdminServices, KeyCheck

MAX_BODY: Final = 1024 * 1024
"""Bytes of the largest body that is accepted here. FastAPI reads a body before it checks the key."""


def make_fastapi(services: AdminServices) -> FastAPI:
    """The application for everything that is not on the data plane."""
    app = FastAPI(
        title="Trunkline",
        version=services.version,
        summary="One port in front of every model you have.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.gateway = services
    for router in (keys_and_teams.router, rules.router, reports.router, upstreams.router):
        app.include_router(router)
    add_docs(app)
    app.add_middleware(_BodyLimit)
    app.add_exception_handler(GatewayError, _gateway_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _validation_error)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unexpected_error)
    return app


class _BodyLimit:
    """Refuses bodies that are larger than any request to this application needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on. Reading stops where its body exceeds the limit."""
        size = 0

        async def limited_receive() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise HTTPException(413)
            return message

        await self._app(scope, limited_receive, send)


async def auth_bearer(request: Request) -> ApiKey | None:
    """FastAPI dependency: the key of the request, after the same check as on the data plane.

    Raises:
        CallerError: 401, rendered by this application's handler with ``WWW-Authenticate: Bearer``.
    """
    services: KeyCheck = request.app.state.gateway
    return services.admission.check_key(request.scope["headers"])


async def _gateway_error(request: Request, error: GatewayError) -> Response:
    lines = error_lines(error).decode().splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    body = openai.error_body(error)
    return Response(body, error.status, headers, media_type="application/json")


async def _validation_error(request: Request, error: RequestValidationError) -> Response:
    return await _gateway_error(request, validation_error(request, error))


async def _unexpected_error(request: Request, error: Exception) -> Response:
    return await _gateway_error(request, GatewayError("The gateway failed; its log says more"))


async def _http_error(request: Request, error: HTTPException) -> Response:
    path = redact_path(request.url.path)
    render: RenderError = openai.error_body
    match error.status_code:
        case 404:
            services: AdminServices = request.app.state.gateway
            nothing = services.routes.nothing_at(request.url.path)
            nothing = services.routes.for_client(nothing, dict(request.scope["headers"]))
            problem, render = nothing.error, nothing.render
            if request.url.path.startswith("/key/") and not services.settings.allow_key_in_path:
                text = f"There is nothing at {path}: keys in the path need ALLOW_KEY_IN_PATH=true"
                problem = CallerError(text, NOT_FOUND)
        case 405:
            problem = CallerError(f"{request.method} is not allowed at {path}", METHOD_NOT_ALLOWED)
        case 413:
            problem = CallerError(f"The request body is larger than {MAX_BODY} bytes", TOO_LARGE)
        case status:
            problem = CallerError(str(error.detail), INVALID_REQUEST, status=status)
    return Response(render(problem), problem.status, dict(error.headers or {}), media_type="application/json")
