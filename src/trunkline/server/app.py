"""FastAPI beside the data plane: the admin API and its documentation.

Imported when it is first asked for something: the data plane must be ready before a second has passed, and
FastAPI's import alone takes half of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from trunkline.call import error_lines
from trunkline.dialects import openai
from trunkline.errors import (
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    CallerError,
    GatewayError,
)
from trunkline.policy.auth import ApiKey, redact_path
from trunkline.server.admin import people, rules, watching
from trunkline.server.admin.complaints import complaint
from trunkline.server.docs import add_docs

if TYPE_CHECKING:
    from trunkline.server.gateway import Gateway


def make_fastapi(gateway: Gateway) -> FastAPI:
    """The application for everything that is not on the data plane."""
    app = FastAPI(
        title="Trunkline",
        version=gateway.version,
        summary="One port in front of every model you have.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.gateway = gateway
    for router in (people.router, rules.router, watching.router):
        app.include_router(router)
    add_docs(app)
    app.add_exception_handler(GatewayError, _gateway_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _validation_error)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _bug)
    return app


async def auth_bearer(request: Request) -> ApiKey | None:
    """FastAPI dependency: the key that the request brings, by the very check of the data plane.

    Raises:
        CallerError: 401, rendered by this application's handler with ``WWW-Authenticate: Bearer``.
    """
    gateway: Gateway = request.app.state.gateway
    return gateway.admission.check_key(request.scope["headers"])


async def _gateway_error(request: Request, error: GatewayError) -> Response:
    lines = error_lines(error).decode().splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    body = openai.error_body(error)
    return Response(body, error.status, headers, media_type="application/json")


async def _validation_error(request: Request, error: RequestValidationError) -> Response:
    return await _gateway_error(request, complaint(request, error))


async def _bug(request: Request, error: Exception) -> Response:
    return await _gateway_error(request, GatewayError("The gateway failed; its log says more"))


async def _http_error(request: Request, error: HTTPException) -> Response:
    path = redact_path(request.url.path)
    match error.status_code:
        case 404:
            gateway: Gateway = request.app.state.gateway
            problem = gateway.routes.nothing_at(request.url.path)
            if request.url.path.startswith("/key/") and not gateway.settings.allow_key_in_path:
                text = f"There is nothing at {path}: keys in the path need ALLOW_KEY_IN_PATH=true"
                problem = CallerError(text, NOT_FOUND)
        case 405:
            problem = CallerError(f"{request.method} is not allowed at {path}", METHOD_NOT_ALLOWED)
        case status:
            problem = CallerError(str(error.detail), INVALID_REQUEST, status=status)
    body = openai.error_body(problem)
    return Response(body, problem.status, dict(error.headers or {}), media_type="application/json")
