"""Creates the FastAPI application of a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware

from ..observability.metrics import HttpMetrics, metrics_route
from . import docs_pages, openapi, problems
from .access_log import AccessMiddleware
from .authorization import Authenticator, requires_tokens
from .body_limit import DEFAULT_BYTES, BodyLimitMiddleware
from .conditions import ConditionMiddleware
from .health import HealthCheck, health_routes
from .request_context import RequestContextMiddleware

# The spans are ours: those of FastAPI contain paths and queries, and its log records the texts of errors.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def create_app(
    *,
    title: str,
    description: str,
    routers: Sequence[APIRouter],
    authenticator: Authenticator,
    registry: CollectorRegistry,
    checks: Sequence[HealthCheck],
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    translation: problems.ProblemTranslation | None = None,
    state: Mapping[str, object] | None = None,
    body_bytes: int = DEFAULT_BYTES,
) -> FastAPI:
    """A FastAPI application with problems, authentication, health, metrics and request context.

    `state` is stored on `app.state`, where the dependencies of the routes look it up. `translation` maps the service's
    own errors to problems.
    """
    app = FastAPI(
        title=title,
        description=description,
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        middleware=[
            Middleware(RequestContextMiddleware),
            Middleware(AccessMiddleware, metrics=HttpMetrics(registry)),
            Middleware(BodyLimitMiddleware, limit=body_bytes),
            Middleware(ConditionMiddleware),
        ],
    )
    app.state.authenticator = authenticator
    for name, value in (state or {}).items():
        setattr(app.state, name, value)
    for router in (*routers, health_routes(checks, service=title), metrics_route(registry)):
        # As they are: to include a router, FastAPI builds each of its routes again for the application, which takes a
        # tenth of the processor time of a start, and changes nothing without options.
        app.router.routes.extend(router.routes)
    docs_pages.install(app)
    problems.install(app, translation or {})
    openapi.install(app, requires_tokens=requires_tokens(authenticator))
    return app
