"""The pages that show the OpenAPI document. Their scripts and styles are part of a package, so they work offline."""

from __future__ import annotations

from importlib.resources import as_file, files

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

STATIC = "/docs/static"
REDIRECT = "/docs/oauth2-redirect"
# Only the package's files are used, not its application class.
PACKAGE = "fastapi_offline"


def install(app: FastAPI) -> None:
    """Add `/docs` (Swagger UI) and `/redoc`; like the document, they need no authentication."""
    with as_file(files(PACKAGE) / "static") as folder:
        app.mount(STATIC, StaticFiles(directory=folder), name="docs-static")
    address, icon = app.openapi_url or "/openapi.json", f"{STATIC}/favicon.png"

    @app.get("/docs", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=address,
            title=app.title,
            oauth2_redirect_url=REDIRECT,
            swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{STATIC}/swagger-ui.css",
            swagger_favicon_url=icon,
            # Its badge would send the document to a public service.
            swagger_ui_parameters={"validatorUrl": None},
        )

    @app.get(REDIRECT, include_in_schema=False)
    async def redirect() -> HTMLResponse:
        return get_swagger_ui_oauth2_redirect_html()

    @app.get("/redoc", include_in_schema=False)
    async def redoc() -> HTMLResponse:
        return get_redoc_html(
            openapi_url=address,
            title=app.title,
            redoc_js_url=f"{STATIC}/redoc.standalone.js",
            redoc_favicon_url=icon,
            with_google_fonts=False,
        )
