"""Creates the FastAPI application of the console."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trio.error_text import describe, format_traceback
from event_trio.http.access_log import AccessMiddleware
from event_trio.http.application import NO_TELEMETRY
from event_trio.http.body_limit import BodyLimitMiddleware
from event_trio.http.health import HealthCheck, health_routes
from event_trio.http.request_context import RequestContextMiddleware
from event_trio.observability.metrics import HttpMetrics, metrics_route

from .settings import ConsoleSettings
from .web.assets import FOLDER, PATH, CachedFiles
from .web.dependencies import READING
from .web.errors import PageError, SignInRequired, invalid
from .web.frame import Frame
from .web.page import Page, local_path
from .web.streams import event_text

log = structlog.get_logger(__name__)

TITLE = "Console"
STREAM = "text/event-stream"


def create_console(
    settings: ConsoleSettings,
    frame: Frame,
    routers: Sequence[APIRouter],
    registry: CollectorRegistry,
    checks: Sequence[HealthCheck],
    lifespan: object,
) -> FastAPI:
    """The application with its pages, health and metrics. Every response has the headers of `SecurityMiddleware`."""
    from .web.security import SecurityMiddleware

    app = FastAPI(
        title=TITLE,
        openapi_url=None,
        lifespan=lifespan,  # type: ignore[arg-type]
        telemetry=NO_TELEMETRY,
        middleware=[
            Middleware(RequestContextMiddleware),
            Middleware(
                SecurityMiddleware,
                public_url=settings.public_url,
                authenticates=not frame.is_local,
                secure=frame.cookies_are_secure,
            ),
            Middleware(AccessMiddleware, metrics=HttpMetrics(registry)),
            Middleware(BodyLimitMiddleware),
            Middleware(ErrorPageMiddleware, frame=frame),
        ],
    )
    app.state.frame = frame
    app.state.on_exit = frame.streams.close
    for router in (*routers, health_routes(checks, service=TITLE), metrics_route(registry)):
        _answer_head(router)
        app.router.routes.extend(router.routes)  # as they are: see event_trio.http.application
    app.mount(PATH, CachedFiles(directory=FOLDER), name="static")
    _answer_errors(app, frame)
    return app


class ErrorPageMiddleware:
    """Answers an unexpected error with a page that names the request, and logs it."""

    def __init__(self, app: ASGIApp, frame: Frame) -> None:
        self._app = app
        self._frame = frame

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_observe(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_observe)
        except Exception as error:
            log.error(
                "page failed", action="console.page_failed", error=describe(error), exception=format_traceback(error)
            )
            if started:
                raise
            page = Page(self._frame, Request(scope))
            await _error_page(page, PageError("unexpected", 500))(scope, receive, send)


def _answer_head(router: APIRouter) -> None:
    """Answer HEAD like GET, without the body, which the server omits (RFC 9110, section 9.3.2)."""
    for route in router.routes:
        if isinstance(route, APIRoute) and route.methods and "GET" in route.methods:
            route.methods.add("HEAD")


def _answer_errors(app: FastAPI, frame: Frame) -> None:
    async def on_page_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, PageError)
        return _error_page(Page(frame, request), error)

    async def on_sign_in_required(request: Request, error: Exception) -> Response:
        return _sign_in(Page(frame, request), request)

    async def on_invalid(request: Request, error: Exception) -> Response:
        return _error_page(Page(frame, request), invalid())

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        name = {404: "not_found", 405: "not_found", 413: "invalid"}.get(error.status_code, "unexpected")
        headers = dict(error.headers or {})
        return _error_page(Page(frame, request), PageError(name, error.status_code, headers=headers))

    app.add_exception_handler(PageError, on_page_error)
    app.add_exception_handler(SignInRequired, on_sign_in_required)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_exception)


def _error_page(page: Page, error: PageError) -> Response:
    response = page.render(
        "error.html", status=error.status, name=error.name, code=error.status, phrase=HTTPStatus(error.status).phrase
    )
    response.headers.update(error.headers)
    return response


def _sign_in(page: Page, request: Request) -> Response:
    """To the page for signing in, and back afterwards. A form is not sent again: its session has ended."""
    back = local_path(page.address) if request.method in READING else "/"
    to = f"/sign-in?next={quote(back, safe='')}"
    if STREAM in request.headers.get("accept", ""):
        # A browser would follow a redirect without showing it, and ask again every few seconds.
        return Response(event_text("sign_in", ""), media_type=STREAM)
    if "hx-request" in request.headers:
        # htmx leaves the page; the address of the part is not one to come back to.
        return Response(status_code=204, headers={"HX-Redirect": "/sign-in"})
    if request.method not in READING:
        return _error_page(page, PageError("stale", 403))
    return RedirectResponse(to, 303)
