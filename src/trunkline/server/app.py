"""FastAPI beside the data plane: documentation now, administration with it.

Imported when it is first asked for something: the data plane must be ready before a second has passed, and
FastAPI's import alone takes half of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from trunkline.dialects import openai
from trunkline.errors import METHOD_NOT_ALLOWED, NOT_FOUND, CallerError, GatewayError
from trunkline.pipeline import error_lines
from trunkline.policy.auth import ApiKey

if TYPE_CHECKING:
    from trunkline.server.gateway import Gateway


def make_fastapi(gateway: Gateway) -> FastAPI:
    """The application for everything that is not on the data plane."""
    app = FastAPI(
        title="Trunkline",
        version=gateway.version,
        summary="One port in front of every model you have.",
        redoc_url=None,
    )
    app.state.gateway = gateway
    app.add_exception_handler(GatewayError, _gateway_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
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


async def _http_error(request: Request, error: HTTPException) -> Response:
    kind = METHOD_NOT_ALLOWED if error.status_code == 405 else NOT_FOUND
    text = str(error.detail) if error.status_code not in (404, 405) else _WORDS[error.status_code]
    problem = CallerError(text.format(method=request.method, path=request.url.path), kind)
    problem.status = error.status_code
    body = openai.error_body(problem)
    return Response(body, error.status_code, dict(error.headers or {}), media_type="application/json")


_WORDS = {404: "There is nothing at {path}", 405: "{method} is not allowed at {path}"}
