"""The admin API's pages at ``/docs``: Swagger UI, served by the gateway itself.

So the pages work without the internet, and no script of a third party runs where keys are typed.

The files in ``swagger_ui`` are from the npm package ``swagger-ui-dist`` 5.35.0, unchanged, with its licence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_FILES: Final = Path(__file__).parent / "swagger_ui"
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
"""What the page may load: files of its own origin, and the inline script and styles of the page."""


def add_docs(app: FastAPI) -> None:
    """Serve the pages. Their addresses are relative, for proxies that put the gateway under a path."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=f"{app.title} admin API",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon-32x32.png",
        swagger_ui_parameters={"validatorUrl": None, "persistAuthorization": False, "tryItOutEnabled": True},
    )
    page.headers["content-security-policy"] = _POLICY

    async def docs() -> HTMLResponse:
        return page

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.mount("/docs", StaticFiles(directory=_FILES))
